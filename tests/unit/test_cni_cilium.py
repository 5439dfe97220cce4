"""What Cilium says of itself, read from what a real 1.19.1 printed."""

from __future__ import annotations

import json

import pytest

from harness.clusters.kube.cni import LabelChange, PodPlace
from harness.cni.cilium import answers
from harness.cni.cilium.detect import behind_envoy, switched_on

PLACE = PodPlace("n1", ("10.244.0.9",))


def policy(kind: str, namespace: str, name: str) -> dict[str, object]:
    found = {"derived-from": kind, "name": name, "namespace": namespace, "uid": "u"}
    labels = [
        {"key": f"io.cilium.k8s.policy.{key}", "value": value, "source": "k8s"}
        for key, value in found.items()
        if value
    ]
    return {"Subject": {}, "L3": None, "Labels": labels, "DefaultDeny": True}


def test_objects_behind_the_rules_of_an_agent() -> None:
    rules = [policy("NetworkPolicy", "shop", "a"), policy("CiliumClusterwideNetworkPolicy", "", "b")]
    revision, known = answers.taken_in(json.dumps({"policy": json.dumps(rules), "revision": 86}))
    assert revision == 86
    assert known == {("NetworkPolicy", "shop", "a"), ("CiliumClusterwideNetworkPolicy", "", "b")}


@pytest.mark.parametrize("empty", ["", "[]", "null"])
def test_an_agent_without_policies(empty: str) -> None:
    assert answers.taken_in(json.dumps({"policy": empty, "revision": 1})) == (1, set())


def test_endpoints_of_an_agent() -> None:
    text = "shop/other 81 ready none\n/ 81 ready none\nshop/api 80 waiting-to-regenerate ingress\n"
    text += "shop/new  waiting-for-identity \n\nx\n"
    assert list(answers.endpoints(text)) == [
        answers.Endpoint("shop/other", 81, "ready", "none"),
        answers.Endpoint("/", 81, "ready", "none"),
        answers.Endpoint("shop/api", 80, "waiting-to-regenerate", "ingress"),
        answers.Endpoint("shop/new", 0, "waiting-for-identity", ""),
    ]


@pytest.mark.parametrize(
    ("change", "wanted", "unwanted"),
    [
        (LabelChange(PLACE, {}, {"a": "1"}), {"k8s:a=1"}, set()),
        (LabelChange(PLACE, {"a": "1"}, {}), set(), {"k8s:a="}),
        (LabelChange(PLACE, {"a": "1", "b": "2"}, {"a": "2", "b": "2"}), {"k8s:a=2"}, set()),
        (LabelChange(PLACE, {}, {"x.kubernetes.io/y": "1", "k8s.io/z": "1"}), set(), set()),
        (LabelChange(PLACE, {}, {"app.kubernetes.io/name": "x"}), {"k8s:app.kubernetes.io/name=x"}, set()),
        (
            LabelChange(PLACE, {}, {}, {"team": "blue", "old": "x"}, {"team": "red"}),
            {"k8s:io.cilium.k8s.namespace.labels.team=red"},
            {"k8s:io.cilium.k8s.namespace.labels.old="},
        ),
    ],
)
def test_labels_of_an_identity(change: LabelChange, wanted: set[str], unwanted: set[str]) -> None:
    assert answers.identity_labels(change) == (wanted, unwanted)


def test_a_policy_that_the_api_server_took_and_cilium_did_not() -> None:
    # As `kubectl get cnp -o yaml` showed it for `ingress: []`.
    condition = {
        "lastTransitionTime": "2026-11-24T02:02:37Z",
        "message": "rule must have at least one of Ingress, IngressDeny, Egress, EgressDeny",
        "status": "False",
        "type": "Valid",
    }
    assert answers.invalid({"status": {"conditions": [condition]}}) == condition["message"]
    assert answers.invalid({"status": {"conditions": [{**condition, "status": "True"}]}}) == ""
    assert answers.invalid({}) == ""


@pytest.mark.parametrize(
    ("data", "features"),
    [
        ({}, set()),
        ({"enable-node-selector-labels": "false", "mesh-auth-enabled": "true"}, set()),
        ({"mesh-auth-mutual-enabled": "true"}, set()),
        ({"mesh-auth-enabled": "true", "mesh-auth-mutual-enabled": "true"}, {"mutual-auth"}),
        ({"enable-node-selector-labels": "true"}, {"node-selectors"}),
    ],
)
def test_what_a_stock_cilium_lacks_stands_in_its_settings(data: dict[str, str], features: set[str]) -> None:
    assert switched_on(data) == features


@pytest.mark.parametrize(
    ("data", "features"),
    [
        ({}, set()),
        ({"enable-policy-secrets-sync": "false", "enable-envoy-config": "false"}, set()),
        ({"enable-policy-secrets-sync": "true"}, {"l7-secrets"}),
        ({"enable-envoy-config": "true"}, {"envoy-listeners"}),
    ],
)
def test_what_rules_hand_to_envoy_stands_in_its_settings(data: dict[str, str], features: set[str]) -> None:
    assert behind_envoy(data) == features
