"""Cilium by its chart (semantics.md 2.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.clusters.kind.cni import Site
from harness.clusters.kind.shape import IpFamily
from harness.cni.installing import Installing

_IMAGES = ("image", "operator.image", "envoy.image", "hubble.relay.image")


class CiliumInstaller(Installing):
    """The chart, with the address families of the cluster."""

    def own_values(self, site: Site) -> Mapping[str, Any]:
        """Which families Cilium shall carry."""
        return {
            "ipv4": {"enabled": site.ip_family is not IpFamily.IPV6},
            "ipv6": {"enabled": site.ip_family is not IpFamily.IPV4},
        }

    def without_digests(self) -> Mapping[str, Any]:
        """`useDigest: false` for every image of the chart that netcheck switches on."""
        values: dict[str, Any] = {}
        for path in _IMAGES:
            below = values
            for part in path.split("."):
                below = below.setdefault(part, {})
            below["useDigest"] = False
        return values
