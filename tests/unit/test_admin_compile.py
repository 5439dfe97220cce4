"""Admin policies as neutral stages."""

from __future__ import annotations

from harness.dialects.admin.compile import compile_policies
from harness.model.policy import Policy
from harness.model.rules import Action, Block, Direction, Match, Ports, Reach, Stage
from harness.model.topology import Protocol
from tests.unit.kubernetes_worlds import pod, read, world

WORLD = world(
    pod("n/web", app="web", listen="http=80 metrics=9100"),
    pod("n/api", app="api", listen="metrics=9200/UDP"),
    pod("m/cli", app="cli", node="b"),
    pod("m/host", app="cli", host=True),
    namespaces={"m": {"team": "red"}, "n": {"team": "blue"}},
    externals={"in": "203.0.113.10 2001:db8::10", "out": "198.51.100.1"},
)


def stages(*specs: str, names: str = "abc") -> tuple[Stage, ...]:
    found: list[Policy] = []
    for name, spec in zip(names, specs, strict=False):
        text = (
            "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\n"
            f"metadata: {{name: {name}}}\nspec: {{{spec}}}\n"
        )
        (policy,), problems = read(text)
        assert policy is not None, [str(item) for item in problems.found]
        found.append(policy)
    return compile_policies(found, WORLD)


def matches(rule: str, direction: str = "ingress") -> list[Match]:
    (stage,) = stages(f"tier: Admin, priority: 1, subject: {{namespaces: {{}}}}, {direction}: [{{{rule}}}]")
    return [match for item in stage.blocks[0].rules for match in item.matches]


ALL = "{namespaces: {}}"
PODS = frozenset({"n/web", "n/api", "m/cli"})
"""Pods with their node's network are never selected."""


def test_a_stage_per_tier_and_direction_in_order_of_priority() -> None:
    rule = f"[{{action: Deny, from: [{ALL}]}}]"
    found = stages(
        f"tier: Admin, priority: 20, subject: {ALL}, ingress: {rule}",
        f"tier: Baseline, priority: 1, subject: {ALL}, ingress: {rule}",
        f"tier: Admin, priority: 3, subject: {{namespaces: {{matchLabels: {{team: red}}}}}}, ingress: {rule}",
    )
    assert [(item.name, item.direction, item.default, item.ordered) for item in found] == [
        ("Admin", Direction.INGRESS, Action.PASS, True),
        ("Baseline", Direction.INGRESS, Action.PASS, True),
    ]
    first, second = found[0].blocks
    assert (first.origin.policy, first.order, first.isolates) == ("ClusterNetworkPolicy c", 3, False)
    assert first.subjects == frozenset({"m/cli"})
    assert (second.order, second.subjects) == (20, PODS)


def test_policies_of_one_priority_stand_by_name() -> None:
    spec = f"tier: Admin, priority: 1, subject: {ALL}, ingress: [{{action: Pass, from: [{ALL}]}}]"
    (stage,) = stages(spec, spec, names="zb")
    assert [item.origin.policy for item in stage.blocks] == [
        "ClusterNetworkPolicy b",
        "ClusterNetworkPolicy z",
    ]


def test_peers_are_a_union() -> None:
    (found,) = matches(
        "action: Deny, to: [{pods: {podSelector: {matchLabels: {app: cli}}}}, {nodes: {}}, "
        "{networks: [203.0.113.0/24]}]",
        "egress",
    )
    assert (found.pods, found.nodes, found.ports) == (frozenset({"m/cli"}), frozenset("ab"), None)
    (block,) = found.blocks or ()
    assert (str(block.network), block.reach) == ("203.0.113.0/24", Reach.ANY)


def test_nodes_by_labels_that_the_lab_gives_them() -> None:
    (found,) = matches("action: Deny, to: [{nodes: {matchLabels: {kubernetes.io/hostname: b}}}]", "egress")
    assert found.nodes == frozenset("b")
    assert matches("action: Deny, to: [{nodes: {matchLabels: {zone: x}}}]", "egress") == []


def test_ports_by_number_and_by_name() -> None:
    ports = "[{tcp: {destinationPort: {range: {start: 80, end: 90}}}}, {destinationNamedPort: metrics}]"
    numbers, *named = matches(f"action: Deny, from: [{ALL}], protocols: {ports}")
    assert numbers.ports == (Ports(Protocol.TCP, 80, 90),)
    assert [(item.subjects, item.ports) for item in named] == [
        (frozenset({"n/web"}), (Ports(Protocol.TCP, 9100, 9100),)),
        (frozenset({"n/api"}), (Ports(Protocol.UDP, 9200, 9200),)),
    ]
    _, *named = matches(f"action: Deny, to: [{ALL}], protocols: {ports}", "egress")
    assert [(item.pods, item.ports) for item in named] == [
        (frozenset({"n/web"}), (Ports(Protocol.TCP, 9100, 9100),)),
        (frozenset({"n/api"}), (Ports(Protocol.UDP, 9200, 9200),)),
    ]


def test_domain_names_open_the_addresses_of_externals_and_say_that_this_is_open() -> None:
    rule = "{action: Accept, to: [{domainNames: [NAME]}]}"
    spec = f"tier: Admin, priority: 1, subject: {ALL}, egress: [{rule}]"
    for name in ("in.example.com", '"*.example.com"'):
        (stage,) = stages(spec.replace("NAME", name))
        (rule,) = stage.blocks[0].rules
        assert (rule.action, rule.open_point) == (Action.ALLOW, "domain-name")
        networks = [str(block.network) for block in rule.matches[0].blocks or ()]
        assert {"203.0.113.10/32", "2001:db8::10/128"} <= set(networks)
        assert ("198.51.100.1/32" in networks) is name.startswith('"')
    (stage,) = stages(spec.replace("NAME", "in.example.com").replace("Accept", "Deny"))
    assert stage.blocks[0].rules == ()


def test_every_address_block_is_meant_wherever_it_lies() -> None:
    (found,) = matches("action: Deny, to: [{networks: [0.0.0.0/0]}]", "egress")
    assert found.pods == frozenset()
    assert [type(block) for block in found.blocks or ()] == [Block]
    assert not found.any_peer
