"""Calico: it says nothing of when a change is in force; its counters say what denied a packet."""

from __future__ import annotations

from collections.abc import Mapping

from harness.clusters.kube.api import Api
from harness.clusters.kube.cni import CutManifest, Kind
from harness.cni.agents import Agents, Script
from harness.cni.calico.cuts import CUTS
from harness.cni.plain import Plain

SCRIPT = Script(
    namespaces=("calico-system", "kube-system"),
    selector="k8s-app=calico-node",
    container="calico-node",
    words={
        "rules": "iptables-save -c -t filter 2>/dev/null; nft list table ip calico 2>/dev/null; true",
        "sctp": "grep -q ^SCTP /proc/net/protocols",
    },
)


class Calico(Plain):
    """See `clusters.kube.cni.Cni`."""

    cuts: Mapping[Kind, CutManifest] = CUTS

    def __init__(self, api: Api, version: str, features: frozenset[str] = frozenset(), denies: str = "drop"):
        super().__init__("calico", version, features, denies, enforces=True)
        self._agents = Agents(api, SCRIPT)

    def close(self) -> None:
        """Close the streams to the plugin's pods."""
        self._agents.close()
