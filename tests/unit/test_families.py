"""Scenarios that name no IP family are probed in the one that the cluster puts first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.engine.run import run
from harness.model.result import CellResult
from harness.model.scenario import Scenario
from harness.model.topology import Family
from harness.model.verdict import Expectation, Expected
from harness.oracle import resolve
from harness.scenario import load
from tests.unit.fake_cluster import LAB, FakeCluster

SHOP = """
scenario: shop
families: FAMILIES
pods: {n/cli: {}}
externals: {out: {address: [203.0.113.9, "2001:db8::9"], listen: [81]}}
policies:
  - apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata: {name: out, namespace: "n"}
    spec: {podSelector: {}, egress: [{to: [{ipBlock: {cidr: "::/0"}}]}], policyTypes: [Egress]}
expect:
  - {from: n/cli, to: "external:out:81", verdict: allow}
"""


def shop(tmp_path: Path, families: str = "[]") -> Scenario:
    file = tmp_path / "shop.yaml"
    text = SHOP.replace("families: FAMILIES\n", "" if families == "[]" else f"families: {families}\n")
    file.write_text(text)
    (found,) = load([file]).scenarios
    return found


def measured(scenario: Scenario, family: Family) -> CellResult:
    features = frozenset({"ipv6", "external"})
    cluster = FakeCluster(backend=replace(LAB, features=features, family=family))
    (result,) = run([scenario], cluster, lambda event: None).scenarios
    (found,) = result.steps[0].cells
    return found


@pytest.mark.parametrize("family", Family)
def test_the_clusters_primary_family_is_probed(tmp_path: Path, family: Family) -> None:
    found = measured(shop(tmp_path), family)
    assert found.cell.probe.family is family
    assert found.id == "n/cli->external:out:81/TCP"


def test_families_that_are_named_stay(tmp_path: Path) -> None:
    assert measured(shop(tmp_path, "[ipv4]"), Family.IPV6).cell.probe.family is Family.IPV4


@pytest.mark.parametrize(
    ("family", "expected"), [(Family.IPV4, Expected.DENY), (Family.IPV6, Expected.ALLOW)]
)
def test_the_oracle_is_asked_about_the_family_that_is_probed(
    tmp_path: Path, family: Family, expected: Expected
) -> None:
    """The policy opens the addresses of one family; what the author wrote himself stays."""
    scenario = shop(tmp_path)
    assert measured(scenario, family).expected is Expected.ALLOW
    step = scenario.steps[0]
    asked = replace(step.cells[0], expectation=Expectation(Expected.ORACLE))
    scenario = replace(scenario, steps=(replace(step, cells=(asked,)),))
    assert measured(resolve(scenario), family).expected is expected
