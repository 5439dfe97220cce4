"""The proxy's process: sockets in all nodes, one event loop, a table that the master changes."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from functools import partial
from typing import Any

from harness.clusters.lab.places import Places
from harness.clusters.lab.proxy.http import HttpConnection
from harness.clusters.lab.proxy.http_judge import CompiledRule
from harness.clusters.lab.proxy.loop import IN, OUT, Loop
from harness.clusters.lab.proxy.sockets import Address, Callers, acceptor
from harness.clusters.lab.proxy.table import Demands, Table
from harness.clusters.lab.proxy.tls import TlsConnection
from harness.clusters.lab.steering import CALLER_MARKS, PROXY_PORTS
from harness.model.rules import Direction
from probes.client import raise_open_files
from probes.wire import Channel

_FAMILIES = (socket.AF_INET, socket.AF_INET6)
_TLS_HANDSHAKE = 22
_MOST_TROUBLES = 20


class ProxyProcess:
    """Reads tables from the master and namespaces from the keeper; see probes/PROTOCOL.md.

    Attributes:
        table: What holds now.
    """

    def __init__(self, master: Channel, keeper: Channel) -> None:
        raise_open_files()
        self._places = Places()
        self._master = master
        self._keeper = keeper
        self._loop = Loop()
        self.table = Table()
        self._next: Table | None = None
        self._callers = Callers()
        self._troubles: list[str] = []
        self._waiting = False
        for channel in (master, keeper):
            self._loop.watch(channel.fileno(), self)

    def run(self) -> None:
        """Serve until the master or the keeper goes away."""
        while not (self._master.closed or self._keeper.closed):
            self._loop.turn()
            if self._master.backlog is not self._waiting:
                self._waiting = self._master.backlog
                self._loop.change(self._master.fileno(), IN | (OUT if self._waiting else 0))

    def ready(self, events: int) -> None:
        """Hear the keeper first, as the other processes do (see `listener_process`)."""
        self._master.flush()
        requests = self._master.receive()
        for message in self._keeper.receive():
            self._places.learn(message, self._keeper)
        for message in requests:
            self._master.send(self._command(message))

    def _command(self, message: dict[str, Any]) -> dict[str, Any]:
        match message["op"]:
            case "open":
                try:
                    for node in message["places"]:
                        self._open(node)
                except (KeyError, OSError) as trouble:
                    return {"op": "failed", "why": f"no proxy in {node}: {trouble}"}
                return {"op": "open"}
            case "table":
                try:
                    self._next = Table.from_wire(message)
                except ValueError as trouble:
                    return {"op": "failed", "why": str(trouble)}
                return {"op": "table"}
            case "swap":
                if self._next is not None:
                    self.table, self._next = self._next, None
                return {"op": "swap"}
            case "troubles":
                told, self._troubles = self._troubles, []
                return {"op": "troubles", "troubles": told}
            case other:
                return {"op": "failed", "why": f"unknown request {other!r}"}

    # -- sockets ---------------------------------------------------------------------------------------

    def _open(self, place: str) -> None:
        self._places.enter(place)
        for direction in Direction:
            for family in _FAMILIES:
                sock = acceptor(family, PROXY_PORTS[direction])
                self._loop.watch(sock.fileno(), _Acceptor(self, sock, place, direction))

    def accepted(self, sock: socket.socket, place: str, direction: Direction) -> None:
        """A connection of somebody to somebody else."""
        try:
            client, server = sock.getpeername()[:2], sock.getsockname()[:2]
        except OSError:
            sock.close()
            return
        connection = _Connection(self, place, direction, client, server)
        demands = connection.demands()
        if demands is None:
            self.trouble(f"no rule for the connection {connection} that nft sent to the proxy")
            sock.close()
        elif demands.http is not None and demands.server_names is not None:
            self._loop.watch(sock.fileno(), _FirstBytes(self._loop, sock, connection))
        else:
            connection.begin(self._loop, sock, b"")

    def demands(self, direction: Direction, client: Address, server: Address) -> Demands | None:
        """What holds for a connection now."""
        subject, peer = (client[0], server[0]) if direction is Direction.EGRESS else (server[0], client[0])
        return self.table.demands(direction.value, subject, peer, "tcp", server[1], lambda *_: False)

    def call(self, place: str, direction: Direction, client: Address, server: Address) -> socket.socket:
        """Begin to connect to a server as its client."""
        self._places.enter(place)
        return self._callers.call(client[0], server, socket.SOCK_STREAM, CALLER_MARKS[direction])

    def trouble(self, text: str) -> None:
        """Remember what must not be taken for an answer of the rules."""
        if len(self._troubles) < _MOST_TROUBLES:
            self._troubles.append(text)


class _Connection:
    """Who speaks with whom, and through which node's proxy."""

    def __init__(
        self, process: ProxyProcess, place: str, direction: Direction, client: Address, server: Address
    ) -> None:
        self._process = process
        self._place = place
        self._direction = direction
        self._client = client
        self._server = server
        self._seen: tuple[Table, Demands | None] | None = None

    def __str__(self) -> str:
        return f"{self._direction} {self._client[0]} to {self._server[0]} port {self._server[1]}"

    def demands(self) -> Demands | None:
        """What holds now; asked anew when the table is another."""
        table = self._process.table
        if self._seen is None or self._seen[0] is not table:
            self._seen = table, self._process.demands(self._direction, self._client, self._server)
        return self._seen[1]

    def http(self) -> Sequence[CompiledRule] | None:
        demands = self.demands()
        return demands.http if demands is not None else None

    def begin(self, loop: Loop, sock: socket.socket, begun: bytes) -> None:
        """Serve the connection by what it must be, or by its first byte where it may be two things."""
        call = partial(self._process.call, self._place, self._direction, self._client, self._server)
        demands = self.demands() or Demands()
        tls = demands.http is None or (begun and begun[0] == _TLS_HANDSHAKE)
        if demands.server_names is not None and tls:
            TlsConnection(loop, sock, begun, demands.server_names, call)
        else:
            HttpConnection(loop, sock, begun, self.http, call)


class _Acceptor:
    """A listening socket of a node."""

    def __init__(self, process: ProxyProcess, sock: socket.socket, place: str, direction: Direction) -> None:
        self._process = process
        self._sock = sock
        self._place = place
        self._direction = direction

    def ready(self, events: int) -> None:
        for _ in range(256):
            try:
                sock, _ = self._sock.accept()
            except BlockingIOError:
                return
            except OSError as trouble:
                self._process.trouble(f"a connection could not be accepted: {trouble.strerror}")
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._process.accepted(sock, self._place, self._direction)


class _FirstBytes:
    """A connection that HTTP rules and server names are about: its first byte tells which it is."""

    def __init__(self, loop: Loop, sock: socket.socket, connection: _Connection) -> None:
        self._loop = loop
        self._sock = sock
        self._connection = connection

    def ready(self, events: int) -> None:
        try:
            begun = self._sock.recv(1 << 14)
        except BlockingIOError:
            return
        except OSError:
            begun = b""
        self._loop.forget(self._sock.fileno())
        if begun:
            self._connection.begin(self._loop, self._sock, begun)
        else:
            self._sock.close()
