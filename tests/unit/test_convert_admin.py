"""Admin policies as others' and others' as ClusterNetworkPolicies."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.author.agreement import Agreement
from harness.author.convert import convert
from tests.lab.random_policies import _admin_policies, _network_policies
from tests.unit.converting import (
    API,
    WEB,
    Json,
    cilium,
    converted,
    kubernetes,
    proof_of,
    prove,
    read,
    refusals,
)

HERE: Json = {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}
ALL_PODS: Json = {"namespaces": {}}
EVERYWHERE: Json = {"networks": ["0.0.0.0/0", "::/0"]}
WEBS: Json = {"pods": {"namespaceSelector": HERE, "podSelector": WEB}}


def admin(spec: Json, name: str = "p") -> Json:
    return {
        "apiVersion": "policy.networking.k8s.io/v1alpha2",
        "kind": "ClusterNetworkPolicy",
        "metadata": {"name": name},
        "spec": {
            "tier": "Admin",
            "priority": 5,
            "subject": {"pods": {"namespaceSelector": HERE, "podSelector": API}},
            **spec,
        },
    }


def accept(peer: Json, side: str = "from", **more: object) -> Json:
    return {"action": "Accept", side: [peer], **more}


def deny(peer: Json, side: str = "from", **more: object) -> Json:
    return {"action": "Deny", side: [peer], **more}


# Others' as ClusterNetworkPolicies -----------------------------------------------------------------------


def test_what_is_allowed_stands_before_what_is_denied_by_default() -> None:
    rule = {"to": [{"podSelector": WEB}], "ports": [{"port": 80, "endPort": 90}, {"protocol": "UDP"}]}
    found = converted([kubernetes({"policyTypes": ["Egress"], "egress": [rule]})], "admin")
    assert [(item["metadata"]["name"], item["spec"]["priority"]) for item in found] == [
        ("shop-p-allow", 200),
        ("shop-p-default", 300),
    ]
    assert found[0]["spec"]["egress"] == [
        {
            "action": "Accept",
            "to": [WEBS],
            "protocols": [
                {"tcp": {"destinationPort": {"range": {"start": 80, "end": 90}}}},
                {"udp": {"destinationPort": {"range": {"start": 1, "end": 65535}}}},
            ],
        }
    ]
    assert found[1]["spec"]["egress"] == [{"action": "Deny", "to": [EVERYWHERE]}]


def test_exceptions_are_cut_out_of_blocks() -> None:
    block = {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/10", "10.64.0.0/10"]}
    spec = {"policyTypes": ["Egress"], "egress": [{"to": [{"ipBlock": block}]}]}
    found = converted([kubernetes(spec)], "admin")
    assert found[0]["spec"]["egress"][0]["to"] == [{"networks": ["10.128.0.0/9"]}]
    assert not proof_of([kubernetes(spec)], "admin").differing


def test_lists_that_are_too_long_are_split() -> None:
    rules = [{"to": [{"podSelector": {"matchLabels": {"app": f"a{number}"}}}]} for number in range(30)]
    found = converted([kubernetes({"policyTypes": ["Egress"], "egress": rules})], "admin")
    sizes = {item["metadata"]["name"]: len(item["spec"]["egress"]) for item in found}
    assert sizes == {"shop-p-allow": 25, "shop-p-allow-2": 5, "shop-p-default": 1}


def test_what_comes_from_outside_cannot_be_denied_and_the_proof_says_so() -> None:
    proof = proof_of([kubernetes({"ingress": [{"from": [{"podSelector": WEB}]}]})], "admin")
    assert proof.differing
    for flow in proof.differing:
        assert (flow.before.answer, flow.after.answer) == ("deny", "allow")
        assert flow.text.startswith(("external:", "ingress: 0.0.0.0", "ingress: another node"))


def test_denials_of_cilium_come_first() -> None:
    spec = {"egress": [{"toEndpoints": [{}]}], "egressDeny": [{"toEndpoints": [WEB]}]}
    found = converted([cilium(spec)], "admin")
    assert [item["spec"]["priority"] for item in found] == [100, 200, 300]
    assert found[0]["spec"]["egress"] == [{"action": "Deny", "to": [WEBS]}]
    assert not proof_of([cilium(spec)], "admin").differing


def test_what_does_not_isolate_has_no_default() -> None:
    spec = {"egressDeny": [{"toEndpoints": [WEB]}], "enableDefaultDeny": {"egress": False}}
    (found,) = converted([cilium(spec)], "admin")
    assert found["spec"]["egress"] == [{"action": "Deny", "to": [WEBS]}]
    assert not proof_of([cilium(spec)], "admin").differing


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"ingressDeny": [{"fromEntities": ["world"]}]}, "denies what comes from others than pods"),
        ({"egress": [{"toEntities": ["host"]}]}, "tells the pod's own node from others"),
        ({"egress": [{"icmps": [{"fields": [{"type": 8}]}]}]}, "is about ICMP"),
        (
            {"egress": [{"toEndpoints": [{"matchLabels": {"io.cilium.k8s.policy.serviceaccount": "a"}}]}]},
            "by their service account",
        ),
    ],
)
def test_what_no_clusternetworkpolicy_says(spec: Json, message: str) -> None:
    (found,) = refusals([cilium(spec)], "admin")
    assert message in found


# Admin policies as others' --------------------------------------------------------------------------------


def test_an_allow_list_becomes_isolation() -> None:
    rules = [accept(WEBS, protocols=[{"tcp": {"destinationPort": {"number": 80}}}]), deny(ALL_PODS)]
    (found,) = converted([admin({"ingress": rules})], "cilium")
    assert found["spec"]["ingress"] == [
        {
            "fromEndpoints": [{"matchLabels": {"app": "web", "k8s:io.kubernetes.pod.namespace": "shop"}}],
            "toPorts": [{"ports": [{"port": "80", "protocol": "TCP"}]}],
        },
        # The denial of all pods leaves these alone.
        {"fromEntities": ["world", "host", "remote-node"]},
    ]
    assert not proof_of([admin({"ingress": rules})], "cilium").flows


def test_an_allow_list_of_egress_as_a_networkpolicy() -> None:
    rules = [accept(WEBS, "to"), deny(EVERYWHERE, "to")]
    (found,) = converted([admin({"egress": rules})], "kubernetes")
    assert found["metadata"] == {"name": "p", "namespace": "shop"}
    assert found["spec"] == {
        "podSelector": API,
        "policyTypes": ["Egress"],
        "egress": [{"to": [{"podSelector": WEB}]}],
    }
    assert not proof_of([admin({"egress": rules})], "kubernetes").differing


def test_ingress_as_a_networkpolicy_loses_other_nodes_and_says_so() -> None:
    before = read([admin({"ingress": [accept(WEBS), deny(ALL_PODS)]})])
    found = convert(before, "kubernetes")
    assert "# other nodes, with which it denied nothing, cannot be named here, and are denied" in found.text
    proof = prove(before, found)
    assert not proof.differing
    (flow, *_) = (item for item in proof.depending if item.text.startswith("ingress: another node"))
    # Where blocks of addresses mean nodes, the one that stands for the outside lets them in.
    assert flow.readings["cilium"] is Agreement.DIFFERENT
    assert flow.readings["calico"] is Agreement.SAME


def test_a_denial_behind_an_exception_differs_and_the_proof_says_so() -> None:
    everybody = {"namespaces": HERE}
    proof = proof_of([admin({"ingress": [accept(WEBS), deny(everybody)]})], "cilium")
    assert {(flow.before.answer, flow.after.answer) for flow in proof.differing} == {("allow", "deny")}
    assert any("ingress: shop/{app=web} -> shop/{app=api}" in flow.text for flow in proof.differing)


@pytest.mark.parametrize(
    ("to", "rule", "message"),
    [
        ("cilium", {"action": "Pass", "to": [WEBS]}, "passes on to the next tier"),
        ("cilium", accept({"domainNames": ["example.com"]}, "to"), "hosts by their DNS names"),
        ("cilium", deny({"nodes": {"matchLabels": {"a": "b"}}}, "to"), "nodes by labels"),
        ("kubernetes", deny(WEBS, "to"), "says deny"),
        ("kubernetes", {"action": "Pass", "to": [WEBS]}, "says pass"),
        ("kubernetes", accept(WEBS, "to"), "denies nothing by default for egress"),
    ],
)
def test_what_has_no_form_elsewhere(to: str, rule: Json, message: str) -> None:
    (found,) = refusals([admin({"egress": [rule]})], to)
    assert message in found


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["Accept", "Allow", "Deny"]))
def test_rules_of_one_action_are_kept_by_cilium(seed: int, action: str) -> None:
    """Where the order says nothing, the meaning is that of Cilium's own rules."""
    dice = random.Random(seed)
    manifests = []
    for policy in _admin_policies(dice, 1):
        for direction in ("ingress", "egress"):
            rules = policy["spec"].get(direction, [])
            kind = "Accept" if action == "Allow" and policy["kind"] == "ClusterNetworkPolicy" else action
            kind = "Allow" if kind == "Accept" and policy["kind"] != "ClusterNetworkPolicy" else kind
            policy["spec"][direction] = [
                {**rule, "action": kind}
                for rule in rules
                if not any({"domainNames", "nodes"} & set(peer) for peer in rule.get("to", ()))
            ]
        if policy["spec"]["ingress"] or policy["spec"]["egress"]:
            policy["spec"] = {key: value for key, value in policy["spec"].items() if value != []}
            manifests.append(policy)
    before = read(manifests)
    found = convert(before, "cilium")
    assert not found.problems.errors, found.problems.found
    networks = any("networks" in str(item["spec"]) for item in manifests)
    for flow in prove(before, found, everything=False).differing:
        # An admin policy's networks mean pods and nodes as well, to Cilium's addresses they are nobody.
        assert networks, flow


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_egress_of_networkpolicies_is_kept(seed: int) -> None:
    dice = random.Random(seed)
    manifests = list(_network_policies(dice, dice.randrange(1, 3)))
    for item in manifests:
        item["spec"]["policyTypes"] = ["Egress"]
        item["spec"].pop("ingress", None)
    before = read(manifests)
    found = convert(before, "admin")
    assert not found.problems.errors, found.problems.found
    named = "web" in str([item["spec"].get("egress") for item in manifests]) or "dns" in str(manifests)
    for flow in prove(before, found, everything=False).differing:
        # The name of a port has whatever protocol the pod gives it.
        assert named, flow
