"""Laws of NetworkPolicy (semantics.md 9, property tests), and the oracle against the compiled stages."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.dialects.connection import Connection, End, Ruling
from harness.dialects.kubernetes.compile import compile_policies
from harness.dialects.kubernetes.types import NetworkPolicy, PodPeer, PolicyRule
from harness.dialects.selectors import LabelSelector
from harness.model.policy import Policy
from harness.model.prediction import Answer
from harness.model.probe import SourceKind
from harness.model.rules import Action, Block, Direction, Match, Ports, Reach, Stage
from harness.model.topology import Family, Topology
from harness.oracle.tiers import decide as evaluate
from tests.unit.kubernetes_worlds import (
    HERE,
    RULES,
    SELECTORS,
    connections,
    every_connection,
    policies,
    worlds,
    wrap,
)

# A busy machine is slow, not wrong.
laws = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
DIRECTIONS = st.sampled_from(Direction)


def answer(found: Sequence[Policy], topology: Topology, direction: Direction, asked: Connection) -> Answer:
    ruling = evaluate(found, topology, direction, asked)
    return ruling.answer if ruling else Answer.ALLOW


@given(st.data(), worlds(), policies(), DIRECTIONS)
@laws
def test_an_added_policy_opens_an_isolated_pod_only_by_its_own_rules(
    data: st.DataObject, topology: Topology, found: list[Policy], direction: Direction
) -> None:
    asked = data.draw(connections(topology))
    (added,) = data.draw(policies(min_size=1, max_size=1))
    added = replace(added, name="added")
    before = evaluate(found, topology, direction, asked)
    after = evaluate([*found, added], topology, direction, asked)
    if before and after and before.answer is Answer.DENY and after.answer is Answer.ALLOW:
        assert {origin.policy for origin in after.deciding} == {str(added)}
    if before and before.answer is Answer.ALLOW:
        assert after is not None
        assert after.answer is Answer.ALLOW


@given(st.data(), worlds(), policies(), DIRECTIONS, SELECTORS)
@laws
def test_a_policy_without_rules_only_isolates(
    data: st.DataObject,
    topology: Topology,
    found: list[Policy],
    direction: Direction,
    selector: LabelSelector,
) -> None:
    asked = data.draw(connections(topology))
    empty = wrap(NetworkPolicy("n", selector, frozenset(Direction), (), (), HERE), "empty")
    before = evaluate(found, topology, direction, asked)
    after = evaluate([*found, empty], topology, direction, asked)
    if before is None:
        assert (
            after is None or after.answer is not Answer.ALLOW or asked.to_itself or own_node(asked, topology)
        )
    else:
        assert after is not None
        assert after.answer is before.answer


def own_node(asked: Connection, topology: Topology) -> bool:
    ends = (asked.source, asked.destination)
    nodes = [end for end in ends if is_node(end, topology)]
    return bool(nodes) and asked.source.node is not None and asked.source.node == asked.destination.node


@given(st.data(), worlds(), policies(), DIRECTIONS)
@laws
def test_order_of_policies_and_rules_is_irrelevant(
    data: st.DataObject, topology: Topology, found: list[Policy], direction: Direction
) -> None:
    asked = data.draw(connections(topology))
    shuffled = [
        replace(
            item,
            parsed=replace(
                item.parsed,
                ingress=tuple(data.draw(st.permutations(item.parsed.ingress))),
                egress=tuple(data.draw(st.permutations(item.parsed.egress))),
            ),
        )
        for item in data.draw(st.permutations(found))
    ]
    assert answer(found, topology, direction, asked) is answer(shuffled, topology, direction, asked)


@given(st.data(), worlds(), DIRECTIONS)
@laws
def test_without_policies_nobody_has_a_say(
    data: st.DataObject, topology: Topology, direction: Direction
) -> None:
    assert evaluate([], topology, direction, data.draw(connections(topology))) is None


@given(st.data(), worlds(), SELECTORS, SELECTORS, DIRECTIONS)
@laws
def test_both_selectors_match_no_more_than_each_alone(
    data: st.DataObject,
    topology: Topology,
    pods: LabelSelector,
    namespaces: LabelSelector,
    direction: Direction,
) -> None:
    asked = data.draw(connections(topology))
    every = LabelSelector()

    def with_peer(peer: PodPeer) -> Answer:
        rules = (PolicyRule((peer,), (), HERE),)
        found = [
            wrap(NetworkPolicy(namespace, every, frozenset(Direction), rules, rules, HERE), namespace)
            for namespace in ("m", "n")
        ]
        return answer(found, topology, direction, asked)

    if with_peer(PodPeer(pods, namespaces, HERE)) is Answer.ALLOW:
        assert with_peer(PodPeer(pods, every, HERE)) is Answer.ALLOW
        assert with_peer(PodPeer(every, namespaces, HERE)) is Answer.ALLOW


# The interpreter below reads the stages as harness/model/rules.py describes them, with an address for
# every pod and node, once with the rules on open points and once without.

ADDRESSES = {
    "m/a": "10.0.0.2 fd00:1::2",
    "m/b": "10.0.1.2 fd00:2::2",
    "n/a": "10.0.0.3 fd00:1::3",
    "n/b": "10.0.1.3 fd00:2::3",
    "a": "10.0.1.254 fd00:1::1",
    "b": "172.18.0.2 fd00:3::1",
}


def is_node(end: End, topology: Topology) -> bool:
    if end.kind is SourceKind.POD:
        return topology.pods[end.name].host_network
    return end.kind is SourceKind.NODE


class Interpreter:
    """Decides by stages alone."""

    def __init__(self, topology: Topology, asked: Connection, *, open_rules: bool) -> None:
        self.topology, self.asked, self.open_rules = topology, asked, open_rules

    def decide(self, stages: Sequence[Stage], direction: Direction) -> Action:
        subject = self.asked.subject(direction).name
        for stage in stages:
            if stage.direction is not direction:
                continue
            blocks = [block for block in stage.blocks if subject in block.subjects]
            for block in blocks:
                for rule in block.rules:
                    skipped = rule.open_point is not None and not self.open_rules
                    if not skipped and any(self.match(item, subject, direction) for item in rule.matches):
                        return rule.action
            if blocks:
                return stage.default
        return Action.ALLOW

    def match(self, match: Match, subject: str, direction: Direction) -> bool:
        if match.subjects is not None and subject not in match.subjects:
            return False
        if match.ports is not None and not any(self.port(item) for item in match.ports):
            return False
        peer = self.asked.peer(direction)
        if match.any_peer:
            return True
        is_pod = peer.kind is SourceKind.POD and not is_node(peer, self.topology)
        if is_pod and peer.name in (match.pods or ()):
            return True
        return any(self.block(item, peer, is_pod=is_pod) for item in match.blocks or ())

    def port(self, ports: Ports) -> bool:
        if ports.protocol is not self.asked.protocol:
            return False
        if ports.first is None or ports.last is None:
            return True
        return ports.first <= self.asked.port <= ports.last

    def block(self, block: Block, peer: End, *, is_pod: bool) -> bool:
        kind = Reach.OUTSIDE if peer.address else Reach.PODS if is_pod else Reach.NODES
        if block.reach not in (kind, Reach.ANY):
            return False
        address = peer.address
        if address is None:
            name = peer.name if is_pod or peer.kind is SourceKind.NODE else (peer.node or "a")
            v4, v6 = ADDRESSES[name].split()
            address = ipaddress.ip_address(v4 if self.asked.family is Family.IPV4 else v6)
        return address in block.network and not any(address in hole for hole in block.excepts)


@given(worlds(), policies(), st.sampled_from(Family))
@settings(laws, max_examples=300)
def test_the_oracle_and_the_compiled_stages_agree_wherever_paper_decides(
    topology: Topology, found: list[Policy], family: Family
) -> None:
    stages = compile_policies(found, topology)
    for asked in every_connection(topology, family):
        # A pod and itself, or its own node: decided before any rule is asked (semantics.md 3.1 no. 11).
        if not asked.to_itself and not own_node(asked, topology):
            for direction in Direction:
                agree(found, stages, topology, direction, asked)


def agree(
    found: list[Policy],
    stages: Sequence[Stage],
    topology: Topology,
    direction: Direction,
    asked: Connection,
) -> None:
    subject = asked.subject(direction)
    ruling: Ruling | None = evaluate(found, topology, direction, asked)
    if subject.kind is not SourceKind.POD:
        assert ruling is None
        return
    expected = ruling.answer if ruling else Answer.ALLOW
    with_open, without_open = (
        Interpreter(topology, asked, open_rules=choice).decide(stages, direction) for choice in (True, False)
    )
    if expected is not Answer.UNDEFINED:
        assert (with_open, without_open) == (expected.value, expected.value)
    elif not topology.pods[subject.name].host_network:
        # What paper leaves open, no definite rule allows.
        assert without_open is Action.DENY


@given(RULES)
@laws
def test_a_rule_has_no_more_open_forms_than_the_specification_leaves(rule: PolicyRule) -> None:
    topology = Topology()
    parsed = NetworkPolicy("n", LabelSelector(), frozenset({Direction.INGRESS}), (rule,), (), HERE)
    (stage,) = compile_policies([wrap(parsed, "p")], topology)
    points = [item.open_point for block in stage.blocks for item in block.rules]
    assert points[0] is None
    assert set(points[1:]) <= {"icmp", "ipblock-pod", "ipblock-node"}
    assert ("icmp" in points) is not bool(rule.ports)
