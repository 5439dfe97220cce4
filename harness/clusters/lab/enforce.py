"""Neutral rules as nft rules: the lab's own enforcement. Nothing is evaluated here; the kernel does that.

Per node one table. A forwarded packet of a new connection meets the egress chain of the pod that it comes
from and the ingress chain of the pod that it goes to; what the node itself sends to its pods never gets here,
so it is always allowed (semantics.md 3.1 no. 11). In these chains ``return`` is allow, the last rule is the
default of the last stage. Established connections pass first (semantics.md 4 no. 13, read least strictly),
unless the personality judges each packet; then only answers do.

A rule with an application marks the packet and lets the reading go on; a packet that is left with the mark
goes to the proxy (`steering`). A rule without one takes the mark away, except from questions under DNS rules:
the proxy lets them all pass then, and still learns from the answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.clusters.lab import steering
from harness.clusters.lab.addressing import FAMILIES, POD_RANGES, Addressing, family_of
from harness.clusters.lab.clauses import ICMP, IP, Writer, peers, port_clauses, source_clause
from harness.clusters.lab.services import NODEPORT_MARK
from harness.clusters.lab.steering import ASKED, DECIDED, LOCAL_MARK, REMEMBERED
from harness.model.application import Authentication, DnsRules
from harness.model.personality import GENERIC, Personality
from harness.model.rules import Action, Direction, Rule, Stage
from harness.model.topology import Family

TABLE = "netcheck_policy"

_CONNECTIONS = ("ct state established,related accept",)
_ANSWERS = ("ct state related accept", "ct state established ct direction reply accept")
_NEIGHBOURS = (
    "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, nd-router-advert } accept"
)

_PEER_FIELD = {Direction.INGRESS: "saddr", Direction.EGRESS: "daddr"}


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


def compile_node(
    stages: Sequence[Stage],
    addressing: Addressing,
    node: str,
    interfaces: Mapping[str, str],
    personality: Personality = GENERIC,
    learned: Mapping[str, Sequence[Sequence[str]]] | None = None,
) -> Compiled:
    """The policy table of one node.

    Args:
        stages: Neutral rules of all dialects, in order.
        addressing: Addresses of pods and nodes.
        node: Whose table it is.
        interfaces: Interface on this node of each pod that runs here and has one of its own.
        personality: How points that the specification leaves open are read; the rules are settled already.
        learned: Elements of the sets of names, by set: what pods were told before.
    """
    writer = Writer(addressing, personality, learned=learned or {})
    maps = {}
    for direction in (Direction.EGRESS, Direction.INGRESS):
        maps[direction] = _direction(
            writer, [item for item in stages if item.direction is direction], direction, interfaces
        )
    proxied = {direction: _proxied(stages, direction, interfaces) for direction in Direction}
    hairpins = sorted({*maps[Direction.EGRESS], *maps[Direction.INGRESS]})
    always = [*(_ANSWERS if personality.cuts_connections else _CONNECTIONS), _NEIGHBOURS]
    forward = [*always]
    if any(proxied.values()):
        forward.append(f"{steering.has(DECIDED)}accept")
    forward += _hairpins(writer, hairpins)
    for direction, name in ((Direction.EGRESS, "iifname"), (Direction.INGRESS, "oifname")):
        if maps[direction]:
            jumps = ", ".join(f'"{item}" : jump {chain}' for item, chain in maps[direction].items())
            forward.append(f"{name} vmap {{ {jumps} }}")
    policed = _policed_to_node(writer, stages, interfaces)
    early = []
    if any(proxied.values()) or personality.cuts_connections:
        addresses = {
            interface: [(family_of(address), address) for address in addressing.pod(pod)]
            for pod, interface in interfaces.items()
        }
        every_packet = personality.cuts_connections
        early = steering.policy_chains(maps, addresses, proxied, policed, every_packet=every_packet)
    script = [
        f"table inet {TABLE} {{",
        *writer.lines,
        *writer.chains,
        *early,
        *_to_node(always, policed, maps[Direction.EGRESS]),
        "chain forward {",
        "type filter hook forward priority filter; policy accept;",
        *forward,
        "}",
        "}",
    ]
    return Compiled("\n".join(script) + "\n", writer.comments, writer.open_sets)


def _proxied(stages: Sequence[Stage], direction: Direction, interfaces: Mapping[str, str]) -> set[str]:
    """Interfaces of the pods that some rule with an application is for."""
    found: set[str] = set()
    for stage in stages:
        if stage.direction is direction:
            for block in stage.blocks:
                if any(rule.application is not None for rule in block.rules):
                    found |= block.subjects
    return {interface for pod, interface in interfaces.items() if pod in found}


def _policed_to_node(writer: Writer, stages: Sequence[Stage], interfaces: Mapping[str, str]) -> set[str]:
    """Interfaces of the pods whose policies have a say about what they send to this node itself."""
    return {
        interfaces[pod]
        for stage in stages
        if stage.direction is Direction.EGRESS
        for block in stage.blocks
        if block.strict or writer.personality.polices_own_node
        for pod in block.subjects
        if pod in interfaces
    }


def _to_node(always: Sequence[str], policed: set[str], chains: Mapping[str, str]) -> list[str]:
    """The chain for what pods send to this node itself, where policies have a say about that."""
    if not policed:
        return []
    jumps = ", ".join(f'"{item}" : jump {chains[item]}' for item in sorted(policed))
    head = "type filter hook input priority filter; policy accept;"
    return [
        "chain input {",
        head,
        *always,
        f"{steering.has(LOCAL_MARK)}accept",
        f"{steering.has(DECIDED)}accept",
        f"iifname vmap {{ {jumps} }}",
        "}",
    ]


def _hairpins(writer: Writer, interfaces: Sequence[str]) -> list[str]:
    """What pods send to themselves through a Service passes, whatever their policies say."""
    lines = []
    pairs = ", ".join(f'"{item}" . "{item}"' for item in interfaces)
    for family in FAMILIES if interfaces else ():
        way = (
            f"meta nfproto {family.value} iifname . oifname {{ {pairs} }} meta l4proto {{ tcp, udp, sctp }} "
        )
        if writer.personality.frees_own_service:
            by_address = f"meta mark & {NODEPORT_MARK} != {NODEPORT_MARK} "
            lines.append(f"{way}{by_address}counter accept {writer.comment('own-service')}")
        note = writer.note_open("own-service", family, "any")
        lines.append(f"{way}{note}counter accept {writer.comment('own-service')}")
    return lines


def _direction(
    writer: Writer, stages: Sequence[Stage], direction: Direction, interfaces: Mapping[str, str]
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
    writer: Writer,
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
        body += _rules(writer, rules, direction, members, after)
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


def _denying(writer: Writer) -> str:
    """What denies; an answer is ICMP's port unreachable, whatever the protocol, as Felix' is."""
    return "reject" if writer.personality.answers_denials else "drop"


def _default_deny(writer: Writer, text: str, *, silent: bool) -> list[str]:
    """The end of a stage; `silent` = the policies that isolate say nothing about ICMP."""
    lines = []
    deny = _denying(writer)
    for family in FAMILIES:
        version = f"meta nfproto {family.value} "
        if silent and writer.personality.isolates_icmp is None:
            icmp = writer.note_open("icmp", family, None)
            lines.append(f"{version}meta l4proto {ICMP[family]} {icmp}counter {deny} {writer.comment(text)}")
        node = writer.note_open("nodeport-source", family, "any")
        lines += [
            f"{version}meta mark & {NODEPORT_MARK} == {NODEPORT_MARK} {node}"
            f"counter {deny} {writer.comment(text)}",
        ]
    return [*lines, f"counter {deny} {writer.comment(text)}"]


def _rules(
    writer: Writer, rules: Sequence[Rule], direction: Direction, members: frozenset[str], after: str
) -> list[str]:
    """The rules of one stage in order; whoever must prove who they are does so before any is allowed."""
    lines = []
    verdicts = {
        Action.ALLOW: "return",
        Action.DENY: _denying(writer),
        Action.PASS: f"goto {after}" if after else "return",
        Action.LOG: "continue",
        Action.REDIRECT: "continue",
    }
    asking = [rule for rule in rules if isinstance(rule.application, DnsRules)]
    allowing = remembering = False
    for rule in rules:
        if rule.action is Action.ALLOW and not allowing:
            allowing = True
            for other in rules:
                if other.action is Action.ALLOW:
                    lines += _authentication(writer, other, direction, members)
            for other in asking:
                remembering = True
                lines += _rule(
                    writer, other, direction, members, "", steering.add(REMEMBERED | ASKED).rstrip()
                )
        if isinstance(rule.application, DnsRules):
            continue
        guard, verdict = "", verdicts[rule.action]
        if rule.action is Action.ALLOW and rule.application is not None:
            remembering = True
            verdict = steering.add(REMEMBERED).rstrip()
        elif remembering and rule.action is Action.ALLOW:
            if asking:
                lines += _rule(writer, rule, direction, members, steering.has(ASKED), verdict)
            verdict = steering.remove(REMEMBERED) + verdict
        elif remembering and rule.action in (Action.DENY, Action.PASS):
            guard = steering.lacks(REMEMBERED)
        lines += _rule(writer, rule, direction, members, guard, verdict)
    if remembering:
        lines.append(f"{steering.has(REMEMBERED)}return")
    return lines


def _told(rule: Rule) -> str:
    """What the rule's counter stands for in the evidence of a cell."""
    return f"logged by {rule.origin}" if rule.action is Action.LOG else str(rule.origin)


def _authentication(writer: Writer, rule: Rule, direction: Direction, members: frozenset[str]) -> list[str]:
    """What drops the connections of a rule whose peers cannot prove who they are."""
    comment = f"{rule.origin}: authentication {rule.authentication}"
    if rule.authentication is Authentication.ALWAYS_FAIL:
        return _rule(writer, rule, direction, members, "", "drop", comment)
    if rule.authentication is not Authentication.REQUIRED:
        return []
    lines = []
    for family in FAMILIES:
        # Only pods have an identity.
        stranger = f"{IP[family]} {_PEER_FIELD[direction]} != {POD_RANGES[family]} "
        lines += _rule(writer, rule, direction, members, stranger, "drop", comment, family)
    return lines


def _rule(
    writer: Writer,
    rule: Rule,
    direction: Direction,
    members: frozenset[str],
    guard: str,
    verdict: str,
    comment: str = "",
    only: Family | None = None,
) -> list[str]:
    lines = []
    for match in rule.matches:
        if match.subjects is not None and not members & match.subjects:
            continue
        for family, peer in peers(writer, match, direction):
            if only not in (None, family):
                continue
            for ports, protocol in port_clauses(match.ports, family, writer):
                note = ""
                if rule.open_point:
                    note = writer.note_open(rule.open_point, family, protocol)
                version = "" if peer else f"meta nfproto {family.value} "
                said = writer.comment(comment or _told(rule))
                clauses = f"{version}{peer}{ports}{source_clause(match, protocol)}"
                lines.append(f"{clauses}{guard}{note}counter {verdict} {said}")
    return lines
