"""A run in a sentence and in figures, the same in every report."""

from __future__ import annotations

from typing import Final

from harness.model.result import RunResult
from harness.model.verdict import Status
from harness.report.text import count

IMPLIED_STEP: Final = "expect"
"""Name of the only step of a scenario without `steps:`; not worth a line."""

ORDER: Final = (Status.FAILED, Status.ERROR, Status.XFAILED, Status.SKIPPED, Status.PASSED)
"""What is wrong first."""

WORDS: Final = {
    Status.FAILED: "failed",
    Status.ERROR: "not measured",
    Status.XFAILED: "known to deviate",
    Status.SKIPPED: "skipped",
    Status.PASSED: "passed",
}


def title(result: RunResult) -> str:
    """The run in a sentence."""
    failed, errors = result.count(Status.FAILED), result.count(Status.ERROR)
    if failed:
        return f"{count(failed, 'cell')} not as expected"
    if errors:
        return f"{count(errors, 'cell')} could not be measured"
    return "Everything as expected" if result.count(Status.PASSED) else "Nothing was measured"


def tally(result: RunResult) -> list[tuple[Status, str, int]]:
    """The figures that are not 0, each with its status and word."""
    found = [(status, WORDS[status], result.count(status)) for status in ORDER]
    return [item for item in found if item[2]]
