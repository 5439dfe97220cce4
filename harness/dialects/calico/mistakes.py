"""Small mistakes in Calico's objects, made on purpose; see `dialects.kubernetes.mistakes`."""

from __future__ import annotations

import copy
import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

from harness.dialects.calico.mistaken_expressions import changed_selectors
from harness.dialects.mistaken_selectors import Json, replaced, without

Made = Iterator[tuple[str, Json]]

_NOBODY = "netcheck-mutant == 'nobody'"
_OTHER_ACTION = {"Allow": "Deny", "Deny": "Allow", "Pass": "Allow"}
_OTHER_PROTOCOL = {"TCP": "UDP", "UDP": "TCP", "SCTP": "TCP"}
_POLICIES = ("NetworkPolicy", "GlobalNetworkPolicy")
_SIDES = ("source", "destination")


def mistakes(manifest: Mapping[str, Any]) -> Made:
    """`(what, manifest)` for every mistake; each is a deep copy with a single change.

    What is staged is not enforced, so that no mistake in it could be noticed.
    """
    kind, spec = manifest.get("kind"), manifest.get("spec") or {}
    made: Made = iter(())
    if kind in _POLICIES:
        made = _policy(spec)
    elif kind in ("NetworkSet", "GlobalNetworkSet"):
        made = _field(spec, "nets", _networks(spec.get("nets") or []))
    elif kind == "Tier":
        other = "Deny" if spec.get("defaultAction") == "Pass" else "Pass"
        made = iter([(f"defaultAction: {other}", {**spec, "defaultAction": other})])
    for what, mutated in made:
        yield what, copy.deepcopy({**manifest, "spec": mutated})


def _policy(spec: Mapping[str, Any]) -> Made:
    subject = spec.get("selector") or ""
    yield "selector: selects nobody", {**spec, "selector": _NOBODY}
    if subject and subject.replace(" ", "") != "all()":
        yield "selector: selects everybody", {**spec, "selector": "all()"}
    for what, text in changed_selectors(subject, inverted=False):
        yield f"selector: {what}", {**spec, "selector": text}
    for name in ("namespaceSelector", "serviceAccountSelector"):
        if spec.get(name):
            yield f"{name}: removed", _less(spec, name)
    if "order" in spec:
        yield "order: none", _less(spec, "order")
    given = [name for name in ("ingress", "egress") if spec.get(name)]
    types = spec.get("types") or [name.capitalize() for name in given] or ["Ingress"]
    for direction in types:
        kept = [one for one in types if one != direction]
        # A policy of one direction is turned round: an empty list would mean the default again.
        other = "Egress" if direction == "Ingress" else "Ingress"
        yield f"types: not {direction}", {**spec, "types": kept or [other]}
    for name in given:
        if name.capitalize() in types:
            # What `types` says by default must not change with the rules.
            fixed = {**spec, "types": types}
            yield from _rules(fixed, name)


def _rules(spec: Mapping[str, Any], name: str) -> Made:
    rules = spec[name]
    for number, rule in enumerate(rules):
        place = f"{name}[{number}]"
        if rule["action"] == "Log":
            continue
        yield f"{place}: removed", {**spec, name: without(rules, number)}
        after = rules[number + 1] if number + 1 < len(rules) else None
        if after is not None and after["action"] != rule["action"]:
            turned = [*rules[:number], after, rule, *rules[number + 2 :]]
            yield f"{place}: behind the next", {**spec, name: turned}
        for what, mutated in _rule(rule):
            yield f"{place}{what}", {**spec, name: replaced(rules, number, mutated)}


def _rule(rule: Mapping[str, Any]) -> Made:
    action = rule["action"]
    yield f": {_OTHER_ACTION[action]} instead of {action}", {**rule, "action": _OTHER_ACTION[action]}
    for name in ("icmp", "notICMP", "notProtocol", "ipVersion"):
        if rule.get(name):
            yield f": no {name}", _less(rule, name)
    protocol = str(rule.get("protocol") or "")
    if protocol in _OTHER_PROTOCOL and not rule.get("http"):
        other = _OTHER_PROTOCOL[protocol]
        yield f": {other} instead of {protocol}", {**rule, "protocol": other}
        if not any((rule.get(side) or {}).get(name) for side in _SIDES for name in ("ports", "notPorts")):
            yield ": any protocol", _less(rule, "protocol")
    for side in _SIDES:
        entity = rule.get(side) or {}
        ports = {name: entity[name] for name in ("ports", "notPorts") if name in entity}
        if set(entity) - set(ports):
            yield f".{side}: anybody", {**rule, side: ports}
        for name in ports:
            if entity[name]:
                yield f".{side}: no {name}", {**rule, side: _less(entity, name)}
        for what, mutated in _entity(entity):
            yield f".{side}{what}", {**rule, side: mutated}


def _entity(entity: Mapping[str, Any]) -> Made:
    several = len(set(entity) - {"ports", "notPorts"}) > 1
    for name in ("selector", "notSelector", "namespaceSelector"):
        if not entity.get(name):
            continue
        if several:
            yield f": no {name}", _less(entity, name)
        for what, text in changed_selectors(entity[name], inverted=True):
            yield f".{name}: {what}", {**entity, name: text}
    accounts = entity.get("serviceAccounts") or {}
    names = accounts.get("names") or []
    for number, name in enumerate(names):
        other = replaced(names, number, f"{name}-mutant")
        yield f".serviceAccounts: another {name}", {**entity, "serviceAccounts": {**accounts, "names": other}}
    for name in ("nets", "notNets"):
        yield from _field(entity, name, _networks(entity.get(name) or []), ".")
    for name in ("ports", "notPorts"):
        yield from _field(entity, name, _ports(entity.get(name) or []), ".")
    services = entity.get("services")
    if services:
        yield ".services: another service", {**entity, "services": {**services, "name": "mutant"}}


def _field(
    holder: Mapping[str, Any], name: str, lists: Iterator[tuple[str, list[Any]]], dot: str = ""
) -> Made:
    for what, items in lists:
        yield f"{dot}{name}{what}", {**holder, name: items} if items else _less(holder, name)


def _networks(networks: list[Any]) -> Iterator[tuple[str, list[Any]]]:
    for number, text in enumerate(networks):
        if len(networks) > 1:
            yield f"[{number}]: removed", without(networks, number)
        network = ipaddress.ip_network(text, strict=False)
        if network.prefixlen:
            wider = str(network.supernet())
            yield f"[{number}]: {wider} instead of {network}", replaced(networks, number, wider)


def _ports(ports: list[Any]) -> Iterator[tuple[str, list[Any]]]:
    for number, port in enumerate(ports):
        if len(ports) > 1:
            yield f"[{number}]: removed", without(ports, number)
        first, colon, last = str(port).partition(":")
        if not first.isdecimal():
            yield f"[{number}]: another name", replaced(ports, number, "mutant")
        elif not colon:
            other = int(first) + 1
            yield f"[{number}]: {other} instead of {first}", replaced(ports, number, other)
        else:
            low, high = int(first), int(last)
            for text in (f"{low - 1}:{high}", f"{low}:{high + 1}", f"{low + 1}:{high}", f"{low}:{high - 1}"):
                yield f"[{number}]: {text} instead of {port}", replaced(ports, number, text)


def _less(holder: Mapping[str, Any], name: str) -> Json:
    return {key: value for key, value in holder.items() if key != name}
