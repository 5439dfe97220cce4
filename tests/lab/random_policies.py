"""Random policies of all dialects, as manifests; few names and values, so that they meet often."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from tests.lab.random_calico import objects
from tests.lab.random_cilium import cilium_policies

Json = dict[str, Any]

LABELS = [{"app": "web"}, {"app": "cli"}, {"env": "prod"}, {"app": "db", "env": "test"}, {}]
TEAMS = [{"team": "red"}, {"team": "blue"}, {"kubernetes.io/metadata.name": "blue"}, {}]
EXPRESSIONS = [
    {"key": "env", "operator": "Exists"},
    {"key": "env", "operator": "DoesNotExist"},
    {"key": "app", "operator": "In", "values": ["web", "db"]},
    {"key": "app", "operator": "NotIn", "values": ["web"]},
    {"key": "team", "operator": "NotIn", "values": ["red"]},
]
BLOCKS = [
    {"cidr": "203.0.113.0/24"},
    {"cidr": "203.0.113.0/24", "except": ["203.0.113.8/29"]},
    {"cidr": "203.0.113.0/24", "except": ["203.0.113.0/28", "203.0.113.128/25"]},
    {"cidr": "198.51.100.0/24"},
    {"cidr": "2001:db8::/32"},
    {"cidr": "2001:db8::/32", "except": ["2001:db8::/64"]},
    {"cidr": "0.0.0.0/0"},
    {"cidr": "0.0.0.0/0", "except": ["203.0.113.8/29", "169.254.0.0/16"]},
    {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]},
    {"cidr": "::/0"},
]
NETWORKS = ["203.0.113.0/24", "203.0.113.10/32", "198.51.100.0/24", "0.0.0.0/0", "2001:db8::/32", "::/0"]
POD_LABELS = [
    {"app": "web", "env": "prod"},
    {"app": "cli"},
    {"app": "web"},
    {"app": "db", "env": "test"},
    {"env": "prod"},
    {},
]


def manifests(seed: int) -> list[Json]:
    """One to five policies: by seed NetworkPolicies alone, beside admin policies, Cilium's, or both."""
    dice = random.Random(seed)
    match seed % 4:
        case 0:
            return list(_network_policies(dice, dice.randrange(1, 4)))
        case 1:
            return [*_network_policies(dice, dice.randrange(3)), *_admin_policies(dice, dice.randrange(1, 4))]
        case 2:
            return [*_network_policies(dice, dice.randrange(2)), *cilium_policies(dice, dice.randrange(1, 4))]
        case _:
            found = [
                *cilium_policies(dice, dice.randrange(1, 3)),
                *_admin_policies(dice, dice.randrange(1, 3)),
            ]
            return [*_network_policies(dice, dice.randrange(2)), *found]


def manifests_of_calico(seed: int) -> list[Json]:
    """Objects of Calico's in seven of eight worlds, beside NetworkPolicies, admin policies, or both."""
    dice = random.Random(seed)
    found = [*objects(dice, dice.randrange(2, 6))] if seed % 8 else []
    match seed % 4:
        case 1:
            return found
        case 2:
            return [*_network_policies(dice, dice.randrange(1, 4)), *found]
        case 3:
            return [*_admin_policies(dice, dice.randrange(1, 3)), *found]
        case _:
            plain = _network_policies(dice, dice.randrange(1, 3))
            return [*plain, *_admin_policies(dice, dice.randrange(1, 3)), *found]


def selector(dice: random.Random, labels: list[dict[str, str]]) -> Json:
    """A label selector, sometimes with an expression."""
    if dice.random() < 0.25:
        return {"matchExpressions": [dice.choice(EXPRESSIONS)]}
    chosen = dice.choice(labels)
    return {"matchLabels": chosen} if chosen else {}


# NetworkPolicy ----------------------------------------------------------------------------------------------


def _network_policies(dice: random.Random, count: int) -> Iterator[Json]:
    for number in range(count):
        spec: Json = {"podSelector": selector(dice, LABELS)}
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


def _rules(dice: random.Random, side: str) -> list[Json]:
    rules = []
    for _ in range(dice.randrange(3)):
        rule: Json = {}
        if dice.random() < 0.85:
            rule[side] = [_peer(dice) for _ in range(dice.randrange(1, 3))]
        if dice.random() < 0.7:
            rule["ports"] = [_port(dice) for _ in range(dice.randrange(1, 3))]
        rules.append(rule)
    return rules


def _peer(dice: random.Random) -> Json:
    kind = dice.randrange(4)
    if kind == 0:
        return {"ipBlock": dice.choice(BLOCKS)}
    peer = {}
    if kind in (1, 3):
        peer["podSelector"] = selector(dice, LABELS)
    if kind in (2, 3):
        peer["namespaceSelector"] = selector(dice, TEAMS)
    return peer


def _port(dice: random.Random) -> Json:
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


# Admin policies ---------------------------------------------------------------------------------------------


def _admin_policies(dice: random.Random, count: int) -> Iterator[Json]:
    for number in range(count):
        new = dice.random() < 0.7
        baseline = not new and number == 0 and dice.random() < 0.5
        spec: Json = {"subject": _pods(dice)}
        if new:
            spec["tier"] = dice.choice(["Admin", "Admin", "Baseline"])
        if not baseline:
            spec["priority"] = dice.randrange(6)
        directions = dice.choice([("ingress",), ("egress",), ("ingress", "egress")])
        for direction in directions:
            rules = [_admin_rule(dice, direction, new, baseline) for _ in range(dice.randrange(1, 4))]
            spec[direction] = rules
        kind = "ClusterNetworkPolicy" if new else "AdminNetworkPolicy"
        yield {
            "apiVersion": f"policy.networking.k8s.io/{'v1alpha2' if new else 'v1alpha1'}",
            "kind": "BaselineAdminNetworkPolicy" if baseline else kind,
            "metadata": {"name": "default" if baseline else f"a{number}"},
            "spec": spec,
        }


def _pods(dice: random.Random) -> Json:
    if dice.random() < 0.5:
        return {"namespaces": selector(dice, TEAMS)}
    return {"pods": {"namespaceSelector": selector(dice, TEAMS), "podSelector": selector(dice, LABELS)}}


def _admin_rule(dice: random.Random, direction: str, new: bool, baseline: bool) -> Json:
    accept = "Accept" if new else "Allow"
    side = "from" if direction == "ingress" else "to"
    rule: Json = {"action": dice.choice([accept, "Deny"] if baseline else [accept, "Deny", "Pass"])}
    named = dice.random() < 0.25
    peers = [_admin_peer(dice, direction == "egress" and not named) for _ in range(dice.randrange(1, 3))]
    rule[side] = peers
    if named or dice.random() < 0.5:
        ports = [_protocol(dice) if new else _old_port(dice) for _ in range(dice.randrange(1, 3))]
        if named:
            ports.append({"destinationNamedPort" if new else "namedPort": dice.choice(["web", "dns"])})
        rule["protocols" if new else "ports"] = ports
    return rule


def _admin_peer(dice: random.Random, anywhere: bool) -> Json:
    kind = dice.randrange(4) if anywhere else 3
    if kind == 0:
        return {"networks": dice.sample(NETWORKS, dice.randrange(1, 3))}
    if kind == 1:
        return {"nodes": {}}
    return _pods(dice)


def _protocol(dice: random.Random) -> Json:
    return dice.choice(
        [
            {"tcp": {"destinationPort": {"number": 80}}},
            {"tcp": {"destinationPort": {"range": {"start": 81, "end": 443}}}},
            {"tcp": {"destinationPort": {"range": {"start": 1, "end": 65535}}}},
            {"udp": {"destinationPort": {"number": 5300}}},
            {"udp": {"destinationPort": {"range": {"start": 80, "end": 6000}}}},
        ]
    )


def _old_port(dice: random.Random) -> Json:
    return dice.choice(
        [
            {"portNumber": {"port": 80}},
            {"portNumber": {"protocol": "TCP", "port": 81}},
            {"portNumber": {"protocol": "UDP", "port": 5300}},
            {"portRange": {"start": 80, "end": 82}},
            {"portRange": {"protocol": "UDP", "start": 5000, "end": 6000}},
        ]
    )
