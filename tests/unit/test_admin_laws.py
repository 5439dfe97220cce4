"""Laws of admin policies beside NetworkPolicies (semantics.md 9); the oracle against the compiled stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.dialects.admin.types import AdminPolicy, AdminRule, AdminTier
from harness.dialects.connection import Connection, Ruling
from harness.dialects.registry import compile_all
from harness.model.policy import Policy
from harness.model.prediction import Answer
from harness.model.probe import SourceKind
from harness.model.rules import Action, Direction
from harness.model.topology import Family, Topology
from harness.oracle.tiers import decide
from tests.unit.admin_worlds import EVERY_POD, admin_policies, wrap
from tests.unit.interpreter import Interpreter, is_node, own_node
from tests.unit.kubernetes_worlds import HERE, connections, every_connection, policies, worlds

# A busy machine is slow, not wrong.
laws = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
DIRECTIONS = st.sampled_from(Direction)


def answer(found: Sequence[Policy], topology: Topology, direction: Direction, asked: Connection) -> Answer:
    ruling = decide(found, topology, direction, asked)
    return ruling.answer if ruling else Answer.ALLOW


def about_everybody(action: Action, tier: AdminTier = AdminTier.ADMIN, priority: int = 0) -> Policy:
    """A policy for all pods towards all pods; no drawn policy has its priority."""
    rule = AdminRule("", action, (EVERY_POD,), (), HERE)
    return wrap(AdminPolicy(tier, priority, EVERY_POD, (rule,), (rule,), HERE), "everybody")


def between_pods(asked: Connection, topology: Topology) -> bool:
    ends = (asked.source, asked.destination)
    plain = all(end.kind is SourceKind.POD and not is_node(end, topology) for end in ends)
    return plain and not asked.to_itself


@given(st.data(), worlds(), policies(), admin_policies(), DIRECTIONS)
@laws
def test_order_of_files_is_irrelevant(
    data: st.DataObject, topology: Topology, found: list[Policy], admin: list[Policy], direction: Direction
) -> None:
    asked = data.draw(connections(topology))
    shuffled = data.draw(st.permutations([*found, *admin]))
    assert answer([*found, *admin], topology, direction, asked) is answer(
        shuffled, topology, direction, asked
    )


@given(st.data(), worlds(), policies(), admin_policies(), DIRECTIONS)
@laws
def test_what_the_first_policy_says_of_all_pods_is_final(
    data: st.DataObject, topology: Topology, found: list[Policy], admin: list[Policy], direction: Direction
) -> None:
    asked = data.draw(connections(topology).filter(lambda item: between_pods(item, topology)))
    everything = [*found, *admin]
    for action, expected in ((Action.ALLOW, Answer.ALLOW), (Action.DENY, Answer.DENY)):
        assert answer([*everything, about_everybody(action)], topology, direction, asked) is expected


@given(st.data(), worlds(), policies(), admin_policies(), DIRECTIONS)
@laws
def test_passing_everything_first_is_having_no_admin_tier(
    data: st.DataObject, topology: Topology, found: list[Policy], admin: list[Policy], direction: Direction
) -> None:
    asked = data.draw(connections(topology).filter(lambda item: between_pods(item, topology)))
    below = [item for item in admin if item.parsed.tier is AdminTier.BASELINE]
    passed = answer([*found, *admin, about_everybody(Action.PASS)], topology, direction, asked)
    assert passed is answer([*found, *below], topology, direction, asked)


@given(st.data(), worlds(), policies(min_size=1), admin_policies(), DIRECTIONS)
@laws
def test_where_a_pod_is_isolated_the_baseline_counts_for_nothing(
    data: st.DataObject, topology: Topology, found: list[Policy], admin: list[Policy], direction: Direction
) -> None:
    # For ICMP it is open whether a NetworkPolicy isolates at all.
    asked = data.draw(connections(topology).filter(lambda item: item.port > 0))
    subject = asked.subject(direction)
    if decide(found, topology, direction, asked) is None or is_node(subject, topology):
        return
    above = [item for item in admin if item.parsed.tier is AdminTier.ADMIN]
    with_baseline = answer([*found, *admin], topology, direction, asked)
    assert with_baseline is answer([*found, *above], topology, direction, asked)


@given(st.data(), worlds(), admin_policies(min_size=1, tiers=(AdminTier.ADMIN,)), DIRECTIONS)
@laws
def test_without_network_policies_a_tier_is_as_good_as_the_other(
    data: st.DataObject, topology: Topology, admin: list[Policy], direction: Direction
) -> None:
    asked = data.draw(connections(topology))
    moved = [replace(item, parsed=replace(item.parsed, tier=AdminTier.BASELINE)) for item in admin]
    assert answer(admin, topology, direction, asked) is answer(moved, topology, direction, asked)


@given(st.data(), worlds(), policies(), admin_policies(), admin_policies(min_size=1, max_size=1), DIRECTIONS)
@laws
def test_the_last_policy_of_a_tier_changes_nothing_that_a_rule_before_it_settles(
    data: st.DataObject,
    topology: Topology,
    found: list[Policy],
    admin: list[Policy],
    added: list[Policy],
    direction: Direction,
) -> None:
    asked = data.draw(connections(topology))
    (last,) = added
    last = replace(last, name="last", parsed=replace(last.parsed, tier=AdminTier.ADMIN, priority=1000))
    above = [item for item in admin if item.parsed.tier is AdminTier.ADMIN]
    alone = decide(above, topology, direction, asked)
    if alone is None or not alone.deciding or alone.answer is Answer.UNDEFINED:
        return
    before = answer([*found, *admin], topology, direction, asked)
    assert answer([*found, *admin, last], topology, direction, asked) is before


@given(st.data(), worlds(), admin_policies(), DIRECTIONS)
@laws
def test_selecting_pods_isolates_nobody(
    data: st.DataObject, topology: Topology, admin: list[Policy], direction: Direction
) -> None:
    asked = data.draw(connections(topology))
    accepting = [
        replace(
            item,
            parsed=replace(
                item.parsed,
                ingress=tuple(rule for rule in item.parsed.ingress if rule.action is not Action.DENY),
                egress=tuple(rule for rule in item.parsed.egress if rule.action is not Action.DENY),
            ),
        )
        for item in admin
    ]
    assert answer(accepting, topology, direction, asked) is Answer.ALLOW


@given(worlds(), policies(), admin_policies(min_size=1), st.sampled_from(Family))
@settings(laws, max_examples=50)
def test_the_oracle_and_the_compiled_stages_agree_wherever_paper_decides(
    topology: Topology, found: list[Policy], admin: list[Policy], family: Family
) -> None:
    everything = [*found, *admin]
    stages = compile_all(everything, topology)
    for asked in every_connection(topology, family):
        # A pod and itself, or its own node: decided before any rule is asked (semantics.md 3.1 no. 11).
        if asked.to_itself or own_node(asked, topology):
            continue
        for direction in Direction:
            ruling: Ruling | None = decide(everything, topology, direction, asked)
            if asked.subject(direction).kind is not SourceKind.POD:
                assert ruling is None
                continue
            expected = ruling.answer if ruling else Answer.ALLOW
            if expected is Answer.UNDEFINED:
                continue
            for choice in (True, False):
                got = Interpreter(topology, asked, open_rules=choice).decide(stages, direction)
                assert got == expected.value, (asked, direction, ruling)
