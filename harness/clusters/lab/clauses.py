"""Parts of nft rules: sets of addresses, clauses for peers and ports, notes of open points."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.clusters.lab.addressing import FAMILIES, POD_RANGES, Addressing
from harness.clusters.resolve import pick
from harness.model.names import NamePattern
from harness.model.personality import GENERIC, Personality
from harness.model.rules import Block, Condition, Direction, Match, Ports, Reach
from harness.model.topology import Family, Protocol

IP = {Family.IPV4: "ip", Family.IPV6: "ip6"}
ICMP = {Family.IPV4: "icmp", Family.IPV6: "ipv6-icmp"}
_TYPE = {Family.IPV4: "ipv4_addr", Family.IPV6: "ipv6_addr"}
_PEER = {Direction.INGRESS: "saddr", Direction.EGRESS: "daddr"}
_OWN = {Direction.INGRESS: "daddr", Direction.EGRESS: "saddr"}

_NOTES = 1 << 20
"""Connections that one open point may note in one sweep; more than the largest matrix has on one node.

When such a set is full, nft takes its rule for one that does not match, and the packet would be dropped.
"""


@dataclass(slots=True)
class Writer:
    """What rules of one table share."""

    addressing: Addressing
    personality: Personality = GENERIC
    sets: dict[tuple[str, ...], str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    chains: list[str] = field(default_factory=list)
    comments: dict[str, str] = field(default_factory=dict)
    open_sets: dict[str, str] = field(default_factory=dict)
    learned: Mapping[str, Sequence[Sequence[str]]] = field(default_factory=dict)
    conditions: dict[tuple[Condition, Family, Direction], str | None] = field(default_factory=dict)

    def address_set(self, family: Family, elements: Iterable[str], interval: bool = False) -> str:
        """Name of a set with these addresses; equal sets are one."""
        items = tuple(sorted(elements))
        key = (family.value, *items)
        if key not in self.sets:
            name = f"a{len(self.sets)}"
            self.sets[key] = name
            flags = " flags interval; auto-merge;" if interval else ""
            self.lines.append(
                f"set {name} {{ type {_TYPE[family]};{flags} elements = {{ {', '.join(items)} }} }}"
            )
        return f"@{self.sets[key]}"

    def port_set(self, ranges: Sequence[tuple[int, int]]) -> str:
        """The ports as what stands behind `dport`; several are a set that rules share.

        A set of a rule's own would cost the kernel a walk over all sets of the table that there are already.
        """
        items = tuple(str(low) if low == high else f"{low}-{high}" for low, high in ranges)
        if len(items) == 1:
            return f"{{ {items[0]} }}"
        key = ("ports", *items)
        if key not in self.sets:
            name = f"p{len(self.sets)}"
            self.sets[key] = name
            flags = " flags interval;" if any("-" in item for item in items) else ""
            self.lines.append(
                f"set {name} {{ type inet_service;{flags} elements = {{ {', '.join(items)} }} }}"
            )
        return f"@{self.sets[key]}"

    def name_set(self, family: Family, names: Sequence[NamePattern]) -> str:
        """Name of the set of who was told which address for one of these names (see `proxy.learned`)."""
        name = name_set(family, names)
        if (name,) not in self.sets:
            self.sets[name,] = name
            kind = f"{_TYPE[family]} . {_TYPE[family]}"
            known = ", ".join(" . ".join(element) for element in self.learned.get(name, ()))
            elements = f" elements = {{ {known} }}" if known else ""
            self.lines.append(f"set {name} {{ type {kind};{elements} }}")
        return f"@{name}"

    def comment(self, text: str) -> str:
        """A short comment that stands for `text`; nft allows 128 bytes only."""
        name = f"r{len(self.comments)}"
        self.comments[name] = text
        return f'comment "{name}"'

    def note_open(self, point: str, family: Family, protocol: str | None) -> str:
        """The statement that records a connection which rests on an open point."""
        ip = IP[family]
        version = "4" if family is Family.IPV4 else "6"
        slug = point.replace("-", "_")
        if protocol is None:
            name = f"open{version}_plain_{slug}"
            key, kind = f"{ip} saddr . {ip} daddr", f"{_TYPE[family]} . {_TYPE[family]}"
        else:
            name = f"open{version}_{slug}"
            key = (
                f"{ip} saddr . th sport . ip6 daddr"
                if family is Family.IPV6
                else f"{ip} saddr . th sport . ip daddr"
            )
            kind = f"{_TYPE[family]} . inet_service . {_TYPE[family]}"
        if name not in self.open_sets:
            self.open_sets[name] = point
            self.lines.append(f"set {name} {{ type {kind}; flags dynamic; size {_NOTES}; }}")
        return f"update @{name} {{ {key} }} "


def name_set(family: Family, names: Sequence[NamePattern]) -> str:
    """Name of the set for a list of patterns; what it is for never changes, so that the proxy may fill it."""
    digest = hashlib.sha256("\n".join(sorted({item.text for item in names})).encode()).hexdigest()
    return f"names{4 if family is Family.IPV4 else 6}_{digest[:16]}"


def peers(writer: Writer, match: Match, direction: Direction) -> list[tuple[Family, str]]:
    """The peer clause per family, with the conditions on both ends; an empty clause is every peer."""
    found = []
    for family, clause in _peers(writer, match, direction):
        conditions = [_condition(writer, item, family, direction) for item in match.conditions]
        given = [item for item in conditions if item is not None]
        if match.family in (None, family) and len(given) == len(conditions):
            found.append((family, clause + "".join(given)))
    return found


def _condition(writer: Writer, item: Condition, family: Family, direction: Direction) -> str | None:
    """See `_clause`; policies that are alike have the same conditions, and those are written once."""
    key = item, family, direction
    if key not in writer.conditions:
        writer.conditions[key] = _clause(writer, item, family, direction)
    return writer.conditions[key]


def _clause(writer: Writer, item: Condition, family: Family, direction: Direction) -> str | None:
    """The clause of a condition, empty where it always holds; None where no packet of the family meets it."""
    version = 4 if family is Family.IPV4 else 6
    networks = [network for network in item.networks if network.version == version]
    if any(not network.prefixlen for network in networks):
        return "" if item.inside else None
    ends = [writer.addressing.pod(pod) for pod in item.pods]
    ends += [writer.addressing.node(node) for node in item.nodes]
    addresses = [address for end in ends if (address := pick(end, family)) is not None]
    if not addresses and not networks:
        return None if item.inside else ""
    elements = {*addresses, *map(str, networks)}
    among = writer.address_set(family, elements, interval=bool(networks))
    field_name = f"{IP[family]} {(_PEER if item.peer else _OWN)[direction]}"
    return f"{field_name} {'' if item.inside else '!= '}{among} "


def source_clause(match: Match, protocol: str | None) -> str:
    """The clause for the ports from which a match comes, behind the clause for its protocol."""
    if match.source_ports is None or protocol is None:
        return ""
    text = ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in match.source_ports)
    return f"th sport {{ {text} }} "


def _peers(writer: Writer, match: Match, direction: Direction) -> list[tuple[Family, str]]:
    if match.any_peer:
        return [(family, "") for family in FAMILIES]
    found: list[tuple[Family, str]] = []
    side = _PEER[direction]
    for family in FAMILIES:
        field_name = f"{IP[family]} {side}"
        addresses = [
            address
            for pod in sorted(match.pods or ())
            if (address := pick(writer.addressing.pod(pod), family)) is not None
        ]
        if addresses:
            found.append((family, f"{field_name} {writer.address_set(family, addresses)} "))
        nodes = [
            address
            for node in sorted(match.nodes or ())
            if (address := pick(writer.addressing.node(node), family)) is not None
        ]
        if nodes:
            found.append((family, f"{field_name} {writer.address_set(family, nodes)} "))
        for block in match.blocks or ():
            clause = _block(writer, block, family, field_name)
            if clause:
                found.append((family, clause))
        if match.names:
            ip = IP[family]
            told = f"{ip} saddr . {ip} daddr {writer.name_set(family, match.names)} "
            found.append((family, told + _outside(writer, family, field_name)))
    return found


def _block(writer: Writer, block: Block, family: Family, field_name: str) -> str:
    version = 4 if family is Family.IPV4 else 6
    if block.network.version != version:
        return ""
    clause = ""
    if block.network.prefixlen:
        clause += f"{field_name} {block.network} "
    excepts = [str(item) for item in block.excepts if item.version == version]
    if excepts:
        clause += f"{field_name} != {writer.address_set(family, excepts, interval=True)} "
    pods = POD_RANGES[family]
    nodes = [
        address for node in writer.addressing.nodes if (address := pick(writer.addressing.node(node), family))
    ]
    if block.reach is Reach.PODS:
        clause += f"{field_name} {pods} "
    elif block.reach is Reach.NODES:
        clause += f"{field_name} {writer.address_set(family, nodes)} "
    elif block.reach in (Reach.OUTSIDE, Reach.CIDR):
        clause += _outside(writer, family, field_name)
    return clause or f"{field_name} {block.network} "


def _outside(writer: Writer, family: Family, field_name: str) -> str:
    """Neither a pod's address nor a node's."""
    nodes = [
        address for node in writer.addressing.nodes if (address := pick(writer.addressing.node(node), family))
    ]
    return f"{field_name} != {POD_RANGES[family]} {field_name} != {writer.address_set(family, nodes)} "


def port_clauses(
    ports: tuple[Ports, ...] | None, family: Family, writer: Writer
) -> list[tuple[str, str | None]]:
    """The port clause per protocol, with the protocol (None where packets have no ports)."""
    if ports is None:
        return [("", None)]
    grouped: dict[Protocol, list[Ports]] = {}
    for item in ports:
        grouped.setdefault(item.protocol, []).append(item)
    clauses: list[tuple[str, str | None]] = []
    for protocol, items in grouped.items():
        if protocol is Protocol.ICMP:
            clauses.append((_types(items, family), None))
            continue
        name = protocol.value.lower()
        if any(item.first is None for item in items):
            clauses.append((f"meta l4proto {name} ", name))
            continue
        merged = merge_ranges(
            (item.first or 0, item.last if item.last is not None else item.first or 0) for item in items
        )
        clauses.append((f"meta l4proto {name} th dport {writer.port_set(merged)} ", name))
    return clauses


def merge_ranges(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Overlapping and adjoining ranges as one; nft refuses overlaps."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return merged


def _types(items: Sequence[Ports], family: Family) -> str:
    if any(item.first is None for item in items):
        return f"meta l4proto {ICMP[family]} "
    types = ", ".join(str(item) for item in sorted({item.first or 0 for item in items}))
    return f"{'icmp' if family is Family.IPV4 else 'icmpv6'} type {{ {types} }} "
