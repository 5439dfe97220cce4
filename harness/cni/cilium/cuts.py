"""Canary policies in Cilium's own kinds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.clusters.kube.cni import CutManifest, Kind
from harness.model.rules import Direction

_API = "cilium.io/v2"


def _cut(direction: Direction) -> dict[str, Any]:
    """Denied outright: a deny needs no other rule and no agreement with one."""
    if direction is Direction.INGRESS:
        return {"ingressDeny": [{"fromEntities": ["all"]}]}
    return {"egressDeny": [{"toEntities": ["all"]}]}


def _namespaced(namespace: str, name: str, role: str, direction: Direction) -> Mapping[str, Any]:
    return {
        "apiVersion": _API,
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"endpointSelector": {"matchLabels": {"role": role}}, **_cut(direction)},
    }


def _clusterwide(namespace: str, name: str, role: str, direction: Direction) -> Mapping[str, Any]:
    labels = {"role": role, "k8s:io.kubernetes.pod.namespace": namespace}
    return {
        "apiVersion": _API,
        "kind": "CiliumClusterwideNetworkPolicy",
        "metadata": {"name": f"{namespace}-{name}"},
        "spec": {"endpointSelector": {"matchLabels": labels}, **_cut(direction)},
    }


CUTS: Mapping[Kind, CutManifest] = {
    (_API, "CiliumNetworkPolicy"): _namespaced,
    (_API, "CiliumClusterwideNetworkPolicy"): _clusterwide,
}
