"""Canary policies in Calico's own kinds, before all others of their tier; and what shows its network sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.clusters.kube.cni import CutManifest, Kind
from harness.model.rules import Direction

_API = "projectcalico.org/v3"
_FIRST = -1_000_000.0
"""Policies of a user's may allow, or deny, what comes from everywhere."""

_SET = "netcheck.dev/cut"
_EVERYTHING = ("0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1")


def _cut(direction: Direction, peer: Mapping[str, Any] | None = None) -> dict[str, Any]:
    rule: dict[str, Any] = {"action": "Deny"}
    if peer is not None:
        rule["source" if direction is Direction.INGRESS else "destination"] = dict(peer)
    return {"order": _FIRST, "types": [direction.value.capitalize()], direction.value: [rule]}


def _policy(namespace: str, name: str, role: str, spec: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        "apiVersion": _API,
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": f"role == '{role}'", **spec},
    }


def _namespaced(namespace: str, name: str, role: str, direction: Direction) -> Mapping[str, Any]:
    return _policy(namespace, name, role, _cut(direction))


def _global(namespace: str, name: str, role: str, direction: Direction) -> Mapping[str, Any]:
    selector = f"projectcalico.org/namespace == '{namespace}' && role == '{role}'"
    return {
        "apiVersion": _API,
        "kind": "GlobalNetworkPolicy",
        "metadata": {"name": f"{namespace}-{name}"},
        "spec": {"selector": selector, **_cut(direction)},
    }


# A set denies nothing by itself: a policy that stands denies what is in the set, and the set comes and goes.


def _set(namespace: str, name: str, role: str, direction: Direction) -> Mapping[str, Any]:
    return {
        "apiVersion": _API,
        "kind": "NetworkSet",
        "metadata": {"name": name, "namespace": namespace, "labels": {_SET: name}},
        "spec": {"nets": list(_EVERYTHING)},
    }


def _beside_set(namespace: str, name: str, role: str, direction: Direction) -> Mapping[str, Any]:
    peer = {"selector": f"{_SET} == '{name}'"}
    return _policy(namespace, f"{name}-set", role, _cut(direction, peer))


def _global_set(namespace: str, name: str, role: str, direction: Direction) -> Mapping[str, Any]:
    label = f"{namespace}-{name}"
    return {
        "apiVersion": _API,
        "kind": "GlobalNetworkSet",
        "metadata": {"name": label, "labels": {_SET: label}},
        "spec": {"nets": list(_EVERYTHING)},
    }


def _beside_global_set(namespace: str, name: str, role: str, direction: Direction) -> Mapping[str, Any]:
    peer = {"selector": f"{_SET} == '{namespace}-{name}'", "namespaceSelector": "global()"}
    return _policy(namespace, f"{name}-set", role, _cut(direction, peer))


CUTS: Mapping[Kind, CutManifest] = {
    (_API, "NetworkPolicy"): _namespaced,
    (_API, "GlobalNetworkPolicy"): _global,
    (_API, "NetworkSet"): _set,
    (_API, "GlobalNetworkSet"): _global_set,
}
IDLE = frozenset(
    (_API, kind)
    for kind in ("StagedNetworkPolicy", "StagedGlobalNetworkPolicy", "StagedKubernetesNetworkPolicy")
)
"""They are for a look; no packet meets them (calico-measured.md 6)."""

BESIDE: Mapping[Kind, CutManifest] = {
    (_API, "NetworkSet"): _beside_set,
    (_API, "GlobalNetworkSet"): _beside_global_set,
}
