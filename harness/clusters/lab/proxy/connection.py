"""One connection, or one client's datagrams to one server, and what the rules say of it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

from harness.clusters.lab.proxy.dns import Clerk, DnsConnection
from harness.clusters.lab.proxy.http import HttpConnection
from harness.clusters.lab.proxy.http_judge import CompiledRule
from harness.clusters.lab.proxy.learned import Learned
from harness.clusters.lab.proxy.loop import Loop
from harness.clusters.lab.proxy.sockets import Address
from harness.clusters.lab.proxy.table import Demands, Table
from harness.clusters.lab.proxy.tls import TlsConnection
from harness.model.names import NamePattern
from harness.model.rules import Direction

_TLS_HANDSHAKE = 22


class Proxy(Protocol):
    """What a connection needs of the process.

    Attributes:
        table: What holds now.
        learned: What pods were told.
    """

    table: Table
    learned: Learned

    def call(
        self, place: str, direction: Direction, client: Address, server: Address, kind: socket.SocketKind
    ) -> socket.socket:
        """Begin to connect to a server as its client."""
        ...

    def reject(self) -> str:
        """The response code for questions that no rule allows."""
        ...


class Connection:
    """Who speaks with whom, and through which node's proxy."""

    def __init__(
        self,
        proxy: Proxy,
        place: str,
        direction: Direction,
        client: Address,
        server: Address,
        protocol: str,
    ) -> None:
        self._proxy = proxy
        self._place = place
        self._direction = direction
        self._client = client
        self._server = server
        self._protocol = protocol
        self._seen: tuple[Table, Demands | None] | None = None

    def __str__(self) -> str:
        ends = f"{self._client[0]} to {self._server[0]} port {self._server[1]}"
        return f"{self._direction} {self._protocol} {ends}"

    def demands(self) -> Demands | None:
        """What holds now; looked up anew when the table is another."""
        table = self._proxy.table
        if self._seen is None or self._seen[0] is not table:
            ends = self._client[0], self._server[0]
            subject, peer = ends if self._direction is Direction.EGRESS else (ends[1], ends[0])
            found = table.demands(
                self._direction.value,
                subject,
                peer,
                self._protocol,
                self._server[1],
                self._proxy.learned.knows,
            )
            self._seen = table, found
        return self._seen[1]

    def begin(self, loop: Loop, sock: socket.socket, begun: bytes) -> None:
        """Serve the connection by what it must be, or by its first byte where it may be two things."""
        demands = self.demands() or Demands()
        tls = demands.http is None or (begun and begun[0] == _TLS_HANDSHAKE)
        if demands.dns is not None:
            DnsConnection(loop, sock, self.clerk(), self.caller())
        elif demands.server_names is not None and tls:
            TlsConnection(loop, sock, begun, demands.server_names, self.caller())
        else:
            HttpConnection(loop, sock, begun, self._http, self.caller())

    def caller(self) -> Callable[[], socket.socket]:
        """What opens a socket to the server."""
        kind = socket.SOCK_DGRAM if self._protocol == "udp" else socket.SOCK_STREAM
        return partial(self._proxy.call, self._place, self._direction, self._client, self._server, kind)

    def clerk(self) -> Clerk:
        """Who judges the questions of this client to this server."""
        return Clerk(self._names, self._learn, self._proxy.reject)

    def _http(self) -> Sequence[CompiledRule] | None:
        demands = self.demands()
        return demands.http if demands is not None else None

    def _names(self) -> Sequence[NamePattern] | None:
        demands = self.demands()
        return demands.dns if demands is not None else None

    def _learn(self, name: str, addresses: Mapping[str, float]) -> None:
        if self._direction is Direction.EGRESS:
            self._proxy.learned.tell(self._place, self._client[0], name, addresses)
