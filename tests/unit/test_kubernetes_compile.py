from __future__ import annotations

from ipaddress import ip_network

import pytest

from harness.dialects.kubernetes.compile import compile_policies
from harness.model.rules import Action, Block, Condition, Direction, Match, Ports, Reach, Stage
from harness.model.topology import Topology
from tests.unit.kubernetes_worlds import ICMP, SCTP, TCP, UDP, pod, policy, world

WORLD = world(
    pod("n/a", app="web", listen="http=80 dns=53/UDP"),
    pod("n/b", app="web", listen="http=8080"),
    pod("n/c", app="cli", listen="80"),
    pod("m/a", app="web", listen="http=80"),
    pod("n/h", app="web", listen="http=80", host=True),
    namespaces={"m": {"team": "red"}},
)
ALL = (Ports(TCP), Ports(UDP), Ports(SCTP))


def stages(*specs: str, topology: Topology = WORLD) -> tuple[Stage, ...]:
    return compile_policies([policy(spec, f"p{number}") for number, spec in enumerate(specs)], topology)


def first(spec: str) -> tuple[Match, ...]:
    """Matches of the first rule of the only stage."""
    (stage,) = stages(spec)
    return stage.blocks[0].rules[0].matches


def test_one_stage_per_direction_that_some_policy_has() -> None:
    assert [stage.direction for stage in stages("podSelector: {}")] == [Direction.INGRESS]
    both = stages("podSelector: {}", "policyTypes: [Egress]")
    assert {stage.direction for stage in both} == set(Direction)
    assert all(stage.default is Action.DENY and len(stage.blocks) == 1 for stage in both)
    assert stages() == ()


def test_subjects_are_pods_of_the_namespace_without_hostnetwork() -> None:
    (stage,) = stages("podSelector: {matchLabels: {app: web}}")
    (block,) = stage.blocks
    assert block.subjects == {"n/a", "n/b"}
    assert block.rules == ()
    assert str(block.origin) == "NetworkPolicy n/p0 at p.yaml:1"


def test_rules_keep_their_order_and_origin() -> None:
    (stage,) = stages("ingress: [{ports: [{port: 1}]}, {ports: [{port: 2}]}]")
    origins = [rule.origin for rule in stage.blocks[0].rules]
    assert [(item.policy, item.rule) for item in origins] == [
        ("NetworkPolicy n/p0", "ingress[0]"),
        ("NetworkPolicy n/p0", "ingress[1]"),
    ]
    assert all(item.place and item.place.line == 5 for item in origins)


@pytest.mark.parametrize(
    ("peer", "pods"),
    [
        ("{podSelector: {}}", {"n/a", "n/b", "n/c"}),
        ("{podSelector: {matchLabels: {app: web}}}", {"n/a", "n/b"}),
        ("{namespaceSelector: {}}", {"n/a", "n/b", "n/c", "m/a"}),
        ("{namespaceSelector: {matchLabels: {team: red}}}", {"m/a"}),
        ("{namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}", {"n/a", "n/b", "m/a"}),
        ("{podSelector: {matchLabels: {app: none}}}", set()),
        ("{podSelector: {matchLabels: {app: cli}}}, {namespaceSelector: {matchLabels: {team: red}}}", {"n/c", "m/a"}),  # noqa: E501
    ],
)  # fmt: skip
def test_pod_peers(peer: str, pods: set[str]) -> None:
    assert first(f"ingress: [{{from: [{peer}]}}]") == (Match(pods=frozenset(pods), ports=ALL),)


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        ("{port: 80}", (Ports(TCP, 80, 80),)),
        ("{port: 80, endPort: 90, protocol: UDP}", (Ports(UDP, 80, 90),)),
        ("{protocol: SCTP}", (Ports(SCTP),)),
        ("{port: 80}, {port: 53, protocol: UDP}", (Ports(TCP, 80, 80), Ports(UDP, 53, 53))),
    ],
)
def test_numeric_ports(ports: str, expected: tuple[Ports, ...]) -> None:
    assert first(f"ingress: [{{ports: [{ports}]}}]") == (Match(ports=expected),)


def test_named_ports_of_ingress_differ_by_subject() -> None:
    assert first("ingress: [{ports: [{port: http}, {port: 9}]}]") == (
        Match(ports=(Ports(TCP, 9, 9),)),
        Match(subjects=frozenset({"n/a"}), ports=(Ports(TCP, 80, 80),)),
        Match(subjects=frozenset({"n/b"}), ports=(Ports(TCP, 8080, 8080),)),
    )


def test_named_ports_need_their_protocol() -> None:
    assert first("ingress: [{ports: [{port: dns}]}]") == ()
    assert first("ingress: [{ports: [{port: dns, protocol: UDP}]}]") == (
        Match(subjects=frozenset({"n/a"}), ports=(Ports(UDP, 53, 53),)),
    )


def test_named_ports_of_egress_differ_by_destination() -> None:
    spec = "policyTypes: [Egress]\negress: [{to: [{podSelector: {}}], ports: [{port: http}]}]"
    assert first(spec) == (
        Match(pods=frozenset({"n/a"}), ports=(Ports(TCP, 80, 80),)),
        Match(pods=frozenset({"n/b"}), ports=(Ports(TCP, 8080, 8080),)),
    )


def test_named_ports_of_egress_to_every_peer_reach_all_pods_that_have_them() -> None:
    assert first("policyTypes: [Egress]\negress: [{ports: [{port: http}]}]") == (
        Match(pods=frozenset({"n/a", "m/a"}), ports=(Ports(TCP, 80, 80),)),
        Match(pods=frozenset({"n/b"}), ports=(Ports(TCP, 8080, 8080),)),
    )


def test_named_ports_of_egress_towards_a_block_are_open_in_pods_and_nothing_outside() -> None:
    block = "{cidr: 0.0.0.0/0, except: [10.1.0.0/16]}"
    (stage,) = stages(
        f"policyTypes: [Egress]\negress: [{{to: [{{ipBlock: {block}}}], ports: [{{port: http}}]}}]"
    )
    within = (
        Condition(True, networks=(ip_network("0.0.0.0/0"),)),
        Condition(False, networks=(ip_network("10.1.0.0/16"),)),
    )
    assert [(rule.open_point, rule.matches) for block in stage.blocks for rule in block.rules] == [
        (None, ()),
        (
            "ipblock-pod",
            (
                Match(pods=frozenset({"n/a", "m/a"}), ports=(Ports(TCP, 80, 80),), conditions=within),
                Match(pods=frozenset({"n/b"}), ports=(Ports(TCP, 8080, 8080),), conditions=within),
            ),
        ),
    ]


def test_address_blocks_are_definite_outside_and_open_inside() -> None:
    (stage,) = stages(
        "ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}], ports: [{port: 80}]}]"
    )
    definite, open_ended = stage.blocks
    assert definite.subjects == open_ended.subjects
    (rule,) = definite.rules
    assert rule.open_point is None
    assert rule.matches[0].blocks is not None
    (block,) = rule.matches[0].blocks
    assert (str(block.network), [str(item) for item in block.excepts]) == ("10.0.0.0/8", ["10.1.0.0/16"])
    assert block.reach is Reach.OUTSIDE
    found = [(item.open_point, item.matches) for item in open_ended.rules]
    assert found == [
        (point, (Match(blocks=(Block(block.network, block.excepts, reach),), ports=(Ports(TCP, 80, 80),)),))
        for point, reach in (("ipblock-pod", Reach.PODS), ("ipblock-node", Reach.NODES))
    ]


def test_without_ports_icmp_is_open_and_the_rest_is_not() -> None:
    (stage,) = stages("ingress: [{from: [{podSelector: {matchLabels: {app: cli}}}]}]")
    definite, open_ended = stage.blocks
    assert [rule.matches for rule in definite.rules] == [(Match(pods=frozenset({"n/c"}), ports=ALL),)]
    assert [(rule.open_point, rule.matches) for rule in open_ended.rules] == [
        ("icmp", (Match(pods=frozenset({"n/c"}), ports=(Ports(ICMP),)),))
    ]


def test_open_rules_stand_after_the_definite_ones_of_all_policies() -> None:
    (stage,) = stages("ingress: [{}]", "ingress: [{ports: [{port: 80}]}]", "ingress: [{}]")
    points = [[rule.open_point for rule in block.rules] for block in stage.blocks]
    assert points == [[None], [None], [None], ["icmp"], ["icmp"]]


def test_nothing_is_evaluated_only_the_world_is_looked_up() -> None:
    before = stages("ingress: [{from: [{namespaceSelector: {matchLabels: {team: red}}}]}]")
    unlabelled = world(*WORLD.pods.values())
    after = stages(
        "ingress: [{from: [{namespaceSelector: {matchLabels: {team: red}}}]}]", topology=unlabelled
    )
    assert before[0].blocks[0].rules[0].matches[0].pods == {"m/a"}
    assert after[0].blocks[0].rules[0].matches[0].pods == frozenset()
