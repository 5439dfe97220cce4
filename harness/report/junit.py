"""JUnit XML: a suite per scenario, a case per cell; wrong verdicts are failures, unmeasured cells errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

from harness.model.result import Backend, CellResult, RunResult, ScenarioResult
from harness.model.scenario import Scenario
from harness.model.verdict import Status
from harness.report.failures import NOT_ENFORCED, details, headline
from harness.source.render import printable

_LEAST_SECONDS = 0.001
"""junit-xml leaves out a time of 0, and readers then show the case as never run."""


def to_junit(result: RunResult) -> str:
    """The run as a JUnit document.

    Text is cleaned before junit-xml sees it: the package drops characters that XML cannot hold, and a lone
    surrogate would make it write a document that no parser reads.
    """
    from junit_xml import TestSuite, to_xml_report_string

    suites = [
        TestSuite(
            printable(scenario.scenario.name),
            list(_cases(scenario, result)),
            timestamp=printable(result.started),
            file=printable(scenario.scenario.place.file),
            properties=_properties(result),
        )
        for scenario in result.scenarios
    ]
    return str(to_xml_report_string(suites, encoding="utf-8"))


def classname(scenario: Scenario) -> str:
    """`scenarios.shop.api-policy`: the file's path without its suffix, then the scenario."""
    path = PurePath(scenario.place.file)
    parts = [*path.parts[:-1], path.stem, scenario.name]
    return printable(".".join(part for part in parts if part not in ("/", ".", "..")))


def _properties(result: RunResult) -> dict[str, str]:
    backend = result.backend
    found = {"backend": backend.spec, "backend.names": ",".join(backend.names)}
    found |= dict(backend.versions)
    found |= {"netcheck": result.version, "revision": result.revision, "run": result.run}
    if not result.enforced:
        found["enforced"] = NOT_ENFORCED
    if result.left_behind:
        found["left_behind"] = "; ".join(result.left_behind)
    return {printable(name): printable(value) for name, value in found.items() if value}


def _cases(result: ScenarioResult, run: RunResult) -> Iterator[Any]:
    for step in result.steps:
        for cell in step.cells:
            yield _case(result.scenario, step.name, cell, run.backend)
    left = result.unmeasured
    for step_name, planned in left:
        case = _new(result.scenario, f"{step_name}::{planned.id}", planned.place.line)
        _tell(case, result)
        yield case
    if not left and (result.error or result.skipped):
        # It counts, though no cell of it is left to say so.
        case = _new(result.scenario, "scenario", result.scenario.place.line)
        _tell(case, result)
        yield case


def _new(scenario: Scenario, name: str, line: int, seconds: float | None = None) -> Any:
    from junit_xml import TestCase

    elapsed = None if seconds is None else max(seconds, _LEAST_SECONDS)
    return TestCase(
        printable(name), classname(scenario), elapsed, file=printable(scenario.place.file), line=str(line)
    )


def _case(scenario: Scenario, step: str, cell: CellResult, backend: Backend) -> Any:
    seconds = cell.observation.seconds if cell.observation else None
    case = _new(scenario, f"{step}::{cell.id}", cell.cell.place.line, seconds)
    message = printable(headline(cell))
    text = "\n".join(
        f"{label:<9} {printable(value)}" for label, value in details(scenario, step, cell, backend)
    )
    if cell.status is Status.FAILED:
        case.add_failure_info(message, text, "wrong-verdict")
    elif cell.status is Status.ERROR:
        case.add_error_info(message, text, "not-measured")
    elif cell.status in (Status.SKIPPED, Status.XFAILED):
        case.add_skipped_info(message, text)
    elif cell.notes or cell.finding_text:
        case.stdout = "\n".join(printable(text) for text in (*cell.notes, cell.finding_text) if text)
    return case


def _tell(case: Any, result: ScenarioResult) -> None:
    """Why a cell has no result: its scenario was skipped or broke, or the run was stopped."""
    if result.error:
        case.add_error_info(printable(result.error), printable(result.error), "not-measured")
    elif result.skipped:
        case.add_skipped_info(printable(result.skipped))
    else:
        case.add_error_info("not measured", "the engine gave no result for this cell", "not-measured")
