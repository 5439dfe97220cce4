"""Would the shipped scenarios notice a broken policy? Each mistake is enforced and must make a cell fail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from harness.author.mutants import Mutant, as_steps, mutants_of, with_mutant
from harness.clusters.lab.cluster import LabCluster
from harness.engine.run import run
from harness.model.result import ScenarioResult
from harness.model.scenario import Scenario
from harness.model.verdict import Status
from tests.lab.shipped import ready_scenarios
from tests.lab.survivors import EQUIVALENT

pytestmark = pytest.mark.lab

PER_WORLD = 16
"""How many mutants share one built world; more worlds side by side use the time that denied probes wait."""

JOBS = 8


@dataclass(frozen=True, slots=True)
class Batch:
    """Mutants of one scenario that share one built world.

    Attributes:
        steps: Per mutant the numbers of the steps in which it stands.
    """

    shipped: str
    scenario: Scenario
    mutants: tuple[Mutant, ...]
    steps: tuple[range, ...]


def _plan() -> dict[str, Batch]:
    """What to run: most scenarios of one step take many mutants as steps, the others one mutant at a time."""
    plan: dict[str, Batch] = {}
    for scenario in ready_scenarios():
        mutants = tuple(mutants_of(scenario))
        # What pods learned of names outlives a policy, so there every mutant has a world of its own.
        single = len(scenario.steps) == 1 and "fqdn" not in scenario.needs
        size = PER_WORLD if single else 1
        for number in range(0, len(mutants), size):
            some = mutants[number : number + size]
            name = f"{scenario.name}-m{number}"
            changed = as_steps(scenario, some) if single else with_mutant(scenario, some[0])
            steps = tuple(range(step, step + 1) for step in range(1, len(some) + 1))
            if not single:
                steps = (range(some[0].step, len(scenario.steps)),)
            plan[name] = Batch(scenario.name, replace(changed, name=name), some, steps)
    return plan


def _survivors(batch: Batch, result: ScenarioResult) -> Iterator[str]:
    """Ids of the mutants that no cell noticed; before and beside the mistakes everything must pass."""
    assert result.error == "", f"{result.scenario.name}: {result.error}"
    mutated = {number for steps in batch.steps for number in steps}
    for number, step in enumerate(result.steps):
        trouble = [f"{cell.id}: {cell.reason}" for cell in step.cells if cell.status is Status.ERROR]
        assert trouble == [], f"{result.scenario.name}, {step.name}"
        if number not in mutated:
            wrong = [f"{cell.id}: {cell.reason}" for cell in step.cells if cell.status is Status.FAILED]
            assert wrong == [], f"{result.scenario.name}, {step.name}"
    for mutant, steps in zip(batch.mutants, batch.steps, strict=True):
        cells = [cell for number in steps for cell in result.steps[number].cells]
        if not any(cell.status is Status.FAILED for cell in cells):
            yield mutant.id


def test_every_mistake_makes_a_cell_fail() -> None:
    plan = _plan()
    cluster = LabCluster("lab")
    try:
        result = run([batch.scenario for batch in plan.values()], cluster, lambda _event: None, jobs=JOBS)
    finally:
        cluster.close()
    survivors, skipped = set(), set()
    for item in result.scenarios:
        batch = plan[item.scenario.name]
        if item.skipped:
            assert set(item.scenario.needs) - result.backend.features, item.skipped
            skipped.add(batch.shipped)
        else:
            survivors |= {(batch.shipped, id) for id in _survivors(batch, item)}
    assert survivors == {pair for pair in EQUIVALENT if pair[0] not in skipped}
    assert len(result.scenarios) == len(plan) > len(skipped)
