"""What a sweep on a cluster sends and whom it asks; agents and network are played by the tests."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from harness.clusters.authority import Authority
from harness.clusters.kube.addresses import Addresses
from harness.clusters.kube.draws import draws
from harness.clusters.kube.fleet import Arrived
from harness.clusters.kube.sweeper import Sweeper
from harness.engine.judge import judge
from harness.model.builtin import DNS_POD, with_builtins
from harness.model.outcome import Observation
from harness.model.probe import HttpRequest, Probe, Source, SourceKind, Target, TargetKind, TlsRequest
from harness.model.topology import Listener, Protocol, Service, ServicePort, ServiceType, Topology
from tests.unit.kubernetes_worlds import pod, world

CLI = Source(SourceKind.POD, "n/cli")
SERVICES = {
    "n/web": "10.96.0.1",
    "n/head": "",
}


def shop(pods: int) -> Topology:
    return world(
        pod("n/cli"),
        *(pod(f"n/w{number}", app="web") for number in range(pods)),
        services=(
            Service(
                "n",
                "web",
                {"app": "web"},
                (ServicePort(80, 80), ServicePort(53, 53, Protocol.UDP)),
                ServiceType.CLUSTER_IP,
            ),
            Service("n", "head", {"app": "web"}, (ServicePort(80, 80),), ServiceType.HEADLESS),
        ),
    )


class Network:
    """Agents in a cluster that draws a pod for each packet that opens a connection to a service.

    Args:
        pods: How many stand behind the services.
        closed: What the client sees of those that let nobody in.
        never: Pods that no connection is led to.
        stranger: Answers in place of pods, when it is named.
        flaky: Connections whose answer gets lost.
    """

    def __init__(
        self,
        pods: int,
        closed: dict[str, str] | None = None,
        never: frozenset[str] = frozenset(),
        stranger: str = "",
        flaky: int = 0,
    ) -> None:
        self.topology = shop(pods)
        self.ids = [f"n/w{number}" for number in range(pods)]
        self.addresses = Addresses({}, {}, ("10.96.0.10",))
        self.addresses.pods.update({id: (f"10.0.0.{10 + index}",) for index, id in enumerate(self.ids)})
        self.addresses.pods["n/cli"] = ("10.0.0.1",)
        self.addresses.services[DNS_POD] = self.addresses.pods[DNS_POD] = self.addresses.dns
        self.addresses.services.update({name: (ip,) if ip else () for name, ip in SERVICES.items()})
        self._closed = closed or {}
        self._never = never
        self._stranger = stranger
        self._flaky = flaky
        self._dice = random.Random(4)
        self._numbers = 0
        self._arrived: dict[int, dict[str, list[int]]] = {}
        self._fates: dict[str, str] = {}
        self.doubt = ""
        self.asked: list[set[str]] = []
        self.sweeps: list[int] = []
        self.specs: list[list[Any]] = []
        self.authority = Authority()
        self.sources: dict[str, dict[str, str]] = {}
        self.guards: list[str] = []

    def certify(self, guards: dict[str, Any]) -> None:
        self.guards += guards

    def number(self) -> int:
        self._numbers += 1
        return self._numbers

    def has(self, source: str) -> bool:
        return True

    def sweep(
        self, plan: dict[str, list[list[Any]]], number: int, timeout: float, attempts: int
    ) -> dict[int, list[Any]]:
        specs = [spec for mine in plan.values() for spec in mine]
        self.specs += specs
        if "n/cli" in plan:
            self.sweeps.append(len(specs))
        return {spec[0]: self._sent(spec, number, timeout, attempts) for spec in specs}

    def _sent(self, spec: list[Any], number: int, timeout: float, attempts: int) -> list[Any]:
        index, source, kind, address, port, options = spec
        lookup = ""
        if kind == "host":
            address = self._dice.choice([self.addresses.pods[id][0] for id in self.ids])
            kind, port, lookup = options["kind"], options["port"], f"NOERROR {address}"
        if kind == "dns":
            rest = ["NOERROR 10.96.0.1", 1, 0.01, "10.0.0.1:40000", f"{address}:53", []]
            return [index, "dns", "NOERROR", "", True, "", *rest]
        once = timeout < 1.0 and attempts == 1 and (kind != "udp" or options.get("once"))
        met, seen = "", ""
        for _ in range(1 if once or source != "n/cli" else 4):
            met = self._led(address)
            seen = "" if source != "n/cli" else self._closed.get(met, "")
            if not seen or seen != "timeout":
                break
        if source == "n/cli" and not seen and self._flaky:
            self._flaky -= 1
            seen = "timeout"
        rest = [lookup, 1, 0.01, "10.0.0.1:40000", f"{address}:{port}", []]
        if seen == "timeout":
            return [index, "timeout", "", "", False, "", *rest]
        if seen == "refused":
            return [index, "refused", "", "icmp 3/13 from 10.0.0.9", False, "", *rest]
        if seen == "alert":
            note = [f"hello-{met}", "spiffe://td/api"]
            self._fates[note[0]] = "refused: spiffe://td/x is not allowed"
            return [index, "tls", "access-denied", "server", False, "", *rest[:-1], note]
        if seen == "403":
            return [index, "http", "403", "", False, "", *rest]
        met = self._stranger or met
        self._arrived.setdefault(number, {}).setdefault(met, []).append(index)
        answer = ("http", "200") if kind == "http" else ("connected", "")
        return [index, *answer, "", True, met, *rest]

    def _led(self, address: str) -> str:
        for id, (own,) in self.addresses.pods.items():
            if own == address:
                return id
        return self._dice.choice([id for id in self.ids if id not in self._never])

    def receipts(self, pods: Iterable[str], number: int) -> Arrived:
        self.asked.append(set(pods))
        arrived = self._arrived.get(number, {})
        counts = {index: 1 for id in self.asked[-1] for index in arrived.get(id, ())}
        return Arrived(counts, {}, set(), dict(self._fates))

    def swept(self, kind: TargetKind, name: str, port: int = 80, **more: Any) -> Observation:
        protocol = more.pop("protocol", Protocol.TCP)
        probe = Probe(CLI, Target(kind, name, port, protocol), **more)
        externals = SimpleNamespace(adapted=lambda _probe, found, _topology, _hub: found)
        sweeper = Sweeper(self, self.addresses, externals, "canaries/hub")  # type: ignore[arg-type]
        sweeper.doubt = self.doubt
        (seen,) = sweeper.sweep(with_builtins(self.topology), [probe], 2.0)
        return seen


def verdict(seen: Observation) -> str:
    probe = Probe(CLI, Target(TargetKind.SERVICE, "n/web", 80, Protocol.TCP))
    found = judge(probe, seen)
    return str(found.verdict or found.reason)


def test_the_owner_of_a_names_address_is_asked_for_its_receipts() -> None:
    """No other cell goes to the pod, so nobody else would ask it."""
    network = Network(1)
    seen = network.swept(TargetKind.HOST, "head.n.svc.cluster.local")
    assert network.asked == [{"n/w0"}]
    assert seen.receipts == 1
    assert seen.expected_servers == ("n/w0",)


ASKED = {
    "tcp": {"kind": TargetKind.SERVICE, "name": "n/web"},
    "udp": {"kind": TargetKind.SERVICE, "name": "n/web", "port": 53, "protocol": Protocol.UDP},
    "headless": {"kind": TargetKind.SERVICE, "name": "n/head"},
    "name of a headless one": {"kind": TargetKind.HOST, "name": "head.n.svc.cluster.local"},
}


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize(("pods", "closed"), [(2, 1), (2, 0), (5, 3), (20, 7)])
def test_a_pod_that_lets_nobody_in_is_always_noticed(asked: str, pods: int, closed: int) -> None:
    seen = Network(pods, {f"n/w{closed}": "timeout"}).swept(**ASKED[asked])  # type: ignore[arg-type]
    assert sorted(seen.split.split(", ")) == [
        f"connected from {pods - 1} of {pods}",
        f"timeout from 1 of {pods}",
    ]
    assert verdict(seen) == "allow"


@pytest.mark.parametrize("asked", ASKED)
def test_pods_that_agree_make_one_verdict(asked: str) -> None:
    network = Network(3)
    seen = network.swept(**ASKED[asked])  # type: ignore[arg-type]
    assert (seen.split, verdict(seen)) == ("", "allow")
    shut = Network(3, dict.fromkeys(network.ids, "timeout")).swept(**ASKED[asked])  # type: ignore[arg-type]
    assert (shut.split, verdict(shut)) == ("", "drop")


@pytest.mark.parametrize(
    ("answer", "words"), [("refused", "refused from 1 of 2"), ("403", "http:403 from 1 of 2")]
)
def test_other_denials_are_told_apart(answer: str, words: str) -> None:
    request = HttpRequest("GET", "/")
    seen = Network(2, {"n/w0": answer}).swept(TargetKind.SERVICE, "n/web", request=request)
    assert words in seen.split
    assert "http:200 from 1 of 2" in seen.split


def test_a_refused_handshake_is_told_by_the_pod_that_refused_it() -> None:
    network = Network(2, dict.fromkeys(("n/w0", "n/w1"), "alert"))
    seen = network.swept(TargetKind.SERVICE, "n/web", request=TlsRequest())
    assert (seen.split, verdict(seen)) == ("", "tls-rejected")
    assert seen.handshake == "refused: spiffe://td/x is not allowed"
    assert seen.server_identity == "spiffe://td/api"
    assert network.guards == ["n/cli", "n/w0", "n/w1"]


def test_pods_that_take_different_clients_are_no_one_verdict() -> None:
    network = Network(2, {"n/w0": "alert"})
    seen = network.swept(TargetKind.SERVICE, "n/web", request=TlsRequest())
    assert sorted(seen.split.split(", ")) == ["connected from 1 of 2", "tls:access-denied from 1 of 2"]


def test_a_world_without_tls_guards_nothing() -> None:
    network = Network(1)
    network.swept(TargetKind.SERVICE, "n/web")
    assert network.guards == []


def test_a_strict_port_is_guarded_before_anything_is_sent() -> None:
    network = Network(1)
    strict = replace(
        network.topology.pods["n/w0"],
        identity="spiffe://td/api",
        listeners=(Listener(80, allow=("spiffe://td/x",)),),
    )
    network.topology = replace(network.topology, pods={**network.topology.pods, "n/w0": strict})
    network.swept(TargetKind.POD, "n/w0")
    assert network.guards == ["n/cli", "n/w0"]


def test_pods_that_deny_in_different_ways() -> None:
    seen = Network(2, {"n/w0": "refused", "n/w1": "timeout"}).swept(TargetKind.SERVICE, "n/web")
    assert seen.split == "refused or timeout from 2 of 2"


def test_a_service_with_one_pod_costs_one_probe() -> None:
    network = Network(1)
    assert verdict(network.swept(TargetKind.SERVICE, "n/web")) == "allow"
    assert network.sweeps == [1]


def test_as_many_connections_as_it_takes_and_no_more() -> None:
    network = Network(2)
    network.swept(TargetKind.SERVICE, "n/web")
    assert sum(network.sweeps) < draws(2)
    shut = Network(2, {"n/w0": "timeout", "n/w1": "timeout"})
    shut.swept(TargetKind.SERVICE, "n/web")
    assert sum(shut.sweeps) == 1 + draws(2)
    assert [draws(number) for number in (1, 2, 3, 10)] == [1, 21, 37, 153]


def test_a_pod_that_is_never_met_is_an_error() -> None:
    seen = Network(3, never=frozenset({"n/w1"})).swept(TargetKind.SERVICE, "n/web")
    assert verdict(seen) == (
        "n/w1 behind the service was not met in 37 connections, and none of them was denied"
    )


def test_an_answer_of_somebody_else_is_an_error() -> None:
    seen = Network(2, stranger="n/old").swept(TargetKind.SERVICE, "n/web")
    assert verdict(seen) == "n/old answered instead of n/w0 or n/w1"


def test_one_lost_packet_is_no_denial() -> None:
    assert Network(2, flaky=2).swept(TargetKind.SERVICE, "n/web").split == ""


def test_connections_that_now_and_then_fail_are_an_error() -> None:
    class Bad(Network):
        def _sent(self, spec: list[Any], number: int, timeout: float, attempts: int) -> list[Any]:
            self._flaky = int(self._dice.random() < 0.5)
            return super()._sent(spec, number, timeout, attempts)

    assert "every pod behind the service answered, yet" in verdict(Bad(2).swept(TargetKind.SERVICE, "n/web"))


@pytest.mark.parametrize(
    "target",
    [
        Target(TargetKind.SERVICE, DNS_POD, 9153, Protocol.TCP),
        Target(TargetKind.POD, DNS_POD, 9153, Protocol.TCP),
        Target(TargetKind.POD, DNS_POD, 0, Protocol.ICMP),
    ],
    ids=str,
)
def test_only_questions_to_the_clusters_dns_can_be_judged(target: Target) -> None:
    """Another port answers something else, or nothing, and no agent of netcheck's stands behind it."""
    network = Network(1)
    seen = network.swept(target.kind, target.name, target.port, protocol=target.protocol)
    assert verdict(seen).endswith("only questions to port 53, over UDP or TCP, can be judged there")
    assert network.sweeps == []


def test_a_request_to_the_clusters_dns_cannot_be_judged() -> None:
    seen = Network(1).swept(TargetKind.SERVICE, DNS_POD, 53, request=HttpRequest("GET", "/"))
    assert "only questions to port 53" in verdict(seen)


def test_a_cluster_without_dns_has_nobody_to_ask() -> None:
    network = Network(1)
    network.addresses.dns = ()
    seen = network.swept(TargetKind.SERVICE, DNS_POD, 53, protocol=Protocol.UDP)
    assert verdict(seen) == "no address: the cluster's DNS has no ipv4 address"
    assert verdict(network.swept(TargetKind.SERVICE, "n/web")) == "allow"


@pytest.mark.parametrize("protocol", [Protocol.UDP, Protocol.TCP])
def test_the_clusters_dns_is_asked_a_question(protocol: Protocol) -> None:
    network = Network(1)
    network.swept(TargetKind.SERVICE, DNS_POD, 53, protocol=protocol)
    assert network.specs[0][2:5] == ["dns", "10.96.0.10", 53]
    assert network.specs[0][5]["tcp"] is (protocol is Protocol.TCP)
