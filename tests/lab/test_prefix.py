"""Real packets between namespaces under other names: every verdict is the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.clusters.lab.cluster import LabCluster
from harness.clusters.renamed import RenamedCluster
from harness.engine.run import run
from harness.model.result import RunResult
from harness.model.scenario import Scenario
from tests.lab.labs import scenario
from tests.lab.shipped import ready_scenarios

pytestmark = pytest.mark.lab

SHIPPED = (
    "namespace-by-name",
    "relabel-namespace",
    "service-headless",
    "service-node-port",
    "transition",
)

NAMES = """
scenario: names
namespaces:
  shop: {labels: {name: shop}}
  db: {}
  default: {}
pods:
  shop/cli: {labels: {app: cli}}
  shop/web: {labels: {app: web}, listen: [80]}
  db/cli: {}
  db/web-0: {labels: {app: db}, listen: [80]}
  default/cli: {}
services:
  shop/web: {selector: {app: web}, ports: [80]}
  db/web: {type: Headless, selector: {app: db}, ports: [80]}
steps:
  - name: open
    apply:
      - apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: web, namespace: shop}
        spec:
          podSelector: {matchLabels: {app: web}}
          ingress:
            - from:
                - namespaceSelector:
                    matchLabels: {kubernetes.io/metadata.name: shop, name: shop}
                - namespaceSelector:
                    matchExpressions:
                      - {key: kubernetes.io/metadata.name, operator: NotIn, values: [shop, default]}
                      - {key: name, operator: DoesNotExist}
      - apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: in-default}
        spec: {podSelector: {}, policyTypes: [Ingress]}
    expect:
      - {from: [shop/cli, db/cli], to: ["shop/web:80", "service:shop/web:80"], verdict: allow}
      - {from: default/cli, to: ["shop/web:80", "host:web.shop.svc.cluster.local:80"], verdict: deny}
      - {from: shop/cli, http: {url: "http://host:web.shop.svc.cluster.local:80/x"}, verdict: allow}
      - {from: [shop/cli, db/cli], to: "host:web.db.svc.cluster.local:80", verdict: allow}
      - from: db/cli
        dns: [web.shop.svc.cluster.local, kubernetes.default.svc.cluster.local]
        verdict: allow
      - from: db/cli
        dns: [web, web.shop, web.shop.svc, kubernetes.default]
        search: true
        verdict: allow
      - {from: default/cli, dns: [kubernetes, web.shop], search: true, verdict: allow}
      - from: db/cli
        dns: [nosuch.shop.svc.cluster.local, web.elsewhere.svc.cluster.local]
        verdict: dns-nxdomain
      - {from: shop/cli, dns: [web-0.web], search: true, verdict: dns-nxdomain}
  - name: changed
    delete: [networkpolicy/shop/web]
    add: {namespaces: {late: {}}, pods: {late/srv: {listen: [80]}}}
    remove: [default/cli]
    restart: [shop/web]
    expect:
      - {from: shop/cli, to: ["late/srv:80", "shop/web:80"], verdict: allow}
"""


def _verdicts(result: RunResult) -> dict[str, tuple[str, str, str]]:
    found = {}
    for item in result.scenarios:
        assert not item.error, f"{item.scenario.name}: {item.error}"
        for step in item.steps:
            for cell in step.cells:
                key = f"{item.scenario.name}::{step.name}::{cell.id}"
                found[key] = (str(cell.status), str(cell.verdict), "; ".join(cell.notes))
    return found


def _run(wanted: list[Scenario], prefix: str) -> dict[str, tuple[str, str, str]]:
    lab = LabCluster("lab")
    try:
        cluster = RenamedCluster(lab, prefix) if prefix else lab
        return _verdicts(run(wanted, cluster, lambda event: None, jobs=3))
    finally:
        lab.close()


@pytest.mark.parametrize("prefix", ["ci-7-", "auto"])
def test_every_verdict_stays_the_same(prefix: str, tmp_path: Path) -> None:
    wanted = [item for item in ready_scenarios() if item.name in SHIPPED]
    assert len(wanted) == len(SHIPPED)
    wanted.append(scenario(NAMES, tmp_path))
    plain = _run(wanted, "")
    assert {status for status, _, _ in plain.values()} == {"passed"}
    assert len(plain) > 50
    assert _run(wanted, prefix) == plain
