"""Small mistakes in policies, made on purpose: would the cells of a scenario notice them?

Works on the manifest as parsed JSON. A mutant's id names the policy, the place in it and the mistake, so that
tables of known equivalents stay readable and stable.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.dialects.registry import parse_manifest
from harness.model.policy import Policy
from harness.model.scenario import Scenario, Step
from harness.source.diagnostics import Problems
from harness.source.nodes import MappingNode
from harness.source.reader import read_text
from tests.lab import admin_mutants
from tests.lab.selector_mutants import Json, inverted, narrower, nobody, replaced, without

_PEERS = {"ingress": "from", "egress": "to"}
_TYPES = {"ingress": "Ingress", "egress": "Egress"}
_OTHER_PROTOCOL = {"TCP": "UDP", "UDP": "TCP", "SCTP": "TCP"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One mistake in one policy of a scenario.

    Attributes:
        id: `namespace/name place: mistake`, with the step's name before it when the scenario has steps.
        step: Number of the step in which the policy is applied.
        original: The policy as shipped.
        policy: The policy with the mistake.
    """

    id: str
    step: int
    original: Policy
    policy: Policy


def mutants_of(scenario: Scenario) -> Iterator[Mutant]:
    """Every mutant of every policy, at every step that applies it."""
    for number, step in enumerate(scenario.steps):
        prefix = f"{step.name}: " if len(scenario.steps) > 1 else ""
        for policy in applied(scenario, number):
            for what, manifest in _mistakes(policy, step):
                yield Mutant(
                    f"{prefix}{name_of(policy)} {what}",
                    number,
                    policy,
                    reread(policy, manifest),
                )


def name_of(policy: Policy) -> str:
    """`namespace/name`, or `name` for policies of the whole cluster."""
    return f"{policy.namespace}/{policy.name}" if policy.namespace else policy.name


def _mistakes(policy: Policy, step: Step) -> Iterator[tuple[str, Json]]:
    if policy.dialect != "admin":
        return mistakes(policy.manifest)
    beside = [other.manifest for other in step.policies if other.ref != policy.ref]
    return admin_mutants.mistakes(policy.manifest, beside)


def applied(scenario: Scenario, number: int) -> Sequence[Policy]:
    """The policies that step `number` puts in force."""
    step = scenario.steps[number]
    return step.apply or (step.policies if number == 0 else ())


def reread(policy: Policy, manifest: Json) -> Policy:
    """The manifest as its dialect's parser reads it; it must be valid."""
    problems = Problems()
    (document,) = read_text(json.dumps(manifest), f"{policy.place.file}", problems)
    assert isinstance(document.root, MappingNode)
    read = parse_manifest(document.root, policy.namespace, problems)
    assert read is not None, [str(item) for item in problems.found]
    return read


def with_mutant(scenario: Scenario, mutant: Mutant) -> Scenario:
    """The scenario with the mutant in place of the original, until a later step applies the policy anew."""
    steps: list[Step] = []
    standing = False
    for number, step in enumerate(scenario.steps):
        anew = any(policy.ref == mutant.original.ref for policy in step.apply)
        standing = number == mutant.step or (standing and not anew)
        steps.append(_swap(step, mutant) if standing else step)
    return replace(scenario, steps=tuple(steps))


def as_steps(scenario: Scenario, mutants: Sequence[Mutant]) -> Scenario:
    """A scenario of one step becomes one of many: the original first, then a step per mutant.

    The world is built and controlled once for all of them.
    """
    (step,) = scenario.steps
    original = replace(step, apply=step.policies)
    steps = [original]
    for number, mutant in enumerate(mutants, start=1):
        changed = _swap(original, mutant)
        steps.append(replace(changed, name=f"mutant-{number}", add=(), apply=changed.policies))
    return replace(scenario, steps=tuple(steps))


def _swap(step: Step, mutant: Mutant) -> Step:
    def swapped(policies: Sequence[Policy]) -> tuple[Policy, ...]:
        return tuple(mutant.policy if item.ref == mutant.original.ref else item for item in policies)

    return replace(step, policies=swapped(step.policies), apply=swapped(step.apply))


# Mistakes ---------------------------------------------------------------------------------------------------


def mistakes(manifest: Mapping[str, Any]) -> Iterator[tuple[str, Json]]:
    """`(what, manifest)` for every mistake in a NetworkPolicy; each is a deep copy with a single change."""

    def change(what: str, edit: Callable[[Json], None]) -> tuple[str, Json]:
        mutated: Json = copy.deepcopy(dict(manifest))
        edit(mutated["spec"])
        return what, mutated

    spec = manifest["spec"]
    subject = spec.get("podSelector") or {}
    yield change("podSelector: selects nobody", lambda new: new.update(podSelector=nobody()))
    if subject:
        yield change("podSelector: selects everybody", lambda new: new.update(podSelector={}))
    for what, selector in narrower(subject):
        yield change(f"podSelector: {what}", lambda new, given=selector: new.update(podSelector=given))
    directions = _directions(spec)
    for direction in directions:
        # A policy of one direction is turned round: an empty list would mean the default again.
        kept = [
            _TYPES[item]
            for item in _PEERS
            if (item != direction and (item in directions or len(directions) == 1))
        ]
        yield change(f"policyTypes: not {direction}", lambda new, types=kept: new.update(policyTypes=types))
    for direction in directions:
        rules = spec.get(direction) or []
        if {} not in rules:
            yield change(
                f"{direction}: an empty rule added",
                lambda new, key=direction: new.update({key: [*(new.get(key) or []), {}]}),
            )
        for number, rule in enumerate(rules):
            place = f"{direction}[{number}]"
            yield change(f"{place}: removed", lambda new, key=direction, index=number: new[key].pop(index))
            for what, mutated in _rule_mistakes(rule, _PEERS[direction]):
                yield change(
                    f"{place}{what}",
                    lambda new, key=direction, index=number, given=mutated: new[key].__setitem__(
                        index, given
                    ),
                )


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
    for number, port in enumerate(ports):
        place = f".ports[{number}]"
        if len(ports) > 1:
            yield f"{place}: removed", {**rule, "ports": without(ports, number)}
        for what, mutated in _port_mistakes(port):
            yield f"{place}: {what}", {**rule, "ports": replaced(ports, number, mutated)}


def _peer_mistakes(peer: Mapping[str, Any]) -> Iterator[tuple[str, Json]]:
    if "ipBlock" in peer:
        block = peer["ipBlock"]
        for number, hole in enumerate(block.get("except") or []):
            rest = without(block["except"], number)
            yield f".ipBlock: no except {hole}", {"ipBlock": {**block, "except": rest}}
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
