"""When Cilium's agents are believed: a fake of two agents, with answers in the words of a real 1.19.1."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.clusters.kube.api import Api, ApiError
from harness.clusters.kube.cni import LabelChange, Mark, PodPlace
from harness.cni.agents import AgentError, RefusedError
from harness.cni.cilium import driver
from harness.cni.cilium.driver import Cilium
from harness.engine.cluster import ClusterError
from harness.model.policy import Policy
from tests.unit.test_cni_cilium import policy as rule

CANARY = Mark("NetworkPolicy", "canaries", "canary-in", present=True)
PODS = {"shop/web": PodPlace("n1", ("10.244.0.9",)), "shop/cli": PodPlace("n2", ("10.244.1.9",))}
ADDRESS = {place.addresses[0]: pod for pod, place in PODS.items()}


class Agents:
    """The agents of two nodes, and the API server behind them."""

    def __init__(self) -> None:
        self.rules = {node: [rule("NetworkPolicy", "canaries", "canary-in")] for node in ("n1", "n2")}
        self.revision = 7
        self.rows = {"n1": "shop/web 7 ready ingress\n", "n2": "shop/cli 7 ready none\n"}
        self.status: dict[str, Any] = {}
        self.identities = dict.fromkeys(ADDRESS, 4711)
        self.labels = ["k8s:app=web"]
        self.failing: dict[str, list[Exception]] = {}
        self.before: Callable[[str, str], None] = lambda node, word: None

    def ask(self, node: str, word: str) -> str:
        self.before(node, word)
        if self.failing.get(node):
            raise self.failing[node].pop()
        if word == "policy":
            return json.dumps({"policy": json.dumps(self.rules[node]), "revision": self.revision})
        if word == "ipcache":
            lines = [f"{address}/32   identity={number} encryptkey=0" for address, number in self.mapped()]
            return "IP PREFIX/ADDRESS   IDENTITY\n" + "\n".join(lines) + "\n"
        if word == "identities":
            return json.dumps([{"id": number, "labels": []} for number in (1, 4711)])
        return self.rows[node]

    def mapped(self) -> list[tuple[str, int]]:
        return list(self.identities.items())

    def close(self) -> None: ...

    # the API server

    def resource(self, api_version: str, kind: str) -> Any:
        return SimpleNamespace(path=lambda namespace, name: f"{kind}/{namespace}/{name}")

    def get(self, path: str) -> Any:
        if "ciliumendpoints" in path:
            _, _, rest = path.partition("/namespaces/")
            namespace, _, name = rest.split("/")
            address = PODS[f"{namespace}/{name}"].addresses[0]
            number = self.identities.get(address, 0)
            networking = {"addressing": [{"ipv4": address}]}
            return {"status": {"identity": {"id": number, "labels": self.labels}, "networking": networking}}
        return {"status": self.status}


@pytest.fixture
def agents(monkeypatch: pytest.MonkeyPatch) -> Agents:
    monkeypatch.setattr(driver, "REALISE_SECONDS", 0.3)
    monkeypatch.setattr(driver, "IDENTITY_SECONDS", 0.3)
    monkeypatch.setattr(driver, "_LOOK", 0.01)
    return Agents()


def plugin(agents: Agents) -> Cilium:
    made = Cilium(cast("Api", agents), "1.19.1")
    made._agents = cast("Any", agents)
    return made


def cnp(name: str) -> Policy:
    return Policy("cilium", "cilium.io/v2", "CiliumNetworkPolicy", "shop", name, {}, None, cast("Any", None))


def settled(agents: Agents, *policies: Policy, gone: tuple[Policy, ...] = ()) -> Any:
    return plugin(agents).settle(lambda: [CANARY], PODS, policies, gone)


def test_what_every_agent_has_taken_in_is_in_force(agents: Agents) -> None:
    signal = settled(agents)
    assert (signal.by, signal.trouble, signal.sure) == ("policy revision realised on 2 nodes", "", True)


def test_a_policy_that_no_agent_has_is_not_in_force_although_the_canary_is(agents: Agents) -> None:
    signal = settled(agents, cnp("web"))
    assert "does not know of CiliumNetworkPolicy shop/web" in signal.trouble
    for rules in agents.rules.values():
        rules.append(rule("CiliumNetworkPolicy", "shop", "web"))
    assert settled(agents, cnp("web")).sure


def test_a_policy_that_cilium_marks_as_refused_a_little_later(
    agents: Agents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "REALISE_SECONDS", 300.0)
    refused = {"type": "Valid", "status": "False", "message": "rule must have at least one of Ingress"}
    looks: list[str] = []

    def mark(node: str, word: str) -> None:
        looks.append(node)
        if len(looks) > 6:
            agents.status = {"conditions": [refused]}

    agents.before = mark
    assert settled(agents, cnp("web")).trouble == (
        "Cilium refused CiliumNetworkPolicy shop/web: rule must have at least one of Ingress"
    )


def test_a_policy_that_was_deleted_is_gone_from_every_agent(agents: Agents) -> None:
    agents.rules["n2"].append(rule("CiliumNetworkPolicy", "shop", "web"))
    signal = settled(agents, gone=(cnp("web"),))
    assert signal.trouble == "the Cilium agent of n2 does not know that CiliumNetworkPolicy shop/web is gone"


@pytest.mark.parametrize("row", ["", "shop/cli  waiting-for-identity \n", "shop/cli 6 ready none\n"])
def test_an_endpoint_that_is_not_there_yet_has_realised_nothing(agents: Agents, row: str) -> None:
    agents.rows["n2"] = row
    assert "the endpoint of shop/cli on n2 has realised policy revision" in settled(agents).trouble


def test_a_turn_that_others_reverse_meanwhile_is_not_waited_for(agents: Agents) -> None:
    newest = [CANARY]

    def turn(node: str, word: str) -> None:
        # Others saw the canaries cut, and opened them again before this agent was looked at.
        if node == "n2":
            newest[:] = [Mark(CANARY.kind, CANARY.namespace, CANARY.name, present=False)]
            agents.rules = {"n1": [], "n2": []}

    agents.before = turn
    assert plugin(agents).settle(lambda: tuple(newest), PODS, (), ()).sure


def change(pod: str, *, new: bool = False) -> dict[str, LabelChange]:
    if new:
        return {pod: LabelChange(PODS[pod], {}, {"app": "web"}, {}, {"name": "shop"})}
    return {pod: LabelChange(PODS[pod], {}, {"app": "web"}, {"name": "shop"}, {"name": "shop"})}


def test_an_agent_that_starts_anew_is_asked_again(agents: Agents) -> None:
    agents.failing["n2"] = [AgentError("no pod k8s-app=cilium runs on node n2"), RefusedError("starting")]
    made = plugin(agents)
    made.relabelled(change("shop/web"), ["n1", "n2"])
    assert agents.failing["n2"] == []
    assert made.knows_labels


def test_an_agent_that_may_not_be_asked_leaves_labels_to_the_canaries(agents: Agents) -> None:
    denied = AgentError("cannot create pods/exec")
    denied.denied = True
    agents.failing["n1"] = [denied]
    made = plugin(agents)
    made.relabelled(change("shop/web"), ["n1", "n2"])
    assert not made.knows_labels


def test_an_agent_that_cannot_be_asked_leaves_labels_to_the_canaries(agents: Agents) -> None:
    agents.failing["n1"] = [AgentError("no answer") for _ in range(10_000)]
    made = plugin(agents)
    made.relabelled(change("shop/web"), ["n1"])
    assert not made.knows_labels


def test_an_agent_that_does_not_learn_an_identity_is_trouble(agents: Agents) -> None:
    agents.mapped = lambda: [("10.244.0.9", 5)]  # type: ignore[method-assign]
    with pytest.raises(
        ClusterError, match=r"the Cilium agent of n1 did not learn the identity of 10\.244\.0\.9"
    ):
        plugin(agents).relabelled(change("shop/web"), ["n1"])


def test_a_new_pod_needs_an_identity_of_its_own_on_every_node(agents: Agents) -> None:
    agents.labels = []  # Cilium may be told to look at few labels
    made = plugin(agents)
    made.relabelled(change("shop/web", new=True), ["n1", "n2"])
    agents.identities["10.244.0.9"] = 5  # reserved:init
    with pytest.raises(ClusterError, match="Cilium gave pod shop/web no identity"):
        made.relabelled(change("shop/web", new=True), ["n1", "n2"])


def test_who_asks_for_a_pod_without_an_endpoint_is_answered_404(agents: Agents) -> None:
    def get(path: str) -> Any:
        raise ApiError("not found", 404)

    agents.get = get  # type: ignore[method-assign]
    with pytest.raises(ClusterError, match="Cilium gave pod shop/web no identity for its new labels in time"):
        plugin(agents).relabelled(change("shop/web"), ["n1"])
