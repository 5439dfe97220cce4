"""Prober and listeners in one loop over the loopback interface: no threads, no sleeping."""

from __future__ import annotations

import itertools
import select
import socket
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from probes.client import Prober, Sweep
from probes.server import Answer, Server

V4, V6 = "127.0.0.1", "::1"
GUARD = 60.0
"""Seconds after which a test that got stuck is ended; no test waits for it."""


def has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
        try:
            sock.bind((V6, 0))
        except OSError:
            return False
    return True


class Seen(NamedTuple):
    """One line of results."""

    index: int
    kind: str
    detail: str
    by: str
    token: bool
    served_by: str
    lookup: str
    attempts: int
    seconds: float
    local: str
    remote: str
    note: list[str]


class Bench:
    """One prober and one server; the prober's loop turns both."""

    def __init__(self, window: int = 64, ports: int = 20000, names: tuple[str, ...] | None = None) -> None:
        self.entered: list[str] = []
        self.epoll = select.epoll()
        self.server = Server(self.epoll)
        self.prober = Prober(self._enter, window, ports=ports)
        self.prober.add(self.epoll.fileno(), self)
        self._names = names
        self._numbers = itertools.count(1)
        self._open: list[socket.socket] = []
        self.most = 0

    def _enter(self, name: str) -> None:
        if self._names is not None and name not in self._names:
            raise KeyError(name)
        self.entered.append(name)

    def ready(self, prober: Prober, events: int) -> None:
        for fileno, mask in self.epoll.poll(0):
            self.server.ready(fileno, mask)

    def listen(self, identity: str, protocol: str, address: str = V4, answer: Answer | None = None) -> int:
        """Listen on a free port and return it."""
        port = free_port(protocol, address)
        self.server.listen(identity, [address], [(port, protocol)], answer)
        return port

    def raw(self, kind: int, address: str = V4) -> tuple[socket.socket, int]:
        """A socket that is bound and, for TCP, listens; nobody reads it."""
        sock = socket.socket(
            socket.AF_INET6 if ":" in address else socket.AF_INET, kind | socket.SOCK_NONBLOCK
        )
        self._open.append(sock)
        sock.bind((address, 0))
        if kind == socket.SOCK_STREAM:
            sock.listen()
        return sock, sock.getsockname()[1]

    def keep(self, sock: socket.socket) -> socket.socket:
        """Close this one at the end."""
        self._open.append(sock)
        return sock

    def until(self, done: Callable[[], bool]) -> None:
        """Turn the loop until it is done."""
        end = time.monotonic() + GUARD
        while not done():
            self.prober.turn(1.0)
            self.most = max(self.most, len(self.prober._flights))
            assert time.monotonic() < end, "the loop is stuck"

    def sweep(self, *specs: list[Any], timeout: float = 5.0, attempts: int = 2) -> list[Seen]:
        """Send the probes `[source, kind, address, port, options]`; results in their order."""
        sweep = self.begin(*specs, timeout=timeout, attempts=attempts)
        self.until(lambda: not sweep.left)
        return sorted(Seen(*result) for result in sweep.take())

    def begin(self, *specs: list[Any], timeout: float = 5.0, attempts: int = 2) -> Sweep:
        sweep = Sweep("ab12", next(self._numbers), timeout, attempts)
        self.prober.submit(sweep.flights([[index, *spec] for index, spec in enumerate(specs)]))
        return sweep

    def close(self) -> None:
        for sock in self._open:
            sock.close()
        for flight in list(self.prober._flights.values()):
            flight.close()
        for watched in list(self.server._watched.values()):
            watched.sock.close()
        self.epoll.close()
        self.prober.epoll.close()


def free_port(protocol: str, address: str = V4) -> int:
    """A port that nobody listens on."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_DGRAM if protocol == "UDP" else socket.SOCK_STREAM
    with socket.socket(family, kind) as sock:
        sock.bind((address, 0))
        return int(sock.getsockname()[1])


class Script:
    """A TCP server that accepts and sends what it is told, one piece per turn of the loop.

    Args:
        pieces: What to send once the first bytes of the client have come; after the last the connection
            stays open unless `hang_up`.
    """

    def __init__(
        self, bench: Bench, pieces: list[bytes], *, hang_up: bool = False, address: str = V4
    ) -> None:
        self.received = b""
        self.alive = True
        self.ending = ""
        self.deadline = 0.0
        self._bench = bench
        self._pieces = pieces
        self._hang_up = hang_up
        self._listener, self.port = bench.raw(socket.SOCK_STREAM, address)
        self._sock: socket.socket | None = None
        bench.prober.add(self._listener.fileno(), self)

    def ready(self, prober: Prober, events: int) -> None:
        if self._sock is None:
            self._sock = self._bench.keep(self._listener.accept()[0])
            self._sock.setblocking(False)
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            prober.epoll.unregister(self._listener.fileno())
            prober.add(self._sock.fileno(), self)
            return
        try:
            data = self._sock.recv(1 << 16)
        except OSError:
            data = b""
        first = not self.received
        self.received += data
        if not data:
            prober.epoll.unregister(self._sock.fileno())
        elif first:
            self.timer(prober)

    def timer(self, prober: Prober) -> None:
        """Send the next piece."""
        assert self._sock is not None
        if self._pieces:
            self._sock.send(self._pieces.pop(0))
            prober.until(self, time.monotonic())
        elif self._hang_up:
            self.alive = False
            prober.epoll.unregister(self._sock.fileno())
            self._sock.close()
