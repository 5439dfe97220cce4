"""What the API server tells of a plugin's features, whatever the plugin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.clusters.kube.api import Api, ApiError

_KINDS = {
    "cilium-policies": ("cilium.io/v2", "CiliumNetworkPolicy"),
    "calico-policies": ("projectcalico.org/v3", "NetworkPolicy"),
    "staged": ("projectcalico.org/v3", "StagedNetworkPolicy"),
    "tiers": ("projectcalico.org/v3", "Tier"),
}
_ADMIN = (
    ("policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy"),
    ("policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy"),
)


def serves(api: Api, api_version: str, kind: str) -> bool:
    """Whether the API server has a kind; serving one does not mean that anything enforces it."""
    try:
        api.resource(api_version, kind)
    except ApiError as trouble:
        if trouble.status not in (403, 404):
            raise
        return False
    return True


def served(api: Api, *features: str) -> frozenset[str]:
    """Those of the features whose kinds the API server has."""
    return frozenset(
        feature
        for feature in features
        if (
            any(serves(api, *kind) for kind in _ADMIN)
            if feature == "admin"
            else serves(api, *_KINDS[feature])
        )
    )


def read(api: Api, path: str) -> Mapping[str, Any]:
    """An object, or nothing where it is not there or may not be read."""
    try:
        return api.get(path)
    except ApiError as trouble:
        if trouble.status not in (403, 404):
            raise
        return {}


def at_least(version: str, *wanted: int) -> bool:
    """Whether `version` is `wanted` or newer; an unknown version is not."""
    parts = version.split(".")
    if not all(part.isdigit() for part in parts):
        return False
    return tuple(int(part) for part in parts)[: len(wanted)] >= wanted
