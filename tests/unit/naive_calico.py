"""Calico's policies read straight from manifests, in the shortest words; shares no code with the harness.

Lab and oracle share the parser, the selectors and the order of policies; what both have wrong shows up here.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
Labels = Mapping[str, str]

_TERM = re.compile(
    r"""(has|all|global)\(\s*([\w./-]*)\s*\)
    |([\w./-]+)\s*(==|!=|not\s*in|in|contains|starts\ with|ends\ with)\s*(\{[^}]*\}|'[^']*'|"[^"]*")""",
    re.VERBOSE,
)
_NUMBERS = {"ICMP": 1, "TCP": 6, "UDP": 17, "ICMPv6": 58, "SCTP": 132, "UDPLite": 136}
_TIERS = {"kube-admin": (1000, "Pass"), "default": (1_000_000, "Deny"), "kube-baseline": (10_000_000, "Pass")}
_OPERATORS: dict[str, Callable[[str | None, list[str]], bool]] = {
    "==": lambda value, texts: value == texts[0],
    "!=": lambda value, texts: value != texts[0],
    "in": lambda value, texts: value in texts,
    "notin": lambda value, texts: value not in texts,
    "contains": lambda value, texts: value is not None and texts[0] in value,
    "startswith": lambda value, texts: value is not None and value.startswith(texts[0]),
    "endswith": lambda value, texts: value is not None and value.endswith(texts[0]),
}


@dataclass(frozen=True)
class Choices:
    """What manifests do not say; whoever is certain must be right whatever it is.

    Attributes:
        inside: Whether pods have addresses in 10.0.0.0/8 and fd00::/8.
        source_port: From which port connections come.
        not_icmp: Whether `notICMP` holds of what is no ICMP.
        older: Whether policies of one order are sorted as older releases do.
    """

    inside: bool
    source_port: int
    not_icmp: bool
    older: bool


@dataclass(frozen=True)
class One:
    """One end of a connection: a pod with labels and names of ports, or an address.

    Attributes:
        labels: With those that Calico adds; None = no pod.
        ports: What it calls its ports: name, protocol, number.
    """

    name: str
    labels: Labels | None = None
    address: str = ""
    ports: tuple[tuple[str, int, int], ...] = ()


@dataclass(frozen=True)
class Flow:
    """A connection; its protocol by number, port 0 for ICMP."""

    source: One
    destination: One
    protocol: int
    port: int
    version: int


def selects(text: str, labels: Labels, *, prefix: str = "", everything: str = "") -> bool:
    """Whether a selector selects labels; Python knows what binds first.

    Args:
        text: The selector.
        labels: The labels.
        prefix: Before every label that the selector names.
        everything: The label that `all()` demands.
    """
    answers: list[bool] = []

    def term(found: re.Match[str]) -> str:
        call, inner, key, operator, values = found.groups()
        if call == "has":
            answers.append(prefix + inner in labels)
        elif call == "all":
            answers.append(not everything or everything in labels)
        elif call == "global":
            answers.append("projectcalico.org/namespace" not in labels)
        else:
            texts = re.findall(r"""['"]([^'"]*)['"]""", values)
            answers.append(_OPERATORS[operator.replace(" ", "")](labels.get(prefix + key), texts))
        return f" {answers[-1]} "

    plain = _TERM.sub(term, text).replace("&&", " and ").replace("||", " or ").replace("!", " not ")
    assert re.fullmatch(r"(True|False|and|or|not|[() ])+", plain), (text, plain)
    return bool(eval(plain.strip()))


class Reader:
    """The objects of a world.

    Args:
        manifests: Calico's objects, and NetworkPolicies.
        namespaces: Labels of namespaces.
        services: The pods behind a service with the ports that they serve: name, protocol, number.
        choices: What manifests do not say.
    """

    def __init__(
        self,
        manifests: list[Json],
        namespaces: Mapping[str, Labels],
        services: Mapping[str, set[tuple[str, int, int]]],
        choices: Choices,
    ) -> None:
        self.namespaces = namespaces
        self.services = services
        self.choices = choices
        self.sets = [item for item in manifests if item["kind"] in ("NetworkSet", "GlobalNetworkSet")]
        self.tiers = dict(_TIERS)
        for item in manifests:
            if item["kind"] == "Tier":
                spec = item["spec"]
                place = spec.get("order", float("inf")), spec.get("defaultAction", "Deny")
                self.tiers[item["metadata"]["name"]] = place
        self.policies = [item for item in manifests if item["apiVersion"].endswith("projectcalico.org/v3")]
        self.policies += [item for item in manifests if item["apiVersion"].startswith("crd.")]
        self.policies = [
            item for item in self.policies if item["kind"] in ("NetworkPolicy", "GlobalNetworkPolicy")
        ]
        self.policies += [of_kubernetes(item) for item in manifests if "k8s.io" in item["apiVersion"]]

    def inherited(self, namespace: str) -> Labels:
        """The labels that whatever is in a namespace has from there."""
        own = self.namespaces.get(namespace, {"kubernetes.io/metadata.name": namespace})
        return {
            "projectcalico.org/namespace": namespace,
            "pcns.projectcalico.org/name": namespace,
            **{f"pcns.{key}": value for key, value in own.items()},
        }

    def allows(self, flow: Flow) -> bool:
        """Whether both ends let a connection through."""
        leaves = flow.source.labels is None or self._passes(flow, flow.source, "egress")
        return leaves and (flow.destination.labels is None or self._passes(flow, flow.destination, "ingress"))

    def _passes(self, flow: Flow, subject: One, direction: str) -> bool:
        for tier in sorted(self.tiers, key=lambda name: (self.tiers[name][0], name)):
            found = [
                item
                for item in self.policies
                if item["spec"].get("tier", "default") == tier
                and direction.capitalize() in _types(item["spec"])
                and not (item["spec"].get("doNotTrack") or item["spec"].get("preDNAT"))
                and self._subject(item, subject)
            ]
            action = self.tiers[tier][1] if found else "Pass"
            for rule, namespace in self._rules(found, direction):
                if rule["action"] != "Log" and self._matches(rule, flow, namespace):
                    action = rule["action"]
                    break
            if action != "Pass":
                return bool(action == "Allow")
        return True

    def _rules(self, found: list[Json], direction: str) -> Iterator[tuple[Json, str]]:
        for item in sorted(found, key=self._place):
            for rule in item["spec"].get(direction, []):
                yield rule, item["metadata"].get("namespace", "")

    def _place(self, item: Json) -> tuple[float, str]:
        name, namespace = item["metadata"]["name"], item["metadata"].get("namespace", "")
        if self.choices.older:
            full = name if "." in name else f"{item['spec'].get('tier', 'default')}.{name}"
            return item["spec"].get("order", float("inf")), f"{namespace}/{full}" if namespace else full
        return item["spec"].get("order", float("inf")), f"{name}/{namespace}"

    def _subject(self, item: Json, pod: One) -> bool:
        spec, labels = item["spec"], pod.labels or {}
        namespace = item["metadata"].get("namespace", "")
        return (
            (not namespace or labels["projectcalico.org/namespace"] == namespace)
            and selects(spec.get("selector", "all()"), labels)
            and self._parts(labels, spec.get("namespaceSelector"), spec.get("serviceAccountSelector"))
        )

    def _parts(self, labels: Labels, namespaces: str | None, accounts: str | None) -> bool:
        inside, under = "projectcalico.org/namespace", "projectcalico.org/serviceaccount"
        return (namespaces is None or selects(namespaces, labels, prefix="pcns.", everything=inside)) and (
            accounts is None or selects(accounts, labels, prefix="pcsa.", everything=under)
        )

    # -- rules -----------------------------------------------------------------------------------------------

    def _matches(self, rule: Json, flow: Flow, namespace: str) -> bool:
        nets = [
            text for side in ("source", "destination") for key in ("nets", "notNets")
            for text in rule.get(side, {}).get(key, [])
        ]  # fmt: skip
        versions = {6 if ":" in text else 4 for text in nets} | {rule.get("ipVersion", flow.version)}
        if versions != {flow.version}:
            return False
        if "protocol" in rule and _number(rule["protocol"]) != flow.protocol:
            return False
        if "notProtocol" in rule and _number(rule["notProtocol"]) == flow.protocol:
            return False
        echo = {"type": 8 if flow.version == 4 else 128, "code": 0}
        icmp = flow.protocol in (1, 58)
        if "icmp" in rule and not (icmp and rule["icmp"].items() <= echo.items()):
            return False
        if rule.get("notICMP"):
            excluded = rule["notICMP"].items() <= echo.items() if icmp else not self.choices.not_icmp
            if excluded:
                return False
        ends = (
            ("source", flow.source, self.choices.source_port),
            ("destination", flow.destination, flow.port),
        )
        return all(self._end(rule.get(side, {}), one, port, flow, namespace) for side, one, port in ends)

    def _end(self, said: Json, one: One, port: int, flow: Flow, namespace: str) -> bool:
        def selected(test: Callable[[Labels], bool]) -> bool:
            """A pod by its labels, or an address by the labels of a set that has it."""
            return (one.labels is not None and test(one.labels)) or any(
                test(self._of_set(item)) and self._within(item["spec"]["nets"], one, flow)
                for item in self.sets
            )

        def members(labels: Labels) -> bool:
            accounts = said.get("serviceAccounts", {})
            names = accounts.get("names")
            scoped = namespace and "namespaceSelector" not in said
            return (
                (not scoped or labels.get("projectcalico.org/namespace") == namespace)
                and selects(said.get("selector", "all()"), labels)
                and (not names or labels.get("projectcalico.org/serviceaccount") in names)
                and self._parts(labels, said.get("namespaceSelector"), accounts.get("selector"))
            )

        limiting = ["selector", "namespaceSelector", "serviceAccounts"] + ["notSelector"] * bool(namespace)
        if any(key in said for key in limiting) and not selected(members):
            return False
        if "notSelector" in said and selected(lambda labels: selects(said["notSelector"], labels)):
            return False
        if "nets" in said and not self._within(said["nets"], one, flow):
            return False
        if "notNets" in said and self._within(said["notNets"], one, flow):
            return False
        if "services" in said:
            # Without a namespace no service is found.
            where, name = said["services"].get("namespace", ""), said["services"]["name"]
            served = self.services.get(f"{where}/{name}", set())
            if one is flow.source:
                return any(pod == one.name for pod, _, _ in served)
            return (one.name, flow.protocol, port) in served
        if "ports" in said and not self._among(said["ports"], one, port, flow):
            return False
        return not ("notPorts" in said and self._among(said["notPorts"], one, port, flow))

    def _of_set(self, item: Json) -> Labels:
        metadata = item["metadata"]
        own = self.inherited(metadata["namespace"]) if "namespace" in metadata else {}
        return {**own, **metadata.get("labels", {})}

    def _within(self, nets: list[str], one: One, flow: Flow) -> bool:
        found = [ipaddress.ip_network(text, strict=False) for text in nets]
        if one.address:
            return any(ipaddress.ip_address(one.address) in item for item in found)
        mine = {"0.0.0.0/0", "10.0.0.0/8"} if flow.version == 4 else {"::/0", "fd00::/8"}
        return any(str(item) in mine and (self.choices.inside or not item.prefixlen) for item in found)

    def _among(self, ports: list[Any], one: One, port: int, flow: Flow) -> bool:
        for item in map(str, ports):
            first, _, last = item.partition(":")
            if first.isdecimal() and int(first) <= port <= int(last or first):
                return True
            if (item, flow.protocol, port) in one.ports:
                return True
        return False


def _number(protocol: Any) -> int:
    return _NUMBERS.get(protocol) or int(protocol)


def _types(spec: Json) -> list[str]:
    given = [name for name in ("Ingress", "Egress") if spec.get(name.lower())]
    return spec.get("types") or given or ["Ingress"]


# NetworkPolicies as Calico's --------------------------------------------------------------------------------


def of_kubernetes(item: Json) -> Json:
    """What Calico makes of a NetworkPolicy: one of its own, of order 1000, whose selectors mean pods only."""
    spec = item["spec"]
    types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]
    made: Json = {"order": 1000, "types": types, "selector": of_pods(spec["podSelector"])}
    for direction, peers, side in (("ingress", "from", "source"), ("egress", "to", "destination")):
        made[direction] = [
            {
                "action": "Allow",
                **({"protocol": port.get("protocol", "TCP")} if port is not None else {}),
                side: of_peer(peer),
                "destination": {**(of_peer(peer) if side == "destination" else {}), **of_port(port)},
            }
            for rule in spec.get(direction, [])
            for peer in rule.get(peers) or [None]
            for port in rule.get("ports") or [None]
        ]
    metadata = {**item["metadata"], "name": f"knp.default.{item['metadata']['name']}"}
    return {"apiVersion": "made", "kind": "NetworkPolicy", "metadata": metadata, "spec": made}


def of_port(port: Json | None) -> Json:
    if port is None or "port" not in port:
        return {}
    return {"ports": [f"{port['port']}:{port['endPort']}" if "endPort" in port else port["port"]]}


def of_peer(peer: Json | None) -> Json:
    if peer is None:
        return {}
    if "ipBlock" in peer:
        block = peer["ipBlock"]
        return {"nets": [block["cidr"]], **({"notNets": block["except"]} if "except" in block else {})}
    found = {"selector": of_pods(peer.get("podSelector", {}))}
    if "namespaceSelector" in peer:
        found["namespaceSelector"] = of_labels(peer["namespaceSelector"])
    return found


def of_pods(selector: Json) -> str:
    return f"projectcalico.org/orchestrator == 'k8s' && {of_labels(selector)}"


def of_labels(selector: Json) -> str:
    words = [f"{key} == '{value}'" for key, value in selector.get("matchLabels", {}).items()]
    for item in selector.get("matchExpressions", []):
        texts = ", ".join(f"'{value}'" for value in item.get("values", []))
        words.append(
            {
                "In": f"{item['key']} in {{{texts}}}",
                "NotIn": f"{item['key']} not in {{{texts}}}",
                "Exists": f"has({item['key']})",
                "DoesNotExist": f"!has({item['key']})",
            }[item["operator"]]
        )
    return " && ".join(words) or "all()"
