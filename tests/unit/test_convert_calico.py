"""Calico's policies as others', and others' as Calico's."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.author.convert import convert
from tests.lab.random_policies import _network_policies
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

NS: Json = {"namespaceSelector": {"matchLabels": {"team": "ops"}}}


def calico(spec: Json, name: str = "p", namespace: str = "shop") -> Json:
    kind = "NetworkPolicy" if namespace else "GlobalNetworkPolicy"
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {
        "apiVersion": "projectcalico.org/v3",
        "kind": kind,
        "metadata": metadata,
        "spec": {"selector": "app == 'api'", **spec},
    }


# Others' as Calico's --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        pytest.param({}, [{}], id="everything"),
        pytest.param({"from": [{"podSelector": {}}]}, [{"source": {"selector": "all()"}}], id="own"),
        pytest.param(
            {"from": [{"podSelector": WEB}]}, [{"source": {"selector": "app == 'web'"}}], id="own-pods"
        ),
        pytest.param(
            {"from": [{"namespaceSelector": {}}]},
            [{"source": {"namespaceSelector": "all()"}}],
            id="all-pods",
        ),
        pytest.param(
            {"from": [{**NS, "podSelector": WEB}]},
            [{"source": {"namespaceSelector": "team == 'ops'", "selector": "app == 'web'"}}],
            id="both",
        ),
        pytest.param(
            {"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ops"}}}]},
            [{"source": {"namespaceSelector": "projectcalico.org/name == 'ops'"}}],
            id="by-name",
        ),
        pytest.param(
            {
                "from": [
                    {
                        "podSelector": {
                            "matchExpressions": [
                                {"key": "a", "operator": "Exists"},
                                {"key": "b", "operator": "DoesNotExist"},
                                {"key": "c", "operator": "In", "values": ["z", "x"]},
                                {"key": "d", "operator": "NotIn", "values": ["z", "x"]},
                                {"key": "e", "operator": "NotIn", "values": ["x"]},
                            ]
                        }
                    }
                ]
            },
            [
                {
                    "source": {
                        "selector": "has(a) && !has(b) && c in {'x', 'z'} && d not in {'x', 'z'} && e != 'x'"
                    }
                }
            ],
            id="expressions",
        ),
        pytest.param(
            {
                "from": [
                    {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
                    {"ipBlock": {"cidr": "203.0.113.0/24"}},
                    {"ipBlock": {"cidr": "2001:db8::/32"}},
                ]
            },
            [
                {"source": {"nets": ["10.0.0.0/8"], "notNets": ["10.1.0.0/16"]}},
                {"source": {"nets": ["203.0.113.0/24"]}},
                {"source": {"nets": ["2001:db8::/32"]}},
            ],
            id="blocks-one-family-in-each-rule",
        ),
        pytest.param(
            {"ports": [{"port": 80}, {"port": 90, "endPort": 99}, {"port": "http"}, {"protocol": "UDP"}]},
            [
                {"protocol": "UDP"},
                {"protocol": "TCP", "destination": {"ports": [80, "90:99", "http"]}},
            ],
            id="ports-one-protocol-in-each-rule",
        ),
    ],
)
def test_ingress_rules(rule: Json, wanted: list[Json]) -> None:
    (found,) = converted([kubernetes({"ingress": [rule]})], "calico")
    assert found["spec"] == {
        "order": 1000,
        "selector": "app == 'api'",
        "types": ["Ingress"],
        "ingress": [{"action": "Allow", **item} for item in wanted],
    }
    assert not proof_of([kubernetes({"ingress": [rule]})], "calico").flows


def test_a_named_port_never_means_addresses() -> None:
    block = {"ipBlock": {"cidr": "10.0.0.0/8"}}
    rule = {"to": [block, {"podSelector": WEB}], "ports": [{"port": "http"}, {"port": 80}]}
    (found,) = converted([kubernetes({"policyTypes": ["Egress"], "egress": [rule]})], "calico")
    assert [item["destination"] for item in found["spec"]["egress"]] == [
        {"selector": "app == 'web'", "ports": ["http", 80]},
        {"nets": ["10.0.0.0/8"], "ports": [80]},
    ]


def test_denials_come_before_and_what_does_not_isolate_passes_on() -> None:
    free = cilium(
        {"egressDeny": [{"toEndpoints": [WEB]}], "enableDefaultDeny": {"egress": False}}, name="free"
    )
    found = converted([free, cilium({"ingress": [{}], "egress": [{}]}, "closed")], "calico")
    assert [(item["metadata"]["name"], item["spec"]["order"]) for item in found] == [
        ("free-deny", 900),
        ("free-open", 3000),
        ("closed", 1000),
        ("closed-default", 2000),
    ]
    assert found[1]["spec"]["egress"] == [{"action": "Pass"}]
    assert found[3]["spec"]["egress"] == [{"action": "Deny"}]
    assert not proof_of([free, cilium({"ingress": [{}], "egress": [{}]}, "closed")], "calico").differing


def test_policies_of_the_cluster_and_accounts_and_icmp() -> None:
    rule = {"fromEndpoints": [{"matchLabels": {"io.cilium.k8s.policy.serviceaccount": "web"}}]}
    ping = {"icmps": [{"fields": [{"type": 8}]}]}
    (found,) = converted([cilium({"ingress": [rule, ping]}, namespace="")], "calico")
    assert found["kind"] == "GlobalNetworkPolicy"
    assert found["spec"]["namespaceSelector"] == "all()"
    assert found["spec"]["ingress"] == [
        {
            "action": "Allow",
            "source": {"namespaceSelector": "all()", "serviceAccounts": {"names": ["web"]}},
        },
        {"action": "Allow", "ipVersion": 4, "protocol": "ICMP", "icmp": {"type": 8}},
    ]


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (cilium({"ingress": [{"fromEntities": ["world"]}]}), "whoever is outside of the cluster"),
        (cilium({"ingress": [{"fromEntities": ["host"]}]}), "names nodes"),
        (
            kubernetes({"ingress": [{"from": [{"podSelector": {"matchLabels": {"pcns.a": "b"}}}]}]}),
            "means something else to Calico",
        ),
        (
            {
                "apiVersion": "policy.networking.k8s.io/v1alpha2",
                "kind": "ClusterNetworkPolicy",
                "metadata": {"name": "p"},
                "spec": {
                    "tier": "Baseline",
                    "priority": 1,
                    "subject": {"namespaces": {}},
                    "ingress": [{"action": "Deny", "from": [{"namespaces": {}}]}],
                },
            },
            "stands in the tier Baseline",
        ),
    ],
)
def test_what_calico_does_not_say(policy: Json, message: str) -> None:
    (found,) = refusals([policy], "calico")
    assert message in found


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6))
def test_there_and_back_says_the_same(seed: int) -> None:
    """Whatever NetworkPolicies say, Calico takes, and tells it back without a loss."""
    dice = random.Random(seed)
    before = read(_network_policies(dice, dice.randrange(1, 4)))
    there = convert(before, "calico")
    assert not there.problems.errors, there.problems.found
    assert not prove(before, there, everything=False).flows
    back = convert(there.policies, "kubernetes")
    assert not back.problems.errors, back.problems.found
    assert not prove(there.policies, back, everything=False).differing
    again = convert(back.policies, "calico")
    assert [item.written.manifest for item in again.items] == [item.written.manifest for item in there.items]


# Calico's as others' --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ({}, [{}]),
        ({"selector": "all()"}, [{"from": [{"podSelector": {}}]}]),
        ({"selector": "app == 'web'"}, [{"from": [{"podSelector": WEB}]}]),
        (
            {"selector": "app == 'web' || !(has(a) || b in {'x'})"},
            [
                {
                    "from": [
                        {"podSelector": WEB},
                        {
                            "podSelector": {
                                "matchExpressions": [
                                    {"key": "a", "operator": "DoesNotExist"},
                                    {"key": "b", "operator": "NotIn", "values": ["x"]},
                                ]
                            }
                        },
                    ]
                }
            ],
        ),
        ({"namespaceSelector": "all()"}, [{"from": [{"namespaceSelector": {}}]}]),
        ({"namespaceSelector": "team == 'ops'"}, [{"from": [NS]}]),
        ({"nets": ["10.0.0.0/8"]}, [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]),
        (
            {"notNets": ["10.0.0.0/8"]},
            [
                {
                    "from": [
                        {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}},
                        {"ipBlock": {"cidr": "::/0"}},
                    ]
                }
            ],
        ),
        ({"nets": ["10.0.0.0/8"], "notNets": ["0.0.0.0/0"]}, None),
        (
            {"selector": "role == 'gateway'", "namespaceSelector": "global()"},
            [{"from": [{"ipBlock": {"cidr": "203.0.113.0/24"}}]}],
        ),
    ],
)
def test_sources(source: Json, wanted: list[Json] | None) -> None:
    rule = {"action": "Allow", **({"source": source} if source else {})}
    gateway = {
        "apiVersion": "projectcalico.org/v3",
        "kind": "GlobalNetworkSet",
        "metadata": {"name": "gateway", "labels": {"role": "gateway"}},
        "spec": {"nets": ["203.0.113.0/24"]},
    }
    (found,) = converted([calico({"types": ["Ingress"], "ingress": [rule]}), gateway], "kubernetes")
    spec: Json = {"podSelector": API, "policyTypes": ["Ingress"]}
    assert found["spec"] == (spec if wanted is None else {**spec, "ingress": wanted})


def test_ports_that_are_not_meant_are_those_between() -> None:
    rule = {"action": "Allow", "protocol": "TCP", "destination": {"notPorts": [22, "100:200"]}}
    (found,) = converted([calico({"ingress": [rule]})], "kubernetes")
    assert not proof_of([calico({"ingress": [rule]})], "kubernetes").differing
    ports = [(item["port"], item.get("endPort")) for item in found["spec"]["ingress"][0]["ports"]]
    assert ports == [(1, 21), (23, 99), (201, 65535)]


def test_a_subject_with_alternatives_is_several_policies() -> None:
    found = converted([calico({"selector": "app == 'a' || has(b)", "types": ["Ingress"]})], "kubernetes")
    assert [item["metadata"]["name"] for item in found] == ["p-1", "p-2"]
    assert found[1]["spec"]["podSelector"] == {"matchExpressions": [{"key": "b", "operator": "Exists"}]}


def test_an_order_is_kept_by_clusternetworkpolicies() -> None:
    web = {"selector": "app == 'web'"}
    first = calico({"order": 1, "egress": [{"action": "Deny", "destination": web}]}, "first")
    second = calico({"order": 2, "egress": [{"action": "Allow"}]}, "second")
    found = converted([second, first], "admin")
    assert [(item["metadata"]["name"], item["spec"]["priority"]) for item in found] == [
        ("shop-first", 101),
        ("shop-first-default", 300),
        ("shop-second", 102),
        ("shop-second-default", 300),
    ]
    assert not proof_of([second, first], "admin").differing
    # The other way round the denial is never reached.
    other = calico({**second["spec"], "order": 0}, "second")
    assert not proof_of([other, first], "admin").differing
    flows = proof_of([other, first], "cilium").differing
    assert flows
    assert {(flow.before.answer, flow.after.answer) for flow in flows} == {("allow", "deny")}


def test_nets_mean_pods_to_calico_and_nobody_to_cilium() -> None:
    rule = {"action": "Allow", "source": {"nets": ["0.0.0.0/0"]}}
    flows = proof_of([calico({"ingress": [rule]})], "cilium").differing
    assert any(
        flow.text.startswith("ingress: ") and "no labels -> shop/{app=api}" in flow.text for flow in flows
    )
    assert not any(flow.text.startswith("external:") for flow in flows)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"ingress": [{"action": "Deny"}, {"action": "Allow"}]}, "says deny"),
        ({"ingress": [{"action": "Log"}]}, "logs"),
        ({"ingress": [{"action": "Pass"}]}, "says pass"),
        ({"tier": "mine", "ingress": [{"action": "Allow"}]}, "stands in the tier mine"),
        ({"ingress": [{"action": "Allow", "source": {"notSelector": "a == 'b'"}}]}, "notSelector"),
        ({"ingress": [{"action": "Allow", "source": {"selector": "a contains 'b'"}}]}, "parts of values"),
        ({"ingress": [{"action": "Allow", "source": {"services": {"name": "s"}}}]}, "names a service"),
        (
            {"ingress": [{"action": "Allow", "source": {"selector": "all()", "nets": ["10.0.0.0/8"]}}]},
            "labels and addresses at once",
        ),
        (
            {"ingress": [{"action": "Allow", "protocol": "TCP", "source": {"ports": [80]}}]},
            "the port from which is sent",
        ),
        ({"ingress": [{"action": "Allow", "notProtocol": "UDP"}]}, "excludes a protocol"),
        ({"ingress": [{"action": "Allow", "protocol": "ICMP"}]}, "all of ICMP"),
        ({"ingress": [{"action": "Allow", "protocol": 47}]}, "the protocol 47"),
        ({"ingress": [{"action": "Allow", "ipVersion": 4}]}, "about IPv4 only"),
        ({"ingress": [{"action": "Allow", "destination": {"selector": "a == 'b'"}}]}, "some of the pods"),
        (
            {"ingress": [{"action": "Allow", "source": {"serviceAccounts": {"names": ["a"]}}}]},
            "by their service account",
        ),
    ],
)
def test_what_is_only_calico_s(spec: Json, message: str) -> None:
    name = "mine.p" if "tier" in spec else "p"
    found = refusals([calico(spec, name)], "kubernetes")
    assert len(found) == 1
    assert message in found[0]
