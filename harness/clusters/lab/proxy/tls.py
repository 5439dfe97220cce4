"""TLS through the proxy: the server name is read, and all bytes pass or none does."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence

from harness.clusters.lab.proxy.http import CONNECT_SECONDS
from harness.clusters.lab.proxy.loop import Loop, Stream
from harness.clusters.lab.proxy.tls_hello import NotTlsError, server_name
from harness.model.names import NamePattern

HELLO_SECONDS = 15.0
"""How long a client may take to say whom it wants; Envoy's own limit."""


class TlsConnection:
    """One client's connection, judged by its ClientHello.

    Args:
        loop: The proxy's loop.
        client: The accepted socket.
        begun: Bytes that were already read from it.
        names: The server names that may be asked for; None = no rule is about the connection any more.
        call: Begins to connect to the server.
    """

    def __init__(
        self,
        loop: Loop,
        client: socket.socket,
        begun: bytes,
        names: Sequence[NamePattern] | None,
        call: Callable[[], socket.socket],
    ) -> None:
        self._loop = loop
        self._names = names
        self._call = call
        self._came = bytearray()
        self._server: Stream | None = None
        self._ended: set[Stream] = set()
        self._client = Stream(loop, client, self)
        loop.later(HELLO_SECONDS, self._late_hello)
        if begun or names is None:
            self.arrived(self._client, begun)

    def arrived(self, stream: Stream, data: bytes) -> None:
        """See `loop.Owner`."""
        if self._server is None:
            self._came += data
            if data or self._names is None:
                self._listen()
            else:
                self._client.close()
            return
        other = self._server if stream is self._client else self._client
        if not data:
            self._ended.add(stream)
            other.end()
            if len(self._ended) == 2:
                self._close()
            return
        other.send(data)
        if other.full:
            stream.read(False)

    def broken(self, stream: Stream, code: int) -> None:
        """See `loop.Owner`."""
        # A server that cannot be reached must not look like a name that is refused.
        self._close(reset=stream.connected)

    def drained(self, stream: Stream) -> None:
        """See `loop.Owner`."""
        other = self._server if stream is self._client else self._client
        if other is not None and other.open:
            other.read(True)

    def _listen(self) -> None:
        """Judge the ClientHello once it is whole; until then nobody is called."""
        if self._names is not None:
            try:
                name = server_name(self._came)
            except NotTlsError:
                self._close(reset=True)
                return
            if name is None:
                return
            if not name or not any(item.matches(name) for item in self._names):
                self._close(reset=True)
                return
        try:
            server = self._server = Stream(self._loop, self._call(), self, connected=False)
        except OSError:
            self._close()
            return
        self._loop.later(CONNECT_SECONDS, lambda: self._late(server))
        server.send(self._came)
        self._came.clear()

    def _late(self, server: Stream) -> None:
        if server.open and not server.connected:
            self._close()

    def _late_hello(self) -> None:
        if self._server is None:
            self._close(reset=True)

    def _close(self, *, reset: bool = False) -> None:
        for stream in (self._client, self._server):
            if stream is not None:
                stream.close(reset=reset)
