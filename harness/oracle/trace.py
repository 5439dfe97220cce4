"""The same answer as `predict` gives, told step by step: every policy that was asked, rule by rule.

Made on demand, for one probe; `predict` answers many probes and tells nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from math import inf

from harness.dialects.connection import Connection, Ruling
from harness.dialects.paper import is_node
from harness.dialects.registry import carried
from harness.dialects.standing import Standing
from harness.model.builtin import DNS_POD, with_builtins
from harness.model.personality import Enforcement, Personality, asked_for
from harness.model.policy import Policy
from harness.model.probe import Probe, SourceKind
from harness.model.rules import NETWORK_POLICY_TIER, Action, Direction, Origin
from harness.model.topology import Protocol, Topology
from harness.model.trace import Behind, PolicyTrace, RuleTrace, SideTrace, TierTrace
from harness.oracle.paths import Path, UndecidedError, legs
from harness.oracle.predict import side
from harness.oracle.tiers import Ends, as_learned, stand, taken, tier


def trace(
    step_topology: Topology,
    policies: Sequence[Policy],
    probe: Probe,
    personality: Personality | None = None,
) -> tuple[SideTrace, ...]:
    """Both sides of every connection that a probe may become, in the order of its packets.

    Args:
        step_topology: The world as it is in the step.
        policies: All policies in force, of any dialect.
        probe: The question.
        personality: How the network reads what specifications leave open; None = as the policies ask for.

    Returns:
        Egress and ingress for each path; nothing where the files do not tell where the probe leads, or where
        policies take part whose rules are not read.
    """
    if carried(policies):
        return ()
    topology = step_topology if DNS_POD in step_topology.services else with_builtins(step_topology)
    try:
        found = legs(probe, topology, personality or asked_for(policies))
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
    standing = taken(stand(policies, topology, direction, subject), connection.personality)
    connection = as_learned(standing, topology, connection)
    port = f"{connection.port}/{connection.protocol}" if connection.port else str(connection.protocol)
    asked = {item.origin for item in standing}
    # Tiers, and sets of addresses, have no say themselves.
    others = tuple(Origin(str(item), "", item.place) for item in policies if item.kind.endswith("Policy"))
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
        tuple(_behind(path, policies, topology, direction, ruling)),
        _out_of_reach(path, direction, topology, strict=any(item.strict for item in standing)),
        peer.kind is SourceKind.POD and not is_node(peer, topology),
    )


def _behind(
    path: Path, policies: Sequence[Policy], topology: Topology, direction: Direction, ruling: Ruling
) -> Iterator[Behind]:
    """What would come out if the rules that decide did not match, then without those that decide next."""
    muted: frozenset[Origin] = frozenset()
    found = ruling
    while found.answer is ruling.answer and found.deciding and all(item.rule for item in found.deciding):
        muted |= set(found.deciding)
        found = side(path, policies, topology, direction, muted)
        yield Behind(found.answer, found.deciding)


def _out_of_reach(path: Path, direction: Direction, topology: Topology, *, strict: bool) -> bool:
    """Whether no policy can certainly deny it: pods reach themselves and, if not strict, their nodes.

    Whether a NetworkPolicy denies ICMP is open, unless the personality says.
    """
    connection = path.connection
    personality = connection.personality
    subject, peer = connection.subject(direction), connection.peer(direction)
    if personality.enforcement is Enforcement.NEVER:
        return True
    if subject.kind is not SourceKind.POD or is_node(subject, topology):
        return True
    if connection.to_itself or connection.looped:
        return True
    if connection.protocol is Protocol.ICMP and not strict and personality.isolates_icmp is None:
        return True
    if direction is Direction.EGRESS and (strict or personality.polices_own_node):
        return False
    # Through a node's port it may come from the node.
    peers = [peer, *path.entries] if direction is Direction.INGRESS else [peer]
    nodes = [end for end in peers if is_node(end, topology)]
    return any(end.node is None or subject.node in (None, end.node) for end in nodes)


def _tiers(standing: Sequence[Standing], connection: Connection, ruling: Ruling) -> Iterator[TierTrace]:
    # About what a pod sends to itself no tier is asked, and where policies have no effect about nothing.
    reached = not connection.to_itself and connection.personality.enforcement is not Enforcement.NEVER
    for which, members in groupby(standing, key=lambda item: item.tier):
        asked = list(members)
        ends = Ends(connection)
        leaves = reached and tier(asked, connection, ends)
        users = any(item.policy.dialect == "calico" for item in asked)
        yield TierTrace(
            which.calico if users and which.calico else which.name,
            reached,
            _outcome(ends, leaves=leaves) if reached else "not asked",
            tuple(_policies(asked, connection, ruling, reached=reached)),
        )
        reached = reached and leaves


def _outcome(ends: Ends, *, leaves: bool) -> str:
    words = []
    if ends.allowed:
        words.append("allow")
    if ends.denied or ends.isolated or ends.refused:
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
            # NetworkPolicies have an order only beside Calico's policies.
            plain = item.tier == NETWORK_POLICY_TIER and not any(each.ordered for each in asked)
            place = "" if plain else "none" if item.order == inf else f"{item.order:g}"
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
