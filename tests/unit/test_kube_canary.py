"""Canaries that scenarios share, on a network whose plugin works when the test says so."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.clusters.kube import canary as module
from harness.clusters.kube.api import Api, Resource
from harness.clusters.kube.canary import LABEL, NOTHING_ENFORCED, POD_PORT, PORT, Canary, Turn
from harness.clusters.kube.cni import Cni, CutManifest, Kind
from harness.clusters.kube.enforcement import Enforcement
from harness.clusters.kube.fleet import Fleet
from harness.clusters.kube.objects import Objects
from harness.engine.cluster import ClusterError
from harness.model.rules import Direction
from harness.model.topology import Namespace, Pod


class Network:
    """API server, agents and plugin in one; the plugin enforces what stood when it last worked."""

    def __init__(self) -> None:
        self.policies: dict[str, Any] = {}
        self.label = "0"
        self.in_force: dict[str, Any] = {}
        self.known_label = "0"
        self.at_once = True
        self.enforces = True
        self.deaf = False
        self.busy = False
        self.broken: dict[str, str] = {}
        self.refuse = False
        self.away = False
        self.looked = threading.Semaphore(0)
        self.pods: list[str] = []

    def work(self) -> None:
        if self.enforces:
            self.in_force = copy.deepcopy(self.policies)
            self.known_label = self.known_label if self.deaf else self.label

    # the API server

    def apply(self, manifest: dict[str, Any]) -> None:
        if self.refuse and manifest["metadata"]["name"] == "canary-out":
            raise ClusterError("too many requests")
        self.policies[manifest["metadata"]["name"]] = manifest["spec"]
        if self.at_once:
            self.work()

    def delete(self, path: str) -> None:
        if self.away:
            raise ClusterError("the API server is away")
        self.policies.pop(path.rsplit("/", 1)[1], None)
        if self.at_once:
            self.work()

    def resource(self, api_version: str, kind: str) -> Resource:
        return Resource(f"/apis/{api_version}", f"{kind.lower()}s", namespaced=kind == "NetworkPolicy")

    # the objects

    def remove_everything(self, *, empty: bool) -> None: ...

    def close(self) -> None: ...

    def add_namespace(self, item: Namespace) -> None: ...

    def add_pods(self, pods: Iterable[tuple[Pod, str]]) -> None:
        self.pods += [pod.id for pod, _ in pods]

    def await_pods(self, pods: Iterable[str]) -> dict[str, tuple[str, ...]]:
        return {pod: (pod.split("/")[1],) for pod in pods}

    def relabel(self, path: str, old: dict[str, str], new: dict[str, str]) -> None:
        self.label = new[LABEL]
        if self.at_once:
            self.work()

    # the agents

    def connect(self, pods: Iterable[str]) -> None: ...

    def number(self) -> int:
        return 1

    def sweep(self, plan: dict[str, list[list[Any]]], *_: object) -> dict[int, list[Any]]:
        self.looked.release()
        found = {}
        for specs in plan.values():
            for index, source, _, target, port, _ in specs:
                open_ = "canary-out" not in self.in_force if "/out" in source else self._lets_in(target, port)
                kind = "error" if self.busy else "connected" if open_ else "timeout"
                found[index] = [index, kind, "", "", open_ and not self.busy]
        return found

    def _lets_in(self, target: str, port: int) -> bool:
        spec = self.in_force.get("canary-in")
        if spec is None or not target.startswith("in"):
            return True
        if port == PORT:
            return False
        peer = spec["ingress"][0 if port == POD_PORT else 1]["from"][0]
        (selector,) = peer.values()
        return bool(selector["matchLabels"][LABEL] == self.known_label)


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    monkeypatch.setattr(module, "FLIP_SECONDS", 1.0)
    monkeypatch.setattr(module, "FIRST_FLIP_SECONDS", 0.1)
    return Network()


def canary(
    network: Network,
    *,
    nodes: tuple[str, ...] = ("one", "two"),
    cuts: Mapping[Kind, CutManifest] | None = None,
) -> Canary:
    cni = cast("Cni", SimpleNamespace(enforces=False, cuts=cuts or {}))
    made = Canary(
        cast("Api", network),
        cast("Objects", network),
        cast("Fleet", network),
        "canaries",
        "r1",
        cni,
        Enforcement(),
    )
    made.stand(nodes, cuts or ())
    return made


def beside(call: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()
    return thread, results


def test_every_turn_is_seen_and_numbered(network: Network) -> None:
    made = canary(network)
    turns = [made.turn() for _ in range(1)]
    for _ in range(3):
        sight = made.flip(turns[-1])
        assert (sight.by, sight.trouble, sight.enforced) == ("canary policy seen on 2 nodes", "", True)
        turns.append(made.turn())
    assert [turn.number for turn in turns] == [1, 2, 3, 4]
    assert [turn.marks[0].present for turn in turns] == [True, False, True, False]


def test_what_is_asked_for_during_a_turn_waits_for_the_next(network: Network) -> None:
    made = canary(network)
    made.flip(made.turn())
    network.at_once = False
    first = made.turn()
    thread, late = beside(made.turn)
    while network.looked.acquire(blocking=False):
        pass
    assert network.looked.acquire(timeout=5)  # the second waits until the first is seen
    network.work()
    thread.join(5)
    (second,) = cast("list[Turn]", late)
    assert second.number == first.number + 1
    assert made.flip(first).trouble == ""
    assert "not seen" in made.flip(second).trouble


def test_newcomers_cost_nothing_where_they_are_known(network: Network) -> None:
    made = canary(network)
    made.stand(("two", "one"), ())
    assert sorted(network.pods) == [f"canaries/{name}" for name in ("hub", "in-0", "in-1", "out-0", "out-1")]
    made.flip(made.turn())
    made.stand(("three",), ())
    assert len(network.pods) == 7
    assert network.policies == {}
    assert made.flip(made.turn()).by == "canary policy seen on 3 nodes"


def test_where_nothing_is_enforced_a_cut_stays_asked_for(network: Network) -> None:
    network.enforces = False
    made = canary(network)
    for _ in range(2):
        sight = made.flip(made.turn())
        assert (sight.by, sight.trouble, sight.enforced) == (NOTHING_ENFORCED, "", False)
        # Taking the policies back would look as if they had been in force.
        assert set(network.policies) == {"canary-in", "canary-out"}
    network.enforces = True
    assert made.flip(made.turn()).enforced


def test_who_waits_for_a_turn_without_any_effect_waits_no_longer_than_it(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FLIP_SECONDS", 300.0)
    network.enforces = False
    made = canary(network)
    first = made.turn()
    thread, late = beside(made.turn)
    assert made.flip(first).by == NOTHING_ENFORCED
    thread.join(10)
    (second,) = cast("list[Turn]", late)
    assert second.trouble == ""
    assert made.flip(second).by == NOTHING_ENFORCED


def test_newcomers_do_not_wait_for_policies_without_any_effect(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FLIP_SECONDS", 300.0)
    network.enforces = False
    made = canary(network)
    made.flip(made.turn())
    thread, _ = beside(lambda: made.stand(("three",), ()))
    thread.join(10)
    assert len(network.pods) == 7
    assert made.flip(made.turn()).by == NOTHING_ENFORCED


def test_a_turn_that_is_not_seen_is_trouble_and_no_later_one_makes_up_for_it(network: Network) -> None:
    made = canary(network)
    made.flip(made.turn())
    network.at_once = False
    lost = made.turn()
    assert "not seen" in made.flip(lost).trouble
    stale = made.turn()
    network.work()
    assert made.flip(stale).trouble == "an earlier canary policy was not seen so far"
    network.at_once = True
    assert made.flip(made.turn()).trouble == ""


def test_labels_are_known_only_by_packets(network: Network) -> None:
    made = canary(network)
    for _ in range(2):
        assert made.flip(made.turn(labels=True)).trouble == ""
    network.deaf = True
    assert made.flip(made.turn()).trouble == ""
    assert "not seen everywhere" in made.flip(made.turn(labels=True)).trouble


def test_labels_wait_for_a_turn_of_others(network: Network) -> None:
    made = canary(network)
    network.at_once = False
    first = made.turn()
    label = network.label
    thread, late = beside(lambda: made.turn(labels=True))
    assert network.looked.acquire(timeout=5)
    assert network.label == label
    network.at_once = True
    network.work()
    thread.join(5)
    assert network.label != label
    assert made.flip(first).trouble == ""
    assert made.flip(cast("Turn", late[0])).trouble == ""


def test_a_busy_canary_is_looked_at_again(network: Network) -> None:
    made = canary(network)
    made.flip(made.turn())
    turn = made.turn()
    network.busy = True
    while network.looked.acquire(blocking=False):
        pass
    thread, late = beside(lambda: made.flip(turn))
    assert network.looked.acquire(timeout=5)
    network.busy = False
    thread.join(5)
    assert late[0] == module.Sight("canary policy seen on 2 nodes")


def test_canaries_that_cannot_be_asked_are_used_no_more(network: Network) -> None:
    made = canary(network)
    turn = made.turn()
    network.broken = {"canaries/hub": "its stream ended"}
    with pytest.raises(ClusterError, match="canary canaries/hub cannot be asked: its stream ended"):
        made.flip(turn)
    assert made.broken
    with pytest.raises(ClusterError, match="cannot be used any more"):
        made.turn()


def test_half_a_turn_proves_nothing(network: Network) -> None:
    made = canary(network)
    network.refuse = True
    with pytest.raises(ClusterError, match="too many requests"):
        made.turn()
    assert made.broken


def test_what_a_failed_turn_did_not_remove_goes_at_the_end(network: Network) -> None:
    """Policies of the whole cluster do not go with the canaries' namespace."""

    def wide(namespace: str, name: str, role: str, direction: Direction) -> dict[str, Any]:
        return {"apiVersion": "x/v1", "kind": "Wide", "metadata": {"name": f"{namespace}-{name}"}, "spec": {}}

    made = canary(network, cuts={("x/v1", "Wide"): wide})
    made._turn()
    made._seen = made._last.number
    network.away = True
    with pytest.raises(ClusterError, match="away"):
        made._turn()
    network.away = False
    made.close()
    assert not [name for name in network.policies if name.startswith("canaries-")]
