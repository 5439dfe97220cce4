"""Flows: the same probes again and again while a change is made, and connections that are held open."""

from __future__ import annotations

import time
from typing import Any

from probes import wire
from probes.client import Prober
from probes.flights import DatagramFlight, Flight, StreamFlight, read_echo
from probes.kinds import make_flight


class Flow:
    """Starts every probe of the flow once per interval, whether or not earlier ones have ended.

    Args:
        interval: Seconds between two starts of the same probe.
        timeout: Seconds that one probe may take.
    """

    def __init__(self, nonce: str, number: int, interval: float, timeout: float) -> None:
        self.number = number
        self.attempts = 1
        self.slot = timeout
        self.alive = True
        self.announced = False
        self.deadline = 0.0
        self.began = time.monotonic()
        self.samples: list[list[Any]] = []
        self.held: list[HeldStream | HeldDatagram] = []
        self._nonce = nonce
        self._interval = interval
        self._specs: list[list[Any]] = []
        self._open = 0
        self._round = 0
        self._stopping = False

    def begin(self, prober: Prober, specs: list[list[Any]], established: list[list[Any]]) -> None:
        """Start the first round and open the connections to be held."""
        self._specs = specs
        for spec in established:
            flight = HeldDatagram(spec, self) if spec[2] == "udp" else HeldStream(spec, self)
            self.held.append(flight)
            self._open += 1
            prober.submit([flight])
        self.timer(prober)

    def timer(self, prober: Prober) -> None:
        """Start one round."""
        self._round += 1
        flights = [make_flight(list(spec), self) for spec in self._specs]
        self._open += len(flights)
        prober.submit(flights)
        if self._stopping:
            self.alive = False
        else:
            prober.until(self, time.monotonic() + self._interval)

    def stop(self, prober: Prober) -> None:
        """One more round and one more word on every held connection; `finished` when all have ended."""
        self._stopping = True
        self.timer(prober)
        for flight in self.held:
            flight.ask_again(prober)

    @property
    def finished(self) -> bool:
        """Whether the flow was stopped and everything that it started has ended."""
        return self._stopping and self._open == 0

    @property
    def ready(self) -> bool:
        """Whether every probe was answered or given up at least once and every held connection tried."""
        seen = {sample[0] for sample in self.samples}
        tried = all(item.before is not None for item in self.held)
        return tried and all(spec[0] in seen for spec in self._specs)

    def token(self, index: int, attempt: int) -> str:
        """A token that no other round carries."""
        return wire.token(self._nonce, self.number, index, self._round * 10 + attempt)

    def done(self, flight: Flight, result: list[Any]) -> None:
        """Keep one sample: index, when it started, and what it saw."""
        self._open -= 1
        if isinstance(flight, (HeldStream, HeldDatagram)):
            flight.ended(result)
            return
        self.samples.append([flight.index, round(flight.started - self.began, 6), *result[1:6]])


class _Held:
    """A connection that stays open after its first answer and is asked again at the end."""

    before: bool | None = None
    after: bool | None = None

    def ended(self, result: list[Any]) -> None:
        """The connection broke or the last answer is overdue or in."""
        if self.before is None:
            self.before = False
        elif self.after is None:
            self.after = bool(result[4])


class HeldStream(_Held, StreamFlight):
    """A TCP connection held open."""

    def complete(self, prober: Prober) -> bool:
        """The first answer keeps the connection, the second ends it."""
        line, found, _ = self.buffer.partition(b"\n")
        if not found:
            return False
        matches, served_by = read_echo(line, self.token)
        self.buffer = b""
        if matches and self.before is None:
            self.before = True
            self.deadline = 0.0
            return False
        prober.finish(self, "connected" if matches else "error", token=matches, served_by=served_by)
        return True

    def ask_again(self, prober: Prober) -> None:
        """Send a new token over the old connection."""
        if not self.alive or self.sock is None:
            return
        self.token = self.sink.token(self.index, 9)
        try:
            self.sock.send(self.request())
        except OSError as trouble:
            self.fail(prober, trouble.errno or 0)
            return
        prober.until(self, time.monotonic() + self.sink.slot)


class HeldDatagram(_Held, DatagramFlight):
    """A UDP flow held open: the same ports, so the same entry in the connection table."""

    def answer(self, prober: Prober, data: bytes) -> None:
        """The first answer keeps the socket, the second ends it."""
        matches, served_by = read_echo(data, self.token)
        if not matches:
            return
        if self.before is None:
            self.before = True
            self.deadline = 0.0
            return
        prober.finish(self, "connected", token=True, served_by=served_by)

    def ask_again(self, prober: Prober) -> None:
        """Send a new token through the old socket."""
        if not self.alive or self.sock is None:
            return
        self.token = self.sink.token(self.index, 9)
        self._resend = True
        try:
            self.sock.send(self.payload())
        except OSError as trouble:
            self.fail(prober, trouble.errno or 0)
            return
        prober.until(self, time.monotonic() + self.sink.slot / 2)
