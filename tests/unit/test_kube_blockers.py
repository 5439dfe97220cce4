"""Whose policies stand in the way of a control; the API server is played."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from harness.clusters.kube.api import ApiError, Resource
from harness.clusters.kube.blockers import blockers
from harness.clusters.kube.world import KubeWorld
from harness.engine.judge import DENIED, blocked, control_error
from harness.model.probe import Probe, Source, SourceKind, Target, TargetKind
from harness.model.topology import Protocol
from tests.unit.kubernetes_worlds import pod, world

SHOP = world(pod("n/cli"), pod("n/web", app="web"))
PROBE = Probe(Source(SourceKind.POD, "n/cli"), Target(TargetKind.POD, "n/web", 80, Protocol.TCP))
CLUSTERWIDE = ("cilium.io/v2", "CiliumClusterwideNetworkPolicy")
ADMIN = ("policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy")
Objects = dict[tuple[str, str], list[dict[str, Any]]]
PLAIN = ("networking.k8s.io/v1", "NetworkPolicy")


def item(name: str, spec: dict[str, Any], namespace: str = "", **labels: str) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "uid": "u", "managedFields": [{"a": 1}], "labels": labels}
    if namespace:
        metadata["namespace"] = namespace
    return {"metadata": metadata, "spec": spec, "status": {"conditions": []}}


ISOLATE = {"podSelector": {}, "policyTypes": ["Ingress"]}
DENY_ALL = {
    "priority": 10,
    "subject": {"namespaces": {}},
    "ingress": [{"name": "no", "action": "Deny", "from": [{"namespaces": {}}]}],
}


DB = item("db", {"podSelector": {"matchLabels": {"app": "db"}}}, "n")
ODD = item("odd", {"podSelector": {}, "newField": 1}, "n")


class Server:
    """Serves the kinds that it has objects of, and refuses to list those in `secret`."""

    def __init__(self, objects: Objects, secret: tuple[str, ...] = ()) -> None:
        self._objects = objects
        self._secret = secret

    def together(self, calls: Sequence[Callable[[], Any]]) -> list[Any]:
        return [call() for call in calls]

    def resource(self, api_version: str, kind: str) -> Resource:
        if (api_version, kind) not in self._objects:
            raise ApiError("not served", 404)
        return Resource(f"/apis/{api_version}", kind, kind == "NetworkPolicy")

    def get(self, path: str, **query: str) -> dict[str, Any]:
        _, _, rest = path.partition("/apis/")
        *version, kind = [part for part in rest.split("/") if part]
        namespace = version[3] if len(version) > 2 else ""
        if kind in self._secret:
            raise ApiError("forbidden", 403)
        found = self._objects["/".join(version[:2]), kind]
        return {"items": [each for each in found if each["metadata"].get("namespace", "") == namespace]}


def said(objects: Objects, secret: tuple[str, ...] = ()) -> str:
    (found,) = blockers(Server(objects, secret), "r1", SHOP, [PROBE])  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        ({}, ""),
        ({PLAIN: [item("default-deny", ISOLATE, "n")]}, "blocked by policy NetworkPolicy n/default-deny"),
        ({PLAIN: [item("default-deny", ISOLATE, "other")]}, ""),
        ({PLAIN: [item("ours", ISOLATE, "n", **{"netcheck.dev/run": "r1"})]}, ""),
        ({ADMIN: [item("guard", DENY_ALL)]}, "blocked by policy AdminNetworkPolicy guard"),
        ({CLUSTERWIDE: [item("all", {})]}, f"on the cluster stand {CLUSTERWIDE[1]} all"),
        # One that paper reads and that lets the probe pass is not under suspicion.
        ({PLAIN: [DB], CLUSTERWIDE: [item("all", {})]}, f"on the cluster stand {CLUSTERWIDE[1]} all"),
        ({PLAIN: [ODD]}, "on the cluster stand NetworkPolicy n/odd"),
    ],
)  # fmt: skip
def test_who_stands_in_the_way(objects: Objects, words: str) -> None:
    assert said(objects) == words


def test_many_policies_are_not_all_named() -> None:
    found = said({CLUSTERWIDE: [item(f"p{number}", {}) for number in range(8)]})
    assert found.count("CiliumClusterwideNetworkPolicy") == 5
    assert found.endswith(" and 3 more")


def test_what_may_not_be_read_is_left_out() -> None:
    objects = {PLAIN: [item("default-deny", ISOLATE, "n")], CLUSTERWIDE: [item("all", {})]}
    assert said(objects, (CLUSTERWIDE[1],)) == "blocked by policy NetworkPolicy n/default-deny"
    assert said(objects, ("NetworkPolicy",)) == f"on the cluster stand {CLUSTERWIDE[1]} all"


def test_an_api_server_in_trouble_changes_nothing() -> None:
    class Broken(Server):
        def get(self, path: str, **query: str) -> dict[str, Any]:
            raise ApiError("gone", 500)

    built = KubeWorld.__new__(KubeWorld)
    for name, part in {"_api": Broken({PLAIN: []}), "_run": "r1", "_topology": SHOP}.items():
        setattr(built, name, part)
    assert built.blockers([PROBE]) == ("",)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("", f"control: timeout {DENIED}"),
        ("blocked by policy NetworkPolicy n/p", "control blocked by policy NetworkPolicy n/p (timeout)"),
        (
            "on the cluster stand A x",
            "control: timeout although no policy of the scenario does that; on the cluster stand A x",
        ),
    ],
)
def test_the_words_of_the_error(said: str, reason: str) -> None:
    assert control_error(blocked(f"timeout {DENIED}", said)) == reason
