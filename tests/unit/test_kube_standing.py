"""Policies of a world: its own are updated and deleted, somebody else's are never touched."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from harness.clusters.kube.api import ApiError
from harness.clusters.kube.manifests import RUN_LABEL
from harness.clusters.kube.standing import Standing
from harness.engine.cluster import ClusterError
from harness.model.policy import Policy
from harness.source import Place
from tests.unit.object_server import ObjectServer

Json = dict[str, Any]
BASELINE = "/apis/policy.networking.k8s.io/v1alpha1/baselineadminnetworkpolicies/default"
DENY = "/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies/deny"


def baseline(action: str = "Deny", **metadata: Json) -> Policy:
    api, kind = "policy.networking.k8s.io/v1alpha1", "BaselineAdminNetworkPolicy"
    manifest = {
        "apiVersion": api,
        "kind": kind,
        "metadata": {"name": "default", **metadata},
        "spec": {"subject": {"namespaces": {}}, "ingress": [{"action": action, "from": []}]},
    }
    return Policy("admin", api, kind, "", "default", manifest, None, Place("a.yaml", 1, 1))


def deny(spec: Json | None = None) -> Policy:
    manifest = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "deny"},
        "spec": spec or {"podSelector": {}},
    }
    place = Place("a.yaml", 1, 1)
    return Policy(
        "kubernetes", "networking.k8s.io/v1", "NetworkPolicy", "shop", "deny", manifest, None, place
    )


@pytest.fixture
def server() -> ObjectServer:
    return ObjectServer()


@pytest.mark.parametrize("labels", [{}, {RUN_LABEL: "r0"}], ids=["a person's", "another run's"])
def test_an_object_of_that_name_that_is_not_ours_is_refused_untouched(
    server: ObjectServer, labels: dict[str, str]
) -> None:
    server.put(BASELINE, {"metadata": {"labels": labels}, "spec": {"theirs": True}})
    before = copy.deepcopy(server.objects)
    world = Standing(server, "r1")
    with pytest.raises(ClusterError, match="BaselineAdminNetworkPolicy default exists on the cluster"):
        world.apply(baseline())
    world.delete_all()
    assert server.objects == before


def test_an_update_replaces_what_the_file_says_and_keeps_what_controllers_wrote(server: ObjectServer) -> None:
    world = Standing(server, "r1")
    world.apply(baseline(labels={"a": "1"}))
    there = server.objects[BASELINE]
    there["metadata"]["labels"]["tier"] = "theirs"
    there["status"] = {"conditions": []}
    world.apply(baseline("Allow", labels={"b": "2"}))
    found = server.objects[BASELINE]
    assert found["spec"]["ingress"] == [{"action": "Allow", "from": []}]
    assert found["metadata"]["labels"] == {RUN_LABEL: "r1", "tier": "theirs", "b": "2"}
    assert found["metadata"]["uid"] == there["metadata"]["uid"]
    assert found["status"] == {"conditions": []}


def test_a_section_that_the_new_file_leaves_out_is_gone(server: ObjectServer) -> None:
    world = Standing(server, "r1")
    world.apply(deny({"podSelector": {}, "ingress": [{}], "egress": [{}]}))
    world.apply(deny({"podSelector": {}, "egress": [{}]}))
    assert server.objects[DENY]["spec"] == {"podSelector": {}, "egress": [{}]}


def test_an_update_is_written_again_when_a_controller_wrote_in_between(server: ObjectServer) -> None:
    world = Standing(server, "r1")
    world.apply(deny())

    def controller(method: str, path: str) -> None:
        if method == "PUT":
            server.before = lambda method, path: None
            server.objects[path]["metadata"]["resourceVersion"] = "another"

    server.before = controller
    world.apply(deny({"podSelector": {"matchLabels": {"app": "web"}}}))
    assert server.objects[DENY]["spec"]["podSelector"] == {"matchLabels": {"app": "web"}}


def test_what_somebody_put_in_its_place_is_neither_updated_nor_deleted(server: ObjectServer) -> None:
    world = Standing(server, "r1")
    world.apply(deny())
    theirs = server.put(DENY, {"metadata": {"labels": {RUN_LABEL: "r1"}}, "spec": {"theirs": True}})
    with pytest.raises(ClusterError, match="NetworkPolicy shop/deny was removed or replaced by somebody"):
        world.apply(deny())
    world.delete_all()
    assert server.objects == {DENY: theirs}


def test_a_request_whose_answer_got_lost_is_taken_back(server: ObjectServer) -> None:
    def lost(method: str, path: str) -> None:
        if method == "POST":
            server.after = lambda method, path: None
            raise ApiError("the API server cannot be reached", 0)

    server.after = lost
    world = Standing(server, "r1")
    with pytest.raises(ApiError):
        world.apply(baseline())
    assert BASELINE in server.objects
    assert world.wide
    world.delete_all()
    assert server.objects == {}
    assert not world.wide


def test_a_request_that_never_arrived_takes_nothing_of_others_away(server: ObjectServer) -> None:
    def never(method: str, path: str) -> None:
        if method == "POST":
            server.before = lambda method, path: None
            raise ApiError("the API server cannot be reached", 0)

    server.before = never
    world = Standing(server, "r1")
    with pytest.raises(ApiError):
        world.apply(baseline())
    theirs = server.put(BASELINE, {"spec": {"theirs": True}})
    world.delete_all()
    assert server.objects == {BASELINE: theirs}


def test_one_that_is_still_going_is_waited_for(server: ObjectServer) -> None:
    going = server.put(DENY, {"metadata": {"labels": {RUN_LABEL: "r1"}}, "spec": {}})
    going["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z"
    looks = []

    def finalizer(method: str, path: str) -> None:
        looks.append(method)
        if looks.count("GET") == 3:
            server.objects.pop(DENY, None)

    server.before = finalizer
    world = Standing(server, "r1")
    world.apply(deny())
    assert server.objects[DENY]["spec"] == {"podSelector": {}}
    world.delete_all()
    assert server.objects == {}
