"""Random objects of Calico's, as manifests; everything that a rule can say of ends, protocols and ports."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
Label = tuple[str, tuple[str, ...]]
"""A key, and the values that it is compared with."""

API, CRD = "projectcalico.org/v3", "crd.projectcalico.org/v1"


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
    ports: tuple[Any, ...] = (80, 81, "80:82", "1:79", 9100, "5300", "web", "dns")
    accounts: tuple[str, ...] = ("api", "default")
    services: tuple[str, ...] = ("red/svc", "red/single", "red/direct", "red/port", "blue/svc")
    nets: tuple[tuple[str, ...], ...] = (
        ("203.0.113.0/24",),
        ("203.0.113.10/32", "198.51.100.0/24"),
        ("198.51.100.0/24",),
        ("2001:db8::/32",),
        ("2001:db8::10/128", "2001:db8:1::/48"),
        ("10.0.0.0/8",),
        ("fd00::/8",),
        ("0.0.0.0/0",),
        ("::/0",),
    )

    def of_pods(self) -> Sequence[Label]:
        """Their own labels, mostly, and those that Calico gives them."""
        derived = {
            "projectcalico.org/namespace": self.namespaces,
            "projectcalico.org/serviceaccount": self.accounts,
            "projectcalico.org/orchestrator": ("k8s",),
            "pcns.projectcalico.org/name": self.namespaces,
            "pcsa.projectcalico.org/name": self.accounts,
            **{f"pcns.{key}": values for key, values in self.spaces.items()},
        }
        return [*self.labels.items()] * 8 + [*derived.items()]

    def of_namespaces(self) -> Sequence[Label]:
        """Their own labels, and the name that Calico gives them."""
        return [*self.spaces.items()] * 3 + [("projectcalico.org/name", self.namespaces)]

    def of_accounts(self) -> Sequence[Label]:
        """The name that Calico gives them; scenarios give them no labels."""
        return [("projectcalico.org/name", self.accounts)] * 4 + [("role", ("admin",))]


LAB = Words()
ACTIONS = ["Allow", "Allow", "Allow", "Deny", "Deny", "Pass", "Log"]
TIERS = [*["default"] * 12, *["before"] * 5, *["behind"] * 4, "kube-admin", "kube-baseline", "nowhere"]
TIER_ORDERS = {
    "before": [100, 100, 1000, 5.5, 1_000_000],
    "behind": [1_500_000, 1_000_000, 10_000_000, None],
}
ORDERS = [-3, 1, 5, 5, 999, 1000, 1000, 1001, 2000.5, None, None]
PROTOCOLS = [*["TCP"] * 6, *["UDP"] * 2, "SCTP", *["ICMP"] * 2, *["ICMPv6"] * 2, "UDPLite", 6, "17", 58, 47]
PORTED = ("TCP", "UDP", "SCTP", 6, "17")
ICMPS: dict[Any, list[Json]] = {
    "ICMP": [{"type": 8}, {"type": 8, "code": 0}, {"type": 8, "code": 1}, {"type": 3}, {}],
    "ICMPv6": [{"type": 128}, {"type": 128, "code": 0}, {"type": 1}, {}],
    58: [{"type": 128}],
}
LOOSE = ["203.0.113.10", "203.0.113.77/24", "2001:db8::10"]
"""Members that only sets have: single addresses, and ranges with host bits."""
HTTP: list[Json] = [{"methods": ["GET"]}, {"paths": [{"exact": "/a"}, {"prefix": "/b"}]}]
HOSTS: list[Json] = [
    {"applyOnForward": True},
    {"applyOnForward": True, "doNotTrack": True},
    {"applyOnForward": True, "preDNAT": True},
]


def objects(dice: random.Random, count: int, words: Words = LAB) -> Iterator[Json]:
    """Two tiers, sets of networks and some policies, staged ones among them."""
    for name, orders in TIER_ORDERS.items():
        spec: Json = {"defaultAction": dice.choice(["Deny", "Pass", "Pass"])}
        order = dice.choice(orders)
        spec |= {"order": order} if order is not None else {}
        yield _object(dice, "Tier", {"name": name}, spec)
    if dice.random() < 0.05:
        yield _object(dice, "Tier", {"name": "default"}, {"order": 1_000_000, "defaultAction": "Deny"})
    for number in range(dice.randrange(3)):
        yield _set(dice, f"set-{number}", words)
    seen = set()
    for number in range(count):
        found = _policy(dice, f"{dice.choice('amz')}{number // 2}", words)
        metadata = found["metadata"]
        if (key := (found["kind"], metadata.get("namespace"), metadata["name"])) in seen:
            metadata["name"] += "-again"
        seen.add(key)
        yield found
    if dice.random() < 0.1:
        metadata = {"name": "kubernetes", "namespace": dice.choice(words.namespaces)}
        spec = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
        actions: list[Json] = [{}, {"stagedAction": "Set"}, {"stagedAction": "Learn"}]
        yield _object(dice, "StagedKubernetesNetworkPolicy", metadata, {**spec, **dice.choice(actions)})


def _object(dice: random.Random, kind: str, metadata: Json, spec: Json) -> Json:
    api = CRD if dice.random() < 0.04 else API
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}


def _set(dice: random.Random, name: str, words: Words) -> Json:
    labels = {key: dice.choice(values) for key, values in words.labels.items() if dice.random() < 0.6}
    metadata: Json = {"name": name, "labels": labels}
    kind = "GlobalNetworkSet"
    if dice.random() < 0.4:
        kind = "NetworkSet"
        metadata["namespace"] = dice.choice(words.namespaces)
    nets = list(dice.choice(words.nets))
    nets += [dice.choice(LOOSE)] if dice.random() < 0.2 else []
    return _object(dice, kind, metadata, {"nets": nets})


def _policy(dice: random.Random, name: str, words: Words) -> Json:
    spec: Json = {}
    wide = dice.random() < 0.4
    if dice.random() < 0.6:
        spec["selector"] = expression(dice, words.of_pods())
    if wide and dice.random() < 0.5:
        spec["namespaceSelector"] = expression(dice, words.of_namespaces())
    if dice.random() < 0.15:
        spec["serviceAccountSelector"] = expression(dice, words.of_accounts())
    tier, order = dice.choice(TIERS), dice.choice(ORDERS)
    spec |= {"tier": tier} if tier != "default" or dice.random() < 0.5 else {}
    spec |= {"order": order} if order is not None else {}
    for direction, chance in (("ingress", 0.8), ("egress", 0.5)):
        if dice.random() < chance:
            spec[direction] = [_rule(dice, direction, words, wide=wide) for _ in range(dice.randrange(1, 4))]
    if dice.random() < 0.3:
        spec["types"] = dice.choice([["Ingress"], ["Egress"], ["Ingress", "Egress"], []])
    if dice.random() < 0.03:
        spec["performanceHints"] = ["AssumeNeededOnEveryNode"]
    if wide and dice.random() < 0.1:
        flags = dice.choice(HOSTS)
        if "preDNAT" in flags:
            spec.pop("egress", None)
            spec["types"] = ["Ingress"]
        spec |= flags
    metadata = {"name": f"{tier}.{name}" if dice.random() < 0.2 else name}
    metadata |= {} if wide else {"namespace": dice.choice(words.namespaces)}
    kind = "GlobalNetworkPolicy" if wide else "NetworkPolicy"
    if dice.random() < 0.1:
        kind = f"Staged{kind}"
        action = dice.choice(["", "Set", "Delete", "Learn", "Ignore"])
        if action == "Delete":
            spec = {"tier": tier}
        spec |= {"stagedAction": action} if action else {}
    return _object(dice, kind, metadata, spec)


# Selectors --------------------------------------------------------------------------------------------------


def expression(dice: random.Random, labels: Sequence[Label], depth: int = 0) -> str:
    """A selector over some labels; where nothing else says it, `!` binds before `&&` and that before `||`."""
    if depth < 2 and dice.random() < 0.25:
        found = expression(dice, labels, depth + 1)
        for _ in range(dice.randrange(1, 3)):
            found += dice.choice([" && ", " || ", "&&", "||"]) + expression(dice, labels, depth + 1)
    else:
        found = _term(dice, *dice.choice(labels))
    chance = dice.random()
    return f"!({found})" if chance < 0.08 else f"({found})" if chance < 0.3 else found


def _term(dice: random.Random, key: str, values: tuple[str, ...]) -> str:
    value = dice.choice(values)
    found = dice.choice(
        [
            *[f"{key} == '{value}'"] * 4,
            f'{key}=="{value}"',
            f"{key} != '{value}'",
            f"has({key})",
            f"{key} in {{'{value}', '{values[0]}'}}",
            f'{key} in{{"{value}"}}',
            f"{key} in {{}}",
            f"{key} not in {{'{value}'}}",
            f"{key} notin {{'{value}', 'other'}}",
            f"{key} starts with '{value[:1]}'",
            f"{key} ends with '{value[-1:]}'",
            f"{key} contains '{value[1:2]}'",
            "all()",
        ]
    )
    return f"!{found}" if dice.random() < 0.12 else found


# Rules ------------------------------------------------------------------------------------------------------


def _rule(dice: random.Random, direction: str, words: Words, *, wide: bool) -> Json:
    rule: Json = {"action": dice.choice(ACTIONS)}
    version = dice.choice([4, 6])
    if dice.random() < 0.6:
        rule["protocol"] = dice.choice(PROTOCOLS)
    elif dice.random() < 0.2:
        rule["notProtocol"] = dice.choice(PROTOCOLS)
    if rule.get("protocol") in ICMPS and dice.random() < 0.5:
        rule[dice.choice(["icmp", "notICMP"])] = dice.choice(ICMPS[rule["protocol"]])
    peer = "source" if direction == "ingress" else "destination"
    for side in ("source", "destination"):
        if dice.random() < (0.8 if side == peer else 0.15):
            rule[side] = _entity(dice, words, side == peer, version, wide=wide)
    if not {"ICMP", "ICMPv6", 58} & {rule.get("protocol"), rule.get("notProtocol")} and dice.random() < 0.08:
        rule["ipVersion"] = version
    if rule.get("protocol") in PORTED:
        _ports(dice, rule, words)
    if rule["action"] == "Allow" and direction == "ingress" and rule.get("protocol") in ("TCP", 6, None):
        rule |= {"http": dice.choice(HTTP)} if dice.random() < 0.04 else {}
    if dice.random() < 0.03:
        rule["metadata"] = {"annotations": {"reason": "none"}}
    return rule


def _ports(dice: random.Random, rule: Json, words: Words) -> None:
    if "services" not in rule.get("destination", {}) and dice.random() < 0.6:
        chosen = (
            ["ports", "notPorts"] if dice.random() < 0.08 else [dice.choice(["ports"] * 3 + ["notPorts"])]
        )
        for name in chosen:
            rule.setdefault("destination", {})[name] = dice.sample(words.ports, dice.randrange(1, 3))
    if dice.random() < 0.1:
        ports: list[Any] = ["1:1023", "1024:65535", 80, dice.choice(words.ports)]
        rule.setdefault("source", {})[dice.choice(["ports", "notPorts"])] = [dice.choice(ports)]


def _entity(dice: random.Random, words: Words, peer: bool, version: int, *, wide: bool) -> Json:
    if peer and dice.random() < 0.12:
        namespace, name = dice.choice(words.services).split("/")
        lost = not wide and dice.random() < 0.1
        return {"services": {"name": name} if lost else {"name": name, "namespace": namespace}}
    found: Json = {}
    if dice.random() < 0.5:
        found["selector"] = expression(dice, words.of_pods())
    if dice.random() < 0.15:
        found["notSelector"] = expression(dice, words.of_pods())
    if dice.random() < 0.35:
        chosen = expression(dice, words.of_namespaces())
        found["namespaceSelector"] = dice.choice([chosen, chosen, "all()", "global()"])
    if dice.random() < 0.12:
        names = {"names": [dice.choice(words.accounts)]}
        selector = {"selector": expression(dice, words.of_accounts())}
        found["serviceAccounts"] = dice.choice([names, names, selector, names | selector])
    fitting = [item for item in words.nets if (":" in item[0]) is (version == 6)]
    for name, chance in (("nets", 0.15), ("notNets", 0.1)):
        if dice.random() < chance:
            found[name] = list(dice.choice(fitting))
    return found
