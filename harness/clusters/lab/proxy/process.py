"""The proxy's process: sockets in all nodes, one event loop, a table that the master changes."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from functools import partial
from typing import Any

from harness.clusters.lab.enforce import TABLE as POLICY_TABLE
from harness.clusters.lab.nftset import NftSets
from harness.clusters.lab.places import Places
from harness.clusters.lab.proxy.connection import Connection
from harness.clusters.lab.proxy.dns import DnsFlow
from harness.clusters.lab.proxy.learned import Learned, NameSet
from harness.clusters.lab.proxy.loop import IN, OUT, Loop
from harness.clusters.lab.proxy.pulse import Pulse
from harness.clusters.lab.proxy.sockets import Address, Callers, acceptor, meant_for, receiver, speaker
from harness.clusters.lab.proxy.table import Table
from harness.clusters.lab.steering import CALLER_MARKS, PROXY_PORTS
from harness.model.rules import Direction
from probes.client import raise_open_files
from probes.wire import Channel

_FAMILIES = (socket.AF_INET, socket.AF_INET6)
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
        self._next: tuple[Table, dict[str, Any]] | None = None
        self._reject = "REFUSED"
        self._sets: dict[str, NftSets] = {}
        self._speakers: dict[tuple[str, Address], socket.socket] = {}
        self.learned = Learned(self._change_set, self._loop.later)
        self._callers = Callers()
        self._pulse = Pulse(self._loop.later)
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
                self._pulse.begin()
                try:
                    for node in message["places"]:
                        self._open(node)
                except (KeyError, OSError) as trouble:
                    return {"op": "failed", "why": f"no proxy in {node}: {trouble}"}
                return {"op": "open"}
            case "table":
                try:
                    self._next = Table.from_wire(message), message
                except ValueError as trouble:
                    return {"op": "failed", "why": str(trouble)}
                sets = map(NameSet.from_wire, message["sets"])
                return {"op": "table", "learned": self.learned.elements(sets)}
            case "swap":
                self._swap()
                return {"op": "swap"}
            case "troubles":
                told, self._troubles = self._troubles, []
                stood = self._pulse.longest(message["since"])
                return {"op": "troubles", "troubles": told, "stood": stood}
            case other:
                return {"op": "failed", "why": f"unknown request {other!r}"}

    def _swap(self) -> None:
        if self._next is None:
            return
        (self.table, message), self._next = self._next, None
        self._reject = message["reject"]
        # What was learned since the master asked is not in the sets that it has made.
        self.learned.describe(message["pods"], [NameSet.from_wire(item) for item in message["sets"]])

    def _change_set(self, place: str, name: str, elements: Sequence[Sequence[str]], there: bool) -> None:
        try:
            sets = self._sets[place]
            (sets.add if there else sets.remove)(name, elements)
        except (KeyError, OSError) as trouble:
            if isinstance(trouble, OSError) and trouble.errno == errno.ENOENT:
                # No rule on this node asks for these names, or no longer.
                return
            # While tables change a set may be there no more, or not yet; `_swap` puts that right.
            if there and self._next is None:
                self.trouble(f"an address that a pod was told could not be brought into force: {trouble}")

    # -- sockets ---------------------------------------------------------------------------------------

    def _open(self, place: str) -> None:
        self._places.enter(place)
        self._sets[place] = NftSets(POLICY_TABLE)
        for direction in Direction:
            for family in _FAMILIES:
                port = PROXY_PORTS[direction]
                sock = acceptor(family, port)
                self._loop.watch(sock.fileno(), _Acceptor(self, sock, place, direction))
                sock = receiver(family, port)
                self._loop.watch(sock.fileno(), _Receiver(self, self._loop, sock, place, direction))

    def accepted(self, sock: socket.socket, place: str, direction: Direction) -> None:
        """A connection of somebody to somebody else."""
        try:
            client, server = sock.getpeername()[:2], sock.getsockname()[:2]
        except OSError:
            sock.close()
            return
        connection = Connection(self, place, direction, client, server, "tcp")
        demands = connection.demands()
        if demands is None:
            self.trouble(f"no rule for the connection {connection} that nft sent to the proxy")
            sock.close()
        elif demands.http is not None and demands.server_names is not None:
            self._loop.watch(sock.fileno(), _FirstBytes(self._loop, sock, connection))
        else:
            connection.begin(self._loop, sock, b"")

    def call(
        self, place: str, direction: Direction, client: Address, server: Address, kind: socket.SocketKind
    ) -> socket.socket:
        """Begin to connect to a server as its client."""
        self._places.enter(place)
        return self._callers.call(client[0], server, kind, CALLER_MARKS[direction])

    def speak(self, place: str, server: Address, client: Address, message: bytes) -> None:
        """Send a datagram to a client as its server."""
        key = place, server
        try:
            if key not in self._speakers:
                self._places.enter(place)
                self._speakers[key] = speaker(server)
            self._speakers[key].sendto(message, client)
        except OSError as trouble:
            self.trouble(f"an answer could not be sent to {client[0]}: {trouble.strerror}")

    def reject(self) -> str:
        """The response code for questions that no rule allows."""
        return self._reject

    def trouble(self, text: str) -> None:
        """Remember what must not be taken for an answer of the rules."""
        if len(self._troubles) < _MOST_TROUBLES:
            self._troubles.append(text)


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

    def __init__(self, loop: Loop, sock: socket.socket, connection: Connection) -> None:
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


class _Receiver:
    """A socket of a node that gets datagrams to others."""

    def __init__(
        self, process: ProxyProcess, loop: Loop, sock: socket.socket, place: str, direction: Direction
    ) -> None:
        self._process = process
        self._loop = loop
        self._sock = sock
        self._place = place
        self._direction = direction
        self._flows: dict[tuple[Address, Address], DnsFlow] = {}

    def ready(self, events: int) -> None:
        for _ in range(256):
            try:
                message, found, _, peer = self._sock.recvmsg(1 << 16, 256)
            except OSError:
                return
            server = meant_for(found)
            if server is None:
                self._process.trouble("a datagram came without the address that it was meant for")
                continue
            client = peer[:2]
            key = client, server
            if key not in self._flows:
                self._flows[key] = self._flow(client, server)
            self._flows[key].came(message)

    def _flow(self, client: Address, server: Address) -> DnsFlow:
        connection = Connection(self._process, self._place, self._direction, client, server, "udp")
        answer = partial(self._process.speak, self._place, server, client)

        def over() -> None:
            self._flows.pop((client, server), None)

        return DnsFlow(self._loop, connection.clerk(), connection.caller(), answer, over)
