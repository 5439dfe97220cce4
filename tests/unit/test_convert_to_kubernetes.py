"""Cilium's policies as NetworkPolicies: what has a form there, and what is refused, with its place."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.author.agreement import Agreement
from harness.author.convert import convert
from tests.lab.random_cilium import cilium_policies
from tests.unit.converting import API, WEB, Json, cilium, converted, proof_of, prove, read, refusals

NAMESPACE = "k8s:io.kubernetes.pod.namespace"
GROUP: Json = {
    "apiVersion": "cilium.io/v2",
    "kind": "CiliumCIDRGroup",
    "metadata": {"name": "partners"},
    "spec": {"externalCIDRs": ["203.0.113.0/24"]},
}


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        pytest.param({"fromEntities": ["all"]}, [{}], id="everything"),
        pytest.param({}, None, id="an-empty-rule-is-nobody"),
        pytest.param({"fromEndpoints": []}, None, id="an-empty-list-is-nobody"),
        pytest.param({"fromEndpoints": [{}]}, [{"from": [{"podSelector": {}}]}], id="own-namespace"),
        pytest.param({"fromEndpoints": [WEB]}, [{"from": [{"podSelector": WEB}]}], id="own-pods"),
        pytest.param(
            {"fromEndpoints": [{"matchLabels": {"k8s:app": "web", NAMESPACE: "ops"}}]},
            [
                {
                    "from": [
                        {
                            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ops"}},
                            "podSelector": WEB,
                        }
                    ]
                }
            ],
            id="another-namespace",
        ),
        pytest.param(
            {"fromEndpoints": [{"matchExpressions": [{"key": NAMESPACE, "operator": "Exists"}]}]},
            [{"from": [{"namespaceSelector": {}}]}],
            id="all-pods",
        ),
        pytest.param(
            {"fromEndpoints": [{"matchLabels": {"io.cilium.k8s.namespace.labels.team": "a"}}]},
            [{"from": [{"namespaceSelector": {"matchLabels": {"team": "a"}}}]}],
            id="labels-of-namespaces",
        ),
        pytest.param({"fromEntities": ["host"]}, None, id="the-own-node-needs-no-rule"),
        pytest.param(
            {"fromEntities": ["world"]},
            [{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}, {"ipBlock": {"cidr": "::/0"}}]}],
            id="world",
        ),
        pytest.param(
            {"fromCIDR": ["10.0.0.0/8"]}, [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}], id="cidr"
        ),
        pytest.param(
            {"fromCIDRSet": [{"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]}]},
            None,
            id="an-exception-from-all-of-it",
        ),
        pytest.param(
            {"fromCIDRSet": [{"cidrGroupRef": "partners", "except": ["203.0.113.0/28"]}]},
            [{"from": [{"ipBlock": {"cidr": "203.0.113.0/24", "except": ["203.0.113.0/28"]}}]}],
            id="groups-become-their-addresses",
        ),
        pytest.param(
            {"toPorts": [{"ports": [{"port": "80", "endPort": 90, "protocol": "TCP"}]}]},
            [{"ports": [{"protocol": "TCP", "port": 80, "endPort": 90}]}],
            id="a-range",
        ),
        pytest.param(
            {"toPorts": [{"ports": [{"port": "53"}]}]},
            [{"ports": [{"protocol": name, "port": 53} for name in ("TCP", "UDP", "SCTP")]}],
            id="any-protocol",
        ),
    ],
)
def test_rules(rule: Json, wanted: list[Json] | None) -> None:
    both = [cilium({"ingress": [rule]}), GROUP]
    (found,) = converted(both, "kubernetes")
    spec: Json = {"podSelector": API, "policyTypes": ["Ingress"]}
    assert found["spec"] == (spec if wanted is None else {**spec, "ingress": wanted})
    proof = proof_of([both[0]], "kubernetes") if "CIDRSet" not in str(rule) else None
    assert proof is None or not proof.differing


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"ingressDeny": [{"fromEndpoints": [WEB]}]}, "says deny"),
        ({"ingress": [{"fromEntities": ["remote-node"]}]}, "names nodes"),
        ({"ingress": [{"fromEntities": ["cluster"]}]}, "names nodes"),
        ({"egress": [{"toEntities": ["kube-apiserver"]}]}, "the entity kube-apiserver"),
        ({"egress": [{"toFQDNs": [{"matchName": "example.com"}]}]}, "DNS names"),
        ({"egress": [{"toServices": [{"k8sService": {"serviceName": "a"}}]}]}, "services"),
        ({"egress": [{"toGroups": [{"aws": {"region": "x"}}]}]}, "groups of a cloud"),
        ({"egress": [{"toNodes": [{}]}]}, "nodes by labels"),
        ({"ingress": [{"fromEndpoints": [WEB], "authentication": {"mode": "required"}}]}, "authentication"),
        ({"ingress": [{"icmps": [{"fields": [{"type": 8}]}]}]}, "ICMP"),
        ({"ingress": [{"fromCIDRSet": [{"cidrGroupRef": "nobody"}]}]}, "not among the files"),
        (
            {
                "ingress": [
                    {
                        "toPorts": [
                            {
                                "ports": [{"port": "80", "protocol": "TCP"}],
                                "rules": {"http": [{"method": "GET"}]},
                            }
                        ]
                    }
                ]
            },
            "looks into requests (HTTP)",
        ),
        (
            {
                "ingress": [
                    {"toPorts": [{"ports": [{"port": "443", "protocol": "TCP"}], "serverNames": ["a.b"]}]}
                ]
            },
            "looks into requests (server names of TLS)",
        ),
        (
            {"ingress": [{"fromEndpoints": [{"matchLabels": {"io.cilium.k8s.policy.serviceaccount": "a"}}]}]},
            "by their service account",
        ),
        (
            {
                "ingress": [
                    {
                        "fromEndpoints": [
                            {"matchExpressions": [{"key": NAMESPACE, "operator": "NotIn", "values": ["x"]}]}
                        ]
                    }
                ]
            },
            "only excludes labels",
        ),
        ({"ingress": [{"fromEndpoints": [{"matchLabels": {"reserved:init": ""}}]}]}, "reserved label"),
        ({"ingress": [{}], "enableDefaultDeny": {"ingress": False}}, None),
        (
            {"ingress": [{"fromEndpoints": [WEB]}], "enableDefaultDeny": {"ingress": False}},
            "denies nothing by default for ingress",
        ),
        ({"ingress": [{"toPorts": [{"ports": [{"protocol": "GRE"}]}]}]}, "a protocol without ports"),
    ],
)
def test_what_has_no_form_is_refused_with_its_place(spec: Json, message: str | None) -> None:
    found = refusals([cilium(spec)], "kubernetes")
    wanted = message or "neither allows nor denies anything"
    assert len(found) == 1
    assert wanted in found[0]


def test_every_refusal_of_all_policies_is_told_at_once() -> None:
    deny = {"ingressDeny": [{"fromEndpoints": [WEB]}, {"fromEntities": ["host"]}]}
    found = convert(read([cilium(deny), cilium(deny, "q")]), "kubernetes")
    assert len({item.place for item in found.problems.found}) == 4


def test_a_policy_of_the_cluster_needs_names_of_namespaces() -> None:
    everywhere = cilium({"ingress": [{}]}, namespace="")
    (message,) = refusals([everywhere], "kubernetes")
    assert "in its own namespace only" in message
    selector = {"matchExpressions": [{"key": NAMESPACE, "operator": "In", "values": ["a", "b"]}]}
    rule = {"fromEndpoints": [{"matchLabels": {NAMESPACE: "a"}}]}
    named = cilium({"endpointSelector": selector, "ingress": [rule]}, namespace="")
    found = converted([named], "kubernetes")
    assert [item["metadata"]["namespace"] for item in found] == ["a", "b"]
    # To the policy in namespace b, the pods of a are those of another namespace.
    assert found[1]["spec"]["ingress"] == [
        {"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "a"}}}]}
    ]
    assert not proof_of([named], "kubernetes").differing


def test_specs_become_policies_of_their_own() -> None:
    policy = cilium({})
    policy["specs"] = [
        {"endpointSelector": API, "ingress": [{}]},
        {"endpointSelector": WEB, "egress": [{}]},
    ]
    del policy["spec"]
    found = converted([policy], "kubernetes")
    assert [item["metadata"]["name"] for item in found] == ["p-1", "p-2"]


def test_what_depends_on_the_network_is_told_and_is_no_difference() -> None:
    proof = proof_of([cilium({"ingress": [{"fromEntities": ["world"]}]})], "kubernetes")
    assert not proof.differing
    pods = [flow for flow in proof.depending if "covers pod addresses" in flow.after.reason]
    assert pods
    # Calico's blocks mean pods, too, so there the policy lets in more.
    assert pods[0].readings == {
        "generic": Agreement.OPEN,
        "cilium": Agreement.SAME,
        "calico": Agreement.DIFFERENT,
    }


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_random_policies_are_kept_or_refused_or_told(seed: int) -> None:
    dice = random.Random(seed)
    before = read(cilium_policies(dice, dice.randrange(1, 3)))
    found = convert(before, "kubernetes")
    if found.problems.errors:
        assert not found.items
        return
    proof = prove(before, found, everything=False)
    # Under Cilium's own reading NetworkPolicies are decided as its policies are.
    for flow in proof.flows:
        assert flow.readings["cilium"] is not Agreement.DIFFERENT, flow
