"""DNS through the proxy: questions are judged by their names, answers learned before they are handed on."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Mapping, Sequence

from harness.clusters.lab.proxy.dns_wire import question, rejection, told
from harness.clusters.lab.proxy.http import CONNECT_SECONDS
from harness.clusters.lab.proxy.loop import Loop, Stream
from harness.model.names import NamePattern
from probes.dns import DnsError

FLOW_SECONDS = 20.0
"""How long an answer is waited for."""

_MOST_WAITING = 1000

Names = Callable[[], "Sequence[NamePattern] | None"]
"""The names that may be asked for now; None = no rule is about the connection any more."""


class Clerk:
    """Judges the questions of one client to one server, and learns from the answers.

    Args:
        names: What may be asked for.
        learn: Takes a name with the addresses that the client is about to be told.
        reject: The response code for what may not be asked for.
    """

    def __init__(
        self, names: Names, learn: Callable[[str, Mapping[str, float]], None], reject: Callable[[], str]
    ) -> None:
        self._names = names
        self._learn = learn
        self._reject = reject
        self._asked: dict[int, bytes] = {}

    def ask(self, message: bytes) -> tuple[bool, bytes | None]:
        """Whether a message goes on to the server, and what the client is answered at once if not."""
        try:
            asked = question(message)
        except DnsError:
            return False, None
        if not asked.asks:
            return False, None
        names = self._names()
        if names is not None and not any(item.matches(asked.name) for item in names):
            return False, rejection(asked, self._reject())
        if len(self._asked) >= _MOST_WAITING:
            self._asked.clear()
        self._asked[asked.id] = asked.raw.lower()
        return True, None

    def answered(self, message: bytes) -> bool:
        """Whether a message of the server is an answer to a question, and so may be handed on."""
        try:
            asked = question(message)
        except DnsError:
            return False
        if asked.asks or self._asked.pop(asked.id, None) != asked.raw.lower():
            return False
        with contextlib.suppress(DnsError):
            addresses = told(message)
            if addresses:
                self._learn(asked.name, addresses)
        return True


class DnsFlow:
    """The datagrams of one client's port to one server.

    Args:
        loop: The proxy's loop.
        clerk: Who judges.
        call: Opens a socket to the server.
        answer: Sends a datagram to the client.
        over: Called when the flow has ended.
    """

    def __init__(
        self,
        loop: Loop,
        clerk: Clerk,
        call: Callable[[], socket.socket],
        answer: Callable[[bytes], None],
        over: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._clerk = clerk
        self._call = call
        self._answer = answer
        self._over = over
        self._server: socket.socket | None = None
        self._busy = True
        loop.later(FLOW_SECONDS, self._look)

    def came(self, message: bytes) -> None:
        """A datagram of the client."""
        self._busy = True
        passes, answer = self._clerk.ask(message)
        if answer is not None:
            self._answer(answer)
        if not passes:
            return
        try:
            if self._server is None:
                self._server = self._call()
                self._loop.watch(self._server.fileno(), self)
            self._server.send(message)
        except OSError:
            # The client waits as it would for a packet that got lost.
            self._close()

    def ready(self, events: int) -> None:
        """The server has answered, or there is none."""
        while self._server is not None:
            try:
                message = self._server.recv(1 << 16)
            except BlockingIOError:
                return
            except OSError:
                self._close()
                return
            if self._clerk.answered(message):
                self._answer(message)

    def _look(self) -> None:
        if self._busy:
            self._busy = False
            self._loop.later(FLOW_SECONDS, self._look)
        else:
            self._close()
            self._over()

    def _close(self) -> None:
        if self._server is not None:
            self._loop.forget(self._server.fileno())
            self._server.close()
            self._server = None


class DnsConnection:
    """DNS over TCP: messages with their length before them."""

    def __init__(
        self, loop: Loop, client: socket.socket, clerk: Clerk, call: Callable[[], socket.socket]
    ) -> None:
        self._loop = loop
        self._clerk = clerk
        self._call = call
        self._came = bytearray()
        self._back = bytearray()
        self._server: Stream | None = None
        self._client = Stream(loop, client, self)

    def arrived(self, stream: Stream, data: bytes) -> None:
        """See `loop.Owner`."""
        if not data:
            self._close()
        elif stream is self._client:
            self._came += data
            for message in _framed(self._came):
                self._ask(message)
        else:
            self._back += data
            for message in _framed(self._back):
                if self._clerk.answered(message):
                    self._client.send(_frame(message))
                    if self._client.full:
                        stream.read(False)

    def broken(self, stream: Stream, code: int) -> None:
        """See `loop.Owner`."""
        self._close()

    def drained(self, stream: Stream) -> None:
        """See `loop.Owner`."""
        other = self._server if stream is self._client else self._client
        if other is not None and other.open:
            other.read(True)

    def _ask(self, message: bytes) -> None:
        passes, answer = self._clerk.ask(message)
        if answer is not None:
            self._client.send(_frame(answer))
        elif not passes:
            self._close()
        elif self._client.open:
            if self._server is None:
                try:
                    server = self._server = Stream(self._loop, self._call(), self, connected=False)
                except OSError:
                    self._close()
                    return
                self._loop.later(CONNECT_SECONDS, lambda: self._late(server))
            self._server.send(_frame(message))
            if self._server.full:
                self._client.read(False)

    def _late(self, server: Stream) -> None:
        if server.open and not server.connected:
            self._close()

    def _close(self) -> None:
        self._client.close()
        if self._server is not None:
            self._server.close()


def _frame(message: bytes) -> bytes:
    return len(message).to_bytes(2, "big") + message


def _framed(buffer: bytearray) -> list[bytes]:
    """Remove the whole messages from a buffer."""
    found = []
    while len(buffer) >= 2:
        size = int.from_bytes(buffer[:2], "big")
        if len(buffer) < 2 + size:
            break
        found.append(bytes(buffer[2 : 2 + size]))
        del buffer[: 2 + size]
    return found
