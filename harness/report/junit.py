"""JUnit XML: a suite per scenario, a case per cell; wrong verdicts are failures, unmeasured cells errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

from harness.model.result import RunResult, ScenarioResult
from harness.model.scenario import Scenario
from harness.model.verdict import Status
from harness.report.cases import cases
from harness.report.failures import NOT_ENFORCED
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
    from junit_xml import TestCase

    for item in cases(result, run.backend):
        elapsed = None if item.seconds is None else max(item.seconds, _LEAST_SECONDS)
        case = TestCase(
            printable(item.name),
            classname(result.scenario),
            elapsed,
            file=printable(item.place.file),
            line=str(item.place.line),
        )
        message = printable(item.message)
        text = "\n".join(f"{label:<9} {printable(value)}" for label, value in item.details)
        if item.status is Status.FAILED:
            case.add_failure_info(message, text, "wrong-verdict")
        elif item.status is Status.ERROR:
            case.add_error_info(message, text or message, "not-measured")
        elif item.status in (Status.SKIPPED, Status.XFAILED):
            case.add_skipped_info(message, text or None)
        elif item.remarks:
            case.stdout = "\n".join(printable(text) for text in item.remarks)
        yield case
