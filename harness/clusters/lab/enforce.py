"""Neutral rules as nft rules: the lab's own enforcement. Nothing is evaluated here; the kernel does that.

Per node one table. A forwarded packet of a new connection meets the egress chain of the pod that it comes
from and the ingress chain of the pod that it goes to; what the node itself sends to its pods never gets here,
so it is always allowed (semantics.md 3.1 no. 11). In these chains ``return`` is allow, the last rule is the
default of the last stage. Established connections pass first (semantics.md 4 no. 13, read least strictly).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.clusters.lab.addressing import FAMILIES, POD_RANGES, Addressing
from harness.clusters.lab.services import NODEPORT_MARK
from harness.clusters.resolve import pick
from harness.model.rules import Action, Block, Direction, Match, Ports, Reach, Rule, Stage
from harness.model.topology import Family, Protocol

TABLE = "netcheck_policy"

_IP = {Family.IPV4: "ip", Family.IPV6: "ip6"}
_TYPE = {Family.IPV4: "ipv4_addr", Family.IPV6: "ipv6_addr"}
_ICMP = {Family.IPV4: "icmp", Family.IPV6: "ipv6-icmp"}
_PEER = {Direction.INGRESS: "saddr", Direction.EGRESS: "daddr"}

_NOTES = 1 << 20
"""Connections that one open point may note in one sweep; more than the largest matrix has on one node.

When such a set is full, nft takes its rule for one that does not match, and the packet would be dropped.
"""

_ALWAYS = (
    "ct state established,related accept",
    "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, nd-router-advert } accept",
)
"""What passes whatever the policies say."""


@dataclass(slots=True)
class Compiled:
    """One node's table.

    Attributes:
        comments: What each counter stands for, by the comment that nft carries (`r12`).
        open_sets: Names of the dynamic sets with the open point that each records.
    """

    script: str
    comments: dict[str, str]
    open_sets: dict[str, str]


@dataclass(slots=True)
class _Writer:
    addressing: Addressing
    sets: dict[tuple[str, ...], str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    chains: list[str] = field(default_factory=list)
    comments: dict[str, str] = field(default_factory=dict)
    open_sets: dict[str, str] = field(default_factory=dict)

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

    def comment(self, text: str) -> str:
        """A short comment that stands for `text`; nft allows 128 bytes only."""
        name = f"r{len(self.comments)}"
        self.comments[name] = text
        return f'comment "{name}"'

    def note_open(self, point: str, family: Family, protocol: str | None) -> str:
        """The statement that records a connection which rests on an open point."""
        ip = _IP[family]
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


def compile_node(
    stages: Sequence[Stage], addressing: Addressing, node: str, interfaces: Mapping[str, str]
) -> Compiled:
    """The policy table of one node.

    Args:
        stages: Neutral rules of all dialects, in order.
        addressing: Addresses of pods and nodes.
        node: Whose table it is.
        interfaces: Interface on this node of each pod that runs here and has one of its own.
    """
    writer = _Writer(addressing)
    maps = {}
    for direction in (Direction.EGRESS, Direction.INGRESS):
        maps[direction] = _direction(
            writer, [item for item in stages if item.direction is direction], direction, interfaces
        )
    hairpins = sorted({*maps[Direction.EGRESS], *maps[Direction.INGRESS]})
    forward = [*_ALWAYS]
    for family in FAMILIES:
        if hairpins:
            pairs = ", ".join(f'"{item}" . "{item}"' for item in hairpins)
            note = writer.note_open("own-service", family, "any")
            forward.append(
                f"meta nfproto {family.value} iifname . oifname {{ {pairs} }} "
                f"meta l4proto {{ tcp, udp, sctp }} {note}counter accept {writer.comment('own-service')}"
            )
    for direction, name in ((Direction.EGRESS, "iifname"), (Direction.INGRESS, "oifname")):
        if maps[direction]:
            jumps = ", ".join(f'"{item}" : jump {chain}' for item, chain in maps[direction].items())
            forward.append(f"{name} vmap {{ {jumps} }}")
    script = [
        f"table inet {TABLE} {{",
        *writer.lines,
        *writer.chains,
        "chain forward {",
        "type filter hook forward priority filter; policy accept;",
        *forward,
        "}",
        *_to_node(stages, maps[Direction.EGRESS], interfaces),
        "}",
    ]
    return Compiled("\n".join(script) + "\n", writer.comments, writer.open_sets)


def _to_node(stages: Sequence[Stage], chains: Mapping[str, str], interfaces: Mapping[str, str]) -> list[str]:
    """The chain for what pods send to this node itself, where policies have a say about that."""
    strict = {
        interfaces[pod]
        for stage in stages
        if stage.direction is Direction.EGRESS
        for block in stage.blocks
        if block.strict
        for pod in block.subjects
        if pod in interfaces
    }
    if not strict:
        return []
    jumps = ", ".join(f'"{item}" : jump {chains[item]}' for item in sorted(strict))
    return [
        "chain input {",
        "type filter hook input priority filter; policy accept;",
        *_ALWAYS,
        f"iifname vmap {{ {jumps} }}",
        "}",
    ]


def _direction(
    writer: _Writer, stages: Sequence[Stage], direction: Direction, interfaces: Mapping[str, str]
) -> dict[str, str]:
    """Chains of one direction; returns the chain of each interface that is policed."""
    groups: dict[tuple[tuple[int, ...], ...], list[str]] = {}
    for pod in interfaces:
        shape = tuple(
            tuple(number for number, block in enumerate(stage.blocks) if pod in block.subjects)
            for stage in stages
        )
        if any(shape):
            groups.setdefault(shape, []).append(pod)
    found: dict[str, str] = {}
    for number, (shape, pods) in enumerate(groups.items()):
        # Rules whose match names subjects (named ports) may differ inside a group: split it by them.
        for part, members in enumerate(_split(stages, shape, pods)):
            chain = f"{direction.value}{number}_{part}"
            _chain(writer, stages, shape, direction, chain, frozenset(members))
            found.update({interfaces[pod]: chain for pod in members})
    return found


def _split(
    stages: Sequence[Stage], shape: tuple[tuple[int, ...], ...], pods: Sequence[str]
) -> list[list[str]]:
    named = [
        match.subjects
        for stage, numbers in zip(stages, shape, strict=True)
        for number in numbers
        for rule in stage.blocks[number].rules
        for match in rule.matches
        if match.subjects is not None
    ]
    parts: dict[tuple[bool, ...], list[str]] = {}
    for pod in pods:
        parts.setdefault(tuple(pod in subjects for subjects in named), []).append(pod)
    return list(parts.values())


def _chain(
    writer: _Writer,
    stages: Sequence[Stage],
    shape: tuple[tuple[int, ...], ...],
    direction: Direction,
    chain: str,
    members: frozenset[str],
) -> None:
    """One chain per stage that concerns the members; the first has the plain name."""
    concerned = [
        (stage, [stage.blocks[number] for number in numbers])
        for stage, numbers in zip(stages, shape, strict=True)
        if numbers
    ]
    for position, (stage, blocks) in enumerate(concerned):
        after = f"{chain}_{position + 1}" if position + 1 < len(concerned) else ""
        body = []
        rules = [rule for block in blocks for rule in block.rules]
        if not stage.ordered:
            # What rests on an open point comes last: it decides only where nothing definite does.
            rules.sort(key=lambda item: item.open_point is not None)
        for rule in rules:
            body += _rule(writer, rule, direction, members, after)
        isolating = [block for block in blocks if block.isolates]
        if isolating and stage.default is Action.DENY:
            origins = ", ".join(dict.fromkeys(str(block.origin) for block in isolating))
            strict = any(block.strict for block in isolating)
            text = f"default deny {direction}: isolated by {origins}"
            body += _default_deny(writer, text, silent=not strict)
        elif after and not (isolating and stage.default is Action.ALLOW):
            body.append(f"goto {after}")
        name = chain if position == 0 else f"{chain}_{position}"
        writer.chains.append("\n".join([f"chain {name} {{", *body, "}"]))


def _default_deny(writer: _Writer, text: str, *, silent: bool) -> list[str]:
    """The end of a stage; `silent` = the policies that isolate say nothing about ICMP."""
    lines = []
    for family in FAMILIES:
        version = f"meta nfproto {family.value} "
        if silent:
            icmp = writer.note_open("icmp", family, None)
            lines.append(f"{version}meta l4proto {_ICMP[family]} {icmp}counter drop {writer.comment(text)}")
        node = writer.note_open("nodeport-source", family, "any")
        lines += [
            f"{version}meta mark & {NODEPORT_MARK} == {NODEPORT_MARK} {node}"
            f"counter drop {writer.comment(text)}",
        ]
    return [*lines, f"counter drop {writer.comment(text)}"]


def _rule(
    writer: _Writer, rule: Rule, direction: Direction, members: frozenset[str], after: str
) -> list[str]:
    lines = []
    verdicts = {
        Action.ALLOW: "return",
        Action.DENY: "drop",
        Action.PASS: f"goto {after}" if after else "return",
        Action.LOG: "continue",
        Action.REDIRECT: "continue",
    }
    for match in rule.matches:
        if match.subjects is not None and not members & match.subjects:
            continue
        for family, peer in _peers(writer, match, direction):
            for ports, protocol in _ports(match.ports, family):
                note = ""
                if rule.open_point:
                    note = writer.note_open(rule.open_point, family, protocol)
                guard = "" if peer else f"meta nfproto {family.value} "
                comment = writer.comment(str(rule.origin))
                lines.append(f"{guard}{peer}{ports}{note}counter {verdicts[rule.action]} {comment}")
    return lines


def _peers(writer: _Writer, match: Match, direction: Direction) -> list[tuple[Family, str]]:
    """The peer clause per family; an empty clause is every peer."""
    if match.any_peer:
        return [(family, "") for family in FAMILIES]
    found: list[tuple[Family, str]] = []
    side = _PEER[direction]
    for family in FAMILIES:
        field_name = f"{_IP[family]} {side}"
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
    return found


def _block(writer: _Writer, block: Block, family: Family, field_name: str) -> str:
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
    elif block.reach is Reach.OUTSIDE:
        clause += f"{field_name} != {pods} {field_name} != {writer.address_set(family, nodes)} "
    return clause or f"{field_name} {block.network} "


def _ports(ports: tuple[Ports, ...] | None, family: Family) -> list[tuple[str, str | None]]:
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
        merged = _merge(
            (item.first or 0, item.last if item.last is not None else item.first or 0) for item in items
        )
        text = ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in merged)
        clauses.append((f"meta l4proto {name} th dport {{ {text} }} ", name))
    return clauses


def _types(items: Sequence[Ports], family: Family) -> str:
    if any(item.first is None for item in items):
        return f"meta l4proto {_ICMP[family]} "
    types = ", ".join(str(item) for item in sorted({item.first or 0 for item in items}))
    return f"{'icmp' if family is Family.IPV4 else 'icmpv6'} type {{ {types} }} "


def _merge(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Overlapping and adjoining ranges as one; nft refuses overlaps."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return merged
