"""Every shipped scenario, with real packets, in one run of the engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.clusters.lab.cluster import LabCluster
from harness.engine.plan import needs
from harness.engine.run import run
from harness.model.result import RunResult, ScenarioResult
from harness.model.verdict import Status
from tests.lab.shipped import ready_scenarios

pytestmark = pytest.mark.lab

NAMES = sorted(scenario.name for scenario in ready_scenarios())


@pytest.fixture(scope="module")
def result() -> Iterator[RunResult]:
    cluster = LabCluster("lab")
    try:
        yield run(ready_scenarios(), cluster, lambda _event: None, jobs=4)
    finally:
        cluster.close()


def _of(result: RunResult, name: str) -> ScenarioResult:
    (found,) = (item for item in result.scenarios if item.scenario.name == name)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_scenario_passes(result: RunResult, name: str) -> None:
    scenario = _of(result, name)
    if scenario.skipped:
        missing = needs(scenario.scenario).keys() - result.backend.features
        assert missing, f"skipped although nothing is missing: {scenario.skipped}"
        pytest.skip(scenario.skipped)
    assert scenario.error == ""
    wrong = [
        f"{cell.id}: {cell.status}: {cell.reason}"
        for cell in scenario.cells
        if cell.status is not Status.PASSED
    ]
    assert wrong == []
    assert scenario.cells


def test_every_scenario_ran_once(result: RunResult) -> None:
    assert sorted(item.scenario.name for item in result.scenarios) == NAMES
