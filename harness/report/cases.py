"""A run as test cases, one per cell: what JUnit and pytest say of it, and say alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.model.result import Backend, CellResult, ScenarioResult
from harness.model.scenario import Scenario
from harness.model.verdict import Status
from harness.report.failures import details, headline
from harness.source.place import Place


@dataclass(frozen=True, slots=True)
class Case:
    """One cell as a test case.

    Attributes:
        step: Name of its step.
        id: The cell's id, or that of its result; empty for a scenario that has none to speak of.
        message: One sentence, for a wrong verdict and an error led by the place; empty for a pass.
        details: Labels and texts of what there is to say about it.
        remarks: What a reader should know of a pass.
        seconds: How long the probe took; None when it was not measured.
        result: None when it was not measured.
    """

    step: str
    id: str
    place: Place
    status: Status
    message: str = ""
    details: tuple[tuple[str, str], ...] = ()
    remarks: tuple[str, ...] = ()
    seconds: float | None = None
    result: CellResult | None = None

    @property
    def name(self) -> str:
        """`step::cell-id`."""
        return f"{self.step}::{self.id}" if self.id else "scenario"


def cases(result: ScenarioResult, backend: Backend) -> Iterator[Case]:
    """The cases of a scenario: measured cells, then those that were not measured, which say why.

    Args:
        result: What became of the scenario.
        backend: Where it was measured.
    """
    for step in result.steps:
        for cell in step.cells:
            yield of_cell(result.scenario, step.name, cell, backend)
    missing = result.unmeasured
    for name, planned in missing:
        yield _unmeasured(result, name, planned.id, planned.place)
    if not missing and (result.error or result.skipped):
        # It counts, though no cell of it is left to say so.
        yield _unmeasured(result, "", "", result.scenario.place)


def of_cell(scenario: Scenario, step: str, cell: CellResult, backend: Backend) -> Case:
    """The case of a measured cell."""
    place = cell.cell.place
    message = "" if cell.status is Status.PASSED else headline(cell)
    if cell.status in (Status.FAILED, Status.ERROR):
        message = f"{place.short}: {message}"
    seconds = cell.observation.seconds if cell.observation else None
    told = () if cell.status is Status.PASSED else tuple(details(scenario, step, cell, backend))
    remarks = tuple(text for text in (*cell.notes, cell.finding_text) if text)
    return Case(step, cell.id, place, cell.status, message, told, remarks, seconds, cell)


def _unmeasured(result: ScenarioResult, step: str, id: str, place: Place) -> Case:
    """Why a cell has no result: its scenario was skipped or broke, or the run was stopped."""
    if result.skipped and not result.error:
        return Case(step, id, place, Status.SKIPPED, result.skipped)
    why = result.error or "not measured: the engine gave no result for this cell"
    return Case(step, id, place, Status.ERROR, f"{place.short}: {why}", (("reason", why),))
