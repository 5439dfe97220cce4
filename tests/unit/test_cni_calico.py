"""When Calico's rules are believed: a fake of its pods, with rules as a real 3.28.4 wrote them."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any, cast

import pytest

from harness.clusters.kube.cni import Mark, PodPlace, Question, Sent
from harness.cni import listening
from harness.cni.agents import AgentError
from harness.cni.calico import detect, driver, flows
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


LOG = """\
- Time=2026-11-24T02:02:37Z Reporter=Dst Action=Deny
  Src={wep(shop/cli)} Dst={wep(shop/web) Svc:-/-} Proto={tcp(8080) Svc:-/0}
  Counts={Ingress: 1Pkts/60Bytes Egress: 0Pkts/0Bytes} Connections={Started:1 Completed:0}
  Enforced:
  - kind:EndOfTier  tier:"security"  action:Deny  rule_index:-1  trigger:{kind:CalicoNetworkPolicy  \
namespace:"shop"  name:"security.web"  tier:"security"}
- Time=2026-11-24T02:02:37Z Reporter=Dst Action=Allow
  Src={wep(shop/other)} Dst={wep(shop/web) Svc:-/-} Proto={tcp(8080) Svc:-/0}
  Enforced:
  - kind:Profile  name:"kns.shop"  action:Allow
  Pending:
  - kind:StagedNetworkPolicy  namespace:"shop"  name:"deny-other"  tier:"default"  action:Deny
- Time=2026-11-24T02:02:37Z Reporter=Src Action=Allow
  Src={wep(shop/cli)} Dst={pvt} Proto={udp(53) Svc:-/0}
"""


def test_entries_of_a_flow_log() -> None:
    assert [str(flow) for flow in flows.read("no entry\n" + LOG)] == [
        "Deny at Dst shop/cli -> shop/web tcp(8080): kind:EndOfTier tier:security action:Deny rule_index:-1 "
        "trigger:{kind:CalicoNetworkPolicy namespace:shop name:security.web tier:security}",
        "Allow at Dst shop/other -> shop/web tcp(8080): kind:Profile name:kns.shop action:Allow, "
        "staged kind:StagedNetworkPolicy namespace:shop name:deny-other tier:default action:Deny",
        "Allow at Src shop/cli -> pvt udp(53)",
    ]


@pytest.mark.parametrize(
    ("version", "felix", "flush"),
    [
        ("3.28.4", {"flowLogsLocalReporter": "Enabled"}, 0.0),
        ("3.30.0", {}, 0.0),
        ("3.30.0", {"flowLogsLocalReporter": "Enabled"}, 300.0),
        ("3.32.1", {"flowLogsLocalReporter": "Enabled", "flowLogsFlushInterval": "2s"}, 2.0),
        ("3.32.1", {"flowLogsLocalReporter": "Enabled", "flowLogsFlushInterval": "1m1.5s"}, 61.5),
        ("3.32.1", {"flowLogsLocalReporter": "Enabled", "flowLogsFlushInterval": "0s"}, 300.0),
    ],
)
def test_how_often_a_flow_log_is_written(version: str, felix: dict[str, str], flush: float) -> None:
    assert detect._flush(version, felix) == flush


class Logging:
    """Pods whose flow log has one entry of the probe, if it is sent while the log is read."""

    def __init__(self) -> None:
        self.sent = threading.Event()
        self.asked: list[tuple[str, ...]] = []

    def ask(self, node: str, *words: str, patience: float = 0.0, heard: object = None) -> str:
        self.asked.append((node, *words))
        if words[0] != "flows":
            return ""
        return LOG if node == "n1" and self.sent.wait(5) else ""

    def send(self, wanted: Sequence[int]) -> dict[int, Sent]:
        self.sent.set()
        return {index: Sent("10.0.0.1:4001", "10.0.1.1:8080") for index in wanted}


QUESTION = Question("shop/cli", PODS["shop/cli"], {"shop/web": PODS["shop/web"]})


def test_the_flow_log_tells_which_tier_denied_a_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "BLIND_START_SECONDS", 0.05)
    pods = Logging()
    made = Calico(cast("Any", None), "3.32.1", flush=2.0)
    made._agents = cast("Any", pods)
    (lines,) = made.evidence([QUESTION], pods.send, time.monotonic() + 20)
    assert lines[0].startswith(
        "Calico's flow log on n1: Deny at Dst shop/cli -> shop/web tcp(8080): kind:EndOf"
    )
    assert lines[1:] == ("no rule of the network plugin counted the probe",)
    assert ("n1", "flows", "7") in pods.asked
    assert ("n2", "flows", "7") in pods.asked


def test_a_flow_log_that_is_written_too_seldom_is_not_waited_for() -> None:
    pods = Logging()
    made = Calico(cast("Any", None), "3.32.1", flush=300.0)
    made._agents = cast("Any", pods)
    (lines,) = made.evidence([QUESTION], pods.send, time.monotonic() + 20)
    assert "each 300 s (flowLogsFlushInterval), too late to be read" in lines[0]


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
