"""Externals: containers beside a kind cluster, real addresses elsewhere; what is run and what is judged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from harness.clusters.kind.commands import Docker
from harness.clusters.kind.config import MARK
from harness.clusters.kind.outside import KindOutside, clean_up, find_place
from harness.clusters.kind.process import CommandError, Completed
from harness.clusters.kube.addresses import Addresses
from harness.clusters.kube.api import Api
from harness.clusters.kube.bundle import Agent
from harness.clusters.kube.external_agents import ExternalAgents, UnwitnessedError
from harness.clusters.kube.named import Named
from harness.clusters.kube.outside import Nothing
from harness.clusters.resolve import Resolver
from harness.engine.cluster import ClusterError, UnsupportedError
from harness.engine.judge import judge, judge_control
from harness.model.outcome import Observation, Outcome, OutcomeKind
from harness.model.probe import Probe, Source, SourceKind, Target, TargetKind
from harness.model.topology import External, Family, Listener, Pod, Protocol, Topology
from harness.model.verdict import Verdict
from harness.scenario import load
from harness.scenario.externals import relocate

NODES = {"one-control-plane": ("172.18.0.2",), "one-worker": ("172.18.0.3",)}
SHOP = External("shop", {Family.IPV4: "203.0.113.10"}, (Listener(443),))


class FakeDocker(Docker):
    """Containers in memory; notes what is run."""

    def __init__(self, mounts: Sequence[str] = (), refuse: str = "") -> None:
        super().__init__("docker")
        self.log: list[str] = []
        self.labels: dict[str, dict[str, str]] = {name: {"io.x-k8s.kind.cluster": "one"} for name in NODES}
        self.addresses = {name: found[0] for name, found in NODES.items()}
        self._mounts = [{"Destination": item} for item in mounts]
        self._refuse = refuse
        self.shown = ""
        self.stuck = False

    def containers(self, *filters: str) -> list[str]:
        wanted = dict(item.removeprefix("label=").partition("=")[::2] for item in filters)
        return [
            name
            for name, labels in self.labels.items()
            if all(key in labels and value in ("", labels[key]) for key, value in wanted.items())
        ]

    def inspect(self, container: str) -> dict[str, Any]:
        return {
            "Config": {"Labels": self.labels[container]},
            "Mounts": self._mounts,
            "NetworkSettings": {"Networks": {"kind": {"IPAddress": self.addresses[container]}}},
        }

    def start(self, image: str, *options: str, command: Sequence[str] = (), timeout: float = 120) -> str:
        name = options[options.index("--name") + 1]
        found = [options[at + 1] for at, item in enumerate(options) if item == "--label"]
        self.labels[name] = dict(cast("tuple[str, str]", item.split("=", 1)) for item in found)
        self.addresses[name] = f"172.18.0.{len(self.labels) + 10}"
        self.log.append(f"start {name} of {image}")
        return name

    def exec(self, container: str, *command: str, input: bytes | None = None, **_: Any) -> Completed:
        lines = (input or b"").decode().strip()
        self.log.append(f"{container}: {' '.join(command)} {lines}".strip())
        if self.stuck and "route del" in lines:
            raise CommandError("docker exec failed: no such exec", program="docker", code=1)
        if self._refuse and "route add" in lines:
            raise CommandError("no", program="docker", code=2, stderr=self._refuse)
        return Completed(self.shown if "show" in command and "-4" in command else "", "")

    def remove(self, containers: Sequence[str]) -> None:
        for name in containers:
            self.labels.pop(name, None)
            self.log.append(f"remove {name}")


def outside(docker: FakeDocker) -> KindOutside:
    place = find_place(docker, NODES)
    assert place is not None
    made = KindOutside(cast("Api", None), docker, place, Agent(False, "python:3"), ["10.244.0.0/16"])
    made.prepare((), "r1")
    return made


def test_an_external_is_a_container_with_a_route_from_every_node() -> None:
    docker = FakeDocker()
    externals = outside(docker).open("nc-1", "r1", {"shop": SHOP})
    assert docker.labels["nc-1-shop"] == {"netcheck.dev/run": "r1", "netcheck.dev/cluster": "one"}
    assert [line for line in docker.log if "route" in line] == [
        f"{node}: ip -batch - route add 203.0.113.10 via 172.18.0.13 proto 78" for node in NODES
    ]
    assert list(externals.dials) == ["shop"]
    assert list(externals.sources("shop")) == ["203.0.113.10"]
    externals.close()
    assert "one-worker: ip -force -batch - route del 203.0.113.10 via 172.18.0.13 proto 78" in docker.log
    assert docker.log[-1] == "remove nc-1-shop"


@pytest.mark.parametrize("left", [True, False])
def test_routes_that_cannot_be_removed_are_said(left: bool) -> None:
    docker = FakeDocker()
    externals = outside(docker).open("nc-1", "r1", {"shop": SHOP})
    docker.stuck = True
    docker.shown = f"203.0.113.{10 if left else 99} via {docker.addresses['nc-1-shop']} dev eth0\n"
    if left:
        with pytest.raises(ClusterError, match=r"routes to 203\.0\.113\.10 are left on node one-"):
            externals.close()
    else:
        externals.close()
    assert "remove nc-1-shop" in docker.log


def test_a_route_that_is_there_belongs_to_somebody_else() -> None:
    docker = FakeDocker(refuse="RTNETLINK answers: File exists\nCommand failed -:1\n")
    with pytest.raises(ClusterError, match="has a route to an external's address already") as trouble:
        outside(docker).open("nc-1", "r1", {"shop": SHOP})
    assert "netcheck cleanup" in trouble.value.advice
    assert "remove nc-1-shop" in docker.log


@pytest.mark.parametrize("address", ["172.18.0.3", "10.244.1.7", "127.0.0.9", "224.0.0.1"])
def test_addresses_of_the_cluster_are_refused_before_anything_is_made(address: str) -> None:
    docker = FakeDocker()
    with pytest.raises(ClusterError, match="belongs to the cluster itself"):
        outside(docker).open("nc-1", "r1", {"x": External("x", {Family.IPV4: address})})
    assert docker.log == []


def test_whose_cluster_it_is() -> None:
    ours, theirs = find_place(FakeDocker([f"{MARK}/me"]), NODES), find_place(FakeDocker(), NODES)
    assert ours is not None
    assert theirs is not None
    assert (ours.ours, theirs.ours, theirs.cluster) == (True, False, "one")
    # Nodes of the same names elsewhere, and nodes that are no containers of this machine.
    assert find_place(FakeDocker([f"{MARK}/me"]), {"one-worker": ("192.0.2.1",)}) is None
    assert find_place(FakeDocker([f"{MARK}/me"]), {"gke-7": ("172.18.0.3",)}) is None


def test_cleanup_leaves_the_routes_of_living_runs() -> None:
    docker = FakeDocker()
    outside(docker).open("nc-dead", "dead", {"shop": SHOP})
    outside(docker).open("nc-live", "live", {"shop": SHOP})
    dead, live = docker.addresses["nc-dead-shop"], docker.addresses["nc-live-shop"]
    docker.shown = f"203.0.113.10 via {dead} dev eth0\n203.0.113.11 via {live} dev eth0 \n"
    place = find_place(docker, {"one-worker": ("172.18.0.3",)})
    assert place is not None
    assert clean_up(docker, place, lambda run: run == "dead") == [
        "container nc-dead-shop",
        "route to 203.0.113.10 on one-worker",
    ]
    assert f"one-worker: ip -batch - route del 203.0.113.10 via {dead} proto 78" in docker.log
    assert "nc-live-shop" in docker.labels


# -- real addresses ----------------------------------------------------------------------------------------


def agentless() -> ExternalAgents:
    return ExternalAgents(Nothing(), "nc-1", "r1")


def resolved(target: Target, source: Source | None = None, names: tuple[str, ...] = ()) -> Any:
    external = External("shop", {Family.IPV4: "203.0.113.10"}, (Listener(443),), names)
    pod = Pod("n", "a")
    topology = Topology({}, {pod.id: pod}, {}, {"shop": external})
    book = Addresses({}, {"a": ("172.18.0.2",)}, ("10.96.0.10",), {"n/a": ("10.244.0.5",)})
    probe = Probe(source or Source(SourceKind.POD, "n/a"), target)
    return agentless().adapted(probe, Resolver(topology, book).resolve(probe), topology, "nc/hub")


def test_tcp_without_an_agent_is_a_connection_that_a_pod_of_ours_makes_too() -> None:
    found = resolved(Target(TargetKind.EXTERNAL, "shop", 443, Protocol.TCP))
    assert found.spec == ["n/a", "connect", "203.0.113.10", 443, {}]
    (proof,) = found.proofs
    assert (proof.place, proof.kind, proof.address, proof.port) == ("nc/hub", "connect", "203.0.113.10", 443)
    assert found.servers == ()


def test_a_name_without_an_agent_behind_it() -> None:
    target = Target(TargetKind.HOST, "Shop.example.", 443, Protocol.TCP)
    found = resolved(target, names=("shop.example",))
    assert (found.spec[1], found.spec[4]["kind"]) == ("host", "connect")


def test_what_cannot_be_judged_without_an_agent() -> None:
    with pytest.raises(UnwitnessedError, match="whether udp arrives cannot be known"):
        resolved(Target(TargetKind.EXTERNAL, "shop", 443, Protocol.UDP))
    with pytest.raises(UnwitnessedError, match="external:shop has no agent"):
        resolved(Target(TargetKind.POD, "n/a", 80, Protocol.TCP), Source(SourceKind.EXTERNAL, "shop"))


@pytest.mark.parametrize(
    ("outcome", "listening", "verdict"),
    [
        (Outcome(OutcomeKind.CONNECTED), None, Verdict.ALLOW),
        (Outcome(OutcomeKind.TIMEOUT), True, Verdict.DROP),
        (Outcome(OutcomeKind.REFUSED, by="rst"), True, Verdict.REJECT),
        # Nobody connects any more: the address may just be down.
        (Outcome(OutcomeKind.TIMEOUT), False, None),
        (Outcome(OutcomeKind.REFUSED, by="rst"), False, None),
        (Outcome(OutcomeKind.TIMEOUT), None, None),
    ],
)
def test_verdicts_without_receipts(outcome: Outcome, listening: bool | None, verdict: Verdict | None) -> None:
    probe = Probe(Source(SourceKind.POD, "n/a"), Target(TargetKind.EXTERNAL, "shop", 443, Protocol.TCP))
    seen = Observation(outcome, listening=listening, unwitnessed=True)
    assert judge(probe, seen).verdict is verdict
    assert (judge_control(probe, seen) == "") is (verdict is Verdict.ALLOW)


def test_where_a_listener_of_ours_should_answer_a_bare_connection_is_no_allow() -> None:
    probe = Probe(Source(SourceKind.POD, "n/a"), Target(TargetKind.EXTERNAL, "shop", 443, Protocol.TCP))
    assert judge(probe, Observation(Outcome(OutcomeKind.CONNECTED))).verdict is None


def test_externals_that_are_not_named_skip_the_scenario() -> None:
    named = Named({"other": ("198.51.100.1",)})
    with pytest.raises(UnsupportedError, match="--external shop=ADDRESS"):
        named.open("nc-1", "r1", {"shop": SHOP})
    with pytest.raises(ClusterError, match=r"not at 198\.51\.100\.1"):
        Named({"shop": ("198.51.100.1",)}).open("nc-1", "r1", {"shop": SHOP})


def test_a_real_address_takes_the_place_of_the_authors(tmp_path: Path) -> None:
    file = tmp_path / "case.yaml"
    file.write_text(
        "scenario: case\npods: {n/a: {}}\n"
        "externals:\n"
        '  out: {address: [203.0.113.1, "2001:db8::1"], listen: [443]}\n'
        "  kept: {address: 203.0.113.2}\n"
        'expect: [{from: n/a, to: "external:out:443", verdict: allow}]\n'
    )
    (scenario,) = load([file]).scenarios
    moved = relocate(scenario, {"out": ("198.51.100.7",)})
    for topology in (moved.topology, *(step.topology for step in moved.steps)):
        assert topology.externals["out"].addresses == {Family.IPV4: "198.51.100.7"}
        assert topology.externals["kept"].addresses == {Family.IPV4: "203.0.113.2"}
    assert relocate(scenario, {}) == scenario
