"""The oracle against a naive reading of the same manifests: what parser, selectors and orders have wrong."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.model.builtin import with_builtins
from harness.model.personality import CALICO
from harness.model.prediction import Answer
from harness.model.probe import Probe, Source, SourceKind, Target, TargetKind
from harness.model.topology import Family, Protocol, Topology
from harness.oracle import predict
from tests.lab.labs import scenario
from tests.lab.random_policies import manifests_of_calico
from tests.lab.test_against_oracle import WORLD, parsed, relabelled
from tests.unit.naive_calico import Choices, Flow, Json, One, Reader, selects

SEEDS = range(201, 281)
NUMBERS = {Protocol.TCP: 6, Protocol.UDP: 17}
CHOICES = [
    Choices(inside, port, not_icmp, older)
    for inside, port, not_icmp, older in itertools.product(
        (False, True), (1024, 40000), (False, True), (False, True)
    )
]


def one(topology: Topology, name: str, family: Family, reader: Reader) -> One:
    if name == "out":
        return One(name, address=topology.externals[name].addresses[family])
    pod = topology.pods[name]
    labels = {
        **reader.inherited(pod.namespace),
        "projectcalico.org/serviceaccount": pod.service_account,
        "projectcalico.org/orchestrator": "k8s",
        "pcsa.projectcalico.org/name": pod.service_account,
        **pod.labels,
    }
    ports = tuple((item.name, NUMBERS[item.protocol], item.port) for item in pod.listeners if item.name)
    return One(name, labels, ports=ports)


def probes(topology: Topology) -> Iterator[Probe]:
    pods = [pod for pod in topology.pods.values() if pod.namespace != "kube-system" and not pod.host_network]
    for family, source in itertools.product(Family, [*(pod.id for pod in pods), "out"]):
        start = Source(SourceKind.EXTERNAL if source == "out" else SourceKind.POD, source)
        for target in pods:
            if target.id != source:
                for item in target.listeners:
                    there = Target(TargetKind.POD, target.id, item.port, item.protocol)
                    yield Probe(start, there, family)
                yield Probe(start, Target(TargetKind.POD, target.id, 0, Protocol.ICMP), family)
        if source != "out":
            for port in (80, 443):
                yield Probe(start, Target(TargetKind.EXTERNAL, "out", port, Protocol.TCP), family)


def served(topology: Topology) -> dict[str, set[tuple[str, int, int]]]:
    """The pods of this world's services, by their labels."""
    found: dict[str, set[tuple[str, int, int]]] = {}
    for id, service in topology.services.items():
        pods = [
            pod
            for pod in topology.pods.values()
            if pod.namespace == service.namespace and service.selector.items() <= pod.labels.items()
        ]
        found[id] = {(pod.id, 6, 80) for pod in pods}
    return found


def differences(topology: Topology, manifests: list[Json]) -> tuple[list[str], int]:
    """Where the oracle is certain of something else than the naive reading; and how often it is certain."""
    policies = [policy for item in manifests if (policy := parsed(item)) is not None]
    spaces = {name: item.labels for name, item in topology.namespaces.items()}
    readers = [Reader(manifests, spaces, served(topology), choices) for choices in CHOICES]
    wrong, certain = [], 0
    for probe in probes(topology):
        prediction = predict(topology, policies, probe, CALICO)
        if prediction.verdict is Answer.UNDEFINED:
            continue
        certain += 1
        version = 4 if probe.family is Family.IPV4 else 6
        number = NUMBERS.get(probe.target.protocol, 1 if version == 4 else 58)
        source = one(topology, probe.source.name, probe.family, readers[0])
        destination = one(topology, probe.target.name, probe.family, readers[0])
        flow = Flow(source, destination, number, probe.target.port, version)
        said = {reader.allows(flow) for reader in readers}
        if said != {prediction.verdict is Answer.ALLOW}:
            wrong.append(
                f"{probe.id} {probe.family}: paper {prediction.word} ({prediction.reason}), naive {said}"
            )
    return wrong, certain


@pytest.mark.parametrize("first", SEEDS[::20])
def test_what_the_oracle_is_certain_of_stands_in_the_manifests(first: int, tmp_path: Path) -> None:
    plain = scenario(WORLD, tmp_path).topology
    certain = 0
    for seed in range(first, first + 20):
        manifests = manifests_of_calico(seed)
        if any(item["apiVersion"].startswith("policy.") for item in manifests):
            continue
        topology = with_builtins(relabelled(plain, seed))
        wrong, some = differences(topology, manifests)
        assert not wrong, (seed, json.dumps(manifests), wrong[:5])
        certain += some
    assert certain > 500


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("has(a) || has(b) && has(c)", True),
        ("(has(a) || has(b)) && has(c)", False),
        ("!has(a) || a == 'x'", True),
        ("!(has(a) || has(b))", False),
        ("a != 'x'&&a not in {'y'}", False),
        ("b notin {'x'} && a in{\"x\"} && a contains ''", True),
        ("a starts with 'x' && !b ends with 'x'", True),
    ],
)
def test_the_naive_reading_of_selectors(text: str, selected: bool) -> None:
    assert selects(text, {"a": "x"}) is selected
