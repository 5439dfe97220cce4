"""The scenarios that the project ships, ready to run: cells that the oracle has to fill in are filled in."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from harness.model.scenario import Scenario
from harness.oracle.resolve import resolve
from harness.scenario import load
from harness.source.diagnostics import Severity

ROOT = Path(__file__).resolve().parents[2] / "scenarios"


@cache
def ready_scenarios() -> tuple[Scenario, ...]:
    """All of them; the loader must find nothing wrong."""
    loaded = load([ROOT])
    errors = [str(item) for item in loaded.problems if item.severity is Severity.ERROR]
    assert errors == []
    return tuple(resolve(scenario) for scenario in loaded.scenarios)
