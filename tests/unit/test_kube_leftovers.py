"""Which leftovers are removed, and which may belong to a run that lives (real ones: tests/cluster)."""

from __future__ import annotations

import datetime
import os
from typing import Any

import pytest

from harness.clusters.kube import leftovers, owners
from harness.clusters.kube.api import ApiError

NOW = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.UTC)
ELSEWHERE = "0123456789abcdef.1.2"

Json = dict[str, Any]


def _object(name: str, run: str, minutes: float, owner: str = "") -> Json:
    made = (NOW - datetime.timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")
    metadata: Json = {"name": name, "creationTimestamp": made, "labels": {"netcheck.dev/run": run}}
    if owner:
        metadata["annotations"] = {owners.OWNER: owner}
    return {"metadata": metadata}


class Server:
    """Namespaces, pods in them, and one kind of object outside namespaces."""

    def __init__(self, namespaces: list[Json], pods: dict[str, list[Json]], wide: list[Json]) -> None:
        self.namespaces, self.pods, self.wide = namespaces, pods, wide
        self.deleted: list[str] = []

    def now(self) -> datetime.datetime:
        return NOW

    def get(self, path: str, **query: str) -> Json:
        if path == "/apis":
            return {"groups": [{"preferredVersion": {"groupVersion": "example.com/v1"}}]}
        if path == "/api/v1/namespaces":
            return {"items": self.namespaces, "metadata": {"resourceVersion": "1"}}
        if path.endswith("/pods"):
            return {"items": self.pods.get(path.split("/")[4], [])}
        if path == "/apis/example.com/v1/widepolicies":
            return {"items": self.wide}
        raise ApiError("may not be listed", 403)

    def reach(self, path: str = "/version") -> Json:
        verbs = ["list", "delete"]
        kinds = [
            ("widepolicies", "WidePolicy", False),
            ("secretive", "Secretive", False),
            ("small", "Small", True),
        ]
        return {
            "resources": [
                {"name": name, "kind": kind, "namespaced": namespaced, "verbs": verbs}
                for name, kind, namespaced in kinds
            ]
        }

    def delete(self, path: str, *, grace: int | None = None) -> None:
        self.deleted.append(path)
        self.namespaces = [
            item for item in self.namespaces if path != f"/api/v1/namespaces/{item['metadata']['name']}"
        ]


def _dead() -> str:
    where, _, _ = owners.mark().partition(".")
    return f"{where}.{os.getpid()}.1"


def _clean(server: Server, **how: Any) -> leftovers.Cleaned:
    return leftovers.cleanup(server, **how)  # type: ignore[arg-type]


def test_a_run_whose_process_is_gone_is_removed_with_what_belongs_to_no_namespace() -> None:
    server = Server([_object("shop", "r1", 0.1, _dead())], {}, [_object("deny-all", "r1", 0.1)])
    done = _clean(server)
    assert done.removed == ["WidePolicy deny-all of run r1", "namespace shop of run r1"]
    assert server.deleted == ["/apis/example.com/v1/widepolicies/deny-all", "/api/v1/namespaces/shop"]


@pytest.mark.parametrize("how", [{}, {"run": "other"}])
def test_a_run_that_lives_here_is_left_alone(how: dict[str, str]) -> None:
    server = Server([_object("shop", "r1", 600, owners.mark())], {}, [_object("deny-all", "r1", 600)])
    done = _clean(server, **how)
    assert server.deleted == done.removed == []
    assert done.spared == ([] if how else [("r1", "it runs on this machine")])


@pytest.mark.parametrize("how", [{"run": "r1"}, {"everything": True}])
def test_who_names_it_removes_it(how: dict[str, Any]) -> None:
    server = Server([_object("shop", "r1", 0, owners.mark())], {}, [])
    assert _clean(server, **how).removed == ["namespace shop of run r1"]


@pytest.mark.parametrize(
    ("namespace", "pod", "gone"),
    [(300, 300, True), (300, 5, False), (5, 5, False)],
    ids=["old", "busy", "young"],
)
def test_a_run_of_another_machine_is_over_when_it_made_nothing_for_long(
    namespace: float, pod: float, gone: bool
) -> None:
    pods = {"shop": [_object("web", "r1", pod)]}
    server = Server([_object("shop", "r1", namespace, ELSEWHERE)], pods, [])
    done = _clean(server)
    assert bool(done.removed) is gone
    assert [why for _, why in done.spared] == (
        [] if gone else ["it may run on another machine; it last made something 5 min ago"]
    )
