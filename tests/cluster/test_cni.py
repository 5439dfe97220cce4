"""What network plugins say of themselves, and faults of clusters that may be broken."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.clusters.kube.api import Api
from tests.cluster import clusters
from tests.cluster.clusters import Ran

pytestmark = pytest.mark.cluster

BREAKABLE = "NETCHECK_TEST_BREAKABLE_CONTEXTS"
"""Clusters that these tests may slow down and break: nobody else's, and best taken down afterwards."""

FELIX = "/apis/crd.projectcalico.org/v1/felixconfigurations/default"

PLAIN = """
scenario: $ns-plain
pods:
  $ns/web: {labels: {app: web}, listen: [8080, 8081], node: a}
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
  - {from: $ns/cli, to: "$ns/web:8081", verdict: $verdict}
"""

RELABEL = """
scenario: $ns-relabel
pods:
  $ns/web: {labels: {app: web}, listen: [8080], node: a}
  $ns/cli: {labels: {app: cli}, node: b}
steps:
  - name: shut
    apply:
      - apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: granted, namespace: $ns}
        spec:
          podSelector: {matchLabels: {app: web}}
          ingress: [{from: [{podSelector: {matchLabels: {access: granted}}}]}]
    expect: [{from: $ns/cli, to: "$ns/web:8080", verdict: drop}]
  - name: gained
    label: [{pod: $ns/cli, set: {access: granted}}]
    expect: [{from: $ns/cli, to: "$ns/web:8080", verdict: allow}]
  - name: lost
    label: [{pod: $ns/cli, unset: [access]}]
    expect: [{from: $ns/cli, to: "$ns/web:8080", verdict: drop}]
"""

DNS = """
scenario: $ns-dns
needs: [l7-dns]
pods:
  $ns/app: {labels: {app: app}}
policies:
  - apiVersion: cilium.io/v2
    kind: CiliumNetworkPolicy
    metadata: {name: dns, namespace: $ns}
    spec:
      endpointSelector: {matchLabels: {app: app}}
      egress:
        - toEndpoints:
            - matchLabels: {"k8s:io.kubernetes.pod.namespace": kube-system, "k8s:k8s-app": kube-dns}
          toPorts:
            - ports: [{port: "53", protocol: UDP}]
              rules: {dns: [{matchName: kubernetes.default.svc.cluster.local}]}
expect:
  - {from: $ns/app, dns: kubernetes.default.svc.cluster.local, verdict: allow}
  - {from: $ns/app, dns: kube-dns.kube-system.svc.cluster.local, verdict: dns-refused}
  - {from: $ns/app, dns: kubernetes.default.svc.cluster.local, tcp: true, verdict: drop}
"""

REFUSED = """
scenario: $ns-refused
pods:
  $ns/web: {labels: {app: web}, listen: [8080]}
  $ns/cli: {}
policies:
  - apiVersion: cilium.io/v2
    kind: CiliumNetworkPolicy
    metadata: {name: empty, namespace: $ns}
    spec:
      endpointSelector: {matchLabels: {app: web}}
      ingress: [{fromEndpoints: [{matchLabels: {app: cli}}], authentication: {mode: required}}]
expect:
  - {from: $ns/cli, to: "$ns/web:8080", verdict: drop}
"""

HTTP = """
scenario: $ns-http
needs: [l7-http]
pods:
  $ns/web: {labels: {app: web}, listen: [8080]}
  $ns/cli: {labels: {app: cli}}
policies:
  - apiVersion: cilium.io/v2
    kind: CiliumNetworkPolicy
    metadata: {name: public, namespace: $ns}
    spec:
      endpointSelector: {matchLabels: {app: web}}
      ingress:
        - fromEndpoints: [{matchLabels: {app: cli}}]
          toPorts:
            - ports: [{port: "8080", protocol: TCP}]
              rules: {http: [{method: GET, path: "/public/.*"}]}
expect:
  - {from: $ns/cli, http: {url: "http://$ns/web:8080/public/a"}, verdict: allow}
  - {from: $ns/cli, http: {url: "http://$ns/web:8080/private"}, verdict: deny-http}
"""


def test_labels_count_once_the_plugin_knows_them(
    enforcing_context: str, write: Callable[..., Path], netcheck: Callable[..., Ran]
) -> None:
    ran = netcheck("run", write(RELABEL), context=enforcing_context, timeout=600)
    assert ran.statuses() == ["passed"] * 3, str(ran)


def test_cilium_refuses_dns_questions(
    cilium_context: str, write: Callable[..., Path], netcheck: Callable[..., Ran]
) -> None:
    ran = netcheck("run", write(DNS), context=cilium_context, timeout=600)
    assert ran.statuses() == ["passed"] * 3, str(ran)


def test_a_policy_that_cilium_refuses_is_an_error(
    cilium_context: str, write: Callable[..., Path], netcheck: Callable[..., Ran]
) -> None:
    # Whoever trusts feature detection skips it; what the agents say of the policy is seen without.
    ran = netcheck("run", write(REFUSED), "--assume", "mutual-auth", context=cilium_context, timeout=600)
    assert ran.code == 6, str(ran)
    (cell,) = ran.cells.values()
    assert cell["verdict"] is None
    assert "mutual auth feature is disabled" in cell["reason"]


def test_what_a_cluster_does_not_serve_is_skipped(
    calico_context: str, write: Callable[..., Path], netcheck: Callable[..., Ran]
) -> None:
    ran = netcheck("run", write(REFUSED), context=calico_context, timeout=600)
    (scenario,) = ran.report["scenarios"]
    assert "lacks the feature cilium-policies (CiliumNetworkPolicy" in scenario["skipped"], str(ran)


@pytest.mark.parametrize(
    ("plugin", "wanted"),
    [("cilium", "ingress DROPPED POLICY_DENIED"), ("calico", "Drop if no policies passed packet")],
)
def test_the_plugin_tells_why_a_cell_failed(
    plugin: str, wanted: str, kinds: dict[str, str], write: Callable[..., Path], netcheck: Callable[..., Ran]
) -> None:
    context = next((item for item, kind in kinds.items() if kind == plugin), "")
    if not context:
        pytest.skip(f"none of the clusters in {clusters.CONTEXTS} is one with {plugin}")
    ran = netcheck("run", write(PLAIN, verdict="allow"), context=context, timeout=600)
    assert ran.statuses() == ["passed", "failed"], str(ran)
    failed = list(ran.cells.values())[1]
    assert any(wanted in line for line in failed["evidence"]), failed["evidence"]


WITHOUT_HUBBLE = """
from harness.cni.cilium import detect
real = detect.Cilium
detect.Cilium = lambda *given, **named: real(*given, **{**named, "hubble": False})
from harness.cli import main
main()
"""


def test_where_hubble_is_off_the_agents_print_why_a_cell_failed(
    cilium_context: str,
    write: Callable[..., Path],
    netcheck: Callable[..., Ran],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The agents print the same whether Hubble records it or not; so it is only not asked here."""
    monkeypatch.setattr(clusters, "CLI", [sys.executable, "-P", "-c", WITHOUT_HUBBLE])
    ran = netcheck("run", write(PLAIN, verdict="allow"), context=cilium_context, timeout=600)
    assert ran.statuses() == ["passed", "failed"], str(ran)
    evidence = list(ran.cells.values())[1]["evidence"]
    assert any("cilium-dbg monitor on" in line and "drop, Policy denied" in line for line in evidence), (
        evidence
    )


# -- faults ------------------------------------------------------------------------------------------------


def _breakable(plugin: str) -> str:
    for context in os.environ.get(BREAKABLE, "").split(","):
        if context.strip() and clusters.kind_of(context.strip()) == plugin:
            return context.strip()
    pytest.skip(f"{BREAKABLE} names no cluster with {plugin} that may be broken")


def test_slow_enforcement_changes_times_and_no_verdict(
    write: Callable[..., Path], netcheck: Callable[..., Ran]
) -> None:
    context = _breakable("calico")
    api = clusters.api_of(context)
    api.patch(FELIX, {"spec": {"debugSimulateDataplaneApplyDelay": "5s"}})
    try:
        ran = netcheck("run", write(PLAIN, verdict="drop"), context=context, timeout=600)
    finally:
        api.patch(FELIX, {"spec": {"debugSimulateDataplaneApplyDelay": None}})
    assert ran.statuses() == ["passed", "passed"], str(ran)
    ((step,),) = [scenario["steps"] for scenario in ran.report["scenarios"]]
    assert step["in_force"] >= 5, step


def test_rules_without_the_proxy_that_enforces_them_are_no_verdict(
    write: Callable[..., Path], netcheck: Callable[..., Ran]
) -> None:
    context = _breakable("cilium")
    api = clusters.api_of(context)
    skipped = netcheck("run", write(HTTP), context=context, timeout=600)
    (scenario,) = skipped.report["scenarios"]
    assert "lacks the feature l7-http" in scenario["skipped"], str(skipped)
    try:
        ran = netcheck("run", write(HTTP), "--assume", "l7-http", context=context, timeout=900)
    finally:
        _restart_agents(api)
    assert ran.code == 6, str(ran)
    assert ran.report["backend"]["assumed"] == ["l7-http"]
    assert ran.statuses() == ["error", "error"], str(ran)
    for cell in ran.cells.values():
        assert cell["verdict"] is None
        assert cell["reason"].startswith("the change is not known to be in force: the "), cell["reason"]
        assert "regenerat" in cell["reason"], cell["reason"]


def _restart_agents(api: Api) -> None:
    """A new agent restores its endpoints without the rule that stalled them."""
    path = "/api/v1/namespaces/kube-system/pods"
    old = api.get(path, labelSelector="k8s-app=cilium")["items"]
    for pod in old:
        api.delete(f"{path}/{pod['metadata']['name']}")
    gone = {pod["metadata"]["uid"] for pod in old}
    deadline = time.monotonic() + 120
    for event in api.watch(path, "0", 120, labelSelector="k8s-app=cilium"):
        if event["object"]["metadata"]["uid"] not in gone and _ready(event["object"]):
            now = api.get(path, labelSelector="k8s-app=cilium")["items"]
            if len(now) == len(old) and all(_ready(pod) for pod in now):
                return
        assert time.monotonic() < deadline, "the agents did not come back"


def _ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", ())
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
