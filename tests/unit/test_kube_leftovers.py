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
        self.groups = [{"name": "example.com", "preferredVersion": {"groupVersion": "example.com/v1"}}]
        self.kinds: dict[str, list[tuple[str, str, bool]]] = {}
        self.objects: dict[str, list[Json]] = {}
        self.down: set[str] = set()

    def serve(self, group: str, **versions: list[tuple[str, str, bool]]) -> None:
        """Serve another group, the first version preferred: (plural, kind, namespaced) of each version."""
        names = [f"{group}/{version}" for version in versions]
        listed = [{"groupVersion": name} for name in names]
        self.groups.append({"name": group, "preferredVersion": listed[0], "versions": listed})
        self.kinds.update(zip(names, versions.values(), strict=True))

    def now(self) -> datetime.datetime:
        return NOW

    def get(self, path: str, **query: str) -> Json:
        if path == "/apis":
            return {"groups": self.groups}
        if path in self.objects:
            return {"items": self.objects[path]}
        if path == "/api/v1/namespaces":
            return {"items": self.namespaces, "metadata": {"resourceVersion": "1"}}
        if path.endswith("/pods"):
            return {"items": self.pods.get(path.split("/")[4], [])}
        if path == "/apis/example.com/v1/widepolicies":
            return {"items": self.wide}
        raise ApiError("may not be listed", 403)

    def reach(self, path: str = "/version") -> Json:
        verbs = ["list", "delete"]
        if path in self.down:
            raise ApiError("the cluster says: service unavailable", 503)
        kinds = self.kinds.get(
            path.removeprefix("/apis/"),
            [
                ("widepolicies", "WidePolicy", False),
                ("secretive", "Secretive", False),
                ("small", "Small", True),
            ],
        )
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


ADMIN = "policy.networking.k8s.io"


def test_a_kind_that_only_an_older_version_of_its_group_has_is_found() -> None:
    """Both sets of the network policy API are installed, and the newer one is preferred."""
    server = Server([], {}, [])
    new, old = ("clusternetworkpolicies", "New", False), ("adminnetworkpolicies", "Old", False)
    server.serve(ADMIN, v1alpha2=[new], v1alpha1=[new, old])
    server.objects = {
        f"/apis/{ADMIN}/v1alpha1/adminnetworkpolicies": [_object("a", "r1", 300)],
        f"/apis/{ADMIN}/v1alpha2/clusternetworkpolicies": [_object("c", "r1", 300)],
        f"/apis/{ADMIN}/v1alpha1/clusternetworkpolicies": [_object("c", "r1", 300)],
    }
    assert _clean(server).removed == ["New c of run r1", "Old a of run r1"]
    assert server.deleted == [
        f"/apis/{ADMIN}/v1alpha2/clusternetworkpolicies/c",
        f"/apis/{ADMIN}/v1alpha1/adminnetworkpolicies/a",
    ]


def test_a_policy_in_a_namespace_that_is_not_of_the_run_is_found() -> None:
    server = Server([_object("shop", "r1", 300)], {}, [])
    server.serve("networking.k8s.io", v1=[("networkpolicies", "NetworkPolicy", True)])
    found = [_object(name, "r1", 300) for name in ("theirs", "own")]
    for item, namespace in zip(found, ("default", "shop"), strict=True):
        item["metadata"]["namespace"] = namespace
    server.objects["/apis/networking.k8s.io/v1/networkpolicies"] = found
    assert _clean(server).removed == [
        "NetworkPolicy default/theirs of run r1",
        "namespace shop of run r1",
    ]
    assert server.deleted[0] == "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies/theirs"


def test_groups_of_policies_that_the_server_cannot_tell_of_are_said() -> None:
    server = Server([], {}, [])
    server.serve("projectcalico.org", v3=[])
    server.serve("metrics.k8s.io", v1beta1=[])
    server.down = {"/apis/projectcalico.org/v3", "/apis/metrics.k8s.io/v1beta1"}
    done = _clean(server)
    assert done.unseen == ["projectcalico.org/v3: the cluster says: service unavailable"]
    assert done.removed == []
