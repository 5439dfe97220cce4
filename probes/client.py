"""The prober: one epoll loop, thousands of probes in flight."""

from __future__ import annotations

import heapq
import itertools
import resource
import select
import socket
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Callable, Protocol

from probes import wire
from probes.flights import Flight
from probes.kinds import make_flight
from probes.source_ports import FIRST_PORT, PORTS, SourcePorts

if TYPE_CHECKING:
    from probes.tls import Keys
    from probes.tls_flights import TlsFlight

LAUNCHES = 128
"""Probes started between two looks at the answers; small enough that answers never pile up."""

HANDSHAKES = 128
"""Handshakes of TLS under way at once. They cost the listeners' processor, and one that waits behind too many
others would look as if nobody answered it; connections wait their turn before the first byte."""

RESERVED_FDS = 256
"""Descriptors kept free for namespaces, channels and the epoll itself."""


class Sink(Protocol):
    """Whoever asked for a flight: a sweep or a flow."""

    slot: float
    attempts: int

    def token(self, index: int, attempt: int) -> str:
        """The token of one attempt."""
        ...

    def done(self, flight: Flight, result: list[Any]) -> None:
        """The flight's last attempt ended."""
        ...


class Timed(Protocol):
    """Something with a deadline."""

    alive: bool
    deadline: float

    def timer(self, prober: Prober) -> None:
        """The deadline passed."""
        ...


class Watched(Protocol):
    """Something else whose descriptor the loop watches."""

    def ready(self, prober: Prober, events: int) -> None:
        """The descriptor has news."""
        ...


def raise_open_files() -> int:
    """Raise the soft limit of open files to the hard one; returns how many flights fit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = 1 << 20
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    return max(64, min(hard, 1 << 17) - RESERVED_FDS)


class Prober:
    """Sends probes and reads their outcomes.

    Args:
        enter: Called with the name of a source before sockets are opened for it; in a pod it does nothing, in
            the lab it enters the source's network namespace.
        window: How many probes may be in flight at once.
        first_port: First source port for datagram probes.
        ports: How many source ports from there on are this prober's own.

    Attributes:
        keys: Certificates for probes that speak TLS; None before the first is learnt.
    """

    def __init__(
        self,
        enter: Callable[[str], None],
        window: int,
        first_port: int = FIRST_PORT,
        ports: int = PORTS,
    ) -> None:
        self.keys: Keys | None = None
        self._range = (first_port, ports, 0)
        self.epoll = select.epoll()
        self._enter = enter
        self._window = window
        self._flights: dict[int, Flight] = {}
        self._watched: dict[int, Watched] = {}
        self._queue: deque[Flight] = deque()
        self._timers: list[tuple[float, int, Timed]] = []
        self._order = itertools.count()
        self._where: str | None = None
        self._shaking: set[Flight] = set()
        self._connected: deque[TlsFlight] = deque()
        self._ended = False
        self._ports: dict[str, SourcePorts] = {}

    def submit(self, flights: list[Flight]) -> None:
        """Queue flights; they start as the window allows."""
        self._queue.extend(flights)

    def add(self, fileno: int, watched: Watched, events: int = select.EPOLLIN) -> None:
        """Watch a descriptor that is no flight's."""
        self._watched[fileno] = watched
        self.epoll.register(fileno, events)

    def listen_for(self, fileno: int, events: int) -> None:
        """Change what a descriptor that `add` took is watched for."""
        self.epoll.modify(fileno, events)

    # -- called by flights ---------------------------------------------------------------------------

    def watch(self, flight: Flight, events: int, deadline: float) -> None:
        """Wait for the flight's new socket until `deadline`."""
        assert flight.sock is not None
        fileno = flight.sock.fileno()
        self._flights[fileno] = flight
        self.epoll.register(fileno, events)
        self.until(flight, deadline)

    def use_ports(self, first: int, count: int, begin: int) -> None:
        """Take the source ports of datagrams from this range from now on, the first near `begin` in it."""
        self._range = (first, count, begin)

    def line_up(self, flight: TlsFlight) -> None:
        """Have a connected flight shake hands when its turn comes."""
        self._connected.append(flight)

    def bind_fresh(self, sock: socket.socket, source: str) -> None:
        """Bind a datagram socket to the source port that `source` has not used for longest.

        Raises:
            NoPortError: All were used a moment ago.
        """
        ports = self._ports.get(source)
        if ports is None:
            ports = self._ports[source] = SourcePorts(*self._range)
        ports.bind(sock)

    def unwatch(self, flight: Flight) -> None:
        """Forget the flight's socket, which is about to be closed."""
        if flight.sock is not None and self._flights.pop(flight.sock.fileno(), None) is not None:
            self.epoll.unregister(flight.sock.fileno())

    def until(self, timed: Timed, deadline: float) -> None:
        """Move a deadline."""
        timed.deadline = deadline
        heapq.heappush(self._timers, (deadline, next(self._order), timed))

    def finish(
        self,
        flight: Flight,
        kind: str,
        detail: str = "",
        by: str = "",
        token: bool = False,
        served_by: str = "",
    ) -> None:
        """An attempt ended; what is not an answer is confirmed by the attempts that are left."""
        seconds = time.monotonic() - flight.began
        local = flight.local()
        # Whoever refused at the other end knows the probe by its token, or by its ClientHello.
        note = flight.note or ([] if token or not flight.stage else [flight.token])
        self._drop(flight)
        if not token and kind != "http" and flight.attempt < flight.sink.attempts:
            self._queue.append(flight)
            return
        self._ended = True
        literal = f"[{flight.address}]" if ":" in flight.address else flight.address
        flight.sink.done(
            flight,
            [
                flight.index,
                kind,
                detail,
                by,
                token,
                served_by,
                flight.lookup,
                flight.attempt,
                round(seconds, 6),
                local,
                f"{literal}:{flight.port}",
                note,
            ],
        )

    def hand_over(self, flight: Flight, spec: list[Any], lookup: str) -> None:
        """One flight ends and another goes on in its place; `lookup` is what the first found out."""
        follower = make_flight(spec, flight.sink)
        follower.lookup = lookup
        follower.began = flight.began
        self._drop(flight)
        self._queue.appendleft(follower)

    def crowded(self, flight: Flight) -> None:
        """No descriptor was free: try this attempt again when others have ended, if there are any."""
        self._drop(flight)
        if not self._flights:
            flight.attempt = flight.sink.attempts
            self.finish(flight, "error", "no file descriptor is free")
            return
        flight.attempt -= 1
        self._window = max(32, len(self._flights) - 64)
        self._queue.append(flight)

    def _drop(self, flight: Flight) -> None:
        if flight.sock is not None:
            self._flights.pop(flight.sock.fileno(), None)
        self._shaking.discard(flight)
        flight.close()

    # -- the loop ------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether any probe waits or is in flight."""
        return bool(self._queue or self._flights)

    def turn(self, longest: float = 3600.0) -> None:
        """Start what may start, read what has arrived, end what is overdue.

        Nothing is overdue before every answer that has arrived was read: a busy machine makes no timeouts.
        """
        self._ended = False
        self._launch()
        now = time.monotonic()
        # A probe that ended without ever waiting is news for the caller, who must not wait for more.
        if self._ended or (self._queue and len(self._flights) < self._window):
            wait = 0.0
        elif self._timers:
            wait = min(longest, max(0.0, self._timers[0][0] - now))
        else:
            wait = longest
        reading = time.monotonic() + wait
        events = self.epoll.poll(wait, 4096)
        # What becomes overdue while these events are read may have its answer waiting behind them.
        reading = min(reading, time.monotonic())
        for fileno, mask in events:
            flight = self._flights.get(fileno)
            if flight is not None:
                flight.ready(self, mask)
                continue
            watched = self._watched.get(fileno)
            if watched is not None:
                watched.ready(self, mask)
        if len(events) < 4096:
            self._expire(reading)
        while self._connected and len(self._shaking) < HANDSHAKES:
            flight = self._connected.popleft()
            if flight.alive:
                self._shaking.add(flight)
                flight.shake(self)

    def _launch(self) -> None:
        queue = self._queue
        room = min(LAUNCHES, self._window - len(self._flights), len(queue))
        for _ in range(room):
            flight = queue.popleft()
            if flight.source != self._where:
                try:
                    self._enter(flight.source)
                except (KeyError, OSError) as trouble:
                    self._where = None
                    flight.attempt = flight.sink.attempts
                    self.finish(flight, "error", f"no such source: {flight.source} ({trouble})")
                    continue
                self._where = flight.source
            flight.launch(self)

    def forget_place(self) -> None:
        """Enter the namespace anew before the next probe, because the caller went elsewhere."""
        self._where = None

    def _expire(self, now: float) -> None:
        timers = self._timers
        while timers and timers[0][0] <= now:
            deadline, _, timed = heapq.heappop(timers)
            if timed.alive and timed.deadline == deadline:
                timed.timer(self)


class Sweep:
    """Many probes side by side, each once (with confirming attempts)."""

    def __init__(self, nonce: str, number: int, timeout: float, attempts: int) -> None:
        self.number = number
        self.attempts = attempts
        self.slot = timeout / attempts
        self.results: list[list[Any]] = []
        self.left = 0
        self.whole = False
        self._nonce = nonce

    def token(self, index: int, attempt: int) -> str:
        """The token of one attempt."""
        return wire.token(self._nonce, self.number, index, attempt)

    def flights(self, specs: list[list[Any]]) -> list[Flight]:
        """Flights for plan entries; unknown kinds end at once as errors."""
        made = []
        for spec in specs:
            self.left += 1
            try:
                made.append(make_flight(spec, self))
            except ValueError as trouble:
                self.left -= 1
                self.results.append([spec[0], "error", str(trouble), "", False, "", "", 0, 0.0, "", "", []])
        return made

    def done(self, flight: Flight, result: list[Any]) -> None:
        """Keep one result."""
        self.results.append(result)
        self.left -= 1

    def take(self) -> list[list[Any]]:
        """The results since the last call."""
        taken, self.results = self.results, []
        return taken
