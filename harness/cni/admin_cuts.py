"""Canary policies in the kinds of `policy.networking.k8s.io`, for whatever plugin enforces them.

BaselineAdminNetworkPolicy has none: there is only one object of it, and that is the scenario's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.clusters.kube.cni import CutManifest, Kind
from harness.model.rules import Direction
from harness.model.topology import METADATA_NAME

_GROUP = "policy.networking.k8s.io"
_FIRST = 0
"""Nothing goes before this priority; policies of the same do no harm as long as they select other pods."""


def _spec(namespace: str, role: str, direction: Direction) -> dict[str, Any]:
    peers = "from" if direction is Direction.INGRESS else "to"
    return {
        "priority": _FIRST,
        "subject": {
            "pods": {
                "namespaceSelector": {"matchLabels": {METADATA_NAME: namespace}},
                "podSelector": {"matchLabels": {"role": role}},
            }
        },
        direction.value: [{"name": "cut", "action": "Deny", peers: [{"namespaces": {}}]}],
    }


def _admin(namespace: str, name: str, role: str, direction: Direction) -> Mapping[str, Any]:
    return {
        "apiVersion": f"{_GROUP}/v1alpha1",
        "kind": "AdminNetworkPolicy",
        "metadata": {"name": f"{namespace}-{name}"},
        "spec": _spec(namespace, role, direction),
    }


def _cluster(version: str) -> CutManifest:
    def write(namespace: str, name: str, role: str, direction: Direction) -> Mapping[str, Any]:
        return {
            "apiVersion": f"{_GROUP}/{version}",
            "kind": "ClusterNetworkPolicy",
            "metadata": {"name": f"{namespace}-{name}"},
            "spec": {"tier": "Admin", **_spec(namespace, role, direction)},
        }

    return write


ADMIN_CUTS: Mapping[Kind, CutManifest] = {
    (f"{_GROUP}/v1alpha1", "AdminNetworkPolicy"): _admin,
    **{
        (f"{_GROUP}/{version}", "ClusterNetworkPolicy"): _cluster(version)
        for version in ("v1alpha2", "v1beta1")
    },
}
