"""What a world on a cluster makes of the signs that a change is in force."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.clusters.kube import world as module
from harness.clusters.kube.turns import Sight, Turn
from harness.clusters.kube.world import KubeWorld
from harness.cni.calico.driver import Calico
from harness.model.policy import Policy, PolicyRef
from harness.model.topology import Topology


class Canary:
    marks = ()

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.labels: list[bool] = []
        self.sight = Sight("canary policy seen on 2 nodes")

    def turn(self, *, labels: bool = False, reach: object = None) -> Turn:
        self.asked.append(reach)
        self.labels.append(labels)
        return Turn()

    def flip(self, turn: Turn, *, vouched: bool = False) -> Sight:
        return self.sight

    def places(self) -> dict[str, Any]:
        return {}


class Standing:
    def __init__(self) -> None:
        self.found: dict[PolicyRef, Policy] = {}
        self.gone = ()

    @property
    def policies(self) -> tuple[Policy, ...]:
        return tuple(self.found.values())

    def apply(self, policy: Policy) -> None:
        self.found[policy.ref] = policy

    def delete(self, ref: PolicyRef) -> None:
        del self.found[ref]

    def forget_gone(self) -> None: ...


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(module, "UNSHOWN_SECONDS", 0.3)
    made: Any = object.__new__(KubeWorld)
    made._canary, made._standing = Canary(), Standing()
    made._cni = Calico(cast("Any", None), "3.30.0")
    made._cni._tells = False
    made._topology = Topology()
    made._sweeper, made._addresses = SimpleNamespace(), SimpleNamespace(pod=None)
    made._ways = SimpleNamespace(settle=lambda _: "")
    made._wide = made._reshaped = False
    made._unshown = frozenset()
    made._changed = 0.0
    return made


def policy(kind: str, name: str, namespace: str = "") -> Policy:
    api = "projectcalico.org/v3"
    return Policy("calico", api, kind, namespace, name, {}, None, cast("Any", None))


def test_labels_that_were_not_seen_are_to_be_seen_after_the_next_change(world: Any) -> None:
    world._reshaped = True
    world._canary.sight = Sight("nothing", "not seen")
    world.in_force()
    world._canary.sight = Sight("seen")
    world.in_force()
    world.in_force()
    assert world._canary.labels == [True, True, False]


@pytest.mark.parametrize("delete", [False, True])
def test_what_no_canary_shows_is_waited_for_and_said(world: Any, delete: bool) -> None:
    tier = policy("Tier", "first")
    world.apply([tier])
    if delete:
        world.in_force()
        world.delete([tier.ref])
    began = time.monotonic()
    said = world.in_force().by
    assert said.endswith("because no canary shows Tier")
    assert time.monotonic() - began >= 0.25
    assert world.in_force().by == "canary policy seen on 2 nodes"


@pytest.mark.parametrize("kind", ["NetworkPolicy", "NetworkSet", "StagedNetworkPolicy"])
def test_what_has_a_canary_or_no_effect_is_not(world: Any, kind: str) -> None:
    world.apply([policy(kind, "x", "shop")])
    assert world.in_force().by == "canary policy seen on 2 nodes"


def test_trouble_is_not_waited_for(world: Any) -> None:
    world._canary.sight = Sight("nothing", "not seen")
    world.apply([policy("Tier", "first")])
    assert (world.in_force().by, world.in_force().trouble) == ("nothing", "not seen")


def test_policies_without_a_namespace_are_told_to_the_canaries_for_good(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall = policy("GlobalNetworkPolicy", "wall")
    world.in_force()
    world.apply([policy("NetworkPolicy", "x", "shop")])
    world.in_force()
    world.apply([wall])  # the canaries are looked at before it is there
    world.in_force()
    world.delete([wall.ref])
    world.in_force()
    assert world._canary.asked == [None, None, None, ["GlobalNetworkPolicy wall"], []]
