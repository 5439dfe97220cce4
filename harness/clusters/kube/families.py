"""Which IP families a cluster's pods have, and which one comes first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from harness.clusters.kube.api import Api, ApiError
from harness.model.topology import Family

Json = Mapping[str, Any]


def of_pods(api: Api, nodes: Iterable[Json], dns: Iterable[str]) -> frozenset[Family]:
    """Families that pods get addresses of.

    The pods of the cluster's DNS show it, as long as they have a network of their own and may be looked at;
    else the ranges that the nodes were given for pods, which not every network plugin goes by. Services do
    not show it: on a dual-stack cluster the DNS usually has one address.
    """
    addresses = _addresses(api)
    if not addresses:
        addresses = [cidr for item in nodes for cidr in item["spec"].get("podCIDRs") or ()]
    return frozenset(map(_family, (*addresses, *dns)))


def primary(dns: Iterable[str]) -> Family:
    """The family that services have an address of when they do not ask for another."""
    return next(map(_family, dns), Family.IPV4)


def _addresses(api: Api) -> list[str]:
    try:
        pods = api.get("/api/v1/namespaces/kube-system/pods", labelSelector="k8s-app=kube-dns")["items"]
    except ApiError as trouble:
        if trouble.status not in (403, 404):
            raise
        return []
    return [
        each["ip"]
        for pod in pods
        if not pod["spec"].get("hostNetwork")
        for each in pod.get("status", {}).get("podIPs", ())
    ]


def _family(address: str) -> Family:
    return Family.IPV6 if ":" in address else Family.IPV4
