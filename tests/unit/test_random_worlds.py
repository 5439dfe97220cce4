"""Every kind of rule appears in the random worlds that are compared with packets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from harness.dialects.cilium.types import Entity
from tests.lab.random_policies import manifests
from tests.lab.test_against_oracle import parsed


def words(value: Any) -> Iterator[str]:
    """Every key and every word in a manifest."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from words(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from words(inner)
    else:
        yield str(value)


def test_every_kind_of_rule_of_ciliums_appears() -> None:
    found: Counter[str] = Counter()
    for seed in range(800):
        for manifest in manifests(seed):
            if manifest["apiVersion"].startswith("cilium.io/"):
                found.update(set(words(manifest)))
    wanted = {
        *("CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy", "CiliumCIDRGroup", "spec", "specs"),
        *("endpointSelector", "nodeSelector"),
        *("ingress", "ingressDeny", "egress", "egressDeny", "enableDefaultDeny", "icmps", "authentication"),
        *("fromEndpoints", "fromEntities", "fromCIDR", "fromCIDRSet", "fromNodes"),
        *("toEndpoints", "toEntities", "toCIDR", "toCIDRSet", "toNodes", "toServices"),
        *("cidrGroupRef", "cidrGroupSelector", "except", "k8sService", "k8sServiceSelector", "endPort"),
        *(
            "required",
            "disabled",
            "test-always-fail",
            "http",
            "dns",
            "toFQDNs",
            "serverNames",
            "reserved:host",
        ),
        *("ANY", "TCP", "UDP", "web", "dns"),
        *(str(entity) for entity in Entity if entity is not Entity.KUBE_APISERVER),
    }
    assert {word: found[word] for word in wanted if found[word] < 5} == {}


def test_policies_of_all_dialects_meet_in_one_world() -> None:
    found: Counter[frozenset[str]] = Counter()
    for seed in range(400):
        found[frozenset(manifest["apiVersion"].split("/")[0] for manifest in manifests(seed))] += 1
    mine, plain, admin = "cilium.io", "networking.k8s.io", "policy.networking.k8s.io"
    for world in ({mine}, {mine, plain}, {mine, admin}, {mine, plain, admin}):
        assert found[frozenset(world)] >= 20, world


def test_every_world_is_valid() -> None:
    """A world with a policy that is none would be compared with nothing."""
    assert [seed for seed in range(400) if None in map(parsed, manifests(seed))] == []
