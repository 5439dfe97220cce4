"""Small mistakes in NetworkPolicies, made on purpose: would the cells of a scenario notice them?"""

from __future__ import annotations

import copy
import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.dialects.mistaken_selectors import Json, inverted, narrower, nobody, replaced, without

_PEERS = {"ingress": "from", "egress": "to"}
_TYPES = {"ingress": "Ingress", "egress": "Egress"}
_OTHER_PROTOCOL = {"TCP": "UDP", "UDP": "TCP", "SCTP": "TCP"}


def mistakes(manifest: Mapping[str, Any]) -> Iterator[tuple[str, Json]]:
    """`(what, manifest)` for every mistake in a NetworkPolicy; each is a deep copy with a single change."""
    spec = manifest.get("spec") or {}

    def changed(**fields: Any) -> Json:
        return copy.deepcopy({**manifest, "spec": {**spec, **fields}})

    subject = spec.get("podSelector") or {}
    yield "podSelector: selects nobody", changed(podSelector=nobody())
    if subject:
        yield "podSelector: selects everybody", changed(podSelector={})
    for what, selector in narrower(subject):
        yield f"podSelector: {what}", changed(podSelector=selector)
    directions = _directions(spec)
    for direction in directions:
        # A policy of one direction is turned round: an empty list would mean the default again.
        kept = [
            _TYPES[item]
            for item in _PEERS
            if (item != direction and (item in directions or len(directions) == 1))
        ]
        yield f"policyTypes: not {direction}", changed(policyTypes=kept)
    for direction in directions:
        rules = spec.get(direction) or []
        if {} not in rules:
            yield f"{direction}: an empty rule added", changed(**{direction: [*rules, {}]})
        for number, rule in enumerate(rules):
            place = f"{direction}[{number}]"
            yield f"{place}: removed", changed(**{direction: without(rules, number)})
            for what, mutated in _rule_mistakes(rule, _PEERS[direction]):
                yield f"{place}{what}", changed(**{direction: replaced(rules, number, mutated)})


def _directions(spec: Mapping[str, Any]) -> list[str]:
    """Directions that the policy isolates, with the API server's defaults (semantics.md 3.1 no. 2)."""
    types = spec.get("policyTypes")
    if types:
        return [direction for direction, name in _TYPES.items() if name in types]
    return ["ingress", "egress"] if spec.get("egress") else ["ingress"]


def _rule_mistakes(rule: Mapping[str, Any], peers_key: str) -> Iterator[tuple[str, Json]]:
    peers = rule.get(peers_key) or []
    ports = rule.get("ports") or []
    for key, items, what in ((peers_key, peers, ": any peer"), ("ports", ports, ": any port")):
        if items:
            yield what, {name: value for name, value in rule.items() if name != key}
    for number, peer in enumerate(peers):
        place = f".{peers_key}[{number}]"
        if len(peers) > 1:
            yield f"{place}: removed", {**rule, peers_key: without(peers, number)}
        for what, mutated in _peer_mistakes(peer):
            yield f"{place}{what}", {**rule, peers_key: replaced(peers, number, mutated)}
        for what, several in _and_or(peers, number):
            yield f"{place}{what}", {**rule, peers_key: several}
    for number, port in enumerate(ports):
        place = f".ports[{number}]"
        if len(ports) > 1:
            yield f"{place}: removed", {**rule, "ports": without(ports, number)}
        for what, mutated in _port_mistakes(port):
            yield f"{place}: {what}", {**rule, "ports": replaced(ports, number, mutated)}


def _and_or(peers: Sequence[Mapping[str, Any]], number: int) -> Iterator[tuple[str, list[Any]]]:
    """One `- ` too many or too few: pods *in* namespaces become pods *or* namespaces, and back."""
    peer = peers[number]
    if peer.get("namespaceSelector") is not None and peer.get("podSelector") is not None:
        halves = [{"namespaceSelector": peer["namespaceSelector"]}, {"podSelector": peer["podSelector"]}]
        yield ": two alternatives of it", [*peers[:number], *halves, *peers[number + 1 :]]
    if number + 1 < len(peers) and set(peer) == {"namespaceSelector"}:
        after = peers[number + 1]
        if set(after) == {"podSelector"}:
            yield ": one with the next", [*peers[:number], {**peer, **after}, *peers[number + 2 :]]


def _peer_mistakes(peer: Mapping[str, Any]) -> Iterator[tuple[str, Json]]:
    if "ipBlock" in peer:
        block = peer["ipBlock"]
        for number, hole in enumerate(block.get("except") or []):
            rest = without(block["except"], number)
            yield f".ipBlock: no except {hole}", {"ipBlock": {**block, "except": rest}}
        network = ipaddress.ip_network(block["cidr"], strict=False)
        if network.prefixlen:
            wider = str(network.supernet())
            yield f".ipBlock: {wider} instead of {network}", {"ipBlock": {**block, "cidr": wider}}
        return
    keys = [key for key in ("namespaceSelector", "podSelector") if key in peer]
    for key in keys:
        if len(keys) > 1:
            yield f": no {key}", {name: value for name, value in peer.items() if name != key}
        if not peer[key]:
            other = "podSelector" if key == "namespaceSelector" else "namespaceSelector"
            if other not in peer:
                yield f": {key} becomes {other}", {other: {}}
        for what, selector in narrower(peer[key]):
            yield f".{key}: {what}", {**peer, key: selector}
        for what, selector in inverted(peer[key]):
            yield f".{key}: {what}", {**peer, key: selector}


def _port_mistakes(port: Mapping[str, Any]) -> Iterator[tuple[str, Json]]:
    protocol = port.get("protocol", "TCP")
    other = _OTHER_PROTOCOL[protocol]
    yield f"{other} instead of {protocol}", {**port, "protocol": other}
    number = port.get("port")
    if isinstance(number, str):
        yield "another name", {**port, "port": "mutant"}
    elif number is not None and "endPort" not in port:
        yield f"{number + 1} instead of {number}", {**port, "port": number + 1}
    elif number is not None:
        end = port["endPort"]
        yield f"from {number - 1}", {**port, "port": number - 1}
        yield f"to {end + 1}", {**port, "endPort": end + 1}
        if end > number:
            yield f"from {number + 1}", {**port, "port": number + 1}
            yield f"to {end - 1}", {**port, "endPort": end - 1}
            yield "no endPort", {key: value for key, value in port.items() if key != "endPort"}
