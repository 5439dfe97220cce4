"""A run in a sentence and in figures, the same in every report."""

from __future__ import annotations

from typing import Final

from harness.model.result import RunResult, ScenarioResult
from harness.model.verdict import Status
from harness.report.text import count

IMPLIED_STEP: Final = "expect"
"""Name of the only step of a scenario without `steps:`; not worth a line."""

NOT_MEASURED: Final = "not measured"
"""Of cells that share the trouble of their whole scenario, where that counts as one error: in pytest."""

ORDER: Final = (Status.FAILED, Status.ERROR, Status.XFAILED, Status.SKIPPED, Status.PASSED)
"""What is wrong first."""


def words(status: Status, number: int = 1) -> str:
    """How a report speaks of cells with a status, after their number."""
    if status is Status.ERROR:
        return "error" if number == 1 else "errors"
    return "known to deviate" if status is Status.XFAILED else str(status)


def title(result: RunResult) -> str:
    """The run in a sentence."""
    failed, errors = result.count(Status.FAILED), result.count(Status.ERROR)
    if failed:
        return f"{count(failed, 'cell')} not as expected"
    if errors:
        return f"{count(errors, 'cell')} could not be measured"
    return "Everything as expected" if result.count(Status.PASSED) else "Nothing was measured"


def worst(result: RunResult) -> Status:
    """What a reader should be told first; nothing measured is `skipped`."""
    for status in (Status.FAILED, Status.ERROR):
        if result.count(status):
            return status
    return Status.PASSED if result.count(Status.PASSED) else Status.SKIPPED


def tally(result: RunResult) -> list[tuple[Status, int]]:
    """The figures that are not 0, what is wrong first."""
    found = [(status, result.count(status)) for status in ORDER]
    return [item for item in found if item[1]]


def status_of_unmeasured(item: ScenarioResult) -> Status:
    """What a planned cell without a result counts as; see `RunResult.count`."""
    return Status.SKIPPED if item.skipped and not item.error else Status.ERROR


def exceptions(item: ScenarioResult) -> list[tuple[Status, int]]:
    """The cells of a scenario that are not simply as expected, by status."""
    left = status_of_unmeasured(item)
    found = []
    for status in ORDER[:-1]:
        number = sum(cell.status is status for cell in item.cells)
        found.append((status, number + (len(item.unmeasured) if status is left else 0)))
    return [each for each in found if each[1]]
