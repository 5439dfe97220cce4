"""The same answer as `predict` gives, told step by step: every policy that was asked, rule by rule.

Made on demand, for one probe; `predict` answers many probes and tells nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from harness.dialects.connection import Connection, Ruling
from harness.dialects.registry import carried
from harness.dialects.standing import Standing
from harness.model.builtin import DNS_POD, with_builtins
from harness.model.policy import Policy
from harness.model.prediction import Answer
from harness.model.probe import Probe, SourceKind
from harness.model.rules import NETWORK_POLICY_TIER, Action, Direction, Origin
from harness.model.topology import Topology
from harness.model.trace import PolicyTrace, RuleTrace, SideTrace, TierTrace
from harness.oracle.paths import Path, UndecidedError, legs
from harness.oracle.predict import side
from harness.oracle.tiers import Ends, stand, tier


def trace(step_topology: Topology, policies: Sequence[Policy], probe: Probe) -> tuple[SideTrace, ...]:
    """Both sides of every connection that a probe may become, in the order of its packets.

    Args:
        step_topology: The world as it is in the step.
        policies: All policies in force, of any dialect.
        probe: The question.

    Returns:
        Egress and ingress for each path; nothing where the files do not tell where the probe leads, or where
        policies take part whose rules are not read.
    """
    if carried(policies):
        return ()
    topology = step_topology if DNS_POD in step_topology.services else with_builtins(step_topology)
    try:
        found = legs(probe, topology)
    except UndecidedError:
        return ()
    return tuple(
        _side(leg.name, path, policies, topology, direction)
        for leg in found
        for path in leg.paths
        for direction in (Direction.EGRESS, Direction.INGRESS)
    )


def _side(
    leg: str, path: Path, policies: Sequence[Policy], topology: Topology, direction: Direction
) -> SideTrace:
    connection = path.connection
    ruling = side(path, policies, topology, direction)
    subject, peer = connection.subject(direction), connection.peer(direction)
    standing = stand(policies, topology, direction, subject)
    port = f"{connection.port}/{connection.protocol}" if connection.port else str(connection.protocol)
    asked = {item.origin for item in standing}
    others = tuple(Origin(str(item), "", item.place) for item in policies)
    return SideTrace(
        leg,
        direction,
        str(subject),
        str(peer),
        port,
        ruling.answer,
        ruling.reason,
        ruling.deciding,
        tuple(_tiers(standing, connection, ruling)),
        tuple(item for item in others if item not in asked) if subject.kind is SourceKind.POD else (),
    )


def _tiers(standing: Sequence[Standing], connection: Connection, ruling: Ruling) -> Iterator[TierTrace]:
    # About what a pod sends to itself no tier is asked.
    reached = not connection.to_itself
    for which, members in groupby(standing, key=lambda item: item.tier):
        asked = list(members)
        ends = Ends()
        leaves = reached and tier(asked, connection, ends)
        yield TierTrace(
            which.name,
            reached,
            _outcome(ends, leaves=leaves) if reached else "not asked",
            tuple(_policies(asked, connection, ruling, reached=reached)),
        )
        reached = reached and leaves


def _outcome(ends: Ends, *, leaves: bool) -> str:
    words = []
    if ends.allowed:
        words.append("allow")
    if ends.denied or ends.isolated:
        words.append("deny")
    if leaves:
        words.append("pass on")
    return " or ".join(words)


def _policies(
    asked: Sequence[Standing], connection: Connection, ruling: Ruling, *, reached: bool
) -> Iterator[PolicyTrace]:
    decided = not reached
    for _, same in groupby(asked, key=lambda item: (item.order, item.tie)):
        group = list(same)
        certain = False
        for item in group:
            rules, matched = _rules(item, connection, ruling, reached=not decided)
            certain = certain or matched
            # NetworkPolicies have an order only beside Calico's, where it says nothing of themselves.
            place = "" if item.tier == NETWORK_POLICY_TIER else f"{item.order:g}"
            yield PolicyTrace(
                item.origin,
                item.policy.dialect,
                place,
                item.isolates,
                item.origin in ruling.deciding,
                rules,
            )
        decided = decided or certain


def _rules(
    item: Standing, connection: Connection, ruling: Ruling, *, reached: bool
) -> tuple[tuple[RuleTrace, ...], bool]:
    """The rules of a policy, and whether one of them certainly matches."""
    found: list[RuleTrace] = []
    certain = False
    for number, rule in enumerate(item.rules):
        match = item.matches(rule, connection)
        peers, ports = item.parts(rule, connection)
        origin = item.rule_origin(number)
        found.append(
            RuleTrace(
                origin,
                item.action(rule),
                reached,
                None if isinstance(match, str) else match,
                origin in ruling.deciding,
                peers,
                ports,
            )
        )
        if reached and match is True:
            certain = True
            if item.ordered and item.action(rule) is not Action.LOG:
                reached = False
    return tuple(found), certain


@dataclass(frozen=True, slots=True)
class Change:
    """What would have to change: any of the alternatives, which are sentences without a full stop."""

    what: str
    alternatives: tuple[str, ...]


def flips(sides: Sequence[SideTrace]) -> tuple[Change, ...]:
    """What would have to change for the answer to be the other one.

    A connection that is allowed needs one change on either side; one that is denied needs a change on every
    side that denies it.
    """
    denied = [item for item in sides if item.answer is Answer.DENY]
    if denied:
        return tuple(
            Change(f"to allow the {item.direction} of {item.subject}", tuple(_to_allow(item)))
            for item in denied
        )
    if any(item.answer is Answer.UNDEFINED for item in sides):
        return ()
    found = tuple(text for item in sides for text in _to_deny(item))
    return (Change("to deny it", found),) if found else ()


def _to_allow(found: SideTrace) -> Iterator[str]:
    word = "from" if found.direction is Direction.INGRESS else "to"
    rules = [rule for each in found.tiers for policy in each.policies for rule in policy.rules]
    denying = [rule for rule in rules if rule.decides and rule.action is Action.DENY]
    for rule in denying:
        yield f"{rule.origin} no longer matches, or a rule before it allows {found.port} {word} {found.peer}"
    if denying:
        return
    for rule in rules:
        misses = _misses(rule) if rule.reached and rule.action is Action.ALLOW else ""
        if misses:
            yield f"{rule.origin} also covers {misses}"
    names = ", ".join(str(origin).strip() for origin in found.deciding)
    yield f"a rule of {names}, or of another policy, allows {found.port} {word} {found.peer}"


def _misses(rule: RuleTrace) -> str:
    """What keeps a rule from matching, when it is its peers alone, or its ports alone."""
    peers = not rule.peers or any(part.matched for part in rule.peers)
    ports = not rule.ports or any(part.matched for part in rule.ports)
    if peers == ports:
        return ""
    return "this port" if peers else "this peer"


def _to_deny(found: SideTrace) -> Iterator[str]:
    word = "from" if found.direction is Direction.INGRESS else "to"
    deciding = [
        str(rule.origin)
        for each in found.tiers
        for policy in each.policies
        for rule in policy.rules
        if rule.decides and rule.action is Action.ALLOW
    ]
    if deciding:
        yield f"{' and '.join(deciding)} no longer match{'es' if len(deciding) == 1 else ''}"
    elif not found.subject.startswith(("node:", "external:")):
        yield (
            f"a policy isolates {found.subject} for {found.direction} and has no rule for {found.port} "
            f"{word} {found.peer}"
        )
