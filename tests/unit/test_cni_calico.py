"""When Calico's rules are believed: a fake of its pods, with rules as a real 3.28.4 wrote them."""

from __future__ import annotations

from typing import Any, cast

import pytest

from harness.clusters.kube.cni import Mark, PodPlace
from harness.cni.agents import AgentError
from harness.cni.calico import driver
from harness.cni.calico.driver import Calico
from harness.model.policy import Policy

PODS = {"shop/web": PodPlace("n1"), "shop/cli": PodPlace("n2")}
MARKS = [
    Mark("NetworkPolicy", "canaries", "canary-in", present=False),
    Mark("NetworkPolicy", "canaries", "canary-in1", present=True),
    Mark("GlobalNetworkPolicy", "", "canaries-canary-in2", present=True),
    Mark("GlobalNetworkSet", "", "canaries-canary-in3", present=True),
]
WALL = Policy(
    "calico", "projectcalico.org/v3", "GlobalNetworkPolicy", "", "wall", {}, None, cast("Any", None)
)
OLD = "Policy canaries/knp.default.canary-in ingress"
NEW = ("Policy canaries/default.canary-in1 ingress", "Policy default.canaries-canary-in2 ingress")


def rules(*comments: str) -> str:
    return "\n".join(f'[0:0] -A cali-pi-_C9 -m comment --comment "{each}" -j DROP' for each in comments)


class Pods:
    def __init__(self, **listings: str | Exception) -> None:
        self.listings = listings

    def ask(self, node: str, word: str) -> str:
        found = self.listings[node]
        if isinstance(found, Exception):
            raise found
        return found


def calico(**listings: str | Exception) -> Calico:
    made = Calico(cast("Any", None), "3.28.4")
    made._agents = cast("Any", Pods(**listings))
    return made


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "WRITTEN_SECONDS", 0.2)
    monkeypatch.setattr(driver, "_LOOK", 0.01)


def test_rules_of_the_canaries_on_every_node_are_calicos_own_sign() -> None:
    signal = calico(n1=rules(*NEW), n2=rules(*NEW)).settle(lambda: MARKS, PODS, [WALL], [])
    assert (signal.by, signal.trouble, signal.sure) == ("rules written on 2 nodes", "", True)


@pytest.mark.parametrize("behind", [(OLD, *NEW), NEW[:1], NEW[1:], ()])
def test_one_node_that_is_behind_is_enough_to_leave_it_to_packets(behind: tuple[str, ...]) -> None:
    signal = calico(n1=rules(*NEW), n2=rules(*behind)).settle(lambda: MARKS, PODS, [WALL], [])
    assert (signal.by, signal.trouble, signal.sure) == ("", "", False)


def test_newer_versions_write_the_kind_before_the_name() -> None:
    newer = ("NetworkPolicy canaries/canary-in1 ingress", "GlobalNetworkPolicy canaries-canary-in2 ingress")
    assert calico(n1=rules(*newer), n2=rules(*newer)).settle(lambda: MARKS, PODS, [WALL], []).sure


def test_without_policies_of_the_whole_cluster_canaries_say_it_all() -> None:
    made = calico(n1=AgentError("not asked"), n2=AgentError("not asked"))
    assert made.settle(lambda: MARKS, PODS, [], []).by == ""


def test_pods_that_cannot_be_asked_leave_it_to_packets() -> None:
    made = calico(n1=rules(*NEW), n2=AgentError("no right"))
    assert not made.settle(lambda: MARKS, PODS, [WALL], []).sure
