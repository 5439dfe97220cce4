"""Small mistakes in admin policies, made on purpose; see `dialects.kubernetes.mistakes`."""

from __future__ import annotations

import copy
import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.dialects.admin.versions import GROUP
from harness.dialects.mistaken_selectors import Json, inverted, narrower, nobody, replaced, without

_SIDES = {"ingress": "from", "egress": "to"}
_OTHER_PROTOCOL = {"tcp": "udp", "udp": "tcp", "sctp": "tcp"}
_OTHER_TIER = {"Admin": "Baseline", "Baseline": "Admin"}
_HIGHEST = 1000


def mistakes(manifest: Mapping[str, Any], beside: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Json]]:
    """`(what, manifest)` for every mistake that the policies `beside` it do not make meaningless."""
    others = [other for other in beside if other["apiVersion"].startswith(f"{GROUP}/")]
    spec = manifest["spec"]

    def changed(**fields: Any) -> Json:
        mutated: Json = copy.deepcopy(dict(manifest))
        mutated["spec"].update(copy.deepcopy(fields))
        return mutated

    yield "subject: selects nobody", changed(subject={"namespaces": nobody()})
    for what, subject in _pods_mistakes(spec["subject"]):
        yield f"subject{what}", changed(subject=subject)
    if "tier" in spec and len(others) < len(beside):
        tier = _OTHER_TIER[spec["tier"]]
        yield f"tier: {tier}", changed(tier=tier)
    yield from (
        (f"priority: {number}", changed(priority=number)) for number in _other_priorities(spec, others)
    )
    for direction, side in _SIDES.items():
        rules = spec.get(direction) or []
        for number, rule in enumerate(rules):
            place = f"{direction}[{number}]"
            yield f"{place}: removed", changed(**{direction: without(rules, number)})
            if number and rule["action"] != rules[number - 1]["action"]:
                swapped = [*rules[: number - 1], rule, rules[number - 1], *rules[number + 1 :]]
                yield f"{place}: one place higher", changed(**{direction: swapped})
            accept = "Accept" if "tier" in spec else "Allow"
            for what, mutated in _rule_mistakes(rule, side, accept):
                yield f"{place}{what}", changed(**{direction: replaced(rules, number, mutated)})


def _other_priorities(spec: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> Iterator[int]:
    """A priority on the other side of every other policy of the tier; none where it stands alone."""
    if "priority" not in spec:
        return
    here = [
        other["spec"]["priority"]
        for other in others
        if other["spec"].get("tier", "Admin") == spec.get("tier", "Admin") and "priority" in other["spec"]
    ]
    if here and min(here) > spec["priority"]:
        yield min(_HIGHEST, max(here) + 1)
    if here and max(here) < spec["priority"]:
        yield max(0, min(here) - 1)


def _rule_mistakes(rule: Mapping[str, Any], side: str, accept: str) -> Iterator[tuple[str, Json]]:
    for action in {accept: ("Deny",), "Deny": (accept,), "Pass": (accept, "Deny")}[rule["action"]]:
        yield f": {action} instead of {rule['action']}", {**rule, "action": action}
    peers = rule[side]
    for number, peer in enumerate(peers):
        if len(peers) > 1:
            yield f".{side}[{number}]: removed", {**rule, side: without(peers, number)}
        for what, mutated in _peer_mistakes(peer):
            yield f".{side}[{number}]{what}", {**rule, side: replaced(peers, number, mutated)}
    key = "protocols" if "protocols" in rule else "ports"
    ports = rule.get(key) or []
    if ports:
        yield ": any port", {name: value for name, value in rule.items() if name != key}
    for number, port in enumerate(ports):
        if len(ports) > 1:
            yield f".{key}[{number}]: removed", {**rule, key: without(ports, number)}
        for what, mutated in _port_mistakes(port):
            yield f".{key}[{number}]: {what}", {**rule, key: replaced(ports, number, mutated)}


def _peer_mistakes(peer: Mapping[str, Any]) -> Iterator[tuple[str, Json]]:
    if "networks" in peer:
        networks = peer["networks"]
        for number, text in enumerate(networks):
            if len(networks) > 1:
                yield f": no {text}", {"networks": without(networks, number)}
            network = ipaddress.ip_network(text)
            if network.prefixlen:
                wider = [str(network.supernet(new_prefix=0)), *without(networks, number)]
                yield f": everything instead of {text}", {"networks": wider}
    elif "nodes" not in peer:
        yield from _pods_mistakes(peer)


def _pods_mistakes(peer: Mapping[str, Any]) -> Iterator[tuple[str, Json]]:
    if "namespaces" in peer:
        if peer["namespaces"]:
            yield ".namespaces: all", {"namespaces": {}}
        for what, selector in (*narrower(peer["namespaces"]), *inverted(peer["namespaces"])):
            yield f".namespaces: {what}", {"namespaces": selector}
        return
    pods = peer["pods"]
    for key in ("namespaceSelector", "podSelector"):
        selector = pods.get(key) or {}
        if selector:
            yield f".pods.{key}: all", {"pods": {**pods, key: {}}}
        for what, mutated in (*narrower(selector), *inverted(selector)):
            yield f".pods.{key}: {what}", {"pods": {**pods, key: mutated}}


def _port_mistakes(port: Mapping[str, Any]) -> Iterator[tuple[str, Json]]:
    ((kind, value),) = port.items()
    if isinstance(value, str):
        yield "another name", {kind: "mutant"}
    elif kind in _OTHER_PROTOCOL:
        yield f"{_OTHER_PROTOCOL[kind]} instead of {kind}", {_OTHER_PROTOCOL[kind]: value}
        inner = value["destinationPort"]
        if "range" in inner:
            for what, mutated in _range_mistakes(inner["range"]):
                yield what, {kind: {"destinationPort": {"range": mutated}}}
        else:
            number = inner["number"]
            yield f"{number + 1} instead of {number}", {kind: {"destinationPort": {"number": number + 1}}}
    else:
        protocol = value.get("protocol", "TCP")
        other = _OTHER_PROTOCOL[protocol.lower()].upper()
        yield f"{other} instead of {protocol}", {kind: {**value, "protocol": other}}
        if kind == "portRange":
            for what, mutated in _range_mistakes(value):
                yield what, {kind: mutated}
        else:
            number = value["port"]
            yield f"{number + 1} instead of {number}", {kind: {**value, "port": number + 1}}


def _range_mistakes(span: Mapping[str, Any]) -> Iterator[tuple[str, Json]]:
    start, end = span["start"], span["end"]
    if end - start > 1:
        yield f"from {start + 1}", {**span, "start": start + 1}
        yield f"to {end - 1}", {**span, "end": end - 1}
    yield f"from {start - 1}", {**span, "start": start - 1}
    yield f"to {end + 1}", {**span, "end": end + 1}
