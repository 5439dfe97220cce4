"""Canary policies in Calico's own kinds; no order given is last, and nothing else selects the canaries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.clusters.kube.cni import CutManifest, Kind
from harness.model.rules import Direction

_API = "projectcalico.org/v3"


def _cut(direction: Direction) -> dict[str, Any]:
    return {"types": [direction.value.capitalize()], direction.value: [{"action": "Deny"}]}


def _namespaced(namespace: str, name: str, role: str, direction: Direction) -> Mapping[str, Any]:
    return {
        "apiVersion": _API,
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": f"role == '{role}'", **_cut(direction)},
    }


def _global(namespace: str, name: str, role: str, direction: Direction) -> Mapping[str, Any]:
    selector = f"projectcalico.org/namespace == '{namespace}' && role == '{role}'"
    return {
        "apiVersion": _API,
        "kind": "GlobalNetworkPolicy",
        "metadata": {"name": f"{namespace}-{name}"},
        "spec": {"selector": selector, **_cut(direction)},
    }


CUTS: Mapping[Kind, CutManifest] = {
    (_API, "NetworkPolicy"): _namespaced,
    (_API, "GlobalNetworkPolicy"): _global,
}
