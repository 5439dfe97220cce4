"""Laws of NetworkPolicy (semantics.md 9, property tests), and the oracle against the compiled stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.dialects.connection import Connection, Ruling
from harness.dialects.kubernetes.compile import compile_policies
from harness.dialects.kubernetes.types import NetworkPolicy, PodPeer, PolicyRule
from harness.dialects.selectors import LabelSelector
from harness.model.policy import Policy
from harness.model.prediction import Answer
from harness.model.probe import SourceKind
from harness.model.rules import Action, Direction, Stage
from harness.model.topology import Family, Topology
from harness.oracle.tiers import decide as evaluate
from tests.unit.interpreter import Interpreter, own_node
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
