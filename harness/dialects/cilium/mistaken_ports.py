"""Small mistakes in `toPorts` of Cilium's rules: ports, and what is looked for behind them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from harness.dialects.mistaken_selectors import Json, replaced, without

Made = Iterator[tuple[str, Json]]

_OTHER_PROTOCOL = {"TCP": "UDP", "UDP": "TCP", "SCTP": "TCP"}
_OTHER_METHOD = {"GET": "POST"}


def port_rule_mistakes(item: Mapping[str, Any]) -> Made:
    """Mistakes in one item of `toPorts`, each beginning with the place inside of it."""
    ports = item.get("ports") or []
    rules = item.get("rules") or {}
    for number, port in enumerate(ports):
        place = f".ports[{number}]"
        if len(ports) > 1:
            yield f"{place}: removed", {**item, "ports": without(ports, number)}
        for what, mutated in _port_mistakes(port, looked_into=bool(rules.get("http") or rules.get("dns"))):
            yield f"{place}: {what}", {**item, "ports": replaced(ports, number, mutated)}
    for key in ("http", "dns"):
        found = rules.get(key) or []
        if found:
            yield f": no {key} rules", {name: value for name, value in item.items() if name != "rules"}
        for number, rule in enumerate(found):
            place = f".rules.{key}[{number}]"
            if len(found) > 1:
                yield f"{place}: removed", {**item, "rules": {key: without(found, number)}}
            made = _http_mistakes(rule) if key == "http" else _name_mistakes(rule)
            for what, mutated in made:
                yield f"{place}: {what}", {**item, "rules": {key: replaced(found, number, mutated)}}
    names = item.get("serverNames") or []
    if names:
        yield ": any server name", {key: value for key, value in item.items() if key != "serverNames"}
    for number, name in enumerate(names):
        if len(names) > 1:
            yield f".serverNames[{number}]: removed", {**item, "serverNames": without(names, number)}
        other = f"mutant.{name.lstrip('*.')}"
        yield f".serverNames[{number}]: another", {**item, "serverNames": replaced(names, number, other)}


def _port_mistakes(port: Mapping[str, Any], *, looked_into: bool) -> Made:
    protocol = port.get("protocol", "ANY")
    if protocol in _OTHER_PROTOCOL and not looked_into:
        other = _OTHER_PROTOCOL[protocol]
        yield f"{other} instead of {protocol}", {**port, "protocol": other}
    text = port["port"]
    if not text.isdecimal():
        yield "another name", {**port, "port": "mutant"}
        return
    number = int(text)
    if not number:
        return
    end = port.get("endPort", 0)
    if end <= number:
        yield f"{number + 1} instead of {number}", {**port, "port": str(number + 1)}
        return
    yield f"from {number - 1}", {**port, "port": str(number - 1)}
    yield f"to {end + 1}", {**port, "endPort": end + 1}
    yield f"from {number + 1}", {**port, "port": str(number + 1)}
    yield f"to {end - 1}", {**port, "endPort": end - 1}


def _http_mistakes(rule: Mapping[str, Any]) -> Made:
    for key in rule:
        yield f"any {key}", {name: value for name, value in rule.items() if name != key}
    if "method" in rule:
        other = _OTHER_METHOD.get(rule["method"], "GET")
        yield f"method {other} instead of {rule['method']}", {**rule, "method": other}
    if "path" in rule:
        if not rule["path"].endswith(".*"):
            yield "a path that goes on", {**rule, "path": f"{rule['path']}.*"}
        else:
            yield "a path that ends", {**rule, "path": rule["path"].removesuffix(".*")}
    headers = rule.get("headers") or []
    for number, header in enumerate(headers):
        if len(headers) > 1:
            yield f"no header {header}", {**rule, "headers": without(headers, number)}
        name, space, _ = header.partition(" ")
        other = f"{name} mutant" if space else "X-Mutant"
        yield f"another {name.removesuffix(':')}", {**rule, "headers": replaced(headers, number, other)}
        if space and re.fullmatch(r"[\w-]+:?", name):
            present = name.removesuffix(":")
            yield f"any {present}", {**rule, "headers": replaced(headers, number, present)}


def _name_mistakes(rule: Mapping[str, Any]) -> Made:
    key, text = next(iter(rule.items()))
    yield "another name", {key: f"mutant.{text.lstrip('*.')}" if text.strip("*.") else "mutant.example.com"}
    if text != "*":
        yield "any name", {"matchPattern": "*"}
