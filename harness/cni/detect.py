"""Which network plugin a cluster runs, by its daemon sets."""

from __future__ import annotations

import re
from typing import Any

from harness.clusters.kube.api import Api, ApiError
from harness.clusters.kube.cni import Cni
from harness.cni import features
from harness.cni.calico import detect as calico
from harness.cni.cilium import detect as cilium
from harness.cni.kube_router.driver import KubeRouter
from harness.cni.plain import Plain

_DAEMONS = {
    "cilium": "cilium",
    "calico-node": "calico",
    "kindnet": "kindnet",
    "kube-router": "kube-router",
    "antrea-agent": "antrea",
    "ovnkube-node": "ovn-kubernetes",
    "kube-network-policies": "kube-network-policies",
}
_DENIES = {"antrea": "drop", "kindnet": "drop", "kube-network-policies": "drop"}
"""How a denied packet ends (semantics.md 4 no. 21)."""

_ADMIN = frozenset({"antrea", "ovn-kubernetes", "kube-network-policies"})
"""Plugins that enforce `policy.networking.k8s.io` where it is served (semantics.md 3.2)."""

_KINDNET_ENFORCES = 20240813
"""Date in the tag of the first kindnetd with policies (kind 0.24); the ones before enforce nothing."""


def detect(api: Api) -> Cni:
    """The plugin of a cluster; `unknown` where no daemon set is recognised, or they may not be read."""
    try:
        daemons = api.get("/apis/apps/v1/daemonsets")["items"]
    except ApiError as trouble:
        if trouble.status != 403:
            raise
        return Plain("unknown", "")
    known = {
        _DAEMONS[item["metadata"]["name"]]: item for item in daemons if item["metadata"]["name"] in _DAEMONS
    }
    # A plugin that only enforces stands beside the one that makes the network; Calico's for Cilium, say.
    for name in dict.fromkeys(_DAEMONS.values()):
        if name in known:
            return _driver(api, name, known[name])
    return Plain("unknown", "")


def _driver(api: Api, name: str, daemon: dict[str, Any]) -> Cni:
    version = _version(daemon)
    if name == "cilium":
        return cilium.found(api, daemon["metadata"]["namespace"], version)
    if name == "calico":
        return calico.found(api, version)
    if name == "kube-router":
        return KubeRouter(api, version)
    served = features.served(api, "admin") if name in _ADMIN else frozenset()
    enforces = name != "kindnet" or int(_date(daemon)) >= _KINDNET_ENFORCES
    return Plain(name, version or _date(daemon).strip("0"), served, _DENIES.get(name, ""), enforces)


def _tags(daemon: dict[str, Any]) -> list[str]:
    containers = daemon["spec"]["template"]["spec"]["containers"]
    return [container["image"].rpartition(":")[2].partition("@")[0] for container in containers]


def _version(daemon: dict[str, Any]) -> str:
    """The version in the tag of the daemon's image; empty when the tag is none."""
    for tag in _tags(daemon):
        match = re.match(r"v?(\d+(?:\.\d+)+)", tag)
        if match:
            return match.group(1)
    return ""


def _date(daemon: dict[str, Any]) -> str:
    """The date in a tag such as `v20250512-df8de77b`; zeros when there is none."""
    for tag in _tags(daemon):
        match = re.match(r"v(\d{8})\b", tag)
        if match:
            return match.group(1)
    return "00000000"
