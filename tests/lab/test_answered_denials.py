"""Denials that are answered, as Felix' Reject does: on every way a client is told at once, as paper says."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.model.personality import CALICO, calico_with
from harness.model.verdict import Status, Verdict
from tests.lab.labs import cells, measure, scenario

pytestmark = pytest.mark.lab

ANSWERING = calico_with(answers_denials=True)

WORLD = """
scenario: answered
families: [ipv4, ipv6]
namespaces: {shop: {}}
pods:
  shop/api: {labels: {app: api}, listen: [80, 81, 5353/UDP], node: a}
  shop/near: {labels: {app: near}, listen: [80], node: a}
  shop/far: {labels: {app: far}, listen: [80], node: b}
  shop/host: {hostNetwork: true, node: b}
services:
  shop/api: {selector: {app: api}, ports: [80, 81, 5353/UDP]}
externals:
  out: {address: [203.0.113.10, "2001:db8::10"], listen: [443]}
policies:
  - apiVersion: projectcalico.org/v3
    kind: NetworkPolicy
    metadata: {name: api, namespace: shop}
    spec:
      selector: app == 'api'
      ingress:
        - {action: Allow, protocol: TCP, source: {selector: app == 'far'}, destination: {ports: [80]}}
        - {action: Deny, source: {selector: app == 'far'}}
  - apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata: {name: near, namespace: shop}
    spec: {podSelector: {matchLabels: {app: near}}, policyTypes: [Egress], egress: [{ports: [{port: 80}]}]}
expect:
  - {from: shop/far, to: ["shop/api:80", "service:shop/api:80"], verdict: allow}
  - {from: shop/far, to: ["shop/api:81", "service:shop/api:81", "shop/api:5353/UDP"], verdict: reject}
  - {from: shop/far, to: "service:shop/api:5353/UDP", verdict: reject}
  - {from: shop/near, to: ["shop/api:80", "service:shop/api:80", "external:out:443"], verdict: reject}
  - {from: shop/near, dns: "api.shop.svc.cluster.local.", verdict: reject}
  - {from: shop/near, to: "shop/far:80", verdict: allow}
  - {from: [shop/host, "external:out"], to: ["shop/api:80", "shop/api:5353/UDP"], verdict: reject}
  - {from: "node:b", to: "shop/api:80", verdict: reject}
"""


def test_who_is_denied_is_told(tmp_path: Path) -> None:
    found = cells(measure(scenario(WORLD, tmp_path), personality=ANSWERING))
    wrong = {id: item.reason or item.finding_text for id, item in found.items() if item.status != "passed"}
    assert wrong == {}
    denied = [item for item in found.values() if item.verdict is Verdict.REJECT]
    assert len(denied) == 2 * 13
    assert {item.predicted.word for item in denied if item.predicted} == {"reject"}
    assert all(item.observation and item.observation.outcome.by.startswith("icmp") for item in denied)
    # As Calico is by default, the same cells get no answer, and paper does not say that it must be so.
    silent = cells(measure(scenario(WORLD, tmp_path), personality=CALICO))
    failed = [item for item in silent.values() if item.status is Status.FAILED]
    assert {item.verdict for item in failed} == {Verdict.DROP}
    assert len(failed) == len(denied)
    assert {item.predicted.word for item in failed if item.predicted} == {"deny"}


def test_an_echo_request_is_answered_too(tmp_path: Path) -> None:
    """Felix rejects whatever it denies; what a client makes of that paper leaves open."""
    world = WORLD.partition("expect:")[0]
    text = f"{world}expect:\n  - {{from: shop/near, to: shop/api/ICMP, verdict: reject}}\n"
    (first, second) = cells(measure(scenario(text, tmp_path), personality=ANSWERING)).values()
    for item in (first, second):
        assert item.status is Status.PASSED, item.reason
        assert item.predicted is not None
        assert item.predicted.word == "deny"


MANY = """
scenario: many
families: [FAMILY]
pods:
  n/p: {labels: {app: p}, replicas: 30, listen: [80, 81/UDP]}
policies:
  - apiVersion: projectcalico.org/v3
    kind: GlobalNetworkPolicy
    metadata: {name: nobody}
    spec: {selector: app == 'p', types: [Ingress]}
expect:
  - {all: reject, ports: [80, 81/UDP]}
"""


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_nobody_is_told_less_since_many_are(family: str, tmp_path: Path) -> None:
    """Kernels limit how often they send such errors, which must not become silence."""
    found = cells(measure(scenario(MANY.replace("FAMILY", family), tmp_path), personality=ANSWERING))
    assert len(found) > 1500
    assert {id: item.reason for id, item in found.items() if item.status != "passed"} == {}
