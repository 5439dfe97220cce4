"""The proof notices every small difference between two sets of policies, and says where it lies."""

from __future__ import annotations

import pytest

from harness.author.agreement import Flow, Proof, agreement, readings
from harness.author.guess import guess
from harness.author.kinds_of_flows import label_classes, of_world
from tests.unit.converting import WEB, Json, cilium, kubernetes, read


def compare(before: Json, after: Json, *, classes: bool = True, world: bool = True) -> Proof:
    first, second = read([before]), read([after])
    every = label_classes(first, second)
    assert not every.gap
    askings = [every] if classes else []
    found = [*askings, of_world(guess([*first, *second]), first, second)] if world else askings
    return agreement(found, readings(first, second[0].dialect))


def block(*excepts: str) -> Json:
    return {"from": [{"ipBlock": {"cidr": "203.0.113.0/24", "except": list(excepts)}}]}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            {"ingress": [block("203.0.113.8/29")]},
            {"ingress": [{"fromCIDRSet": [{"cidr": "203.0.113.0/24", "except": ["203.0.113.8/30"]}]}]},
            id="an-exception-that-is-too-small",
        ),
        pytest.param(
            {"ingress": [{"ports": [{"port": 80, "endPort": 90}]}]},
            {"ingress": [{"toPorts": [{"ports": [{"port": "80", "endPort": 91, "protocol": "TCP"}]}]}]},
            id="a-range-that-ends-one-later",
        ),
        pytest.param(
            {"ingress": [{"ports": [{"port": 80}]}]},
            {"ingress": [{"toPorts": [{"ports": [{"port": "80"}]}]}]},
            id="any-protocol-instead-of-tcp",
        ),
        pytest.param(
            {"ingress": [{}]},
            {"ingress": [{}]},
            id="an-empty-rule",
        ),
        pytest.param(
            {"ingress": [{"from": [{"namespaceSelector": {}}]}]},
            {"ingress": [{"fromEndpoints": [{}]}]},
            id="own-namespace-instead-of-all",
        ),
        pytest.param(
            {"ingress": [{"from": [{"namespaceSelector": {}}]}]},
            {"ingress": [{"fromEntities": ["cluster"]}]},
            id="nodes-as-well",
        ),
        pytest.param(
            {"ingress": [{}], "egress": [{}]},
            {"ingress": [{"fromEntities": ["all"]}], "egress": [{"toEntities": ["world", "cluster"]}, {}]},
            id="nothing",
        ),
        pytest.param(
            {"ingress": []},
            {"egress": [{}]},
            id="the-other-direction",
        ),
        pytest.param(
            {
                "ingress": [
                    {
                        "from": [
                            {
                                "namespaceSelector": {
                                    "matchExpressions": [{"key": "env", "operator": "NotIn", "values": ["x"]}]
                                }
                            }
                        ]
                    }
                ]
            },
            {
                "ingress": [
                    {
                        "fromEndpoints": [
                            {
                                "matchExpressions": [
                                    {
                                        "key": "io.cilium.k8s.namespace.labels.env",
                                        "operator": "NotIn",
                                        "values": ["x"],
                                    }
                                ]
                            }
                        ]
                    }
                ]
            },
            id="excluding-labels-means-the-outside",
        ),
    ],
)
def test_small_differences_are_noticed(before: Json, after: Json, request: pytest.FixtureRequest) -> None:
    proof = compare(kubernetes(before), cilium(after))
    wanted = request.node.callspec.id != "nothing"
    assert bool(proof.differing) is wanted
    assert all(flow.before.answer != flow.after.answer for flow in proof.differing)


def test_a_flow_says_who_and_which_rules() -> None:
    before = kubernetes({"ingress": [{"from": [{"podSelector": WEB}], "ports": [{"port": 80}]}]})
    after = cilium(
        {"ingress": [{"fromEndpoints": [WEB], "toPorts": [{"ports": [{"port": "81", "protocol": "TCP"}]}]}]}
    )
    world = compare(before, after, classes=False)
    texts = [flow.text for flow in world.differing]
    assert texts == ["shop/web->shop/api:81/TCP", "shop/web->shop/api:80/TCP"]
    first = world.differing[1]
    assert (first.before.answer, first.after.answer) == ("allow", "deny")
    assert first.before.rules == ("NetworkPolicy shop/p ingress[0] at in.yaml:11",)
    assert first.after.reason == "isolated for ingress, and no rule matches"
    texts = {flow.text for flow in compare(before, after, world=False).differing}
    assert texts == {
        "ingress: shop/{app=web} -> shop/{app=api}, 80/TCP",
        "ingress: shop/{app=web} -> shop/{app=api}, 81/TCP",
    }


def test_the_own_node_is_told_apart_and_flows_alike_are_counted() -> None:
    proof = compare(cilium({"egress": [{}]}), kubernetes({"policyTypes": ["Egress"]}), world=False)
    assert not proof.differing
    (flow,) = (flow for flow in proof.depending if "ICMP" not in flow.text and flow.after.answer == "allow")
    assert flow.text == "egress: shop/{app=api} -> the pod's own node, 1/TCP"
    assert {name: str(item) for name, item in flow.readings.items()} == {
        "generic": "different",
        "cilium": "same",
        "calico": "same",
    }
    assert isinstance(flow, Flow)
    assert flow.count == 3  # TCP, UDP and SCTP


def test_what_no_class_tells_apart_is_said() -> None:
    account = {"matchLabels": {"io.cilium.k8s.policy.serviceaccount": "a"}}
    first = read([cilium({"ingress": [{"fromEndpoints": [account]}]})])
    assert "more than labels" in label_classes(first, read([kubernetes({})])).gap
