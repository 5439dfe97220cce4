"""A UDP probe whose source port was used a moment ago is an old flow and passes a deny; so none ever is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.clusters import Ran

pytestmark = pytest.mark.cluster

SOURCES, SERVERS, PORTS = 5, 4, 250
FIRST = 20000


def _text() -> str:
    ports = ", ".join(f"{FIRST + number}/UDP" for number in range(PORTS))
    lines = ["scenario: $ns-udp", "namespaces: {$ns: {}}", "pods:"]
    lines += [f"  $ns/cli{number}: {{node: {'ab'[number % 2]}}}" for number in range(SOURCES)]
    for number in range(SERVERS):
        node = "ab"[number // 2]
        lines.append(f"  $ns/srv{number}: {{labels: {{app: srv}}, listen: [{ports}], node: {node}}}")
    sources = ", ".join(f"$ns/cli{number}" for number in range(SOURCES))
    targets = ", ".join(
        f'"$ns/srv{number}:{FIRST + port}/UDP"' for number in range(SERVERS) for port in range(PORTS)
    )
    return "\n".join(
        [
            *lines,
            "policies:",
            "  - apiVersion: networking.k8s.io/v1",
            "    kind: NetworkPolicy",
            "    metadata: {name: deny, namespace: $ns}",
            "    spec: {podSelector: {matchLabels: {app: srv}}, policyTypes: [Ingress]}",
            "settings: {deadline: 120s}",
            "expect:",
            f"  - {{from: [{sources}], to: [{targets}], verdict: drop}}",
        ]
    )


def test_5000_udp_cells_after_a_deny_and_not_one_false_allow(
    enforcing_context: str, write: Callable[..., Path], netcheck: Callable[..., Ran]
) -> None:
    """The control sweep has just opened every one of these flows; Calico lets established ones pass."""
    ran = netcheck("run", "-q", write(_text()), context=enforcing_context, timeout=900)
    assert len(ran.cells) == SOURCES * SERVERS * PORTS == 5000
    assert Counter(ran.statuses()) == {"passed": 5000}, str(ran)[:4000]
    assert ran.code == 0
