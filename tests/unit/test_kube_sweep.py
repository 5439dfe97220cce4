"""Whom a sweep on a cluster asks for receipts; the answers of agents are written beforehand."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from harness.clusters.kube.addresses import Addresses
from harness.clusters.kube.fleet import Arrived
from harness.clusters.kube.world import KubeWorld
from harness.model.probe import Probe, Source, SourceKind, Target, TargetKind
from harness.model.topology import Protocol, Service, ServicePort, ServiceType
from tests.unit.kubernetes_worlds import pod, world

TOPOLOGY = world(
    pod("n/cli"),
    pod("n/web", app="web"),
    services=(Service("n", "web", {"app": "web"}, (ServicePort(80, 80),), ServiceType.HEADLESS),),
)


class Agents:
    """The name leads to the pod, which answers and has a receipt."""

    def __init__(self) -> None:
        self.asked: list[set[str]] = []

    def number(self) -> int:
        return 1

    def sweep(self, plan: dict[str, list[list[Any]]], *_: object) -> dict[int, list[Any]]:
        (spec,) = plan["n/cli"]
        return {spec[0]: [spec[0], "connected", "", "", True, "n/web", "NOERROR 10.0.0.2", 1, 0.01, "", ""]}

    def receipts(self, pods: Iterable[str], number: int) -> Arrived:
        self.asked.append(set(pods))
        return Arrived({0: 1} if "n/web" in self.asked[-1] else {}, {}, set())


def test_the_owner_of_a_names_address_is_asked_for_its_receipts() -> None:
    """No other cell goes to the pod, so nobody else would ask it."""
    built = KubeWorld.__new__(KubeWorld)
    agents = Agents()
    addresses = Addresses(
        {}, {}, ("10.96.0.10",), {"n/cli": ("10.0.0.1",), "n/web": ("10.0.0.2",)}, {"n/web": ()}
    )
    parts = {
        "_topology": TOPOLOGY,
        "_addresses": addresses,
        "_fleet": agents,
        "_canary": SimpleNamespace(hub="hub"),
        "_externals": SimpleNamespace(adapted=lambda _probe, found, _topology, _hub: found),
    }
    for name, part in parts.items():
        setattr(built, name, part)
    asked = Probe(
        Source(SourceKind.POD, "n/cli"), Target(TargetKind.HOST, "web.n.svc.cluster.local", 80, Protocol.TCP)
    )
    (seen,) = built.sweep([asked], 1.0)
    assert agents.asked == [{"n/web"}]
    assert seen.receipts == 1
    assert seen.expected_servers == ("n/web",)
