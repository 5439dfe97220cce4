"""Services with several pods behind them: every one is met, and what it does to clients is told."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.clusters.kube.api import Api, ApiError
from tests.cluster.clusters import Process, Ran
from tests.cluster.test_restarts import OWN

pytestmark = pytest.mark.cluster

SLOW_SECONDS = 15.0

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


RESTARTED = """
scenario: the-only-pod-restarts
namespaces: {$ns: {}}
pods:
  $ns/web: {labels: {app: web}, listen: [8080], node: b}
  $ns/spare: {labels: {app: spare}, listen: [8080], node: b}
  $ns/cli: {node: a}
services:
  $ns/web: {selector: {app: web}, ports: ["80:8080"]}
steps:
  - name: before
    expect: &cells [{from: $ns/cli, to: "service:$ns/web:80", verdict: allow}]
  - name: restart
    restart: [$ns/web]
    expect: *cells
  - name: relabel
    label: [{pod: $ns/web, set: {app: old}}, {pod: $ns/spare, set: {app: web}}]
    expect: *cells
  - name: back
    label: [{pod: $ns/web, set: {app: web}}, {pod: $ns/spare, set: {app: spare}}]
    restart: [$ns/web]
    expect: *cells
"""


def test_a_service_is_judged_when_it_leads_to_the_pods_that_it_has(
    any_context: str, write: Callable[..., Path], netcheck: Callable[..., Ran]
) -> None:
    ran = netcheck("run", write(RESTARTED), context=any_context)
    assert ran.code == 0, str(ran)
    assert ran.statuses() == ["passed"] * 4, str(ran)
    assert [cell["notes"] for cell in ran.cells.values()] == [[]] * 4, "a cell has flapped"


@pytest.fixture
def paused(kinds: dict[str, str]) -> Iterator[tuple[str, Callable[[bool], None]]]:
    """A kind cluster that this test may disturb, and what stops kube-proxy on its nodes, or lets it go on."""
    for context in os.environ.get(OWN, "").split(","):
        if context in kinds and context.startswith("kind-") and shutil.which("docker"):
            break
    else:
        pytest.skip(f"no kind cluster is named that a test may disturb: {OWN}=kind-NAME")
    label = f"label=io.x-k8s.kind.cluster={context.removeprefix('kind-')}"
    listed = subprocess.run(
        ["docker", "ps", "--filter", label, "--format", "{{.Names}}"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip

    def pause(stop: bool) -> None:
        for node in listed.stdout.split():
            signal = "-STOP" if stop else "-CONT"
            subprocess.run(["docker", "exec", node, "pkill", signal, "kube-proxy"], check=True, timeout=60)

    yield context, pause
    pause(False)


def _await_restart(api: Api, ns: str, process: Process) -> None:
    """Wait until the pod behind the service is taken away, or is another one."""
    seen: str | None = None
    while process.popen.poll() is None:
        try:
            uid = api.get(f"/api/v1/namespaces/{ns}/pods/web")["metadata"]["uid"]
        except ApiError as trouble:
            if trouble.status != 404:
                raise
            uid = ""
        if seen and uid != seen:
            return
        seen = uid
        time.sleep(0.02)
    raise AssertionError("the pod was never restarted")


def test_a_slow_kube_proxy_is_waited_for(
    paused: tuple[str, Callable[[bool], None]],
    api: Callable[[str], Api],
    write: Callable[..., Path],
    start: Callable[..., Any],
    ns: str,
) -> None:
    context, pause = paused
    with start("run", write(RESTARTED), context=context) as process:
        _await_restart(api(context), ns, process)
        pause(True)
        time.sleep(SLOW_SECONDS)
        pause(False)
        ran: Ran = process.wait(400)
    assert ran.code == 0, str(ran)
    assert ran.statuses() == ["passed"] * 4, str(ran)
    steps = {step["name"]: step for step in ran.report["scenarios"][0]["steps"]}
    assert steps["restart"]["in_force"] > SLOW_SECONDS / 2, str(ran)
