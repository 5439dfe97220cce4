"""Admin policies on paper (semantics.md 3.2), alone and together with NetworkPolicies."""
# ruff: noqa: E501 - a row of the table is a line

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.model.policy import Policy
from harness.model.prediction import Answer
from harness.model.rules import Direction
from harness.model.topology import Family, Service, ServicePort
from harness.oracle.predict import predict
from harness.oracle.tiers import decide
from tests.unit.kubernetes_worlds import connection, pod, policy, probe, read, world

INGRESS, EGRESS = Direction.INGRESS, Direction.EGRESS
ALLOW, DENY, UNDEFINED = Answer.ALLOW, Answer.DENY, Answer.UNDEFINED
FREE = None
"""No policy has a say."""

WORLD = world(
    pod("n/web", app="web", listen="http=80 8080 dns=53/UDP both=53", node="a"),
    pod("n/cli", app="cli"),
    pod("m/cli", app="cli", node="b"),
    pod("m/web", app="web", listen="http=8080", node="b"),
    pod("o/bare", listen="80"),
    pod("n/host", app="cli", host=True, listen="http=80", node="a"),
    pod("n/far", app="cli", host=True, listen="http=80", node="b"),
    namespaces={"m": {"team": "red"}, "n": {"team": "blue"}},
    externals={"in": "203.0.113.10 2001:db8::10", "out": "198.51.100.1 2001:db8:1::1"},
    services=(Service("n", "web", {"app": "web"}, (ServicePort(80, 80),)),),
)

ALL = {"namespaces": {}}
RED = {"namespaces": {"matchLabels": {"team": "red"}}}
BLUE = {"namespaces": {"matchLabels": {"team": "blue"}}}
CLI = {"pods": {"podSelector": {"matchLabels": {"app": "cli"}}}}
TCP80 = [{"tcp": {"destinationPort": {"number": 80}}}]


def rule(action: str, *peers: Any, **more: Any) -> dict[str, Any]:
    return {"action": action, "peers": list(peers or (ALL,)), **more}


def cnp(
    *rules: dict[str, Any],
    tier: str = "Admin",
    priority: int = 1,
    subject: Any = ALL,
    direction: Direction = INGRESS,
    name: str = "",
) -> Policy:
    side = "from" if direction is INGRESS else "to"
    made = [{side if key == "peers" else key: value for key, value in one.items()} for one in rules]
    spec = {"tier": tier, "priority": priority, "subject": subject, str(direction): made}
    return parsed("v1alpha2", "ClusterNetworkPolicy", name or f"{tier}-{priority}".lower(), spec)


def anp(*rules: dict[str, Any], priority: int = 1) -> Policy:
    made = [{"from" if key == "peers" else key: value for key, value in one.items()} for one in rules]
    return parsed(
        "v1alpha1", "AdminNetworkPolicy", "old", {"priority": priority, "subject": ALL, "ingress": made}
    )


def banp(*rules: dict[str, Any]) -> Policy:
    made = [{"from" if key == "peers" else key: value for key, value in one.items()} for one in rules]
    return parsed("v1alpha1", "BaselineAdminNetworkPolicy", "default", {"subject": ALL, "ingress": made})


def parsed(version: str, kind: str, name: str, spec: dict[str, Any]) -> Policy:
    text = {
        "apiVersion": f"policy.networking.k8s.io/{version}",
        "kind": kind,
        "metadata": {"name": name},
        "spec": spec,
    }
    (found,), problems = read(json.dumps(text))
    assert found is not None, [str(item) for item in problems.found]
    return found


def egress(*rules: dict[str, Any], **more: Any) -> Policy:
    return cnp(*rules, direction=EGRESS, **more)


ISOLATED = policy("podSelector: {}")
OPEN_NP = policy("ingress: [{}]", "open")
FROM_CLI = policy("ingress: [{from: [{podSelector: {matchLabels: {app: cli}}}]}]", "from-cli")

IN, RED_IN, OUT = "n/cli -> n/web 80", "m/cli -> n/web 80", "n/web -> external:in 443"

TABLE = [
    # Actions, and what no rule speaks of
    ("accept", [cnp(rule("Accept"))], INGRESS, IN, ALLOW),
    ("deny", [cnp(rule("Deny"))], INGRESS, IN, DENY),
    ("pass", [cnp(rule("Pass"))], INGRESS, IN, ALLOW),
    ("selecting isolates nobody", [cnp(rule("Accept", RED))], INGRESS, IN, ALLOW),
    ("not selected", [cnp(rule("Deny"), subject=RED)], INGRESS, IN, FREE),
    ("the other direction", [cnp(rule("Deny"))], EGRESS, IN, FREE),
    ("subject by pods", [cnp(rule("Deny"), subject=CLI)], INGRESS, "m/web -> n/cli 80", DENY),
    ("subject by pods, another pod", [cnp(rule("Deny"), subject=CLI)], INGRESS, IN, FREE),
    # Order of rules and of policies
    ("the first rule decides", [cnp(rule("Accept", RED), rule("Deny"))], INGRESS, RED_IN, ALLOW),
    ("and not the second", [cnp(rule("Deny"), rule("Accept", RED))], INGRESS, RED_IN, DENY),
    ("the lowest priority decides", [cnp(rule("Deny"), priority=9), cnp(rule("Accept"), priority=3)], INGRESS, IN, ALLOW),
    ("what it does not match goes on", [cnp(rule("Accept", RED), priority=3), cnp(rule("Deny"), priority=9)], INGRESS, IN, DENY),
    ("pass leaves the tier", [cnp(rule("Pass"), priority=3), cnp(rule("Deny"), priority=9)], INGRESS, IN, ALLOW),
    ("priority 0 and 1000", [cnp(rule("Deny"), priority=1000), cnp(rule("Accept"), priority=0)], INGRESS, IN, ALLOW),
    # Tiers
    ("admin deny over NetworkPolicy", [OPEN_NP, cnp(rule("Deny"))], INGRESS, IN, DENY),
    ("admin accept over isolation", [ISOLATED, cnp(rule("Accept"))], INGRESS, IN, ALLOW),
    ("admin pass, then isolated", [ISOLATED, cnp(rule("Pass"))], INGRESS, IN, DENY),
    ("admin pass, then allowed", [FROM_CLI, cnp(rule("Pass"), rule("Deny"))], INGRESS, IN, ALLOW),
    ("baseline deny", [cnp(rule("Deny"), tier="Baseline")], INGRESS, IN, DENY),
    ("baseline under a NetworkPolicy that allows", [OPEN_NP, cnp(rule("Deny"), tier="Baseline")], INGRESS, IN, ALLOW),
    ("baseline under a NetworkPolicy that does not", [ISOLATED, cnp(rule("Accept"), tier="Baseline")], INGRESS, IN, DENY),
    ("baseline of other namespaces", [ISOLATED, cnp(rule("Deny"), tier="Baseline")], INGRESS, "n/cli -> m/web 80", DENY),
    ("admin accept over baseline", [cnp(rule("Deny"), tier="Baseline"), cnp(rule("Accept"))], INGRESS, IN, ALLOW),
    ("admin pass to baseline", [cnp(rule("Deny"), tier="Baseline"), cnp(rule("Pass"))], INGRESS, IN, DENY),
    ("baseline pass", [cnp(rule("Pass"), rule("Deny"), tier="Baseline")], INGRESS, IN, ALLOW),
    ("priorities of different tiers never meet", [cnp(rule("Deny"), priority=500), cnp(rule("Accept"), tier="Baseline", priority=0)], INGRESS, IN, DENY),
    # The kinds of v1alpha1
    ("old admin", [anp(rule("Deny", RED)), OPEN_NP], INGRESS, RED_IN, DENY),
    ("old and new by priority", [anp(rule("Allow"), priority=2), cnp(rule("Deny"), priority=1)], INGRESS, IN, DENY),
    ("old baseline", [banp(rule("Deny", RED))], INGRESS, RED_IN, DENY),
    ("old baseline under a NetworkPolicy", [banp(rule("Deny")), OPEN_NP], INGRESS, IN, ALLOW),
    ("old ports", [anp(rule("Deny", ports=[{"portNumber": {"port": 80}}]))], INGRESS, IN, DENY),
    ("old ports are TCP by default", [anp(rule("Deny", ports=[{"portNumber": {"port": 53}}]))], INGRESS, "n/cli -> n/web 53/UDP", ALLOW),
    ("old named port", [anp(rule("Deny", ports=[{"namedPort": "dns"}]))], INGRESS, "n/cli -> n/web 53/UDP", DENY),
    # Peers
    ("peers are alternatives", [cnp(rule("Deny", RED, CLI))], INGRESS, IN, DENY),
    ("namespace AND pods", [cnp(rule("Deny", {"pods": {"namespaceSelector": {"matchLabels": {"team": "red"}}, "podSelector": {"matchLabels": {"app": "web"}}}}))], INGRESS, RED_IN, ALLOW),
    ("NotIn with the key absent", [cnp(rule("Deny", {"namespaces": {"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["blue"]}]}}))], INGRESS, "o/bare -> n/web 80", DENY),
    ("externals are no pods", [cnp(rule("Deny"))], INGRESS, "external:in -> n/web 80", ALLOW),
    ("nodes are no pods", [cnp(rule("Deny"))], INGRESS, "node:b -> n/web 80", ALLOW),
    ("hostNetwork peers are never selected", [cnp(rule("Deny"))], INGRESS, "n/far -> n/web 80", ALLOW),
    ("hostNetwork subjects are never selected", [cnp(rule("Deny"))], INGRESS, "n/cli -> n/host 80", FREE),
    # Networks
    ("network of an external", [egress(rule("Deny", {"networks": ["203.0.113.0/24"]}))], EGRESS, OUT, DENY),
    ("network of another", [egress(rule("Deny", {"networks": ["198.51.100.0/24"]}))], EGRESS, OUT, ALLOW),
    ("one of several networks", [egress(rule("Deny", {"networks": ["198.51.100.0/24", "203.0.113.10/32"]}))], EGRESS, OUT, DENY),
    ("every address, a pod", [egress(rule("Deny", {"networks": ["0.0.0.0/0"]}))], EGRESS, "n/web -> m/web 80", DENY),
    ("every address of the other family", [egress(rule("Deny", {"networks": ["::/0"]}))], EGRESS, "n/web -> m/web 80", ALLOW),
    ("every address, a node", [egress(rule("Deny", {"networks": ["0.0.0.0/0"]}))], EGRESS, "n/web -> node:b 80", DENY),
    ("some addresses, a pod", [egress(rule("Deny", {"networks": ["10.0.0.0/8"]}))], EGRESS, "n/web -> m/web 80", UNDEFINED),
    ("some addresses, and all the same in the end", [egress(rule("Deny", {"networks": ["10.0.0.0/8"]}), rule("Deny"))], EGRESS, "n/web -> m/web 80", DENY),
    ("addresses that no pod has", [egress(rule("Deny", {"networks": ["203.0.113.0/24"]}))], EGRESS, "n/web -> m/web 80", ALLOW),
    ("IPv6", [egress(rule("Deny", {"networks": ["2001:db8::/64"]}))], EGRESS, f"6 {OUT}", DENY),
    # Nodes
    ("nodes", [egress(rule("Deny", {"nodes": {}}))], EGRESS, "n/web -> node:b 80", DENY),
    ("nodes are pods in their network", [egress(rule("Deny", {"nodes": {}}))], EGRESS, "n/web -> n/far 80", DENY),
    ("nodes are no other pods", [egress(rule("Deny", {"nodes": {}}))], EGRESS, "n/web -> m/web 80", ALLOW),
    ("nodes are no externals", [egress(rule("Deny", {"nodes": {}}))], EGRESS, OUT, ALLOW),
    ("nodes by labels", [egress(rule("Deny", {"nodes": {"matchLabels": {"zone": "x"}}}))], EGRESS, "n/web -> node:b 80", UNDEFINED),
    ("the own node", [egress(rule("Deny", {"nodes": {}}))], EGRESS, "n/web -> node:a 80", UNDEFINED),
    ("the own node, isolated only", [egress(rule("Pass", {"nodes": {}})), policy("policyTypes: [Egress]")], EGRESS, "n/web -> node:a 80", ALLOW),
    ("a node of which nobody knows", [egress(rule("Deny", {"nodes": {}}))], EGRESS, "n/cli -> node:a 80", UNDEFINED),
    # Domain names
    ("a name of the external", [egress(rule("Accept", {"domainNames": ["in.example.com"]}), rule("Deny", {"networks": ["0.0.0.0/0"]}))], EGRESS, OUT, UNDEFINED),
    ("a wildcard", [egress(rule("Accept", {"domainNames": ["*.example.com"]}), rule("Deny", {"networks": ["0.0.0.0/0"]}))], EGRESS, OUT, UNDEFINED),
    ("a wildcard is no apex", [egress(rule("Accept", {"domainNames": ["*.in.example.com"]}), rule("Deny", {"networks": ["0.0.0.0/0"]}))], EGRESS, OUT, DENY),
    ("names of others", [egress(rule("Accept", {"domainNames": ["kubernetes.io"]}), rule("Deny", {"networks": ["0.0.0.0/0"]}))], EGRESS, OUT, DENY),
    ("a name that changes nothing", [egress(rule("Accept", {"domainNames": ["in.example.com"]}))], EGRESS, OUT, ALLOW),
    # Ports
    ("port", [cnp(rule("Deny", protocols=TCP80))], INGRESS, IN, DENY),
    ("another port", [cnp(rule("Deny", protocols=TCP80))], INGRESS, "n/cli -> n/web 8080", ALLOW),
    ("another protocol", [cnp(rule("Deny", protocols=TCP80))], INGRESS, "n/cli -> n/web 80/UDP", ALLOW),
    ("first of a range", [cnp(rule("Deny", protocols=[{"tcp": {"destinationPort": {"range": {"start": 80, "end": 90}}}}]))], INGRESS, IN, DENY),
    ("last of a range", [cnp(rule("Deny", protocols=[{"tcp": {"destinationPort": {"range": {"start": 70, "end": 80}}}}]))], INGRESS, IN, DENY),
    ("beyond a range", [cnp(rule("Deny", protocols=[{"tcp": {"destinationPort": {"range": {"start": 70, "end": 79}}}}]))], INGRESS, IN, ALLOW),
    ("a name", [cnp(rule("Deny", protocols=[{"destinationNamedPort": "http"}]))], INGRESS, IN, DENY),
    ("a name, another number", [cnp(rule("Deny", protocols=[{"destinationNamedPort": "http"}]))], INGRESS, "n/cli -> n/web 8080", ALLOW),
    ("a name, another pod's number", [cnp(rule("Deny", protocols=[{"destinationNamedPort": "http"}]))], INGRESS, "n/cli -> m/web 8080", DENY),
    ("a name has its own protocol", [cnp(rule("Deny", protocols=[{"destinationNamedPort": "both"}]))], INGRESS, "n/cli -> n/web 53/UDP", ALLOW),
    ("a name of the destination, egress", [egress(rule("Deny", protocols=[{"destinationNamedPort": "http"}]))], EGRESS, "n/web -> m/web 8080", DENY),
    # ICMP
    ("ICMP without ports", [cnp(rule("Deny"))], INGRESS, "n/cli -> n/web ICMP", DENY),
    ("ICMP with ports", [cnp(rule("Deny", protocols=TCP80))], INGRESS, "n/cli -> n/web ICMP", ALLOW),
    ("ICMP accepted in spite of isolation", [ISOLATED, cnp(rule("Accept"))], INGRESS, "n/cli -> n/web ICMP", ALLOW),
    ("ICMP passed to isolation", [ISOLATED, cnp(rule("Pass"))], INGRESS, "n/cli -> n/web ICMP", UNDEFINED),
    # Equal priorities
    ("equal priority, different ends", [cnp(rule("Accept"), name="a"), cnp(rule("Deny"), name="b")], INGRESS, IN, UNDEFINED),
    ("equal priority, the same end", [cnp(rule("Deny"), name="a"), cnp(rule("Deny", RED), name="b")], INGRESS, RED_IN, DENY),
    ("equal priority, only one matches", [cnp(rule("Accept"), name="a"), cnp(rule("Deny", RED), name="b")], INGRESS, IN, ALLOW),
    ("equal priority, settled before", [cnp(rule("Deny"), priority=0), cnp(rule("Accept"), name="a"), cnp(rule("Deny"), name="b")], INGRESS, IN, DENY),
    ("equal priority, pass and allow, allowed anyway", [cnp(rule("Accept"), name="a"), cnp(rule("Pass"), name="b")], INGRESS, IN, ALLOW),
    ("equal priority, pass and allow, isolated", [ISOLATED, cnp(rule("Accept"), name="a"), cnp(rule("Pass"), name="b")], INGRESS, IN, UNDEFINED),
    ("equal priority of old and new", [anp(rule("Allow")), cnp(rule("Deny"))], INGRESS, IN, UNDEFINED),
    ("equal numbers in different tiers", [cnp(rule("Accept")), cnp(rule("Deny"), tier="Baseline")], INGRESS, IN, ALLOW),
    # What is open in a lower tier counts only if it is reached
    ("open below, settled above", [cnp(rule("Deny")), policy("ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]")], INGRESS, IN, DENY),
    ("open below, passed", [cnp(rule("Pass")), policy("ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]")], INGRESS, IN, UNDEFINED),
    ("itself", [cnp(rule("Deny"))], INGRESS, "n/web -> n/web 80", ALLOW),
]  # fmt: skip


@pytest.mark.parametrize(
    ("policies", "direction", "text", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_semantics(policies: list[Policy], direction: Direction, text: str, expected: Answer | None) -> None:
    family = Family.IPV6 if text.startswith("6 ") else Family.IPV4
    asked = connection(WORLD, text.removeprefix("6 "), family)
    found = decide(policies, WORLD, direction, asked)
    assert (found.answer if found else None) == expected, found
    again = decide(policies[::-1], WORLD, direction, asked)
    assert (again.answer if again else None) == expected, "the order of files never counts"


def test_the_rule_that_decides_is_named() -> None:
    found = decide([cnp(rule("Pass", RED), rule("Deny")), OPEN_NP], WORLD, INGRESS, connection(WORLD, IN))
    assert found is not None
    assert [(item.policy, item.rule) for item in found.deciding] == [
        ("ClusterNetworkPolicy admin-1", "ingress[1]")
    ]
    assert found.reason == "ingress rule of the Admin tier denies"


def test_both_rules_of_an_open_order_are_named() -> None:
    policies = [cnp(rule("Accept"), name="a"), cnp(rule("Deny"), name="b")]
    found = decide(policies, WORLD, INGRESS, connection(WORLD, IN))
    assert found is not None
    assert found.open_point == "equal-priority"
    assert [item.policy for item in found.deciding] == ["ClusterNetworkPolicy a", "ClusterNetworkPolicy b"]
    assert "which of two policies of the same priority comes first" in found.reason


def test_what_the_files_do_not_tell_is_no_open_point_of_the_specification() -> None:
    found = decide(
        [egress(rule("Deny", {"networks": ["10.0.0.0/8"]}))],
        WORLD,
        EGRESS,
        connection(WORLD, "n/web -> m/web 80"),
    )
    assert found is not None
    assert found.open_point is None
    assert (
        found.reason
        == "the cluster chooses the addresses of pods and nodes, and the rule names some addresses"
    )


@pytest.mark.parametrize(
    ("text", "expected"), [("n/cli -> service:n/web:80", DENY), ("n/web -> service:n/web:80", UNDEFINED)]
)
def test_services_are_translated_first(text: str, expected: Answer) -> None:
    assert predict(WORLD, [cnp(rule("Deny", protocols=TCP80))], probe(text)).verdict is expected
