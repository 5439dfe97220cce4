"""How pods are taken away in steps; the API server is played by the tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from harness.clusters.kube.manifests import PodOptions
from harness.clusters.kube.objects import Objects
from harness.model.topology import Pod


class Server:
    """Deletes at once and keeps how it was asked."""

    def __init__(self) -> None:
        self.graces: dict[str, int | None] = {}

    def together(self, calls: Sequence[Callable[[], Any]]) -> list[Any]:
        return [call() for call in calls]

    def delete(self, path: str, *, grace: int | None = None) -> None:
        self.graces[path.rsplit("/", 1)[1]] = grace

    def get(self, path: str, **query: str) -> dict[str, Any]:
        return {"items": [], "metadata": {"resourceVersion": "1"}}


def test_a_pod_in_its_nodes_network_may_end_before_the_next_one_has_its_ports() -> None:
    """Deleted at once the object is gone while the process still listens."""
    server = Server()
    objects = Objects(server, "run", PodOptions(), SimpleNamespace())  # type: ignore[arg-type]
    objects.remove_pods([Pod("n", "plain", {}), Pod("n", "host", {}, host_network=True)])
    assert server.graces == {"plain": 0, "host": None}
