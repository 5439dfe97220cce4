"""Small mistakes in Cilium's objects, made on purpose; see `dialects.kubernetes.mistakes`."""

from __future__ import annotations

import copy
import ipaddress
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from harness.dialects.cilium.groups import KIND
from harness.dialects.cilium.mistaken_ports import port_rule_mistakes
from harness.dialects.mistaken_selectors import Json, inverted, narrower, nobody, replaced, without

Made = Iterator[tuple[str, Json]]

_SIDES = {"ingress": "from", "ingressDeny": "from", "egress": "to", "egressDeny": "to"}
_EVERYBODY = ("Entities", ["all"])
_OTHER_ENTITY = {
    "all": "cluster",
    "world": "cluster",
    "cluster": "world",
    "host": "remote-node",
    "remote-node": "host",
    "kube-apiserver": "cluster",
}
_UNSEEN_ENTITIES = {"none", "init", "health", "ingress", "unmanaged"}
"""No probe begins or ends there, so nothing tells whether they are let through."""


def mistakes(manifest: Mapping[str, Any]) -> Made:
    """`(what, manifest)` for every mistake; each is a deep copy with a single change."""

    def changed(**fields: Any) -> Json:
        return copy.deepcopy({**manifest, **fields})

    spec = manifest.get("spec")
    if manifest.get("kind") == KIND:
        for what, networks in _networks(manifest["spec"]["externalCIDRs"]):
            yield f"externalCIDRs{what}", changed(spec={"externalCIDRs": networks})
        return
    if spec is not None:
        for what, mutated in _spec_mistakes(spec):
            yield what, changed(spec=mutated)
    specs = manifest.get("specs") or []
    for number, item in enumerate(specs):
        if len(specs) > 1:
            yield f"specs[{number}]: removed", changed(specs=without(specs, number))
        for what, mutated in _spec_mistakes(item):
            yield f"specs[{number}].{what}", changed(specs=replaced(specs, number, mutated))


def _spec_mistakes(spec: Mapping[str, Any]) -> Made:
    subject = spec.get("endpointSelector")
    if subject is None:
        return
    yield "endpointSelector: selects nobody", {**spec, "endpointSelector": nobody()}
    if subject:
        yield "endpointSelector: selects everybody", {**spec, "endpointSelector": {}}
    for what, selector in narrower(subject):
        yield f"endpointSelector: {what}", {**spec, "endpointSelector": selector}
    given = [name for name in _SIDES if spec.get(name)]
    defaults = spec.get("enableDefaultDeny") or {}
    for direction in ("ingress", "egress"):
        if direction in given or f"{direction}Deny" in given:
            other = not defaults.get(direction, True)
            text = f"enableDefaultDeny.{direction}: {str(other).lower()}"
            yield text, {**spec, "enableDefaultDeny": {**defaults, direction: other}}
    for name in given:
        rules = spec[name]
        if len(rules) > 1 or len(given) > 1:
            for number in range(len(rules)):
                if rules != [{}]:
                    yield f"{name}[{number}]: removed", _without_rule(spec, name, number)
        for number, rule in enumerate(rules):
            for what, mutated in _rule_mistakes(rule, name):
                yield f"{name}[{number}]{what}", {**spec, name: replaced(rules, number, mutated)}


def _without_rule(spec: Mapping[str, Any], name: str, number: int) -> Json:
    """The direction stays isolated, as it would be if the author had only forgotten the rule."""
    rules = without(spec[name], number)
    return {**spec, name: rules} if rules else {**spec, name: [{}]}


def _rule_mistakes(rule: Mapping[str, Any], name: str) -> Made:
    side = _SIDES[name]
    deny = name.endswith("Deny")
    keys = [key for key in rule if key.startswith(side) and key != "toPorts"]
    rest = {key: value for key, value in rule.items() if key not in keys}
    everybody = {**rest, f"{side}{_EVERYBODY[0]}": _EVERYBODY[1]}
    # Ports without peers are everybody's already.
    if everybody != rule and (keys or not _narrowed(rule)):
        yield ": any peer", everybody
    for key in keys:
        peers = rule[key] or []
        for number, peer in enumerate(peers):
            place = f".{key}[{number}]"
            if len(peers) > 1 and _seen(peer):
                yield f"{place}: removed", {**rule, key: without(peers, number)}
            for what, mutated in _peer_mistakes(key.removeprefix(side), peer):
                yield f"{place}{what}", {**rule, key: replaced(peers, number, mutated)}
    ports = rule.get("toPorts") or []
    if _narrowed(rule):
        plain = {key: value for key, value in rule.items() if key not in ("toPorts", "icmps")}
        if any(rule.get(key) for key in keys):
            yield ": any port", plain
    for number, item in enumerate(ports):
        place = f".toPorts[{number}]"
        if len(ports) > 1:
            yield f"{place}: removed", {**rule, "toPorts": without(ports, number)}
        for what, mutated in port_rule_mistakes(item):
            yield f"{place}{what}", {**rule, "toPorts": replaced(ports, number, mutated)}
    mode = (rule.get("authentication") or {}).get("mode")
    if mode == "test-always-fail":
        yield ": authentication disabled", {**rule, "authentication": {"mode": "disabled"}}
    elif not deny and not mode and _means_somebody(rule, keys):
        yield ": authentication that always fails", {**rule, "authentication": {"mode": "test-always-fail"}}


def _narrowed(rule: Mapping[str, Any]) -> bool:
    return bool(rule.get("toPorts") or rule.get("icmps"))


def _means_somebody(rule: Mapping[str, Any], keys: Sequence[str]) -> bool:
    """Whether a probe can meet the rule at all."""
    peers = [peer for key in keys for peer in rule[key] or [] if _seen(peer)]
    return bool(peers) or (not keys and _narrowed(rule))


def _seen(peer: Any) -> bool:
    return not isinstance(peer, str) or peer not in _UNSEEN_ENTITIES


def _peer_mistakes(kind: str, peer: Any) -> Iterator[tuple[str, Any]]:
    made: dict[str, Callable[[Any], Iterator[tuple[str, Any]]]] = {
        "Endpoints": _selector_mistakes,
        "Nodes": _selector_mistakes,
        "Entities": _entity_mistakes,
        "CIDR": _cidr_mistakes,
        "CIDRSet": _rule_of_cidr_mistakes,
        "Services": _service_mistakes,
        "FQDNs": _name_mistakes,
    }
    yield from made[kind](peer) if kind in made else ()


def _selector_mistakes(selector: Mapping[str, Any]) -> Made:
    if selector:
        yield ": everybody", {}
    for what, mutated in (*narrower(selector), *inverted(selector)):
        # Labels that only have to be there have no other value.
        if all(not value.startswith("-") for value in (mutated.get("matchLabels") or {}).values()):
            yield f": {what}", mutated


def _entity_mistakes(entity: str) -> Iterator[tuple[str, str]]:
    if entity in _OTHER_ENTITY:
        other = _OTHER_ENTITY[entity]
        yield f": {other} instead of {entity}", other


def _cidr_mistakes(text: str) -> Iterator[tuple[str, str]]:
    network = ipaddress.ip_network(text, strict=False)
    if network.prefixlen:
        wider = str(network.supernet())
        yield f": {wider} instead of {network}", wider


def _networks(networks: list[str]) -> Iterator[tuple[str, list[str]]]:
    for number, text in enumerate(networks):
        yield f"[{number}]: removed", without(networks, number)
        for what, wider in _cidr_mistakes(text):
            yield f"[{number}]{what}", replaced(networks, number, wider)


def _rule_of_cidr_mistakes(item: Mapping[str, Any]) -> Made:
    holes = item.get("except") or []
    for number, hole in enumerate(holes):
        rest = without(holes, number)
        plain = {key: value for key, value in item.items() if key != "except"}
        yield f": no except {hole}", {**plain, "except": rest} if rest else plain
    if "cidr" in item:
        for what, wider in _cidr_mistakes(item["cidr"]):
            yield what, {**item, "cidr": wider}
    elif "cidrGroupRef" in item:
        yield ": another group", {**item, "cidrGroupRef": "mutant"}
    else:
        for what, mutated in _selector_mistakes(item["cidrGroupSelector"]):
            yield f".cidrGroupSelector{what}", {**item, "cidrGroupSelector": mutated}


def _service_mistakes(item: Mapping[str, Any]) -> Made:
    if "k8sService" in item:
        yield ": another service", {"k8sService": {**item["k8sService"], "serviceName": "mutant"}}


def _name_mistakes(item: Mapping[str, Any]) -> Made:
    key, text = next(iter(item.items()))
    yield ": another name", {key: f"mutant.{text.lstrip('*.')}"}
    if text != "*":
        yield ": any name", {"matchPattern": "*"}
