"""Annotations of GitHub Actions: what is wrong, beside the line of the YAML file that asked for it.

GitHub shows ten errors of a step and drops the rest, so cells of one line share an annotation, and the last
one counts those that would be dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from harness.model.result import CellResult, RunResult, ScenarioResult
from harness.model.verdict import Status
from harness.report.failures import details, headline, more
from harness.report.places import seen_from_workspace
from harness.report.text import count
from harness.source.diagnostics import Diagnostic, Severity
from harness.source.place import Place
from harness.source.render import printable

SHOWN: Final = 10
"""Errors that GitHub shows of one step."""
_CELLS: Final = 8
_TOLD: Final = ("predicted", "outcome", "receipt", "handshake", "finding", "known", "control", "rerun")
_COMMANDS: Final = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


def to_github(result: RunResult, environ: Mapping[str, str]) -> str:
    """The workflow commands, a line each; empty when nothing is wrong.

    Args:
        result: The run.
        environ: `GITHUB_WORKSPACE` is the folder that paths are told from.
    """
    found = list(_annotations(result))
    found.sort(key=lambda item: item[0] is not Status.FAILED)
    shown = found if len(found) <= SHOWN else found[: SHOWN - 1]
    commands = [_command("error", title, lines, place, environ) for _, title, lines, place in shown]
    if len(shown) < len(found):
        text = f"{count(len(found) - len(shown), 'more place')} with cells that are not as expected"
        commands.append(_command("error", "netcheck", [f"{text}: see the report"], None, environ))
    return "".join(commands)


def diagnostics_to_github(found: Iterable[Diagnostic], environ: Mapping[str, str]) -> str:
    """What is wrong with files, as workflow commands."""
    return "".join(
        _command(
            _COMMANDS[item.severity],
            f"netcheck: {item.id}",
            [item.message, *([f"help: {item.help}"] if item.help else []), *item.instead.splitlines()],
            item.place,
            environ,
        )
        for item in found
    )


Annotation = tuple[Status, str, list[str], Place]


def _annotations(result: RunResult) -> Iterator[Annotation]:
    for item in result.scenarios:
        yield from _cells(item, result)
        if item.error:
            left = len(item.unmeasured)
            lines = [item.error, *([f"{count(left, 'cell')} not measured"] if left else [])]
            yield Status.ERROR, f"{item.scenario.name}: error", lines, item.scenario.place


def _cells(item: ScenarioResult, result: RunResult) -> Iterator[Annotation]:
    groups: dict[tuple[Status, str, int], list[tuple[str, CellResult]]] = {}
    for step in item.steps:
        for cell in step.cells:
            if cell.status in (Status.FAILED, Status.ERROR):
                place = cell.cell.place
                groups.setdefault((cell.status, place.file, place.line), []).append((step.name, cell))
    for (status, _, _), cells in groups.items():
        step_name, first = cells[0]
        lines = [f"{cell.id}: {headline(cell)}" for _, cell in cells[:_CELLS]]
        if len(cells) > _CELLS:
            lines.append(more(len(cells) - _CELLS))
        if len(cells) == 1:
            told = dict(details(item.scenario, step_name, first, result.backend))
            lines += [f"{label}: {told[label]}" for label in _TOLD if label in told]
        word = "not as expected" if status is Status.FAILED else "error"
        yield status, f"{item.scenario.name}: {word}", lines, first.cell.place


def _command(
    kind: str, title: str, lines: Iterable[str], place: Place | None, environ: Mapping[str, str]
) -> str:
    fields = {"title": title}
    if place is not None:
        file = seen_from_workspace(place.file, environ)
        fields |= {"file": file, "line": str(place.line), "col": str(place.column)}
    shown = ",".join(f"{name}={_property(value)}" for name, value in fields.items())
    message = "%0A".join(map(_data, lines))
    return f"::{kind} {shown}::{message}\n"


def _data(text: str) -> str:
    # No line break is left after `printable`.
    return printable(text).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
