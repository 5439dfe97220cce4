"""Random worlds for the comparison with cyclonus: manifests, pods, addresses, and connections to ask for.

Few names and values, so that selectors, ports and blocks meet often; everything that NetworkPolicy can say.
"""

from __future__ import annotations

import itertools
import json
import random
from dataclasses import dataclass
from typing import Any

from harness.dialects.registry import parse_manifest
from harness.model.builtin import with_builtins
from harness.model.policy import Policy
from harness.model.probe import Probe, Source, SourceKind, Target, TargetKind
from harness.model.topology import Family, Listener, Pod, Protocol, Topology
from harness.source.diagnostics import Problems
from harness.source.nodes import MappingNode
from harness.source.reader import read_text
from tests.unit.kubernetes_worlds import world

Json = dict[str, Any]

NAMESPACES = ("default", "red", "blue")
KEYS, VALUES = ("app", "env"), ("x", "y", "")
PORT_NAMES = ("web", "dns", "alt")
LISTENERS = (
    (80, Protocol.TCP),
    (81, Protocol.TCP),
    (53, Protocol.UDP),
    (53, Protocol.TCP),
    (80, Protocol.SCTP),
)
ASKED = (*LISTENERS, (80, Protocol.UDP), (90, Protocol.TCP), (443, Protocol.TCP), (81, Protocol.SCTP))
EXTERNALS = {"in": "203.0.113.10 2001:db8::10", "out": "198.51.100.1 2001:db8:1::1"}
NODES = {"a": "172.18.0.3 fc00:18::3", "b": "172.18.0.4 fc00:18::4"}
BLOCKS: tuple[Json, ...] = (
    {"cidr": "203.0.113.0/24"},
    {"cidr": "203.0.113.0/24", "except": ["203.0.113.8/29"]},
    {"cidr": "203.0.113.0/24", "except": ["203.0.113.0/29", "203.0.113.128/25"]},
    {"cidr": "203.0.113.10/32"},
    {"cidr": "198.51.100.0/24", "except": []},
    {"cidr": "2001:db8::/32"},
    {"cidr": "2001:db8::/32", "except": ["2001:db8::/64"]},
    {"cidr": "0.0.0.0/0"},
    {"cidr": "0.0.0.0/0", "except": ["203.0.113.0/24", "10.0.0.0/8"]},
    {"cidr": "::/0", "except": ["2001:db8:1::/48"]},
    {"cidr": "10.244.0.0/16"},
    {"cidr": "10.0.0.0/8"},
    {"cidr": "fd00::/64"},
)
PORTS: tuple[Json, ...] = (
    {"port": 80},
    {"port": 81, "protocol": "TCP"},
    {"port": 53, "protocol": "UDP"},
    {"port": 80, "protocol": "SCTP"},
    {"port": "web"},
    {"port": "alt"},
    {"port": "dns", "protocol": "UDP"},
    {"port": "alt", "protocol": "SCTP"},
    {"port": "web", "protocol": "UDP"},
    {"protocol": "UDP"},
    {"protocol": "TCP"},
    {},
    {"port": 80, "endPort": 80},
    {"port": 80, "endPort": 90},
    {"port": 1, "endPort": 79},
    {"port": 50, "endPort": 60, "protocol": "UDP"},
    {"port": 81, "endPort": 65535, "protocol": "SCTP"},
)


@dataclass(frozen=True)
class Asked:
    """A connection, as the ends of both sides are called."""

    source: str
    target: str
    port: int
    protocol: Protocol
    family: Family

    @property
    def probe(self) -> Probe:
        """The same as a probe."""
        head, _, name = self.source.rpartition(":")
        to, _, target = self.target.rpartition(":")
        return Probe(
            Source(SourceKind(head) if head else SourceKind.POD, name),
            Target(TargetKind(to) if to else TargetKind.POD, target, self.port, self.protocol),
            self.family,
        )

    def __str__(self) -> str:
        return f"{self.source} -> {self.target} {self.port}/{self.protocol} {self.family}"


@dataclass(frozen=True)
class RandomWorld:
    """One world, with what both sides need to know of it."""

    seed: int
    manifests: tuple[Json, ...]
    topology: Topology
    asked: tuple[Asked, ...]

    def document(self) -> Json:
        """The world as the Go program reads it; addresses are known to it, as nothing else is asked there."""
        ends: dict[str, Json] = {}
        for number, pod in enumerate(self._pods()):
            node = NODES[pod.node or "a"] if pod.host_network else f"10.244.0.{number + 9} fd00::{number + 9}"
            ends[pod.id] = {
                "namespace": pod.namespace,
                "labels": dict(pod.labels),
                "namespaceLabels": dict(self.topology.namespaces[pod.namespace].labels),
                "addresses": _addresses(node),
            }
        for kind, known in (("external", EXTERNALS), ("node", NODES)):
            ends |= {f"{kind}:{name}": {"addresses": _addresses(text)} for name, text in known.items()}
        return {"policies": self.manifests, "ends": ends, "cells": [self._cell(item) for item in self.asked]}

    def policies(self) -> list[Policy]:
        """The manifests, read by netcheck."""
        return [parsed(manifest) for manifest in self.manifests]

    def _pods(self) -> list[Pod]:
        return [pod for pod in self.topology.pods.values() if pod.namespace in NAMESPACES]

    def _cell(self, item: Asked) -> Json:
        pod = self.topology.pods.get(item.target)
        names = [
            found.name
            for found in (pod.listeners if pod else ())
            if (found.port, found.protocol) == (item.port, item.protocol)
        ]
        return {
            "from": item.source,
            "to": item.target,
            "family": str(item.family),
            "protocol": str(item.protocol),
            "port": item.port,
            "portName": (names[0] if names else None) or "",
        }


def parsed(manifest: Json) -> Policy:
    """A manifest that must be valid."""
    problems = Problems()
    (document,) = read_text(json.dumps(manifest), "random.yaml", problems)
    assert isinstance(document.root, MappingNode)
    policy = parse_manifest(document.root, "default", problems)
    assert policy is not None, [str(item) for item in problems.found]
    return policy


def random_world(seed: int, cells: int) -> RandomWorld:
    """A world of seven pods, up to four policies, and so many connections."""
    dice = random.Random(seed)
    pods = []
    for number in range(7):
        names = dice.sample((None, None, *PORT_NAMES), 5)
        ports = [Listener(*known, name) for known, name in zip(LISTENERS, names, strict=True)]
        pods.append(
            Pod(
                dice.choice(NAMESPACES),
                f"p{number}",
                _labels(dice),
                listeners=tuple(dice.sample(ports, dice.randrange(1, 6))),
                node=dice.choice(("a", "b", "b", None)),
                host_network=dice.random() < 0.1,
            )
        )
    namespaces = {name: _labels(dice) for name in NAMESPACES}
    topology = with_builtins(world(*pods, namespaces=namespaces, externals=EXTERNALS))
    every = list(_every([pod.id for pod in pods]))
    return RandomWorld(
        seed,
        tuple(_policy(dice, number) for number in range(dice.randrange(1, 5))),
        topology,
        tuple(dice.sample(every, cells)),
    )


def _every(pods: list[str]) -> list[Asked]:
    """Any end to any other, one of them a pod, over every port and both families."""
    outside = [*(f"external:{name}" for name in EXTERNALS), *(f"node:{name}" for name in NODES)]
    pairs = [pair for pair in itertools.product([*pods, *outside], repeat=2) if {*pair} & {*pods}]
    return [
        Asked(*pair, port, protocol, family)
        for pair in pairs
        for port, protocol in ASKED
        for family in Family
    ]


def _labels(dice: random.Random) -> dict[str, str]:
    return {key: dice.choices(VALUES, (4, 4, 1))[0] for key in KEYS if dice.random() < 0.6}


def _addresses(text: str) -> dict[str, str]:
    four, six = text.split()
    return {"ipv4": four, "ipv6": six}


def _policy(dice: random.Random, number: int) -> Json:
    spec: Json = {}
    if dice.random() < 0.95:
        spec["podSelector"] = _selector(dice)
    if dice.random() < 0.75:
        spec["ingress"] = [_rule(dice, "from") for _ in range(dice.randrange(4))]
    if dice.random() < 0.75:
        spec["egress"] = [_rule(dice, "to") for _ in range(dice.randrange(4))]
    if dice.random() < 0.6:
        spec["policyTypes"] = dice.choice(
            ([], ["Ingress"], ["Egress"], ["Ingress", "Egress"], ["Egress", "Ingress"])
        )
    metadata = {"name": f"p{number}"}
    if dice.random() < 0.9:
        metadata["namespace"] = dice.choice(NAMESPACES)
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata,
        "spec": spec,
    }


def _rule(dice: random.Random, side: str) -> Json:
    rule: Json = {}
    if dice.random() < 0.85:
        rule[side] = [_peer(dice) for _ in range(dice.choice((0, 1, 1, 2, 3)))]
    if dice.random() < 0.7:
        rule["ports"] = [dict(dice.choice(PORTS)) for _ in range(dice.choice((0, 1, 1, 2, 3)))]
    return rule


def _peer(dice: random.Random) -> Json:
    kind = dice.randrange(5)
    if kind == 0:
        return {"ipBlock": dice.choice(BLOCKS)}
    peer = {}
    if kind in (1, 2, 4):
        peer["podSelector"] = _selector(dice)
    if kind in (3, 4):
        peer["namespaceSelector"] = _selector(dice, namespaces=True)
    return peer


def _selector(dice: random.Random, *, namespaces: bool = False) -> Json:
    selector: Json = {}
    if dice.random() < 0.5:
        selector["matchLabels"] = _labels(dice)
    if namespaces and dice.random() < 0.2:
        selector["matchLabels"] = {"kubernetes.io/metadata.name": dice.choice(NAMESPACES)}
    if dice.random() < 0.4:
        selector["matchExpressions"] = [_requirement(dice) for _ in range(dice.choice((1, 1, 2)))]
    return selector


def _requirement(dice: random.Random) -> Json:
    operator = dice.choice(("In", "NotIn", "Exists", "DoesNotExist"))
    found: Json = {"key": dice.choice(KEYS), "operator": operator}
    if operator in ("In", "NotIn"):
        found["values"] = dice.sample(VALUES, dice.randrange(1, 3))
    return found
