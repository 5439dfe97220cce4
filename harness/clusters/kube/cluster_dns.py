"""Where a cluster's own DNS is; not everywhere is it the service `kube-system/kube-dns`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.clusters.kube.api import Api, ApiError

_LABELLED = "/api/v1/namespaces/kube-system/services"
_SELECTOR = "k8s-app=kube-dns"
"""What the DNS has whatever its name, such as `rke2-coredns-rke2-coredns`; policies know it by this label."""

_ELSEWHERE = (("openshift-dns", "dns-default"),)

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ClusterDns:
    """The service of a cluster's DNS.

    Attributes:
        addresses: One per family at most; none where it was not found.
        trouble: Why cells about DNS cannot be judged here; empty when they can.
    """

    addresses: tuple[str, ...]
    trouble: str = ""


def find(api: Api) -> ClusterDns:
    """Look for the DNS of a cluster.

    Raises:
        ApiError: The server cannot be asked.
    """
    for service in _in_kube_system(api):
        if addresses := _addresses(service):
            return ClusterDns(addresses)
    for namespace, name in _ELSEWHERE:
        elsewhere = _get(api, namespace, name)
        if elsewhere is not None and (addresses := _addresses(elsewhere)):
            return ClusterDns(
                addresses,
                f"the cluster's DNS is {namespace}/{name}, and policies of scenarios mean pods of "
                "kube-system with the label k8s-app: kube-dns",
            )
    return ClusterDns((), "kube-system has no service with the label k8s-app: kube-dns, or called kube-dns")


def _in_kube_system(api: Api) -> Iterator[Json]:
    usual = _get(api, "kube-system", "kube-dns")
    if usual is not None:
        yield usual
    else:
        yield from api.get(_LABELLED, labelSelector=_SELECTOR)["items"]


def _get(api: Api, namespace: str, name: str) -> Json | None:
    try:
        return api.get(f"/api/v1/namespaces/{namespace}/services/{name}")
    except ApiError as trouble:
        # An account need not have rights in namespaces that are not there.
        if trouble.status != 404 and not (trouble.status == 403 and namespace != "kube-system"):
            raise
        return None


def _addresses(service: Json) -> tuple[str, ...]:
    """Cluster addresses of a service that answers questions; none for others, and for headless ones."""
    spec = service["spec"]
    if not any(int(port["port"]) == 53 for port in spec.get("ports", ())):
        return ()
    found = spec.get("clusterIPs") or [spec.get("clusterIP", "")]
    return tuple(address for address in found if address and address != "None")
