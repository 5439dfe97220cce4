"""NetworkPolicies as Cilium's: what is written for each construct, and that it means the same."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.author.convert import convert
from harness.dialects.registry import parse_manifest
from harness.source.diagnostics import Problems
from harness.source.nodes import MappingNode
from harness.source.reader import read_text
from tests.lab.random_policies import _network_policies
from tests.unit.converting import API, WEB, Json, converted, kubernetes, proof_of, prove, read, refusals

NAMESPACE = "k8s:io.kubernetes.pod.namespace"
LABEL = "k8s:io.cilium.k8s.namespace.labels."
HERE = {"matchExpressions": [{"key": NAMESPACE, "operator": "Exists"}]}


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        pytest.param({}, [{"fromEntities": ["all"]}], id="everything"),
        pytest.param(
            {"ports": [{"port": 80}]},
            [{"toPorts": [{"ports": [{"port": "80", "protocol": "TCP"}]}]}],
            id="everybody-on-a-port",
        ),
        pytest.param({"from": [{"podSelector": {}}]}, [{"fromEndpoints": [{}]}], id="own-namespace"),
        pytest.param({"from": [{"podSelector": WEB}]}, [{"fromEndpoints": [WEB]}], id="own-pods"),
        pytest.param({"from": [{"namespaceSelector": {}}]}, [{"fromEndpoints": [HERE]}], id="all-pods"),
        pytest.param(
            {"from": [{"namespaceSelector": {"matchLabels": {"team": "a"}}, "podSelector": WEB}]},
            [{"fromEndpoints": [{"matchLabels": {"app": "web", f"{LABEL}team": "a"}}]}],
            id="namespaces-by-label",
        ),
        pytest.param(
            {"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ops"}}}]},
            [{"fromEndpoints": [{"matchLabels": {NAMESPACE: "ops"}}]}],
            id="namespace-by-name",
        ),
        pytest.param(
            {
                "from": [
                    {
                        "namespaceSelector": {
                            "matchExpressions": [{"key": "env", "operator": "NotIn", "values": ["prod"]}]
                        }
                    }
                ]
            },
            [
                {
                    "fromEndpoints": [
                        {
                            "matchExpressions": [
                                {"key": f"{LABEL}env", "operator": "NotIn", "values": ["prod"]},
                                {"key": NAMESPACE, "operator": "Exists"},
                            ]
                        }
                    ]
                }
            ],
            id="excluded-namespaces-still-pods-only",
        ),
        pytest.param(
            {"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]},
            [{"fromCIDRSet": [{"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}]}],
            id="block",
        ),
        pytest.param(
            {"from": [{"podSelector": WEB}, {"ipBlock": {"cidr": "::/0"}}], "ports": [{"protocol": "UDP"}]},
            [
                {
                    "fromEndpoints": [WEB],
                    "toPorts": [{"ports": [{"port": "0", "protocol": "UDP"}]}],
                },
                {
                    "fromCIDRSet": [{"cidr": "::/0"}],
                    "toPorts": [{"ports": [{"port": "0", "protocol": "UDP"}]}],
                },
            ],
            id="one-kind-of-peers-in-each-rule",
        ),
        pytest.param(
            {"ports": [{"port": 8000, "endPort": 8010}, {"port": "http"}, {"port": 7, "protocol": "SCTP"}]},
            [
                {
                    "toPorts": [
                        {
                            "ports": [
                                {"port": "8000", "endPort": 8010, "protocol": "TCP"},
                                {"port": "http", "protocol": "TCP"},
                                {"port": "7", "protocol": "SCTP"},
                            ]
                        }
                    ]
                }
            ],
            id="ranges-and-names",
        ),
        pytest.param(
            {"from": [{"podSelector": {"matchLabels": {"host": "a"}}}]},
            [{"fromEndpoints": [{"matchLabels": {"k8s:host": "a"}}]}],
            id="a-label-called-as-a-reserved-one",
        ),
    ],
)
def test_rules(rule: Json, wanted: list[Json]) -> None:
    (found,) = converted([kubernetes({"ingress": [rule]})], "cilium")
    assert found["spec"] == {"endpointSelector": API, "ingress": wanted}
    assert not proof_of([kubernetes({"ingress": [rule]})], "cilium").flows


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ({"podSelector": {}, "policyTypes": ["Ingress"]}, {"endpointSelector": {}, "ingress": [{}]}),
        ({"podSelector": {}, "policyTypes": ["Egress"]}, {"endpointSelector": {}, "egress": [{}]}),
        (
            {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "egress": [{}]},
            {"endpointSelector": {}, "ingress": [{}], "egress": [{"toEntities": ["all"]}]},
        ),
        ({"podSelector": {}, "ingress": []}, {"endpointSelector": {}, "ingress": [{}]}),
        (
            # Rules of a direction that is not listed have no effect.
            {"podSelector": {}, "policyTypes": ["Egress"], "ingress": [{}]},
            {"endpointSelector": {}, "egress": [{}]},
        ),
    ],
)
def test_directions(spec: Json, wanted: Json) -> None:
    (found,) = converted([kubernetes(spec)], "cilium")
    assert found["spec"] == wanted
    assert not proof_of([kubernetes(spec)], "cilium").flows


def test_more_ports_than_a_list_takes_are_two_lists() -> None:
    ports = [{"port": number} for number in range(1, 62)]
    (found,) = converted([kubernetes({"ingress": [{"ports": ports}]})], "cilium")
    assert [len(item["ports"]) for item in found["spec"]["ingress"][0]["toPorts"]] == [40, 21]


def test_a_label_that_is_cilium_s_own() -> None:
    peer = {"podSelector": {"matchLabels": {"io.kubernetes.pod.namespace": "x"}}}
    (message,) = refusals([kubernetes({"ingress": [{"from": [peer]}]})], "cilium")
    assert "means something else to Cilium" in message


def test_a_key_that_becomes_too_long_is_refused_as_the_server_would() -> None:
    selector = {"matchLabels": {"x" * 60: "a"}}
    (message,) = refusals([kubernetes({"ingress": [{"from": [{"namespaceSelector": selector}]}]})], "cilium")
    assert "cannot be written as CiliumNetworkPolicy" in message


@pytest.mark.parametrize("value", ["y", "N", "on", "1e3", "0x1F", "1.5", "1", "null", ""])
def test_texts_stay_texts_for_every_reader(value: str) -> None:
    """Go's YAML takes `y` for a truth value and `1e3` for a number, Python's does not."""
    expression = {"key": "app", "operator": "In", "values": [value, "x"]}
    policy = kubernetes({"podSelector": {"matchExpressions": [expression]}})
    text = json.dumps(policy)
    problems = Problems()
    (document,) = read_text(text, "in.yaml", problems)
    assert isinstance(document.root, MappingNode)
    before = parse_manifest(document.root, "shop", problems)
    assert before is not None
    found = convert([before], "cilium")
    assert not found.problems.errors
    assert f'- "{value}"' in found.text


def test_two_objects_of_one_name() -> None:
    found = converted([kubernetes({}), kubernetes({}, namespace="other"), kubernetes({}, "q")], "cilium")
    assert [(item["metadata"]["namespace"], item["metadata"]["name"]) for item in found] == [
        ("shop", "p"),
        ("other", "p"),
        ("shop", "q"),
    ]


def test_what_is_cilium_s_already_stays_and_counts_on_both_sides() -> None:
    from tests.unit.converting import cilium

    both = [cilium({"ingressDeny": [{"fromEndpoints": [WEB]}]}), kubernetes({"ingress": [{}]})]
    found = converted(both, "cilium")
    assert found[0] == both[0]
    assert found[1]["metadata"]["name"] == "p-2"
    assert not proof_of(both, "cilium").flows


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_random_policies_keep_their_meaning(seed: int) -> None:
    dice = random.Random(seed)
    before = read(_network_policies(dice, dice.randrange(1, 4)))
    found = convert(before, "cilium")
    assert not found.problems.errors, found.problems.found
    proof = prove(before, found, everything=False)
    assert not proof.differing, proof.differing[0]
    for flow in proof.depending:
        # Where names of ports lead is the one thing that Cilium reads in a way of its own.
        assert "different ports by the name" in flow.after.reason, flow
