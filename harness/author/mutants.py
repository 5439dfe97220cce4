"""Small mistakes in policies, made on purpose: would the cells of a scenario notice them?

Works on the manifest as parsed JSON. A mutant's id names the policy, the place in it and the mistake, so that
tables of known equivalents stay readable and stable.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.dialects.registry import DIALECTS, parse_manifest
from harness.model.policy import Policy
from harness.model.scenario import Scenario, Step
from harness.source.diagnostics import Problems
from harness.source.nodes import MappingNode
from harness.source.reader import read_text


@dataclass(frozen=True, slots=True)
class Mutant:
    """One mistake in one policy of a scenario.

    Attributes:
        id: `namespace/name place: mistake`, with the step's name before it when the scenario has steps.
        step: Number of the step in which the policy is applied.
        original: The policy as it is.
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
                broken = reread(policy, manifest)
                # What the API server refuses, such as port 65536, is noticed without any cell.
                if broken is not None:
                    yield Mutant(f"{prefix}{name_of(policy)} {what}", number, policy, broken)


def name_of(policy: Policy) -> str:
    """`namespace/name`, or `name` for policies of the whole cluster."""
    return f"{policy.namespace}/{policy.name}" if policy.namespace else policy.name


def _mistakes(policy: Policy, step: Step) -> Iterator[tuple[str, dict[str, Any]]]:
    beside = [other.manifest for other in step.policies if other.ref != policy.ref]
    return DIALECTS[policy.dialect].mistakes(policy.manifest, beside)


def applied(scenario: Scenario, number: int) -> Sequence[Policy]:
    """The policies that step `number` puts in force."""
    step = scenario.steps[number]
    return step.apply or (step.policies if number == 0 else ())


def reread(policy: Policy, manifest: Mapping[str, Any]) -> Policy | None:
    """The manifest as its dialect's parser reads it; None when the API server would refuse it."""
    problems = Problems()
    (document,) = read_text(json.dumps(manifest), f"{policy.place.file}", problems)
    if not isinstance(document.root, MappingNode):
        return None
    return parse_manifest(document.root, policy.namespace, problems)


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
