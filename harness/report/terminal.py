"""The report that people read: one line per scenario, and everything about what did not go as expected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from harness.model.prediction import Finding
from harness.model.result import Backend, CellResult, RunResult, ScenarioResult, StepResult
from harness.model.scenario import Scenario
from harness.model.verdict import Status
from harness.report import matrix, symbols
from harness.report.failures import (
    NOT_ENFORCED,
    NOT_ENFORCED_WHY,
    Group,
    details,
    full_id,
    grouped,
    more,
)
from harness.report.failures import (
    headline as cell_headline,
)
from harness.report.summary import IMPLIED_STEP, NOT_MEASURED, words
from harness.report.text import EMPTY, Line, Span, count, duration, indent, line, pad, shorten, width

_WORDS: Final = {
    Status.PASSED: ("PASS ", "good"),
    Status.FAILED: ("FAIL ", "bad"),
    Status.ERROR: ("ERROR", "error"),
    Status.SKIPPED: ("SKIP ", "skip"),
}
_STYLES: Final = {
    Status.FAILED: "bad",
    Status.ERROR: "error",
    Status.XFAILED: "known",
    Status.SKIPPED: "skip",
    Status.PASSED: "good",
}
_NAME_LIMIT: Final = 40
_LISTED: Final = 5
"""How many cells of a group are named before `and N more cells`."""
_RECALLED: Final = 12
"""Lines of the recapitulation at the end."""
_LABEL: Final = 10


@dataclass(frozen=True, slots=True)
class Style:
    """How to lay out a report.

    Attributes:
        columns: Width of the terminal.
        verbose: Show the matrix of passing scenarios too.
        quiet: Only what is wrong, and the summary.
        names: Columns for scenario names, so that the lines of a run stand under each other.
        details: Say everything about each cell that is not as expected.
        apart: Count cells that only share the trouble of their whole scenario apart from errors.
    """

    columns: int = 80
    verbose: bool = False
    quiet: bool = False
    names: int = 0
    details: bool = True
    apart: bool = False


def names_width(scenarios: Sequence[Scenario]) -> int:
    """Columns that the scenarios' names need."""
    return min(_NAME_LIMIT, max((width(item.name) for item in scenarios), default=0))


def render(result: RunResult, style: Style) -> list[Line]:
    """A whole run."""
    lines: list[Line] = []
    for scenario in result.scenarios:
        lines += render_scenario(scenario, result.backend, style)
    return lines + render_summary(result, style)


def render_scenario(result: ScenarioResult, backend: Backend, style: Style) -> list[Line]:
    """One scenario: a line; with matrix and failures when something is wrong or `verbose`."""
    good = result.status in (Status.PASSED, Status.SKIPPED)
    if good and style.quiet:
        return []
    lines = [headline(result, style)]
    if result.error:
        lines += indent([line((result.error, "error"))], 6)
    several = len(result.steps) > 1 or any(step.name != IMPLIED_STEP for step in result.steps)
    for step in result.steps:
        wrong = any(cell.status in (Status.FAILED, Status.ERROR) for cell in step.cells)
        if not (wrong or style.verbose or not good):
            continue
        if several:
            lines += [EMPTY, *indent([_step_line(step)], 2)]
        if wrong or style.verbose:
            lines += [EMPTY, *indent(step_matrix(step.cells, style.columns - 4), 4)]
        for group in grouped(step.name, step.cells) if style.details else ():
            lines += [EMPTY, *indent(_failure(result.scenario, group, backend), 2)]
        if style.verbose:
            lines += _remarks(step)
    if len(lines) > 1:
        lines.append(EMPTY)
    return lines


def render_failure(scenario: Scenario, step: str, cell: CellResult, backend: Backend) -> list[Line]:
    """All there is to say about one cell that is not as expected."""
    return _failure(scenario, Group(step, (cell,)), backend)


def step_matrix(cells: Sequence[CellResult], columns: int) -> list[Line]:
    """What was observed, as a matrix."""
    both = len({cell.cell.probe.family for cell in cells}) > 1
    return matrix.render(
        [
            matrix.field(cell.cell.probe, cell.id, symbols.of_result(cell), both_families=both)
            for cell in cells
        ],
        columns,
    )


def headline(result: ScenarioResult, style: Style = Style()) -> Line:
    """One scenario in a line: status, name, cells, time, and what is wrong."""
    word, colour = _WORDS[result.status]
    name = pad(shorten(result.scenario.name, max(_NAME_LIMIT, style.names)), style.names)
    if result.skipped and not result.cells:
        return line((word, colour), " ", (name, "bold"), "  ", (result.skipped, "dim"))
    cells = result.cells
    total = len(cells) + len(result.unmeasured)
    parts: list[str | Span] = [(word, colour), " ", (name, "bold"), f"  {count(total, 'cell'):>9}"]
    parts.append((f"  {duration(result.seconds):>7}", "dim"))
    if result.personality:
        parts.append((f"  as {result.personality}", "dim"))
    wrong = _tally(cells, (Status.FAILED, Status.ERROR, Status.XFAILED, Status.SKIPPED))
    if wrong:
        parts.append("  ")
        parts += wrong
    leaks = sum(step.leaks for step in result.steps)
    if leaks:
        parts.append((f"  {count(leaks, 'leak')}", "skip"))
    return line(*parts)


def _tally(cells: Sequence[CellResult], statuses: Sequence[Status]) -> list[str | Span]:
    parts: list[str | Span] = []
    for status in statuses:
        number = sum(cell.status is status for cell in cells)
        if number:
            parts += [", " if parts else "", _number(number, status)]
    return parts


def _number(number: int, status: Status) -> Span:
    return f"{number} {words(status, number)}", _STYLES[status]


def _step_line(step: StepResult) -> Line:
    parts: list[str | Span] = ["step ", (step.name, "bold"), "  "]
    parts += _tally(step.cells, (Status.FAILED, Status.ERROR, Status.XFAILED, Status.SKIPPED, Status.PASSED))
    if step.in_force_by:
        parts.append((f"  in force after {duration(step.in_force)} ({step.in_force_by})", "dim"))
    if step.leaks:
        parts.append((f"  {count(step.leaks, 'leak')} before that", "skip"))
    return line(*parts)


def _failure(scenario: Scenario, group: Group, backend: Backend) -> list[Line]:
    first = group.cells[0]
    word, colour = ("FAILED", "bad") if first.status is Status.FAILED else ("ERROR", "error")
    lines = [line((word, colour), " ", (full_id(scenario.name, group.step, first.id), "bold"))]
    lines += [
        line(" " * (len(word) + 1), (full_id(scenario.name, group.step, other.id), "bold"))
        for other in group.cells[1:_LISTED]
    ]
    if len(group.cells) > _LISTED:
        lines.append(line(" " * (len(word) + 1), more(len(group.cells) - _LISTED)))
    for label, text in details(scenario, group.step, first, backend):
        style = {"observed": colour, "place": "place", "evidence": "bold"}.get(label, "")
        lines.append(line((f"  {label:<{_LABEL}}", "dim"), (text, style)))
    return lines


def _remarks(step: StepResult) -> list[Line]:
    """Notes of cells that passed, and why a deviation is known: what `-v` is asked for."""
    lines: list[Line] = []
    for cell in step.cells:
        if cell.status in (Status.FAILED, Status.ERROR):
            continue
        texts = [*cell.notes, cell.finding_text] if cell.finding_text else list(cell.notes)
        if cell.status in (Status.XFAILED, Status.SKIPPED):
            texts.insert(0, cell_headline(cell))
        lines += [line((f"  {'note':<{_LABEL}}", "dim"), (cell.id, "bold"), f" {text}") for text in texts]
    return [EMPTY, *lines] if lines else []


def render_summary(result: RunResult, style: Style, planned: int = 0) -> list[Line]:
    """The last lines: counts, time, backend.

    Args:
        result: The run.
        style: How to lay out.
        planned: How many scenarios were to run, when some were not begun.
    """
    recap = [] if style.quiet else _recap(result)
    parts: list[str | Span] = []
    echoes = result.echoes if style.apart else 0
    for status in (Status.FAILED, Status.ERROR, Status.PASSED, Status.XFAILED, Status.SKIPPED):
        number = result.count(status) - (echoes if status is Status.ERROR else 0)
        if number:
            parts += [", " if parts else "", _number(number, status)]
    if echoes:
        parts += [", ", f"{echoes} {NOT_MEASURED}"]
    if not parts:
        parts.append("no cell was measured")
    parts.append(f" in {duration(result.seconds)}")
    backend = result.backend
    versions = ", ".join(f"{name} {version}" for name, version in backend.versions.items())
    if backend.assumed:
        versions += f"{', ' if versions else ''}assumed {', '.join(sorted(backend.assumed))}"
    parts.append((f" on {backend.spec}" + (f" ({versions})" if versions else ""), "dim"))
    lines: list[Line] = [line(*parts)]
    if result.interrupted:
        cells = sum(len(item.scenario.cells) for item in result.scenarios)
        measured = sum(len(item.cells) for item in result.scenarios)
        lines.append(line(("interrupted", "error"), f": {measured} of {count(cells, 'cell')} measured"))
    broken = sum(bool(item.error and item.steps) for item in result.scenarios)
    if broken and not result.interrupted:
        lines.append(line((f"{count(broken, 'scenario')} broken off", "error"), " by an error"))
    doubted = sum(
        cell.finding is Finding.ORACLE and cell.status is Status.PASSED
        for item in result.scenarios
        for cell in item.cells
    )
    if doubted and not style.quiet:
        lines.append(
            line((f"{count(doubted, 'cell')} passed against the oracle's prediction", "skip"), ": see -v")
        )
    if not result.enforced:
        lines.append(line((NOT_ENFORCED, "error"), f": {NOT_ENFORCED_WHY}"))
    if planned > len(result.scenarios):
        missing = count(planned - len(result.scenarios), "scenario")
        lines.append(line((f"{missing} not begun", "error")))
    if recap:
        lines = [*recap, EMPTY, *lines]
    if style.quiet or not result.scenarios:
        return lines
    return [EMPTY, *lines] if not _ends_empty(result) else lines


def _recap(result: RunResult) -> list[Line]:
    """What is wrong, once more, when other scenarios have pushed it up: failures first."""
    wrong = [item for item in result.scenarios if item.status in (Status.FAILED, Status.ERROR)]
    if not wrong or (len(wrong) == 1 and wrong[0] is result.scenarios[-1]):
        return []
    failed: list[Line] = []
    errors: list[Line] = []
    for item in wrong:
        for step in item.steps:
            for group in grouped(step.name, step.cells):
                first = group.cells[0]
                lines = failed if first.status is Status.FAILED else errors
                place = first.cell.place.short
                lines.append(_short(first.status, full_id(item.scenario.name, step.name, first.id), place))
                if len(group.cells) > 1:
                    errors.append(line(" " * 7, (more(len(group.cells) - 1), "dim")))
        if item.error:
            errors.append(_short(Status.ERROR, item.scenario.name, item.scenario.place.short))
    lines = [*failed, *errors]
    if len(lines) > _RECALLED:
        left = len(lines) - _RECALLED + 1
        lines = [*lines[: _RECALLED - 1], line(" " * 7, (f"and {left} more above", "dim"))]
    return lines


def _short(status: Status, name: str, place: str) -> Line:
    return line((f"{status.upper():<7}", _STYLES[status]), (name, "bold"), ("  ", ""), (place, "place"))


def _ends_empty(result: RunResult) -> bool:
    """Whether the last scenario's text ended with an empty line already."""
    return result.scenarios[-1].status in (Status.FAILED, Status.ERROR)
