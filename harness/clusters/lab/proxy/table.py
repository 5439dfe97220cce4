"""What the rules demand of each connection that nft hands to the proxy, by addresses (see `proxy_table`)."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from harness.clusters.lab.proxy.http_judge import CompiledRule
from harness.model.names import NamePattern, parse_pattern

Item = TypeVar("Item")

Learned = Callable[[str, str, Sequence[NamePattern]], bool]
"""Whether a subject was told an address for a name that matches one of the patterns."""


@dataclass(frozen=True, slots=True)
class Demands:
    """What all rules about one connection say together; None = they say nothing of that kind.

    Attributes:
        free: A rule demands nothing. nft hands over only questions all the same, for what can be learned.
    """

    http: tuple[CompiledRule, ...] | None = None
    dns: tuple[NamePattern, ...] | None = None
    server_names: tuple[NamePattern, ...] | None = None
    free: bool = False


_EVERY_NAME = (parse_pattern("*"),)


@dataclass(frozen=True, slots=True)
class _Network:
    first: int
    last: int
    version: int

    @classmethod
    def of(cls, text: str) -> _Network:
        network = ipaddress.ip_network(text)
        return cls(int(network.network_address), int(network.broadcast_address), network.version)

    def holds(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        return self.version == address.version and self.first <= int(address) <= self.last


@dataclass(frozen=True, slots=True)
class _Block:
    inside: tuple[_Network, ...]
    outside: tuple[_Network, ...]

    def holds(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        """Whether the address lies in every network of `inside` and in none of `outside`."""
        return all(item.holds(address) for item in self.inside) and not any(
            item.holds(address) for item in self.outside
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """One match of one rule.

    Attributes:
        addresses: Of peers; with `blocks` and `names` the union; all None = every peer.
        ports: `(protocol, first, last)`; None = every one.
    """

    addresses: frozenset[str] | None
    blocks: tuple[_Block, ...] | None
    names: tuple[NamePattern, ...] | None
    ports: tuple[tuple[str, int, int], ...] | None
    demands: Demands

    @classmethod
    def from_wire(cls, entry: Mapping[str, Any]) -> Entry:
        """Read an entry of a table.

        Raises:
            ValueError: RE2 does not take an expression.
        """
        addresses, blocks, names, ports = (
            entry.get(key) for key in ("addresses", "blocks", "names", "ports")
        )
        return cls(
            None if addresses is None else frozenset(addresses),
            None
            if blocks is None
            else tuple(_Block(*(tuple(map(_Network.of, part)) for part in block)) for block in blocks),
            None if names is None else _patterns(names),
            None if ports is None else tuple((kind, first, last) for kind, first, last in ports),
            _demands(entry["application"]),
        )

    def concerns(self, subject: str, peer: str, protocol: str, port: int, learned: Learned) -> bool:
        """Whether the entry is about a connection."""
        if self.ports is not None and not any(
            kind == protocol and first <= port <= last for kind, first, last in self.ports
        ):
            return False
        if self.addresses is None and self.blocks is None and self.names is None:
            return True
        if self.addresses is not None and peer in self.addresses:
            return True
        if self.blocks is not None:
            address = ipaddress.ip_address(peer)
            if any(item.holds(address) for item in self.blocks):
                return True
        return self.names is not None and learned(subject, peer, self.names)


def _patterns(texts: Sequence[str]) -> tuple[NamePattern, ...]:
    return tuple(parse_pattern(text) for text in texts)


def _demands(application: Sequence[Any]) -> Demands:
    kind, content = application
    match kind:
        case "http":
            return Demands(http=tuple(CompiledRule.from_wire(rule) for rule in content))
        case "dns":
            return Demands(dns=_patterns(content))
        case "server-names":
            return Demands(server_names=_patterns(content))
        case "free":
            return Demands(free=True)
    raise ValueError(f"unknown application {kind!r}")


Stages = Sequence[Sequence[Entry]]


@dataclass(slots=True)
class Table:
    """All entries of a world.

    Attributes:
        subjects: Per direction and address of a subject its stages, each with its entries.
    """

    subjects: Mapping[tuple[str, str], Stages] = field(default_factory=dict)

    @classmethod
    def from_wire(cls, message: Mapping[str, Any]) -> Table:
        """Read a `table` message.

        Raises:
            ValueError: RE2 does not take an expression.
        """
        entries = [Entry.from_wire(item) for item in message["entries"]]
        return cls(
            {
                (direction, address): [[entries[number] for number in stage] for stage in stages]
                for direction, address, stages in message["subjects"]
            }
        )

    def demands(
        self, direction: str, subject: str, peer: str, protocol: str, port: int, learned: Learned
    ) -> Demands | None:
        """The union of the demands of all entries of the first stage that has some; None = there are none."""
        for stage in self.subjects.get((direction, subject), ()):
            about = [item.demands for item in stage if item.concerns(subject, peer, protocol, port, learned)]
            found = [item for item in about if not item.free]
            if found:
                dns = _union([item.dns for item in found])
                return Demands(
                    _union([item.http for item in found]),
                    _EVERY_NAME if dns is not None and len(found) < len(about) else dns,
                    _union([item.server_names for item in found]),
                )
        return None


def _union(parts: Sequence[tuple[Item, ...] | None]) -> tuple[Item, ...] | None:
    there = [part for part in parts if part is not None]
    return tuple(dict.fromkeys(item for part in there for item in part)) if there else None
