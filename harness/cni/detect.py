"""Which network plugin a cluster runs, by its daemon sets."""

from __future__ import annotations

import re
from typing import Any

from harness.clusters.kube.api import Api, ApiError
from harness.clusters.kube.cni import Cni
from harness.cni.cilium.driver import Cilium
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


def detect(api: Api) -> Cni:
    """The plugin of a cluster; `unknown` where no daemon set is recognised, or they may not be read."""
    try:
        daemons = api.get("/apis/apps/v1/daemonsets")["items"]
    except ApiError as trouble:
        if trouble.status != 403:
            raise
        return Plain("unknown", "")
    for item in daemons:
        name = _DAEMONS.get(item["metadata"]["name"])
        if name == "cilium":
            return Cilium(api, _version(item))
        if name is not None:
            return Plain(name, _version(item))
    return Plain("unknown", "")


def _version(daemon: dict[str, Any]) -> str:
    """The version in the tag of the daemon's image; empty when the tag is none."""
    for container in daemon["spec"]["template"]["spec"]["containers"]:
        tag = container["image"].rpartition(":")[2].partition("@")[0]
        match = re.match(r"v?(\d+(?:\.\d+)+)", tag)
        if match:
            return match.group(1)
    return ""
