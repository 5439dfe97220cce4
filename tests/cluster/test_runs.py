"""The same scenario on every cluster: verdicts where policies are enforced, failures where they are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.clusters.kube.api import Api
from tests.cluster.clusters import Ran

pytestmark = pytest.mark.cluster

SHOP = """
scenario: $ns-shop
namespaces: {$ns: {labels: {team: shop}}}
pods:
  $ns/web: {labels: {app: web}, listen: [8080, 8081, 5353/UDP], node: a}
  $ns/cli: {labels: {app: cli}, node: b}
policies:
  - apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata: {name: only-8080, namespace: $ns}
    spec:
      podSelector: {matchLabels: {app: web}}
      ingress: [{from: [{podSelector: {matchLabels: {app: cli}}}], ports: [{port: 8080}]}]
expect:
  - {from: $ns/cli, to: "$ns/web:8080", verdict: allow}
  - {from: $ns/cli, to: ["$ns/web:8081", "$ns/web:5353/UDP"], verdict: deny}
"""


def test_a_scenario_runs_on_every_cluster(
    context: str,
    kinds: dict[str, str],
    write: Callable[..., Path],
    netcheck: Callable[..., Ran],
    api: Callable[[str], Api],
    ns: str,
) -> None:
    ran = netcheck("run", write(SHOP), context=context)
    enforced = kinds[context] != "basic"
    assert ran.code == (0 if enforced else 1), str(ran)
    assert ran.statuses() == ["passed", *["passed" if enforced else "failed"] * 2], str(ran)
    left = [item["metadata"]["name"] for item in api(context).get("/api/v1/namespaces")["items"]]
    assert not [name for name in left if name.startswith((ns, f"netcheck-{ran.report['run']}"))]
