"""Which parts of the policies the cells of scenarios exercise.

A part is exercised when the verdict of a cell rests on it, by the oracle: a rule, peer or port that lets a
connection through which nothing else stops, or that denies it; and a policy as a whole when a cell is denied
because it isolates the pod. Whether a cell would *notice* a mistake there is a stronger question.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.author.guess import guess
from harness.author.pairs import probes
from harness.dialects.registry import DIALECTS, carried
from harness.model.policy import Policy
from harness.model.prediction import Answer
from harness.model.probe import Probe
from harness.model.rules import Action
from harness.model.scenario import Scenario
from harness.model.topology import Topology
from harness.model.trace import RuleTrace, SideTrace
from harness.model.verdict import Expected
from harness.oracle import trace
from harness.source import Place


@dataclass(frozen=True, slots=True)
class Key:
    """A part of a policy: the policy's place and the part's name, such as `ingress[0].from[1]`."""

    policy: Place
    name: str


@dataclass(frozen=True, slots=True)
class Covered:
    """One part, and the first cell that exercises it; empty when none does."""

    policy: Policy
    name: str
    place: Place
    cell: str = ""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A cell that would exercise parts which none does.

    Attributes:
        world: The world in which it can be probed: the scenario's, or one with more pods.
        parts: Names of the parts, with their policy.
    """

    scenario: Scenario
    probe: Probe
    allowed: bool
    world: Topology
    parts: tuple[str, ...]


def coverage(scenarios: Iterable[Scenario]) -> tuple[Covered, ...]:
    """Every part of every policy that some scenario uses, in the order of the files."""
    parts: dict[Key, Covered] = {}
    by: dict[Key, str] = {}
    for scenario in scenarios:
        for step in scenario.steps:
            for policy in step.policies:
                for part in DIALECTS[policy.dialect].parts(policy):
                    parts.setdefault(Key(policy.place, part.name), Covered(policy, part.name, part.place))
            if carried(step.policies):
                continue
            for cell in step.cells:
                if cell.expectation.default is Expected.OBSERVE:
                    continue
                name = f"{scenario.name}::{step.name}::{cell.id}"
                for key in exercised(trace(step.topology, step.policies, cell.probe)):
                    by.setdefault(key, name)
    found = [Covered(item.policy, item.name, item.place, by.get(key, "")) for key, item in parts.items()]
    return tuple(sorted(found, key=lambda item: (item.policy.place, item.place, item.name)))


def exercised(sides: Sequence[SideTrace]) -> Iterator[Key]:
    """The parts on which the verdict of a probe rests."""
    allowed = all(side.answer is Answer.ALLOW for side in sides)
    for side in sides:
        if side.answer is Answer.UNDEFINED or (side.answer is Answer.ALLOW and not allowed):
            continue
        for tier in side.tiers:
            for policy in tier.policies:
                place = policy.origin.place
                if place is None:
                    continue
                if policy.decides and policy.isolates and side.answer is Answer.DENY:
                    yield Key(place, str(side.direction))
                for rule in policy.rules:
                    if _counts(rule, side.answer):
                        yield Key(place, rule.origin.rule)
                        for part in (*rule.peers, *rule.ports):
                            if part.matched:
                                yield Key(place, f"{rule.origin.rule}.{part.name}")


def _counts(rule: RuleTrace, answer: Answer) -> bool:
    if not rule.reached or rule.matched is not True:
        return False
    if rule.action is Action.PASS:
        return True
    return rule.decides and (rule.action is Action.ALLOW) is (answer is Answer.ALLOW)


def suggestions(scenarios: Iterable[Scenario], missing: Iterable[Covered]) -> Iterator[Suggestion]:
    """Cells for parts that none exercises, found one by one; a part that no probe can reach gets none."""
    wanted = {Key(item.policy.place, item.name): item for item in missing}
    for scenario in scenarios:
        for step in scenario.steps:
            places = {policy.place for policy in step.policies}
            mine = {key for key in wanted if key.policy in places}
            if not mine or carried(step.policies):
                continue
            for world in (step.topology, guess(step.policies, step.topology)):
                for probe in probes(world):
                    if not mine:
                        break
                    sides = trace(world, step.policies, probe)
                    hit = mine.intersection(exercised(sides))
                    if hit:
                        names = sorted(f"{wanted[key].name} of {wanted[key].policy}" for key in hit)
                        allowed = all(side.answer is Answer.ALLOW for side in sides)
                        yield Suggestion(scenario, probe, allowed, world, tuple(names))
                        mine -= hit
                        for key in hit:
                            del wanted[key]
