"""Runs of pytest inside of pytest: real files, real engine; a cluster from a table, else the lab."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

# Inner runs forget the modules that they load, and the YAML parser's C part cannot be loaded twice.
import harness.scenario.loader
import harness.testing.summary
from harness.cli import clusters
from harness.engine.cluster import ClusterError
from harness.model.result import Backend
from harness.model.scenario import Scenario
from tests.unit.fake_cluster import DROPPED, FakeCluster

_ = (harness, yaml)

SHOP = """\
scenario: shop
tags: [ingress, ip-block]
pods:
  n/web: {listen: [8080, 9090]}
  n/client: {}
  n/other: {}
expect:
  - {from: n/client, to: "n/web:8080", verdict: allow}
  - {from: n/other, to: "n/web:8080", verdict: deny}
  - from: n/other
    to: "n/web:9090"
    verdict: deny
    known: {backend: cilium, verdict: allow, why: "https://example.com/1"}
  - {from: n/client, to: "n/web:9090", verdict: allow}
  - {from: n/client, http: {url: "http://n/web:8080/a[1]@b::c%5B"}, verdict: allow}
"""
NEEDY = """\
scenario: needy
tags: [slow]
needs: [sctp]
pods:
  n/web: {listen: [8080]}
  n/client: {}
steps:
  - name: before
    expect: [{from: n/client, to: "n/web:8080", verdict: allow}]
  - name: after
    restart: [n/web]
    expect: [{from: n/client, to: "n/web:8080", verdict: allow}]
"""
GONE = """\
scenario: gone
pods:
  n/web: {listen: [8080]}
  n/client: {}
steps:
  - name: only
    expect:
      - {from: n/client, to: "n/web:8080", verdict: allow}
      - {from: n/web, to: "n/web:8080", verdict: allow}
    transition:
      steady: [{from: n/client, to: "n/web:8080"}]
      cut: [{from: n/web, to: "n/web:8080"}]
      established: cut
"""
FINE = """\
scenario: fine
tags: [ingress]
pods:
  n/web: {listen: [8080]}
  n/client: {}
steps:
  - name: first
    expect: [{from: n/client, to: "n/web:8080", verdict: allow}]
  - name: second
    restart: [n/web]
    expect: [{from: n/client, to: "n/web:8080", verdict: allow}]
"""
OTHER_YAML = "apiVersion: v1\nkind: Namespace\nmetadata: {name: scenario}\n"

BROKEN = "n/client->n/web:9090/TCP"
"""The path whose control does not connect."""

Opener = Callable[[], FakeCluster]


class Cilium(FakeCluster):
    """Every kind of result: of `shop` one cell fails, one is an error, one deviates as is known."""

    def __init__(self) -> None:
        super().__init__({}, {BROKEN: DROPPED}, self._building)
        self.backend = Backend("lab", ("cilium", "kubernetes"), {"cilium": "1.19.0"}, frozenset({"external"}))
        self.built: list[str] = []
        self.hold = threading.Event()
        self.hold.set()

    def _building(self, scenario: Scenario) -> None:
        self.built.append(scenario.name)
        assert self.hold.wait(60)
        if scenario.name == "gone":
            raise ClusterError("the node went away", "look for it")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cilium:
    """What `lab` opens, for pytest in this process and for the command line."""
    found = Cilium()

    def opened(spec: str, **_: object) -> FakeCluster:
        return found

    monkeypatch.setattr(clusters, "open_cluster", opened)
    return found


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with scenarios of every fate beside YAML that is none."""
    for name in ("NETCHECK_CLUSTER", "GITHUB_ACTIONS", "CI", "BUILD_NUMBER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    folder = pytester.mkdir("scenarios")
    texts = {"shop": SHOP, "needy": NEEDY, "gone": GONE, "fine": FINE, "other": OTHER_YAML}
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)
    return pytester.path
