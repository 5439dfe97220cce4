"""The shipped scenarios and the oracle were written apart from each other: they must not contradict."""

from __future__ import annotations

from pathlib import Path

from harness.model.verdict import Expected
from harness.oracle import predict, resolve
from harness.scenario import load

SCENARIOS = Path(__file__).parents[2] / "scenarios"
SILENT = (Expected.ORACLE, Expected.OBSERVE)


def test_the_oracle_contradicts_no_author() -> None:
    loaded = load([SCENARIOS])
    contradictions, decided = [], 0
    for scenario in loaded.scenarios:
        for step in scenario.steps:
            for cell in step.cells:
                expected = cell.expectation.default
                found = predict(step.topology, step.policies, cell.probe)
                if expected in SILENT or found.verdict == "undefined":
                    continue
                decided += 1
                if (found.verdict == "allow") is not (expected is Expected.ALLOW):
                    contradictions.append(f"{cell.place.short}: {cell.id}: {expected}, but {found.trace}")
    assert contradictions == []
    assert decided > 100


def test_no_cell_is_left_to_the_oracle_after_resolve() -> None:
    loaded = load([SCENARIOS])
    assert any(
        cell.expectation.default is Expected.ORACLE
        for scenario in loaded.scenarios
        for cell in scenario.cells
    )
    assert not any(
        cell.expectation.default is Expected.ORACLE
        for scenario in loaded.scenarios
        for cell in resolve(scenario).cells
    )
