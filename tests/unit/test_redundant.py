"""Rules and policies without which nothing changes: what is proved, and what is not claimed."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.author.redundant import redundant
from harness.dialects.registry import parse_manifest
from harness.model.policy import Policy
from harness.source.diagnostics import Problems
from harness.source.nodes import MappingNode
from harness.source.reader import read_text

WEB = {"podSelector": {"matchLabels": {"app": "web"}}}
ANY_LABEL = {"podSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}}
OPS = {"namespaceSelector": {"matchLabels": {"team": "ops"}}}
EVERYWHERE: dict[str, Any] = {"namespaceSelector": {}}


def policy(name: str, spec: dict[str, Any], kind: str = "NetworkPolicy") -> Policy:
    version = "networking.k8s.io/v1" if kind == "NetworkPolicy" else "policy.networking.k8s.io/v1alpha2"
    metadata = {"name": name} | ({"namespace": "shop"} if kind == "NetworkPolicy" else {})
    manifest = {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}
    problems = Problems()
    (document,) = read_text(yaml.safe_dump(manifest), f"{name}.yaml", problems)
    assert isinstance(document.root, MappingNode)
    found = parse_manifest(document.root, "shop", problems)
    assert found is not None, problems.found
    return found


def ingress(*rules: dict[str, Any], **subject: Any) -> dict[str, Any]:
    return {"podSelector": subject or {}, "policyTypes": ["Ingress"], "ingress": list(rules)}


def said(*policies: Policy) -> list[tuple[str, str]]:
    """The policy's name and what is said: `whole`, or the rule."""
    found = []
    for owner, item in redundant(policies):
        rule = item.message.split(" ")[0] if item.id == "redundant-rule" else "whole"
        found.append((owner.name, rule))
    return found


def cilium(name: str, spec: dict[str, Any]) -> Policy:
    metadata = {"name": name, "namespace": "shop"}
    manifest = {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": metadata,
        "spec": spec,
    }
    problems = Problems()
    (document,) = read_text(yaml.safe_dump(manifest), f"{name}.yaml", problems)
    assert isinstance(document.root, MappingNode)
    found = parse_manifest(document.root, "shop", problems)
    assert found is not None, problems.found
    return found


API = {"matchLabels": {"app": "api"}}

CASES: dict[str, tuple[list[Policy], list[tuple[str, str]]]] = {
    "everything in the cluster is not everything": (
        [cilium("a", {"endpointSelector": {}, "ingress": [{"fromEntities": ["cluster"]}]})],
        [],
    ),
    "everything outside is something": (
        [
            cilium("a", {"endpointSelector": {}, "egress": [{"toEntities": ["cluster"]}]}),
            cilium("b", {"endpointSelector": API, "egress": [{"toEntities": ["world"]}]}),
        ],
        [],
    ),
    "a pod's own node is a peer like others for what leaves": (
        [
            cilium("a", {"endpointSelector": API, "egress": [{"toEntities": ["remote-node"]}]}),
            cilium(
                "b",
                {
                    "endpointSelector": API,
                    "enableDefaultDeny": {"egress": False},
                    "egress": [{"toEntities": ["host"]}],
                },
            ),
        ],
        [],
    ),
    "everything is everything": (
        [cilium("a", {"endpointSelector": {}, "ingress": [{"fromEntities": ["all"]}]})],
        [("a", "whole")],
    ),
    "for which addresses a name stands, nobody knows": (
        [
            policy(
                "a",
                {
                    "tier": "Admin",
                    "priority": 1,
                    "subject": {"namespaces": {}},
                    "egress": [
                        {"action": "Accept", "to": [{"domainNames": ["example.com"]}]},
                        {"action": "Deny", "to": [{"networks": ["203.0.113.0/24"]}]},
                    ],
                },
                "ClusterNetworkPolicy",
            )
        ],
        [],
    ),
    "one rule is never redundant": ([policy("a", ingress({"from": [WEB]}))], []),
    "the same rule twice": (
        [policy("a", ingress({"from": [WEB]}, {"from": [WEB]}))],
        [("a", "ingress[0]"), ("a", "ingress[1]")],
    ),
    "a narrower rule beside a wider one": (
        [policy("a", ingress({"from": [WEB]}, {"from": [ANY_LABEL]}))],
        [("a", "ingress[0]")],
    ),
    "a port inside a range": (
        [policy("a", ingress({"ports": [{"port": 80}]}, {"ports": [{"port": 1, "endPort": 100}]}))],
        [("a", "ingress[0]")],
    ),
    "a port at the end of a range": (
        [policy("a", ingress({"ports": [{"port": 101}]}, {"ports": [{"port": 1, "endPort": 100}]}))],
        [],
    ),
    "the other protocol": (
        [policy("a", ingress({"ports": [{"port": 80, "protocol": "UDP"}]}, {"ports": [{"port": 80}]}))],
        [],
    ),
    "a name and a number are never the same for certain": (
        [policy("a", ingress({"ports": [{"port": "http"}]}, {"ports": [{"port": 80}]}))],
        [],
    ),
    "the own namespace inside all namespaces": (
        [policy("a", ingress({"from": [{"podSelector": {}}]}, {"from": [EVERYWHERE]}))],
        [("a", "ingress[0]")],
    ),
    "whether the own namespace has a label, nobody knows": (
        [policy("a", ingress({"from": [{"podSelector": {}}]}, {"from": [OPS]}))],
        [],
    ),
    "a block inside a block": (
        [
            policy(
                "a",
                ingress(
                    {"from": [{"ipBlock": {"cidr": "203.0.113.0/25"}}]},
                    {"from": [{"ipBlock": {"cidr": "203.0.113.0/24"}}]},
                ),
            )
        ],
        [("a", "ingress[0]")],
    ),
    "a block in the hole of another": (
        [
            policy(
                "a",
                ingress(
                    {"from": [{"ipBlock": {"cidr": "203.0.113.0/25"}}]},
                    {"from": [{"ipBlock": {"cidr": "203.0.113.0/24", "except": ["203.0.113.64/26"]}}]},
                ),
            )
        ],
        [],
    ),
    "a policy that says the same of the same pods": (
        [policy("a", ingress({"from": [WEB]})), policy("b", ingress({"from": [WEB]}))],
        [("a", "whole"), ("b", "whole")],
    ),
    "a default deny beside an allow for some pods": (
        [policy("a", ingress()), policy("b", ingress({"from": [WEB]}, matchLabels={"app": "api"}))],
        [],
    ),
    "a deny for some pods below a deny for all": (
        [policy("a", ingress()), policy("b", ingress(matchLabels={"app": "api"}))],
        [("b", "whole")],
    ),
    "an admin rule behind one that decides everything": (
        [
            policy(
                "guard",
                {
                    "tier": "Admin",
                    "priority": 1,
                    "subject": {"namespaces": {}},
                    "ingress": [
                        {"action": "Deny", "from": [{"namespaces": {}}]},
                        {"action": "Accept", "from": [{"namespaces": {"matchLabels": {"team": "ops"}}}]},
                    ],
                },
                "ClusterNetworkPolicy",
            ),
            policy("a", ingress({"from": [WEB]})),
        ],
        # The NetworkPolicy still keeps out what is no pod.
        [("guard", "ingress[1]"), ("a", "ingress[0]")],
    ),
    "an allow that an admin policy would make, for pods of one namespace only": (
        [
            policy(
                "guard",
                {
                    "tier": "Admin",
                    "priority": 1,
                    "subject": {"namespaces": {"matchLabels": {"team": "ops"}}},
                    "ingress": [{"action": "Accept", "from": [{"namespaces": {}}]}],
                },
                "ClusterNetworkPolicy",
            ),
            policy("a", ingress({"from": [WEB]})),
        ],
        [],
    ),
    "an allow for everybody where nobody denies": ([policy("a", ingress({}))], [("a", "whole")]),
}


@pytest.mark.parametrize("name", CASES)
def test_claims(name: str) -> None:
    policies, expected = CASES[name]
    assert said(*policies) == expected


def test_the_same_object_twice_is_no_set() -> None:
    assert said(policy("a", ingress({"from": [WEB]})), policy("a", ingress({"from": [WEB]}))) == []


def test_too_many_classes_prove_nothing() -> None:
    many = [{"podSelector": {"matchLabels": {f"key-{number}": "x"}}} for number in range(20)]
    assert said(policy("a", ingress({"from": many}, {"from": many}))) == []


PEERS = st.sampled_from([WEB, ANY_LABEL, OPS, EVERYWHERE, {**OPS, **WEB}, {"podSelector": {}}])
PORTS = st.sampled_from([{"port": 80}, {"port": 80, "protocol": "UDP"}, {"port": 79, "endPort": 81}])
RULES = st.fixed_dictionaries(
    {},
    optional={
        "from": st.lists(PEERS, min_size=1, max_size=2),
        "ports": st.lists(PORTS, min_size=1, max_size=2),
    },
)


@settings(max_examples=25)
@given(st.lists(RULES, min_size=1, max_size=3), RULES)
def test_a_repeated_rule_is_always_redundant(rules: list[dict[str, Any]], again: dict[str, Any]) -> None:
    found = said(policy("a", ingress(*rules, again, again)))
    both = {("a", f"ingress[{len(rules)}]"), ("a", f"ingress[{len(rules) + 1}]")}
    # A policy that allows everything to everybody has no effect as a whole.
    assert found == [("a", "whole")] or both <= set(found)
