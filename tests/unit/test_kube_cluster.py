"""What a cluster says of itself before anything is made on it, and what it refuses."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, cast

import pytest

from harness.clusters.kube.api import Api, ApiError
from harness.clusters.kube.cluster import KubeCluster
from harness.clusters.kube.world import KubeWorld
from harness.cni.plain import Plain
from harness.engine.cluster import ClusterError
from harness.engine.plan import needs
from harness.engine.scenario_run import ScenarioRun
from harness.model.scenario import Scenario
from harness.model.topology import Family
from harness.scenario import load


class Server:
    """An API server with one node and some services."""

    context = "x"

    def __init__(
        self,
        services: dict[str, Any] | None = None,
        *,
        pods: tuple[str, ...] | None = (),
        cidrs: tuple[str, ...] = ("10.244.0.0/24",),
        service: str = "10.96.0.10",
        refusal: int = 403,
    ) -> None:
        usual = {"kube-system/kube-dns": {"spec": {"clusterIP": service, "ports": [{"port": 53}]}}}
        self._services = usual if services is None else services
        self._pods = pods
        self._cidrs = cidrs
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
        if path.startswith("/apis/storage.k8s.io/"):
            raise ApiError("no such driver", 404)
        if path.endswith("/kube-system/pods"):
            if self._pods is None:
                raise ApiError("no", self._refusal)
            status = {"podIPs": [{"ip": item} for item in self._pods or ("172.18.0.2",)]}
            return {"items": [{"spec": {"hostNetwork": not self._pods}, "status": status}]}
        _, _, _, _, namespace, _, *name = path.split("/")
        if not name:
            assert query == {"labelSelector": "k8s-app=kube-dns"}
            items = [item for known, item in self._services.items() if known.startswith(f"{namespace}/")]
            return {"items": items}
        if f"{namespace}/{name[0]}" not in self._services:
            raise ApiError("no", 404)
        found: dict[str, Any] = self._services[f"{namespace}/{name[0]}"]
        return found


def cluster(
    name: str = "unknown",
    version: str = "",
    *,
    services: dict[str, Any] | None = None,
    keep: bool = False,
) -> KubeCluster:
    api = cast("Api", Server(services))
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


DNS_CELL = """
scenario: asks
pods: {shop/a: {}}
expect: [{from: shop/a, dns: kubernetes.default.svc.cluster.local, verdict: allow}]
"""


def _services(named: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    ports = [{"port": 53, "protocol": "UDP"}]
    return {name: {"spec": {"ports": ports, **spec}} for name, spec in named.items()}


@pytest.mark.parametrize(
    ("services", "addresses", "trouble"),
    [
        ({"kube-system/kube-dns": {"clusterIP": "10.96.0.10"}}, ("10.96.0.10",), ""),
        (
            {"kube-system/rke2-coredns": {"clusterIPs": ["10.43.0.10", "fd00::a"]}},
            ("10.43.0.10", "fd00::a"),
            "",
        ),
        (
            {
                "kube-system/a-headless": {"clusterIP": "None"},
                "kube-system/b-metrics": {"clusterIP": "10.43.0.9", "ports": [{"port": 9153}]},
                "kube-system/coredns": {"clusterIP": "10.43.0.10"},
            },
            ("10.43.0.10",),
            "",
        ),
        (
            {"openshift-dns/dns-default": {"clusterIP": "172.30.0.10"}},
            ("172.30.0.10",),
            "the cluster's DNS is openshift-dns/dns-default",
        ),
        ({}, (), "kube-system has no service with the label k8s-app: kube-dns"),
    ],
    ids=["usual", "rke2", "several", "openshift", "none"],
)
def test_the_clusters_dns_is_found_or_scenarios_that_ask_it_are_skipped(
    services: dict[str, Any], addresses: tuple[str, ...], trouble: str, tmp_path: Path
) -> None:
    made = cluster(services=_services(services))
    assert made._dns == addresses
    assert ("dns" in made.backend.features) is not bool(trouble)
    assert made.backend.lacks.get("dns", "").startswith(trouble)
    if not trouble:
        return
    file = tmp_path / "a.yaml"
    file.write_text(DNS_CELL)
    scenario = load([file]).scenarios[0]
    result = ScenarioRun(scenario, made, lambda _: None, threading.Event(), "r1").execute()
    assert "lacks the feature dns" in result.skipped
    assert trouble in result.skipped


def test_dns_that_is_only_assumed_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(DNS_CELL)
    with pytest.raises(ClusterError, match="kube-system has no service") as trouble:
        cluster(services={}).open(load([file]).scenarios[0], "r1", print)
    assert "assumed" in trouble.value.advice


def test_cells_to_the_dns_itself_need_it(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(
        DNS_CELL.replace("dns: kubernetes.default.svc.cluster.local", 'to: "kube-system/kube-dns:53"')
    )
    assert "dns" in needs(load([file]).scenarios[0])


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
        made.open(scenario, "r1", print)
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
