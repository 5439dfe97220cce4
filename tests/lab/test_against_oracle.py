"""Random policies: what packets show must be what the policies say on paper.

The lab compiles policies to nft, the oracle evaluates them; they share the parser and the selectors only.
Where the oracle is certain, the two must agree on every cell.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.clusters.lab.world import LabWorld
from harness.dialects.registry import parse_manifest
from harness.engine.judge import judge
from harness.model.builtin import with_builtins
from harness.model.policy import Policy
from harness.model.prediction import Answer
from harness.model.probe import Probe, Source, SourceKind, Target, TargetKind
from harness.model.scenario import Scenario
from harness.model.topology import Family, Protocol
from harness.model.verdict import Verdict
from harness.oracle import predict
from harness.source.diagnostics import Problems
from harness.source.reader import read_text
from tests.lab.labs import scenario, world

pytestmark = pytest.mark.lab

WORLD = """
scenario: random
families: [ipv4, ipv6]
namespaces:
  red: {labels: {team: red, tier: front}}
  blue: {labels: {team: blue}}
pods:
  red/one: {labels: {app: web, env: prod, behind: svc}, listen: [web=80, 81, dns=5300/UDP]}
  red/two: {labels: {app: cli, behind: svc}, listen: [80, web=81]}
  blue/three: {labels: {app: web}, listen: [80, web=82, dns=5300/UDP]}
  blue/four: {labels: {app: db, env: test}, listen: [80, 81]}
services:
  red/svc: {selector: {behind: svc}, ports: [8000:80]}
  red/single: {selector: {app: web, env: prod}, ports: [8000:80]}
  red/direct: {selector: {behind: svc}, type: Headless, ports: [80]}
  red/port: {selector: {behind: svc}, type: NodePort, ports: ["8001:80:30080"]}
externals:
  out: {address: [203.0.113.10, "2001:db8::10"], listen: [80, 443]}
expect:
  - {from: red/one, to: "red/two:80", verdict: observe}
"""

LABELS = [{"app": "web"}, {"app": "cli"}, {"env": "prod"}, {"app": "db", "env": "test"}, {}]
TEAMS = [{"team": "red"}, {"team": "blue"}, {"kubernetes.io/metadata.name": "blue"}, {}]
EXPRESSIONS = [
    {"key": "env", "operator": "Exists"},
    {"key": "env", "operator": "DoesNotExist"},
    {"key": "app", "operator": "In", "values": ["web", "db"]},
    {"key": "app", "operator": "NotIn", "values": ["web"]},
]
BLOCKS = [
    {"cidr": "203.0.113.0/24"},
    {"cidr": "203.0.113.0/24", "except": ["203.0.113.8/29"]},
    {"cidr": "203.0.113.0/24", "except": ["203.0.113.0/28", "203.0.113.128/25"]},
    {"cidr": "198.51.100.0/24"},
    {"cidr": "2001:db8::/32"},
    {"cidr": "2001:db8::/32", "except": ["2001:db8::/64"]},
]


def _selector(dice: random.Random, labels: list[dict[str, str]]) -> dict[str, Any]:
    if dice.random() < 0.25:
        return {"matchExpressions": [dice.choice(EXPRESSIONS)]}
    chosen = dice.choice(labels)
    return {"matchLabels": chosen} if chosen else {}


def _peer(dice: random.Random) -> dict[str, Any]:
    kind = dice.randrange(4)
    if kind == 0:
        return {"ipBlock": dice.choice(BLOCKS)}
    peer = {}
    if kind in (1, 3):
        peer["podSelector"] = _selector(dice, LABELS)
    if kind in (2, 3):
        peer["namespaceSelector"] = _selector(dice, TEAMS)
    return peer


def _port(dice: random.Random) -> dict[str, Any]:
    return dice.choice(
        [
            {"port": 80},
            {"port": 81, "protocol": "TCP"},
            {"port": "web"},
            {"port": "dns", "protocol": "UDP"},
            {"port": "web", "protocol": "UDP"},
            {"protocol": "UDP"},
            {"protocol": "TCP"},
            {"port": 80, "endPort": 81},
            {"port": 82, "endPort": 6000, "protocol": "UDP"},
        ]
    )


def _rules(dice: random.Random, side: str) -> list[dict[str, Any]]:
    rules = []
    for _ in range(dice.randrange(3)):
        rule: dict[str, Any] = {}
        if dice.random() < 0.85:
            rule[side] = [_peer(dice) for _ in range(dice.randrange(1, 3))]
        if dice.random() < 0.7:
            rule["ports"] = [_port(dice) for _ in range(dice.randrange(1, 3))]
        rules.append(rule)
    return rules


def _manifests(seed: int) -> Iterator[dict[str, Any]]:
    dice = random.Random(seed)
    for number in range(dice.randrange(1, 4)):
        spec: dict[str, Any] = {"podSelector": _selector(dice, LABELS)}
        if dice.random() < 0.7:
            spec["ingress"] = _rules(dice, "from")
        if dice.random() < 0.5:
            spec["egress"] = _rules(dice, "to")
        if dice.random() < 0.5:
            spec["policyTypes"] = dice.choice([["Ingress"], ["Egress"], ["Ingress", "Egress"]])
        yield {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": f"p{number}", "namespace": dice.choice(["red", "blue"])},
            "spec": spec,
        }


def _parse(manifest: dict[str, Any]) -> Policy:
    problems = Problems()
    (document,) = read_text(json.dumps(manifest), "random.yaml", problems)
    policy = parse_manifest(document.root, "default", problems)
    assert policy is not None, problems.found
    return policy


def _probes(wanted: Scenario) -> list[Probe]:
    pods = list(wanted.topology.pods.values())
    scenario_pods = [pod for pod in pods if pod.namespace != "kube-system"]
    probes = []
    for family in (Family.IPV4, Family.IPV6):
        for source in scenario_pods:
            start = Source(SourceKind.POD, source.id)
            for target in scenario_pods:
                probes += [
                    Probe(start, Target(TargetKind.POD, target.id, item.port, item.protocol), family)
                    for item in target.listeners
                ]
            probes += [
                Probe(start, Target(TargetKind.EXTERNAL, "out", port, Protocol.TCP), family)
                for port in (80, 443)
            ]
            probes += [
                Probe(start, Target(kind, name, port, Protocol.TCP), family)
                for kind, name, port in (
                    (TargetKind.SERVICE, "red/svc", 8000),
                    (TargetKind.SERVICE, "red/single", 8000),
                    (TargetKind.SERVICE, "red/direct", 80),
                    (TargetKind.NODEPORT, "a", 30080),
                    (TargetKind.NODEPORT, "b", 30080),
                )
            ]
        outside = Source(SourceKind.EXTERNAL, "out")
        probes += [
            Probe(outside, Target(TargetKind.POD, target.id, 80, Protocol.TCP), family)
            for target in scenario_pods
        ]
    return probes


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LabWorld, Scenario]]:
    wanted = scenario(WORLD, tmp_path_factory.mktemp("random"))
    with world(wanted) as made:
        yield made, wanted


@pytest.mark.parametrize("seed", range(60))
def test_packets_agree_with_paper(built: tuple[LabWorld, Scenario], seed: int) -> None:
    made, wanted = built
    policies = tuple(_parse(item) for item in _manifests(seed))
    topology = with_builtins(wanted.topology)
    probes = _probes(wanted)
    made.apply(policies)
    try:
        seen = made.sweep(probes, 0.3)
    finally:
        made.delete([policy.ref for policy in policies])
    wrong = []
    certain = 0
    for probe, observation in zip(probes, seen, strict=True):
        prediction = predict(topology, policies, probe)
        found = judge(probe, observation)
        if observation.split and "different answers" not in prediction.reason:
            if prediction.verdict is not Answer.UNDEFINED:
                wrong.append(
                    f"{probe.id} {probe.family}: paper {prediction.verdict}, split {observation.split}"
                )
        elif not observation.split and "different answers" in prediction.reason:
            wrong.append(f"{probe.id} {probe.family}: all pods answer {found}, not so on paper")
        if prediction.verdict is Answer.UNDEFINED:
            continue
        certain += 1
        expected = Verdict.ALLOW if prediction.verdict is Answer.ALLOW else Verdict.DROP
        if found.verdict is not expected:
            wrong.append(
                f"{probe.id} {probe.family}: paper {expected} ({prediction.reason}; "
                f"{[str(item) for item in prediction.deciding]}), packets {found.verdict} {found.reason}"
            )
    assert wrong == [], json.dumps([policy.manifest for policy in policies])
    assert certain > len(probes) / 3


def test_without_policies_everything_passes(built: tuple[LabWorld, Scenario], tmp_path: Path) -> None:
    made, wanted = built
    probes = _probes(wanted)
    assert {
        judge(probe, seen).verdict for probe, seen in zip(probes, made.sweep(probes, 0.3), strict=True)
    } == {Verdict.ALLOW}
