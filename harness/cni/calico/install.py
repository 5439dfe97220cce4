"""Calico by its operator, or by its plain manifest (semantics.md 2.4)."""

from __future__ import annotations

import time
from typing import Any

from harness.clusters.kind.cni import Site
from harness.clusters.kind.ready import Found, until
from harness.clusters.kube.api import ApiError
from harness.cni import manifests
from harness.cni.installing import Installing

AVAILABLE_SECONDS = 1200.0
"""How long the operator may take; the ceiling of Calico's own tests on kind."""

_STATUS = "/apis/operator.tigera.io/v1/tigerastatuses"


class CalicoOperator(Installing):
    """The operator, told to make what netcheck uses: data plane, API server, flow logs where it has them."""

    def finish(self, site: Site) -> None:
        """Say what the operator shall make, and wait until it says that it has."""
        if not any(item["kind"] == "Installation" for item in self.objects):
            wanted = [installation(site), _plain("APIServer")]
            wanted += [_plain(kind) for kind in ("Goldmane", "Whisker") if _serves(site, kind)]
            manifests.apply(site.api, wanted, site.say, site.stop)
        site.say("waiting for Calico's operator")
        needed = ["calico", "apiserver"]
        until(
            site.api,
            _STATUS,
            lambda found: _unavailable(found, needed),
            time.monotonic() + AVAILABLE_SECONDS,
            site.stop,
        )


class CalicoManifest(Installing):
    """The plain manifest: the least that enforces policies; no projectcalico.org/v3, no flow logs.

    The subnet of pods is found by Calico itself, from what kubeadm was told.
    """


def installation(site: Site) -> dict[str, Any]:
    """What the operator installs: pools of the cluster's own subnets, or pods get addresses nobody routes."""
    pools = [
        {
            "cidr": subnet,
            "encapsulation": "None" if ":" in subnet else "VXLANCrossSubnet",
            "natOutgoing": "Enabled",
            "nodeSelector": "all()",
        }
        for subnet in site.pod_subnets
    ]
    return {
        "apiVersion": "operator.tigera.io/v1",
        "kind": "Installation",
        "metadata": {"name": "default"},
        "spec": {"calicoNetwork": {"ipPools": pools}},
    }


def _plain(kind: str) -> dict[str, Any]:
    return {"apiVersion": "operator.tigera.io/v1", "kind": kind, "metadata": {"name": "default"}, "spec": {}}


def _serves(site: Site, kind: str) -> bool:
    try:
        site.api.resource("operator.tigera.io/v1", kind)
    except ApiError as trouble:
        if trouble.status != 404:
            raise
        return False
    return True


def _unavailable(found: Found, needed: list[str]) -> str:
    states = {name: item for (_, name), item in found.items()}
    for name in [*needed, *sorted(states)]:
        conditions = states.get(name, {}).get("status", {}).get("conditions", ())
        by_type = {each["type"]: each for each in conditions}
        if by_type.get("Available", {}).get("status") != "True":
            why = by_type.get("Degraded", {}).get("message") or by_type.get("Progressing", {}).get("message")
            return f"Calico's operator has not made {name} yet{f': {why}' if why else ''}"
    return ""
