"""The parts of Cilium's policies, by the names that traces use."""

from __future__ import annotations

from collections.abc import Iterator

from harness.dialects.applications import FIELDS
from harness.dialects.cilium.types import CiliumPolicy, CiliumRule
from harness.dialects.parts import PolicyPart
from harness.model.policy import Policy
from harness.model.rules import Direction


def parts(policy: Policy) -> Iterator[PolicyPart]:
    """Directions that isolate, rules with their peers and ports; idle rules deny, and so have no part."""
    if not isinstance(policy.parsed, CiliumPolicy):
        return
    isolated: set[Direction] = set()
    for spec in policy.parsed.specs:
        if spec.subject is None:
            continue
        for direction in (Direction.INGRESS, Direction.EGRESS):
            if direction in spec.isolates and direction not in isolated:
                isolated.add(direction)
                yield PolicyPart(str(direction), policy.place)
            for rule in spec.rules(direction):
                yield from _of_rule(rule)


def _of_rule(rule: CiliumRule) -> Iterator[PolicyPart]:
    if rule.idle:
        return
    yield PolicyPart(rule.name, rule.place)
    for number, peer in enumerate(rule.peers or ()):
        yield PolicyPart(f"{rule.name}.{rule.side}[{number}]", peer.place)
    for number, item in enumerate(rule.ports):
        for index, port in enumerate(item.ports):
            yield PolicyPart(f"{rule.name}.toPorts[{number}].ports[{index}]", port.place)
        for index, place in enumerate(item.places if item.application is not None else ()):
            kind = FIELDS[type(item.application)]
            yield PolicyPart(f"{rule.name}.toPorts[{number}].{kind}[{index}]", place)
    for number, field in enumerate(rule.icmps):
        yield PolicyPart(f"{rule.name}.icmps[{number}]", field.place)
