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
from harness.clusters.kube.canary import LABEL, NOTHING_ENFORCED, Canary, Turn
from harness.clusters.kube.cni import Cni, CutManifest, Kind
from harness.clusters.kube.enforcement import Enforcement
from harness.clusters.kube.fleet import Fleet
from harness.clusters.kube.objects import Objects
from harness.engine.cluster import ClusterError
from harness.model.rules import Direction
from harness.model.topology import Namespace, Pod

OPEN = {"canary-in", "canary-out"}


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
        self.on_look: Callable[[], None] = lambda: None
        """What happens in the very moment in which somebody looks at the canaries."""
        self.pods: list[str] = []
        self.wide = ""
        """A policy of the user's on all pods: `deny`, `allow`, or `default-deny`, over which allows win."""

    def work(self) -> None:
        if self.enforces:
            self.in_force = copy.deepcopy(self.policies)
            self.known_label = self.known_label if self.deaf else self.label

    # the API server

    def apply(self, manifest: dict[str, Any]) -> None:
        self.policies[manifest["metadata"]["name"]] = manifest["spec"]
        if self.at_once:
            self.work()

    def delete(self, path: str) -> None:
        if self.away:
            raise ClusterError("the API server is away")
        name = path.rsplit("/", 1)[1]
        if self.refuse and name == "canary-out":
            raise ClusterError("too many requests")
        self.policies.pop(name, None)
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
        self.on_look()
        found = {}
        for specs in plan.values():
            for index, source, _, target, port, _ in specs:
                open_ = self._lets(source, target, port)
                kind = "error" if self.busy else "connected" if open_ else "timeout"
                found[index] = [index, kind, "", "", open_ and not self.busy]
        return found

    def _lets(self, source: str, target: str, port: int) -> bool:
        if self.wide in ("deny", "allow"):
            return self.wide == "allow"
        ends = (source.split("/")[1], "Egress"), (target, "Ingress")
        return all(self._allows(pod.split("-")[0], direction, port) for pod, direction in ends)

    def _allows(self, role: str, direction: str, port: int) -> bool:
        mine = [spec for spec in self.in_force.values() if direction in spec["policyTypes"]]
        mine = [spec for spec in mine if _selects(spec["podSelector"], role)]
        if not mine:
            return self.wide != "default-deny"
        return any(self._admits(rule, port) for spec in mine for rule in spec.get(direction.lower(), ()))

    def _admits(self, rule: dict[str, Any], port: int) -> bool:
        if not rule:
            return True
        ((selector,),) = (peer.values() for peer in rule["from"])
        known: bool = selector["matchLabels"][LABEL] == self.known_label
        return known and [{"port": port}] == rule["ports"]


def _selects(selector: dict[str, Any], role: str) -> bool:
    if "matchLabels" in selector:
        return bool(selector["matchLabels"]["role"] == role)
    (expression,) = selector["matchExpressions"]
    return role not in expression["values"]


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    monkeypatch.setattr(module, "FLIP_SECONDS", 1.0)
    monkeypatch.setattr(module, "FIRST_FLIP_SECONDS", 0.1)
    monkeypatch.setattr(module, "REACHED_SECONDS", 0.3)
    monkeypatch.setattr(module, "HIDDEN_SECONDS", 0.1)
    return Network()


def canary(
    network: Network,
    *,
    nodes: tuple[str, ...] = ("one", "two"),
    cuts: Mapping[Kind, CutManifest] | None = None,
) -> Canary:
    cni = cast("Cni", SimpleNamespace(enforces=False, cuts=cuts or {}, beside={}))
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


def at_the_third_look(network: Network, change: Callable[[], None]) -> list[str]:
    """Have something happen while somebody waits for the canaries; the hub's label at each look."""
    labels: list[str] = []

    def on_look() -> None:
        labels.append(network.label)
        if len(labels) == 3:
            change()

    network.on_look = on_look
    return labels


def test_every_turn_is_seen_and_numbered(network: Network) -> None:
    made = canary(network)
    turns = [made.turn() for _ in range(1)]
    for _ in range(3):
        sight = made.flip(turns[-1])
        assert (sight.by, sight.trouble, sight.enforced) == ("canary policy seen on 2 nodes", "", True)
        turns.append(made.turn())
    assert [turn.number for turn in turns] == [1, 2, 3, 4]
    # What opens them goes when they are cut.
    assert [turn.marks[0].present for turn in turns] == [False, True, False, True]


def test_what_is_asked_for_during_a_turn_waits_for_the_next(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = canary(network)
    made.flip(made.turn())
    network.at_once = False
    first = made.turn()
    looks = at_the_third_look(network, network.work)
    # Waited for with patience, since it comes.
    monkeypatch.setattr(module, "FLIP_SECONDS", 300.0)
    second = made.turn()
    assert len(looks) == 3
    assert second.number == first.number + 1
    assert made.flip(first).trouble == ""
    monkeypatch.setattr(module, "FLIP_SECONDS", 0.1)
    assert "not seen" in made.flip(second).trouble


def test_newcomers_cost_nothing_where_they_are_known(network: Network) -> None:
    made = canary(network)
    made.stand(("two", "one"), ())
    assert sorted(network.pods) == [f"canaries/{name}" for name in ("hub", "in-0", "in-1", "out-0", "out-1")]
    made.flip(made.turn())
    made.stand(("three",), ())
    assert len(network.pods) == 7
    assert set(network.policies) >= OPEN
    assert made.flip(made.turn()).by == "canary policy seen on 3 nodes"


def test_where_nothing_is_enforced_a_cut_stays_asked_for(network: Network) -> None:
    network.enforces = False
    made = canary(network)
    for _ in range(2):
        sight = made.flip(made.turn())
        assert (sight.by, sight.trouble, sight.enforced) == (NOTHING_ENFORCED, "", False)
        # Taking the change back would look as if it had been in force.
        assert not OPEN & set(network.policies)
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


def test_labels_wait_for_a_turn_of_others(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    # How long a turn takes is not the matter: where it takes too long, labels need not wait for it.
    monkeypatch.setattr(module, "FIRST_FLIP_SECONDS", 300.0)
    monkeypatch.setattr(module, "FLIP_SECONDS", 300.0)
    made = canary(network)
    network.at_once = False
    first = made.turn()
    label = network.label

    def work() -> None:
        network.at_once = True
        network.work()

    labels = at_the_third_look(network, work)
    second = made.turn(labels=True)
    assert labels[:3] == [label] * 3
    assert network.label != label
    assert made.flip(first).trouble == ""
    assert made.flip(second).trouble == ""


def test_a_busy_canary_is_looked_at_again(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    made = canary(network)
    made.flip(made.turn())
    monkeypatch.setattr(module, "FLIP_SECONDS", 300.0)
    turn = made.turn()
    network.busy = True
    looks = at_the_third_look(network, lambda: setattr(network, "busy", False))
    assert made.flip(turn) == module.Sight("canary policy seen on 2 nodes")
    assert len(looks) == 3


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


SEEN = "canary policy seen on 2 nodes"
WIDE = ("GlobalNetworkPolicy wall",)


def test_a_default_deny_of_the_whole_cluster_does_not_hide_the_canaries(network: Network) -> None:
    made = canary(network)
    for _ in range(2):
        assert made.flip(made.turn()).by == SEEN
        network.wide = "default-deny"
        for _ in range(3):
            assert made.flip(made.turn(reach=WIDE)).by == SEEN
        network.wide = ""
        assert made.flip(made.turn(reach=())).by == SEEN


@pytest.mark.parametrize("wide", ["deny", "allow"])
@pytest.mark.parametrize("turns", [1, 2])
def test_a_policy_that_hides_the_canaries_is_named_soon(
    network: Network, wide: str, turns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FLIP_SECONDS", 300.0)
    made = canary(network)
    for _ in range(turns):
        assert made.flip(made.turn()).by == SEEN
    network.wide = wide
    for _ in range(3):
        sight = made.flip(made.turn(reach=WIDE))
        assert "GlobalNetworkPolicy wall may reach netcheck's own pods too" in sight.trouble
        assert "have the selector name the scenario's namespaces" in sight.trouble
        assert sight.enforced
    network.wide = ""
    assert made.flip(made.turn(reach=())).by == SEEN


@pytest.mark.parametrize("wide", ["deny", "allow"])
def test_hidden_canaries_matter_no_more_where_the_plugin_speaks_for_itself(
    network: Network, wide: str
) -> None:
    made = canary(network)
    made.flip(made.turn())
    network.wide = wide
    for _ in range(3):
        sight = made.flip(made.turn(reach=WIDE), vouched=True)
        assert sight.trouble == ""
        assert sight.by.startswith("canaries not seen (GlobalNetworkPolicy wall may reach")
    labelled = made.flip(made.turn(reach=WIDE, labels=True), vouched=True)
    assert "only canaries show that labels are known" in labelled.trouble
    network.wide = ""
    assert made.flip(made.turn(reach=(), labels=True)).by == SEEN
    assert made.flip(made.turn()).by == SEEN


def test_silence_of_a_wide_policy_is_not_taken_for_a_cut(network: Network) -> None:
    made = canary(network)
    for _ in range(2):
        assert made.flip(made.turn()).by == SEEN
    # It is in force at once; nothing that was changed with it is.
    network.at_once = False
    network.wide = "deny"
    assert made.flip(made.turn(reach=WIDE)).trouble
    # It goes again, and so do the signs that came of it alone.
    network.wide = ""
    assert made.flip(made.turn(reach=())).trouble
    network.at_once = True
    network.work()
    assert made.flip(made.turn(reach=())).by == SEEN


def test_a_later_scenario_is_not_fooled_by_a_wide_policy_that_lingers(network: Network) -> None:
    made = canary(network)
    made.flip(made.turn())
    network.wide = "deny"
    assert made.flip(made.turn(reach=WIDE), vouched=True).trouble == ""
    # Deleted, but the plugin is late.
    network.at_once = False
    assert made.flip(made.turn()).trouble
    network.wide = ""
    network.at_once = True
    network.work()
    assert made.flip(made.turn()).by == SEEN


def test_canaries_that_never_answered_prove_nothing(network: Network) -> None:
    network.wide = "deny"
    made = canary(network)
    assert made.flip(made.turn()).trouble == module.ASLEEP
    network.wide = ""
    assert made.flip(made.turn()).by == SEEN


def test_where_nothing_is_enforced_wide_policies_change_nothing(network: Network) -> None:
    network.enforces = False
    made = canary(network)
    for turn in (made.turn(), made.turn(reach=WIDE), made.turn(reach=WIDE)):
        assert made.flip(turn) == module.Sight(NOTHING_ENFORCED, enforced=False)
