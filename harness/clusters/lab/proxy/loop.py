"""The proxy's event loop: descriptors, timers, streams that keep what the other side does not read yet."""

from __future__ import annotations

import heapq
import itertools
import select
import socket
import time
from collections.abc import Callable
from typing import Protocol

from harness.clusters.lab.proxy.sockets import reset_on_close

IN, OUT, HUP, ERR = select.EPOLLIN, select.EPOLLOUT, select.EPOLLHUP, select.EPOLLERR

CHUNK = 1 << 16
LINGER_SECONDS = 1.0
"""How long the other side may take to hang up after the last word to it."""

MOST_WAITING = 1 << 18
"""Bytes that may wait for one side before the other is read no more."""


class Handler(Protocol):
    """Whoever waits for a descriptor."""

    def ready(self, events: int) -> None:
        """The descriptor has news."""
        ...


class Loop:
    """One epoll with its timers."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def watch(self, fileno: int, handler: Handler, events: int = IN) -> None:
        """Call `handler` when the descriptor has news."""
        self._handlers[fileno] = handler
        self._epoll.register(fileno, events)

    def change(self, fileno: int, events: int) -> None:
        """Wait for other news."""
        self._epoll.modify(fileno, events)

    def forget(self, fileno: int) -> None:
        """Wait no more; before the descriptor is closed."""
        if self._handlers.pop(fileno, None) is not None:
            self._epoll.unregister(fileno)

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Call `act` once, in so many seconds."""
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), act))

    def close(self) -> None:
        """Wait for nothing any more; the sockets stay as they are."""
        self._epoll.close()

    def turn(self) -> None:
        """Wait for news and hand them out; timers come after them, so that no late answer is missed."""
        wait = max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else -1
        for fileno, events in self._epoll.poll(wait, 1024):
            handler = self._handlers.get(fileno)
            if handler is not None:
                handler.ready(events)
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2]()


class Owner(Protocol):
    """Who is told what a stream does."""

    def arrived(self, stream: Stream, data: bytes) -> None:
        """Bytes arrived; empty at the end."""
        ...

    def broken(self, stream: Stream, code: int) -> None:
        """The connection broke, or could not be made."""
        ...

    def drained(self, stream: Stream) -> None:
        """What was waiting has been written, after `full` was true."""
        ...


class Stream:
    """A non-blocking stream socket that keeps what the other side does not read yet.

    Attributes:
        connected: Whether the connection is made.
    """

    __slots__ = (
        "_ended",
        "_events",
        "_finish",
        "_loop",
        "_out",
        "_owner",
        "_reading",
        "_shut",
        "connected",
        "sock",
    )

    def __init__(self, loop: Loop, sock: socket.socket, owner: Owner, connected: bool = True) -> None:
        self.sock = sock
        self.connected = connected
        self._loop = loop
        self._owner = owner
        self._out = bytearray()
        self._reading = True
        self._ended = False
        self._finish = False
        self._shut = False
        self._events = IN if connected else OUT
        loop.watch(sock.fileno(), self, self._events)

    @property
    def open(self) -> bool:
        """Whether the socket is not closed."""
        return self.sock.fileno() >= 0

    @property
    def full(self) -> bool:
        """Whether so much waits that no more should come."""
        return len(self._out) > MOST_WAITING

    def read(self, wanted: bool) -> None:
        """Whether to read on."""
        self._reading = wanted and not self._ended
        self._wait()

    def send(self, data: bytes | bytearray) -> None:
        """Write, or keep what cannot be written yet."""
        if not self.open:
            return
        if self.connected and not self._out:
            try:
                sent = self.sock.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                # Whoever hung up is found when the socket is read.
                return
            if sent == len(data):
                return
            data = data[sent:]
        self._out += data
        self._wait()

    def end(self) -> None:
        """Say that nothing more comes, after what waits."""
        self._shut = True
        self._written()

    def finish(self) -> None:
        """Close when what waits is written and the other side has hung up, too; its owner hears no more.

        A socket that is closed while bytes wait to be read sends a reset, which may overtake the last answer.
        """
        self._finish = self._reading = True
        self._loop.later(LINGER_SECONDS, self.close)
        self.end()

    def close(self, *, reset: bool = False) -> None:
        """Close at once."""
        if self.open:
            self._loop.forget(self.sock.fileno())
            if reset:
                reset_on_close(self.sock)
            self.sock.close()

    def _wait(self) -> None:
        events = OUT if not self.connected else (IN if self._reading else 0) | (OUT if self._out else 0)
        if events != self._events and self.open:
            self._events = events
            self._loop.change(self.sock.fileno(), events)

    def _written(self) -> None:
        if self._out or not self.open:
            return
        if self._shut:
            try:
                self.sock.shutdown(socket.SHUT_WR)
            except OSError:
                return

    def ready(self, events: int) -> None:
        """The socket has news."""
        if not self.connected:
            code = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                self._break(code)
                return
            if not events & OUT:
                return
            self.connected = True
        if events & OUT and self._out:
            try:
                del self._out[: self.sock.send(self._out[: CHUNK * 4])]
            except BlockingIOError:
                pass
            except OSError as trouble:
                self._break(trouble.errno or 0)
                return
            if not self._out:
                self._written()
                if self.open and not self._finish:
                    self._owner.drained(self)
        if self.open:
            self._wait()
        if events & (IN | HUP | ERR) and self.open:
            self._receive(events)

    def _receive(self, events: int) -> None:
        if not events & (HUP | ERR):
            if not self._reading:
                return
        elif self._ended:
            self._break(0)
            return
        try:
            data = self.sock.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError as trouble:
            self._break(trouble.errno or 0)
            return
        if self._finish:
            if not data:
                self.close()
            return
        if not data:
            # Nothing more will come, and epoll would say so again and again.
            self._reading = False
            self._ended = True
            self._wait()
        self._owner.arrived(self, data)

    def _break(self, code: int) -> None:
        self.close()
        if not self._finish:
            self._owner.broken(self, code)
