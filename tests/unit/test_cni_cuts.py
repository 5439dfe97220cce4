"""Canary policies of every kind: which there are, and that they are what the kind's own readers take."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from harness.clusters.kube.canary_policies import NETWORK_POLICY, CanaryPolicies
from harness.clusters.kube.cni import Cni
from harness.cni.admin_cuts import ADMIN_CUTS
from harness.cni.calico.driver import Calico
from harness.cni.cilium.driver import Cilium
from harness.cni.plain import Plain
from harness.dialects.registry import kinds
from harness.model.rules import Direction
from tests.unit.kubernetes_worlds import read

CALICO = "projectcalico.org/v3"
WITHOUT = {
    ("cilium.io/v2", "CiliumCIDRGroup"),  # its addresses are never those of pods, and canaries are pods
    ("cilium.io/v2alpha1", "CiliumCIDRGroup"),
    ("policy.networking.k8s.io/v1alpha1", "BaselineAdminNetworkPolicy"),  # there is one object of it
    (CALICO, "Tier"),  # a tier that comes or goes changes nothing unless policies do with it
    (CALICO, "HostEndpoint"),  # no cluster has the feature: which node is meant, scenarios cannot say
    (CALICO, "Profile"),  # nobody can make one
    # What is written past Calico's API server Felix may leave out without a word.
    *(pair for pair in kinds() if pair[0] == "crd.projectcalico.org/v1"),
}
"""What no canary shows; `world.UNSHOWN_SECONDS` is for these."""

DIALECTS = {Calico: {"kubernetes", "admin", "calico"}, Cilium: {"kubernetes", "admin", "cilium"}}


@pytest.mark.parametrize("driver", [Calico, Cilium, Plain])
def test_every_kind_that_a_plugin_may_enforce_has_a_canary_or_is_known_to_have_none(driver: Any) -> None:
    dialects = DIALECTS.get(driver, {"kubernetes", "admin"})
    mine = {kind for kind, dialect in kinds().items() if dialect.name in dialects}
    assert mine - {NETWORK_POLICY} - driver.cuts.keys() - driver.idle <= WITHOUT
    assert not WITHOUT & driver.cuts.keys()


@pytest.mark.parametrize("kind", sorted(ADMIN_CUTS))
@pytest.mark.parametrize("direction", list(Direction))
def test_admin_canaries_are_what_the_dialect_reads(kind: tuple[str, str], direction: Direction) -> None:
    manifest = ADMIN_CUTS[kind]("canaries", "canary-in1", "in1", direction)
    policies, problems = read(json.dumps(manifest))
    assert problems.found == []
    (policy,) = policies
    assert (policy.api_version, policy.kind) == kind


def test_a_set_comes_and_goes_and_a_policy_that_denies_it_stands() -> None:
    policies = CanaryPolicies("canaries", "r1", cast("Cni", Calico(cast("Any", None), "3.28.4")))
    wanted = [NETWORK_POLICY, (CALICO, "GlobalNetworkSet"), (CALICO, "NetworkSet")]
    turning = list(policies.turning(wanted))
    assert [when_cut for _, when_cut in turning] == [False, False, True, True, True, True]
    sets = {item["metadata"]["labels"]["netcheck.dev/cut"] for item, _ in turning[2:]}
    standing = [item for item in policies.standing(0, wanted) if item["apiVersion"] == CALICO]
    selectors = " ".join(json.dumps(item["spec"]) for item in standing)
    assert len(standing) == len(sets) == 4
    assert all(f"== '{name}'" in selectors for name in sets)
    assert all(item["metadata"]["labels"]["netcheck.dev/run"] == "r1" for item, _ in turning)
