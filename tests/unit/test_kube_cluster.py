"""What a cluster says of itself before anything is made on it, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from harness.clusters.kube.api import Api, ApiError
from harness.clusters.kube.cluster import KubeCluster
from harness.clusters.kube.world import KubeWorld
from harness.cni.plain import Plain
from harness.engine.cluster import ClusterError
from harness.model.scenario import Scenario
from harness.model.topology import Family
from harness.scenario import load


class Server:
    """An API server with one node, and perhaps with cluster DNS."""

    context = "x"

    def __init__(
        self,
        *,
        dns: bool = True,
        pods: tuple[str, ...] | None = (),
        cidrs: tuple[str, ...] = ("10.244.0.0/24",),
        service: str = "10.96.0.10",
        refusal: int = 403,
    ) -> None:
        self._dns = dns
        self._pods = pods
        self._cidrs = cidrs
        self._service = service
        self._refusal = refusal

    def reach(self) -> dict[str, Any]:
        return {"gitVersion": "v1.34.4"}

    def get(self, path: str, **query: str) -> dict[str, Any]:
        if path == "/api/v1/nodes":
            return {
                "items": [
                    {
                        "metadata": {"name": "one"},
                        "spec": {"podCIDRs": list(self._cidrs)},
                        "status": {
                            "conditions": [{"type": "Ready", "status": "True"}],
                            "addresses": [{"type": "InternalIP", "address": "172.18.0.2"}],
                        },
                    }
                ]
            }
        if path == "/apis":
            return {"groups": []}
        if path.endswith("/kube-system/pods"):
            if self._pods is None:
                raise ApiError("no", self._refusal)
            status = {"podIPs": [{"ip": item} for item in self._pods or ("172.18.0.2",)]}
            return {"items": [{"spec": {"hostNetwork": not self._pods}, "status": status}]}
        assert path.endswith("/services/kube-dns")
        if not self._dns:
            raise ApiError("no", 404)
        return {"spec": {"clusterIP": self._service}}


def cluster(name: str = "unknown", version: str = "", *, dns: bool = True, keep: bool = False) -> KubeCluster:
    api = cast("Api", Server(dns=dns))
    return KubeCluster("context:x", api, lambda _: Plain(name, version), keep=keep)


@pytest.mark.parametrize(
    ("name", "version", "shown"),
    [
        ("kindnet", "20250512", ("kindnet", "20250512")),
        ("antrea", "", ("antrea", "unknown")),
        ("unknown", "", ("network plugin", "unknown")),
    ],
)
def test_the_plugin_and_its_version_as_far_as_they_are_known(
    name: str, version: str, shown: tuple[str, str]
) -> None:
    backend = cluster(name, version).backend
    assert shown in backend.versions.items()
    assert all(backend.versions.values())
    assert backend.names == (name, "kubernetes")


def test_a_cluster_without_dns_cannot_be_used() -> None:
    with pytest.raises(ClusterError, match="no service kube-system/kube-dns"):
        cluster(dns=False)


def test_a_second_world_is_not_made_beside_one_that_is_kept(tmp_path: Path) -> None:
    """Policies that stay may reach all of the cluster."""
    file = tmp_path / "a.yaml"
    file.write_text(
        "scenario: a\npods: {n/a: {listen: [80]}}\nexpect: [{from: n/a, to: 'n/a:80', verdict: allow}]\n"
    )
    scenario: Scenario = load([file]).scenarios[0]
    made = cluster(keep=True)
    made._worlds.append(cast("KubeWorld", object()))
    with pytest.raises(ClusterError, match="keeps the world of one scenario") as trouble:
        made.open(scenario, "r1")
    assert "leave --keep out" in trouble.value.advice


V4, V6 = "10.244.0.7", "fd00:10:244::7"


@pytest.mark.parametrize(
    ("pods", "cidrs", "service", "families", "primary"),
    [
        ((V4,), ("10.244.0.0/24",), "10.96.0.10", "ipv4", Family.IPV4),
        # kind --ip-family dual: both for pods, one for the service of the DNS.
        ((V4, V6), ("10.244.0.0/24",), "10.96.0.10", "ipv4 ipv6", Family.IPV4),
        ((V6,), ("fd00:10:244::/64",), "fd00:10:96::a", "ipv6", Family.IPV6),
        # Where the pods may not be looked at, or share their node's network.
        ((), ("10.244.0.0/24", "fd00:10:244::/64"), "10.96.0.10", "ipv4 ipv6", Family.IPV4),
        (None, ("10.244.0.0/24", "fd00:10:244::/64"), "10.96.0.10", "ipv4 ipv6", Family.IPV4),
        # A plugin that gives addresses of its own, whatever the nodes were given.
        ((V4,), ("10.244.0.0/24", "fd00:10:244::/64"), "10.96.0.10", "ipv4", Family.IPV4),
    ],
)
def test_families_are_those_of_pods(
    pods: tuple[str, ...] | None, cidrs: tuple[str, ...], service: str, families: str, primary: Family
) -> None:
    backend = KubeCluster(
        "context:x",
        cast("Api", Server(pods=pods, cidrs=cidrs, service=service)),
        lambda _: Plain("unknown", ""),
    ).backend
    assert ("ipv6" in backend.features) is ("ipv6" in families)
    assert backend.family is primary


def test_a_cluster_that_breaks_while_its_pods_are_looked_at_is_no_cluster_without_ipv6() -> None:
    server = Server(pods=None, refusal=500)
    with pytest.raises(ApiError):
        KubeCluster("context:x", cast("Api", server), lambda _: Plain("unknown", ""))
