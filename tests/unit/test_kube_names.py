"""Names in the cluster's DNS while several worlds of a run open side by side."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

from harness.clusters.kube import corefile
from harness.clusters.kube.api import Api, ApiError
from harness.clusters.kube.names import ClusterNames

EMPTY = ".:53 {\n    errors\n    reload\n}\n"


class Dns:
    """A ConfigMap that is changed like a real one; two who read it at once both see the same."""

    def __init__(self, together: int = 1) -> None:
        self.text, self.version = EMPTY, 1
        self._together = threading.Barrier(together)

    def get(self, path: str, **query: str) -> dict[str, Any]:
        if not path.endswith("/configmaps/coredns"):
            return {"items": []}
        found = {"metadata": {"resourceVersion": str(self.version)}, "data": {"Corefile": self.text}}
        with contextlib.suppress(threading.BrokenBarrierError):  # nobody else came: they wait for their turn
            self._together.wait(0.2)
        return found

    def patch(self, path: str, change: dict[str, Any]) -> None:
        if change["metadata"]["resourceVersion"] != str(self.version):
            raise ApiError("it has been changed", 409)
        self.text, self.version = change["data"]["Corefile"], self.version + 1


def test_worlds_that_open_at_once_keep_each_others_names() -> None:
    dns = Dns(together=2)
    names = ClusterNames(cast("Api", dns), "r1")
    with ThreadPoolExecutor(2) as pool:
        for put in [pool.submit(names.put, {f"{name}.example": ["203.0.113.1"]}) for name in ("a", "b")]:
            put.result()
    assert set(corefile.names_in(dns.text)) == {"a.example", "b.example"}


def test_a_later_world_may_lead_a_name_elsewhere() -> None:
    dns = Dns()
    names = ClusterNames(cast("Api", dns), "r1")
    names.put({"a.example": ["203.0.113.1"], "b.example": ["203.0.113.2"]})
    names.put({"a.example": ["203.0.113.9"]})
    assert "203.0.113.1" not in dns.text
    assert "203.0.113.2" in dns.text
    assert "203.0.113.9" in dns.text
    before = dns.version
    names.put({"b.example": ["203.0.113.2"]})  # as it is
    assert dns.version == before
    names.take_out()
    assert dns.text == EMPTY
