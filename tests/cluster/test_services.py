"""Services with several pods behind them: every one is met, and what it does to clients is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.clusters import Ran

pytestmark = pytest.mark.cluster

SHOP = """
scenario: one-of-three-is-closed
namespaces:
  $ns: {}
pods:
  $ns/w0: {labels: {app: web}, listen: [8080, 5353/UDP], node: a}
  $ns/w1: {labels: {app: web}, listen: [8080, 5353/UDP], node: b}
  $ns/w2: {labels: {app: web, closed: "yes"}, listen: [8080, 5353/UDP], node: b}
  $ns/cli: {node: a}
services:
  $ns/web: {selector: {app: web}, type: NodePort, ports: ["80:8080:$nodeport", "53:5353/UDP"]}
  $ns/head: {selector: {app: web}, type: Headless, ports: ["8080:8080"]}
steps:
  - name: all-open
    expect: &cells
      - {from: $ns/cli, to: "service:$ns/web:80", verdict: allow}
      - {from: $ns/cli, to: "service:$ns/web:53/UDP", verdict: allow}
      - {from: $ns/cli, to: "service:$ns/head:8080", verdict: allow}
      - {from: $ns/cli, to: "host:head.$ns.svc.cluster.local:8080", verdict: allow}
      - {from: $ns/cli, to: "nodeport:a:$nodeport", verdict: allow}
      - {from: $ns/cli, http: {method: GET, url: "http://service:$ns/web:80/x"}, verdict: allow}
  - name: one-closed
    apply:
      - apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: close, namespace: $ns}
        spec: {podSelector: {matchLabels: {closed: "yes"}}, policyTypes: [Ingress]}
    expect: *cells
  - name: all-closed
    apply:
      - apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: close-all, namespace: $ns}
        spec: {podSelector: {}, policyTypes: [Ingress]}
    expect: *cells
"""


def test_every_pod_behind_a_service_is_met(
    enforcing_context: str, write: Callable[..., Path], netcheck: Callable[..., Ran], nodeport: str
) -> None:
    ran = netcheck("run", write(SHOP, nodeport=nodeport), context=enforcing_context)
    assert ran.code == 1, str(ran)
    by_step: dict[str, list[tuple[str, str, str]]] = {}
    for name, cell in ran.cells.items():
        by_step.setdefault(name.split("/")[1], []).append((cell["status"], cell["verdict"], cell["reason"]))
    assert by_step["all-open"] == [("passed", "allow", "")] * 6, str(ran)
    for status, verdict, reason in by_step["one-closed"]:
        assert (status, verdict) == ("failed", "allow"), str(ran)
        assert "the pods behind the service answer differently" in reason, str(ran)
        assert "timeout from 1 of 3" in reason, str(ran)
        assert " from 2 of 3" in reason, str(ran)
    assert [item[:2] for item in by_step["all-closed"]] == [("failed", "drop")] * 6, str(ran)
