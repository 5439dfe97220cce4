"""A scenario that would change the cluster's own namespaces is refused before anything is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.clusters.kube.trespass import refuse
from harness.engine.cluster import ClusterError
from harness.model.scenario import Scenario
from harness.scenario import load
from harness.scenario.renaming import rename, renaming_of

REAL = {"kubernetes.io/metadata.name": "kube-system", "tier": "system"}

POLICY = """
      - apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: deny%s}
        spec: {podSelector: {}}
"""
STEPS = """
scenario: a
namespaces: {shop: {}%s}
pods: {shop/a: {listen: [80]}%s}
steps:
  - name: one
    expect: [{from: shop/a, to: "shop/a:80", verdict: allow}]
  - name: two
    %s
    expect: [{from: shop/a, to: "shop/a:80", verdict: allow}]
"""


def scenario(
    tmp_path: Path, namespaces: str = "", pods: str = "", change: str = "restart: [shop/a]"
) -> Scenario:
    file = tmp_path / "case.yaml"
    file.write_text(STEPS % (namespaces, pods, change))
    loaded = load([file])
    assert loaded.scenarios, loaded.problems
    return loaded.scenarios[0]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("apply:" + POLICY % "", "NetworkPolicy default/deny would stand in namespace default"),
        ("apply:" + POLICY % ", namespace: kube-system", "deny would stand in namespace kube-system"),
        ("label: [{namespace: kube-system, set: {a: b}}]", "changes the labels of namespace kube-system"),
        ("label: [{namespace: default, set: {a: b}}]", "changes the labels of namespace default"),
        ("add: {pods: {default/late: {listen: [80]}}}", "pod default/late would stand in namespace default"),
        ("add: {pods: {kube-system/x: {}}}", "pod kube-system/x would stand in namespace kube-system"),
        (
            "add: {services: {default/s: {selector: {a: b}, ports: [80]}}}",
            "service default/s would stand in namespace default",
        ),
    ],
)
def test_nothing_is_put_into_the_clusters_namespaces(tmp_path: Path, change: str, why: str) -> None:
    with pytest.raises(ClusterError, match=f"{why}, which belongs to the cluster"):
        refuse(scenario(tmp_path, change=change), lambda _: REAL)


@pytest.mark.parametrize(
    ("label", "why"),
    [
        ("tier: web", "label tier=web; it has tier=system"),
        ("team: net", "label team=net; it has no label team"),
    ],
)
def test_labels_that_the_clusters_namespaces_lack_are_not_assumed(
    tmp_path: Path, label: str, why: str
) -> None:
    with pytest.raises(ClusterError, match=why):
        refuse(scenario(tmp_path, f", kube-system: {{labels: {{{label}}}}}"), lambda _: REAL)


def test_labels_that_the_cluster_really_has_may_be_named(tmp_path: Path) -> None:
    refuse(scenario(tmp_path, ", kube-system: {labels: {tier: system}}"), lambda _: REAL)


def test_a_scenario_in_namespaces_of_its_own_asks_nothing(tmp_path: Path) -> None:
    def ask(name: str) -> dict[str, str]:
        raise AssertionError(name)

    refuse(scenario(tmp_path, change="apply:" + POLICY % ", namespace: shop"), ask)


def test_a_prefix_gives_default_another_name(tmp_path: Path) -> None:
    found = scenario(tmp_path, pods=", default/b: {}", change="apply:" + POLICY % "")
    refuse(rename(found, renaming_of(found, "ci-")), lambda _: REAL)
