"""Services count once they lead to the pods that they have now; API server and nodes are played."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from harness.clusters.kube import service_ways as module
from harness.clusters.kube.service_ways import ServiceWays, ways
from harness.model.builtin import with_builtins
from harness.model.probe import TargetKind
from harness.model.topology import Service, ServicePort, Topology
from tests.unit.kubernetes_worlds import pod, world
from tests.unit.test_kube_sweep import Network, verdict

HUB = "10.0.0.99"
ADDRESSES = {"n/old": ("10.0.0.1",), "n/web": ("10.0.0.2", "fd00::2"), "n/cli": ("10.0.0.3",)}


def shop(*pods: str) -> Topology:
    return world(
        pod("n/cli"),
        *(pod(name, app="web") for name in pods),
        services=(Service("n", "web", {"app": "web"}, (ServicePort(80, "http"),)),),
    )


class Site:
    """An API server with canaries: slices and nodes that change one look after another.

    Args:
        slices: Ready addresses of the service at each list, the last for ever.
        nodes: Nodes that do not lead to a new service at each look, the last for ever.
        reached: Nodes on which a policy keeps the canaries from the hub.
    """

    hub = "canaries/hub"
    hub_address = HUB

    def __init__(
        self,
        slices: list[list[str]],
        nodes: list[tuple[str, ...]] | None = None,
        reached: tuple[str, ...] = (),
    ) -> None:
        self._slices = slices
        self._nodes = nodes or [()]
        self._reached = reached
        self.said: list[str] = []
        self.services: dict[str, Any] = {}

    def get(self, path: str, **query: str) -> dict[str, Any]:
        assert path == "/apis/discovery.k8s.io/v1/namespaces/n/endpointslices"
        assert query == {"labelSelector": "kubernetes.io/service-name=web"}
        ready = self._slices.pop(0) if len(self._slices) > 1 else self._slices[0]
        self.said.append(f"list {' '.join(ready)}".rstrip())
        unready = {"addresses": ["10.0.0.77"], "conditions": {"ready": False}}
        endpoints = [unready, *({"addresses": [item], "conditions": {"ready": True}} for item in ready)]
        return {"items": [{"endpoints": endpoints}], "metadata": {"resourceVersion": "1"}}

    def watch(self, path: str, version: str, seconds: float, **query: str) -> Iterator[dict[str, Any]]:
        yield {"type": "MODIFIED", "object": {}}

    def create(self, manifest: dict[str, Any]) -> dict[str, Any]:
        name = manifest["metadata"]["name"]
        assert manifest["metadata"]["namespace"] == "canaries"
        self.services[name] = manifest
        self.said.append("create")
        return {"spec": {"clusterIP": "10.96.0.77"}}

    def delete(self, path: str) -> None:
        del self.services[path.rsplit("/", 1)[1]]
        self.said.append("delete")

    def nodes_without(self, address: str) -> tuple[str, ...]:
        if address == HUB:
            return self._reached
        missing = self._nodes.pop(0) if len(self._nodes) > 1 else self._nodes[0]
        self.said.append(f"look {' '.join(missing)}".rstrip())
        return missing

    def settled(self, before: Topology, after: Topology) -> str:
        made = ServiceWays(self, self, "run")  # type: ignore[arg-type]
        made.learnt(ways(with_builtins(before), ADDRESSES.__getitem__))
        found = made.settle(ways(with_builtins(after), ADDRESSES.__getitem__))
        assert self.services == {}
        if not found:
            assert made.settle(ways(with_builtins(after), ADDRESSES.__getitem__)) == ""
        return found


def test_a_pod_that_takes_the_place_of_another_is_awaited_everywhere() -> None:
    site = Site([["10.0.0.1"], [], ["10.0.0.2"]], [("a", "b"), ("b",), ()])
    assert site.settled(shop("n/old"), shop("n/web")) == ""
    assert site.said == [
        "list 10.0.0.1", "list", "list 10.0.0.2", "create", "look a b", "look b", "look", "delete",
    ]  # fmt: skip


def test_a_service_that_lost_its_pods() -> None:
    site = Site([["10.0.0.1"], []])
    assert site.settled(shop("n/old"), shop()) == ""
    assert site.said == ["list 10.0.0.1", "list", "create", "look", "delete"]


def test_nothing_is_asked_when_nothing_has_changed() -> None:
    site = Site([[]])
    assert site.settled(shop("n/web"), shop("n/web")) == ""
    assert site.said == []


def test_what_does_not_come_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.2)
    late = "b did not lead to a new service of netcheck's within 0 s"
    assert Site([["10.0.0.2"]], [("b",)]).settled(shop("n/old"), shop("n/web")) == late
    never = "the cluster had not put its pods behind n/web after 0 s"
    assert Site([["10.0.0.1"]]).settled(shop("n/old"), shop("n/web")) == never


def test_canaries_that_a_policy_reaches_cannot_tell() -> None:
    site = Site([["10.0.0.2"]], reached=("a",))
    assert site.settled(shop("n/old"), shop("n/web")) == "a policy reaches netcheck's canaries on a"
    assert site.said == ["list 10.0.0.2"]


@pytest.mark.parametrize("pods", [1, 2])
def test_a_denial_at_a_service_in_doubt_is_an_error(pods: int) -> None:
    """An answer proves itself; what goes to pods rests on no service."""
    shut = Network(pods, {"n/w0": "refused"})
    shut.doubt = "b did not lead there"
    reason = "no answer, but maybe the service does not lead to its pods yet: b did not lead there"
    assert verdict(shut.swept(TargetKind.SERVICE, "n/web")) == reason
    assert verdict(shut.swept(TargetKind.POD, "n/w0")) == "reject"
    open_ = Network(pods)
    open_.doubt = shut.doubt
    assert verdict(open_.swept(TargetKind.SERVICE, "n/web")) == "allow"
