"""Random objects of Calico's, as manifests; everything that a rule can say of ends, protocols and ports."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

API = "projectcalico.org/v3"


@dataclass(frozen=True)
class Words:
    """What the objects of a world speak of.

    Attributes:
        labels: Labels of pods with their values; the same stand on sets of networks.
        spaces: Labels of namespaces with their values.
    """

    namespaces: tuple[str, ...] = ("red", "blue")
    labels: dict[str, tuple[str, ...]] = field(
        default_factory=lambda: {"app": ("web", "cli", "db"), "env": ("prod", "test")}
    )
    spaces: dict[str, tuple[str, ...]] = field(
        default_factory=lambda: {"team": ("red", "blue"), "kubernetes.io/metadata.name": ("red",)}
    )
    ports: tuple[Any, ...] = (80, 81, "80:82", "1:79", 9100, "web", "dns")
    names: tuple[str, ...] = ("web", "dns")
    accounts: tuple[str, ...] = ("api", "default")
    services: tuple[str, ...] = ("red/svc", "red/single", "blue/svc")
    nets: tuple[tuple[str, ...], ...] = (
        ("203.0.113.0/24",),
        ("203.0.113.10/32", "198.51.100.0/24"),
        ("2001:db8::/32",),
        ("0.0.0.0/0",),
        ("::/0",),
    )


LAB = Words()
ACTIONS = ["Allow", "Allow", "Allow", "Deny", "Deny", "Pass", "Log"]
TIERS = ["default", "default", "default", "before", "behind"]
ORDERS = [1, 5, 999, 1000, 1001, 2000.5, None, None]
PROTOCOLS = ["TCP", "TCP", "TCP", "UDP", "SCTP", "ICMP", "ICMPv6", 6, "17", 47]


def objects(dice: random.Random, count: int, words: Words = LAB) -> Iterator[Json]:
    """Two tiers, sets of networks and some policies, staged ones among them."""
    for name, order in (("before", 100), ("behind", 1_500_000)):
        spec = {"order": order, "defaultAction": dice.choice(["Deny", "Pass", "Pass"])}
        yield {"apiVersion": API, "kind": "Tier", "metadata": {"name": name}, "spec": spec}
    for number in range(dice.randrange(3)):
        yield _set(dice, f"set-{number}", words)
    for number in range(count):
        yield _policy(dice, f"calico-{number}", words)


def _set(dice: random.Random, name: str, words: Words) -> Json:
    labels = {key: dice.choice(values) for key, values in words.labels.items() if dice.random() < 0.6}
    found: Json = {
        "apiVersion": API,
        "kind": "GlobalNetworkSet",
        "metadata": {"name": name, "labels": labels},
    }
    if dice.random() < 0.4:
        found["kind"] = "NetworkSet"
        found["metadata"]["namespace"] = dice.choice(words.namespaces)
    return {**found, "spec": {"nets": list(dice.choice(words.nets))}}


def _policy(dice: random.Random, name: str, words: Words) -> Json:
    spec: Json = {}
    wide = dice.random() < 0.4
    if dice.random() < 0.8:
        spec["selector"] = expression(dice, words.labels)
    if wide and dice.random() < 0.5:
        spec["namespaceSelector"] = expression(dice, words.spaces)
    if dice.random() < 0.15:
        spec["serviceAccountSelector"] = f"projectcalico.org/name == '{dice.choice(words.accounts)}'"
    tier, order = dice.choice(TIERS), dice.choice(ORDERS)
    spec |= {"tier": tier} if tier != "default" or dice.random() < 0.5 else {}
    spec |= {"order": order} if order is not None else {}
    for direction, chance in (("ingress", 0.8), ("egress", 0.5)):
        if dice.random() < chance:
            spec[direction] = [_rule(dice, direction, words, wide=wide) for _ in range(dice.randrange(1, 4))]
    if dice.random() < 0.3:
        spec["types"] = dice.choice([["Ingress"], ["Egress"], ["Ingress", "Egress"]])
    metadata = {"name": name} if wide else {"name": name, "namespace": dice.choice(words.namespaces)}
    kind = "GlobalNetworkPolicy" if wide else "NetworkPolicy"
    staged = "Staged" if dice.random() < 0.1 else ""
    return {"apiVersion": API, "kind": f"{staged}{kind}", "metadata": metadata, "spec": spec}


def expression(dice: random.Random, labels: dict[str, tuple[str, ...]], depth: int = 0) -> str:
    """A selector over some labels."""
    if depth < 2 and dice.random() < 0.25:
        inner = [expression(dice, labels, depth + 1) for _ in range(2)]
        joined = dice.choice([" && ", " || "]).join(inner)
        return f"!({joined})" if dice.random() < 0.3 else f"({joined})"
    key = dice.choice(list(labels))
    value = dice.choice(labels[key])
    return dice.choice(
        [
            *[f"{key} == '{value}'"] * 4,
            f"{key} != '{value}'",
            f"has({key})",
            f"!has({key})",
            f"{key} in {{'{value}', '{labels[key][0]}'}}",
            f"{key} not in {{'{value}'}}",
            f"{key} starts with '{value[:1]}'",
            f"{key} ends with '{value[-1:]}'",
            f"{key} contains '{value[1:2]}'",
            "all()",
        ]
    )


def _rule(dice: random.Random, direction: str, words: Words, *, wide: bool) -> Json:
    rule: Json = {"action": dice.choice(ACTIONS)}
    version = dice.choice([4, 6])
    if dice.random() < 0.6:
        rule["protocol"] = dice.choice(PROTOCOLS)
    elif dice.random() < 0.15:
        rule["notProtocol"] = dice.choice(PROTOCOLS)
    if rule.get("protocol") == "ICMP" and dice.random() < 0.5:
        rule[dice.choice(["icmp", "notICMP"])] = dice.choice(
            [{"type": 8}, {"type": 3}, {"type": 8, "code": 0}]
        )
    ported = rule.get("protocol") in ("TCP", "UDP", "SCTP", 6, "17")
    peer = "source" if direction == "ingress" else "destination"
    for side in ("source", "destination"):
        if dice.random() < (0.8 if side == peer else 0.15):
            rule[side] = _entity(dice, words, side == peer, version, wide=wide)
    destination = rule.setdefault("destination", {})
    if ported and "services" not in destination and dice.random() < 0.6:
        ports = dice.sample(words.ports, dice.randrange(1, 3))
        destination[dice.choice(["ports", "ports", "ports", "notPorts"])] = ports
    if ported and dice.random() < 0.1:
        rule.setdefault("source", {})[dice.choice(["ports", "notPorts"])] = [
            dice.choice(["1:1023", "1024:65535"])
        ]
    return rule


def _entity(dice: random.Random, words: Words, peer: bool, version: int, *, wide: bool) -> Json:
    if peer and dice.random() < 0.12:
        namespace, name = dice.choice(words.services).split("/")
        return {"services": {"name": name, "namespace": namespace}}
    found: Json = {}
    if dice.random() < 0.55:
        found["selector"] = expression(dice, words.labels)
    if dice.random() < 0.15:
        found["notSelector"] = expression(dice, words.labels)
    if dice.random() < 0.35:
        found["namespaceSelector"] = dice.choice([expression(dice, words.spaces), "all()", "global()"])
    if dice.random() < 0.1:
        found["serviceAccounts"] = {"names": [dice.choice(words.accounts)]}
    fitting = [item for item in words.nets if (":" in item[0]) is (version == 6)]
    for name, chance in (("nets", 0.15), ("notNets", 0.1)):
        if dice.random() < chance:
            found[name] = list(dice.choice(fitting))
    return found
