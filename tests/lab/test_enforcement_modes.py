"""Cilium's enforcement modes with real packets, as paper says it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.clusters.lab.cluster import LabCluster
from harness.clusters.lab.world import LabWorld
from harness.engine.judge import judge
from harness.engine.live import LiveWorld
from harness.model.prediction import Answer
from harness.model.verdict import Verdict
from tests.lab.labs import measure, scenario, world
from tests.unit import worlds
from tests.unit.kubernetes_worlds import probe
from tests.unit.test_enforcement_modes import ALWAYS, MODES, NEVER, ROWS
from tests.unit.test_personality import WORLD

pytestmark = pytest.mark.lab

VERDICTS = {Answer.ALLOW: Verdict.ALLOW, Answer.DENY: Verdict.DROP}


@pytest.fixture(scope="module", params=MODES)
def character(request: pytest.FixtureRequest) -> Iterator[tuple[int, LabWorld]]:
    """A lab in a mode, and the place of its answers in the rows."""
    wanted = worlds.scenario(worlds.step(topology=WORLD), topology=WORLD)
    with world(wanted, MODES[request.param]) as made:
        yield 3 + list(MODES).index(request.param), made


def test_rows(character: tuple[int, LabWorld]) -> None:
    place, made = character
    wrong = []
    for row in ROWS:
        what, policies, text = row[:3]
        asked = probe(text)
        made.apply(policies)
        (seen,) = made.sweep([asked], 0.6)
        made.delete([item.ref for item in policies])
        verdict = judge(asked, seen).verdict
        if verdict is not VERDICTS[row[place]]:
            wrong.append(f"{what}: {verdict} instead of {row[place]} ({seen.outcome})")
        if seen.open_point:
            wrong.append(f"{what}: certain on paper, and yet {seen.open_point}")
    assert wrong == []


STEPS = """
scenario: modes
needs: [l7-http, l7-dns, external-names]
settings: {connectTimeout: 500ms}
externals:
  out: {address: 203.0.113.10, listen: [443], names: [good.example.com, bad.example.com]}
pods:
  shop/web: {labels: {app: web}, listen: [80, 81], node: a}
  shop/cli: {labels: {app: cli}, node: b}
steps:
  - name: bare
    expect:
      - {from: shop/cli, to: "shop/web:81", verdict: deny}
      - {from: shop/cli, http: [{url: "http://shop/web:80/public"}], verdict: deny}
      - {from: shop/cli, dns: good.example.com, verdict: deny}
      - {from: "external:out", to: "shop/web:81", verdict: deny}
      - {from: "node:a", to: "shop/web:81", verdict: allow}
      - {from: "node:b", to: "shop/web:81", verdict: deny}
  - name: opened
    apply:
      - apiVersion: cilium.io/v2
        kind: CiliumClusterwideNetworkPolicy
        metadata: {name: leave}
        spec:
          endpointSelector: {matchLabels: {app: cli}}
          egress:
            - toEntities: [all]
              toPorts: [{ports: [{port: "54", endPort: 65535, protocol: TCP}]}]
            - toEndpoints: [{matchLabels: {io.kubernetes.pod.namespace: kube-system, k8s-app: kube-dns}}]
              toPorts: [{ports: [{port: "53", protocol: ANY}], rules: {dns: [{matchName: good.example.com}]}}]
      - apiVersion: cilium.io/v2
        kind: CiliumClusterwideNetworkPolicy
        metadata: {name: dns}
        spec:
          endpointSelector: {matchLabels: {k8s-app: kube-dns}}
          ingress: [{fromEntities: [cluster]}]
      - apiVersion: cilium.io/v2
        kind: CiliumNetworkPolicy
        metadata: {name: web, namespace: shop}
        spec:
          endpointSelector: {matchLabels: {app: web}}
          ingress: [{toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {http: [{path: /public}]}}]}]
          enableDefaultDeny: {ingress: false}
    expect:
      - {from: shop/cli, to: "shop/web:81", verdict: deny}
      - {from: shop/cli, http: [{url: "http://shop/web:80/public"}], verdict: allow}
      - {from: shop/cli, http: [{url: "http://shop/web:80/private"}], verdict: deny-http}
      - {from: shop/cli, dns: good.example.com, verdict: allow}
      - {from: shop/cli, dns: bad.example.com, verdict: dns-refused}
      - {from: shop/cli, to: ["external:out:443", "host:good.example.com:443"], verdict: allow}
"""


def _opened() -> str:
    """STEPS as they end in mode `never`: everything passes."""
    denials = ("deny-http", "dns-refused", "deny")
    text = STEPS
    for word in denials:
        text = text.replace(f"verdict: {word}}}", "verdict: allow}")
    return text


@pytest.mark.parametrize(("mode", "text"), [(ALWAYS, STEPS), (NEVER, _opened())], ids=["always", "never"])
def test_a_whole_run(mode: object, text: str, tmp_path: Path) -> None:
    """Controls connect although every pod is isolated from the beginning; paper agrees with each cell."""
    result = measure(scenario(text, tmp_path), personality=mode)  # type: ignore[arg-type]
    (found,) = result.scenarios
    assert found.error == ""
    assert len(found.cells) == 13
    assert [f"{item.id}: {item.reason}" for item in found.cells if item.status != "passed"] == []
    assert [item.id for item in found.cells if item.finding] == []
    for item in found.cells:
        assert item.predicted is not None
        assert item.verdict is not None
        assert item.predicted.agrees(item.verdict), item.id


def test_what_denies_is_named(tmp_path: Path) -> None:
    text = STEPS.replace('"shop/web:81", verdict: deny}', '"shop/web:81", verdict: allow}', 1)
    result = measure(scenario(text, tmp_path), personality=ALWAYS)
    (failed,) = [item for item in result.scenarios[0].cells if item.status == "failed"]
    assert any("enforcement mode `always`" in line for line in failed.evidence), failed.evidence
    assert failed.predicted is not None
    assert "enforcement mode `always`" in failed.predicted.reason


def test_a_world_that_stays(tmp_path: Path) -> None:
    """Controls that are taken later find the way open, and it is shut again afterwards."""
    wanted = scenario(STEPS, tmp_path)
    cluster = LabCluster(personality=ALWAYS)
    try:
        with LiveWorld(wanted, cluster, "r") as live:
            for number in range(2):
                result = live.measure(wanted, wanted.steps[number : number + 1])
                wrong = [f"{item.id}: {item.reason}" for item in result.cells if item.status != "passed"]
                assert wrong == []
    finally:
        cluster.close()
