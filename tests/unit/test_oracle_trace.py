"""The trace of a prediction: every policy that selects a side, rule by rule, and the one that decides."""

from __future__ import annotations

import textwrap

from harness.model.policy import Policy
from harness.model.prediction import Answer
from harness.model.rules import Action, Direction
from harness.model.trace import SideTrace
from harness.oracle import trace
from tests.unit.kubernetes_worlds import pod, probe, read, world

WORLD = world(
    pod("n/web", app="web", listen="http=80 8080", node="a"),
    pod("n/cli", app="cli", node="b"),
    pod("m/cli", app="cli", node="b"),
    namespaces={"m": {"team": "red"}, "n": {"team": "blue"}},
    externals={"out": "203.0.113.10"},
)

POLICIES = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: "n"}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
    - from: [{podSelector: {matchLabels: {app: cli}}}, {ipBlock: {cidr: 198.51.100.0/24}}]
      ports: [{port: http}, {port: 81, endPort: 90}]
    - ports: [{port: 443}]
---
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: late}
spec:
  tier: Admin
  priority: 20
  subject: {namespaces: {}}
  ingress: [{action: Accept, from: [{namespaces: {}}]}]
---
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: early}
spec:
  tier: Admin
  priority: 5
  subject: {namespaces: {}}
  ingress:
    - action: Deny
      from: [{namespaces: {matchLabels: {team: red}}}]
      protocols: [{tcp: {destinationPort: {number: 80}}}, {destinationNamedPort: other}]
    - {action: Pass, from: [{namespaces: {}}]}
    - {action: Deny, from: [{namespaces: {}}]}
---
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: elsewhere}
spec:
  tier: Baseline
  priority: 0
  subject: {namespaces: {matchLabels: {team: green}}}
  ingress: [{action: Deny, from: [{namespaces: {}}]}]
"""


def policies() -> list[Policy]:
    found, problems = read(textwrap.dedent(POLICIES))
    assert problems.found == []
    return [item for item in found if item]


def sides(text: str) -> tuple[SideTrace, SideTrace]:
    egress, ingress = trace(WORLD, policies(), probe(text))
    return egress, ingress


def test_tiers_policies_and_rules_stand_in_the_order_in_which_they_are_asked() -> None:
    egress, ingress = sides("n/cli -> n/web:80")
    assert (egress.direction, egress.subject, egress.peer, egress.port) == (
        Direction.EGRESS,
        "n/cli",
        "n/web",
        "80/TCP",
    )
    assert egress.tiers == ()
    assert ingress.answer is Answer.ALLOW
    assert [(tier.name, tier.reached, tier.outcome) for tier in ingress.tiers] == [
        ("Admin", True, "pass on"),
        ("NetworkPolicy", True, "allow"),
    ]
    admin, network = ingress.tiers
    assert [(item.origin.policy, item.place) for item in admin.policies] == [
        ("ClusterNetworkPolicy early", "5"),
        ("ClusterNetworkPolicy late", "20"),
    ]
    early, late = admin.policies
    assert [(rule.action, rule.reached, rule.matched) for rule in early.rules] == [
        (Action.DENY, True, False),
        (Action.PASS, True, True),
        (Action.DENY, False, True),
    ]
    assert [rule.reached for rule in late.rules] == [False]
    (web,) = network.policies
    assert web.isolates
    assert [(rule.origin.rule, rule.matched, rule.decides) for rule in web.rules] == [
        ("ingress[0]", True, True),
        ("ingress[1]", False, False),
    ]
    assert [str(item) for item in ingress.bystanders] == ["ClusterNetworkPolicy elsewhere at p.yaml:34"]


def test_each_peer_and_port_says_why() -> None:
    (web,) = sides("n/cli -> n/web:8080")[1].tiers[1].policies
    first = web.rules[0]
    assert [(part.name, part.matched, part.why) for part in first.peers] == [
        ("from[0]", True, "n/cli matches"),
        (
            "from[1]",
            False,
            "n/cli against 198.51.100.0/24: ipBlocks are meant for addresses outside of the cluster",
        ),
    ]
    assert [(part.name, part.matched, part.why) for part in first.ports] == [
        ("ports[0]", False, "wants http/TCP"),
        ("ports[1]", False, "wants 81-90/TCP"),
    ]
    assert first.peers[0].place is not None
    assert first.peers[0].place.line == 7
    red = sides("m/cli -> n/web:80")[1].tiers[0].policies[0].rules[0]
    assert [(part.name, part.matched, part.why) for part in (*red.peers, *red.ports)] == [
        ("from[0]", True, "m/cli matches"),
        ("protocols[0]", True, "wants 80/TCP"),
        ("protocols[1]", False, "wants the port that the pod calls other"),
    ]


def test_what_denies_is_marked_and_the_tiers_behind_are_not_reached() -> None:
    ingress = sides("m/cli -> n/web:80")[1]
    assert ingress.answer is Answer.DENY
    assert [str(item) for item in ingress.deciding] == ["ClusterNetworkPolicy early ingress[0] at p.yaml:28"]
    admin, network = ingress.tiers
    assert (admin.outcome, network.reached, network.outcome) == ("deny", False, "not asked")
    assert admin.policies[0].rules[0].decides
    assert not any(rule.reached for rule in network.policies[0].rules)


def test_no_tier_is_asked_about_what_a_pod_sends_to_itself() -> None:
    egress, ingress = sides("n/web -> n/web:80")
    assert (egress.answer, ingress.answer) == (Answer.ALLOW, Answer.ALLOW)
    assert [tier.reached for tier in ingress.tiers] == [False, False]


def test_isolation_is_the_decision_of_the_policy_as_a_whole() -> None:
    ingress = sides("external:out -> n/web:80")[1]
    (web,) = ingress.tiers[1].policies
    assert (ingress.answer, web.decides) == (Answer.DENY, True)
    assert web.rules[0].peers[0].why == "external:out is no pod"
    assert web.rules[0].peers[1].why == "203.0.113.10 against 198.51.100.0/24"
