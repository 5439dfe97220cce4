"""The parts of Calico's policies, by the names that traces use."""

from __future__ import annotations

from collections.abc import Iterator

from harness.dialects.calico.ends import in_words, transport_place
from harness.dialects.calico.types import DEFAULT_TIER, CalicoPolicy
from harness.dialects.parts import PolicyPart
from harness.model.policy import Policy
from harness.model.rules import Action, Direction


def parts(policy: Policy) -> Iterator[PolicyPart]:
    """Directions that isolate, rules with what they say of ends and protocols; rules that log decide nothing.

    Whether a tier of users' denies what none of its rules decides, its policies do not say.
    """
    spec = policy.parsed
    if not isinstance(spec, CalicoPolicy) or spec.staged or spec.hosts_only:
        return
    for direction in (Direction.INGRESS, Direction.EGRESS):
        if direction not in spec.directions:
            continue
        if spec.tier == DEFAULT_TIER:
            yield PolicyPart(str(direction), policy.place)
        for rule in spec.rules(direction):
            if rule.action is Action.LOG:
                continue
            yield PolicyPart(rule.name, rule.place)
            if not (rule.source.anybody and rule.destination.anybody):
                side = "source" if direction is Direction.INGRESS else "destination"
                yield PolicyPart(f"{rule.name}.{side}", rule.peer(direction).place)
            if in_words(rule):
                yield PolicyPart(f"{rule.name}.protocol", transport_place(rule))
