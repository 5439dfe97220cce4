"""The run as one HTML file that needs nothing else: no network, no other file, no scripts from elsewhere.

The page is made by a template that escapes everything. What a cell has to say beyond its symbol stands in a
block of JSON, and the page's own script writes it as text when the cell is opened, so that ten thousand cells
stay light and no text of a scenario or a cluster is ever read as markup.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.model.result import CellResult, RunResult, ScenarioResult, StepResult
from harness.model.scenario import Cell
from harness.model.verdict import Status
from harness.report import matrix, symbols
from harness.report.failures import details, full_id, headline
from harness.report.summary import IMPLIED_STEP
from harness.report.text import count, duration
from harness.source.render import printable

_TEMPLATE = "report.html.j2"
_ORDER = (Status.FAILED, Status.ERROR, Status.XFAILED, Status.SKIPPED, Status.PASSED)
_WORDS = {
    Status.FAILED: "failed",
    Status.ERROR: "not measured",
    Status.XFAILED: "known to deviate",
    Status.SKIPPED: "skipped",
    Status.PASSED: "passed",
}


@dataclass(slots=True)
class _Field:
    """One cell of a matrix as the template sees it."""

    number: int
    symbol: str
    status: str
    label: str


@dataclass(slots=True)
class _Table:
    """The matrix of a step: bands of columns, rows of fields; None where nothing is probed."""

    bands: list[tuple[str, int]] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    rows: list[tuple[str, list[_Field | None]]] = field(default_factory=list)


def to_html(result: RunResult) -> str:
    """The run as an HTML document."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("harness.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    cells: list[dict[str, Any]] = []
    scenarios = [_scenario(item, result, cells) for item in result.scenarios]
    page = environment.get_template(_TEMPLATE).render(
        title=_title(result),
        counts=[(str(status), _WORDS[status], result.count(status)) for status in _ORDER],
        facts=list(_facts(result)),
        scenarios=scenarios,
        tags=sorted({printable(tag) for item in result.scenarios for tag in item.scenario.tags}),
        data=_data(cells),
    )
    return page + "\n"


def _title(result: RunResult) -> str:
    failed, errors = result.count(Status.FAILED), result.count(Status.ERROR)
    if failed:
        return f"{count(failed, 'cell')} not as expected"
    if errors:
        return f"{count(errors, 'cell')} could not be measured"
    return "Everything as expected" if result.count(Status.PASSED) else "Nothing was measured"


def _facts(result: RunResult) -> Iterator[tuple[str, str]]:
    backend = result.backend
    yield "cluster", printable(backend.spec)
    for name, version in backend.versions.items():
        yield printable(name), printable(version)
    if backend.assumed:
        yield "assumed", printable(", ".join(sorted(backend.assumed)))
    yield "started", printable(result.started)
    yield "took", duration(result.seconds)
    yield "netcheck", printable(result.version)
    if result.revision:
        yield "revision", printable(result.revision)
    if result.interrupted:
        yield "interrupted", "not everything was measured"


def _scenario(item: ScenarioResult, result: RunResult, cells: list[dict[str, Any]]) -> dict[str, Any]:
    steps = []
    measured = {step.name: step for step in item.steps}
    several = len(item.scenario.steps) > 1 or any(step.name != IMPLIED_STEP for step in item.scenario.steps)
    for step in item.scenario.steps:
        found = measured.get(step.name)
        steps.append(
            {
                "name": printable(step.name) if several else "",
                "settled": _settled(found) if found else "",
                "table": _table(item, step.name, step.cells, found, result, cells),
            }
        )
    return {
        "name": printable(item.scenario.name),
        "status": str(item.status),
        "word": _WORDS[item.status],
        "place": printable(item.scenario.place.short),
        "about": printable(" ".join(item.scenario.description.split())),
        "tags": [printable(tag) for tag in item.scenario.tags],
        "seconds": duration(item.seconds) if item.seconds else "",
        "trouble": printable(item.error or item.skipped),
        "total": count(len(item.cells) or len(item.scenario.cells), "cell"),
        "open": item.status in (Status.FAILED, Status.ERROR),
        "steps": steps,
    }


def _settled(step: StepResult) -> str:
    if not step.in_force_by:
        return ""
    text = f"in force after {duration(step.in_force)} ({printable(step.in_force_by)})"
    return f"{text}, {count(step.leaks, 'leak')} before that" if step.leaks else text


def _table(
    item: ScenarioResult,
    step: str,
    planned: tuple[Cell, ...],
    found: StepResult | None,
    result: RunResult,
    cells: list[dict[str, Any]],
) -> _Table:
    """The matrix of a step; cells that were not measured stand in it as what became of their scenario."""
    measured = list(found.cells) if found else []
    seen = {cell.cell.id for cell in measured}
    families = len({cell.probe.family for cell in planned}) > 1
    fields: list[tuple[matrix.Field, _Field]] = []
    for cell in measured:
        shown = matrix.field(cell.cell.probe, cell.id, symbols.of_result(cell), both_families=families)
        fields.append((shown, _measured(item, step, cell, result, shown, cells)))
    for one in planned:
        if one.id not in seen:
            shown = matrix.field(one.probe, one.id, symbols.of_expectation(one), both_families=families)
            fields.append((shown, _unmeasured(item, step, one, shown, cells)))
    table = _Table()
    columns: dict[tuple[str, str], int] = {}
    bands: dict[str, int] = {}
    for shown, _ in fields:
        bands.setdefault(shown.band, len(bands))
    for shown, _ in sorted(fields, key=lambda pair: bands[pair[0].band]):
        columns.setdefault((shown.band, shown.column), len(columns))
    for band, column in columns:
        if table.bands and table.bands[-1][0] == band:
            table.bands[-1] = (band, table.bands[-1][1] + 1)
        else:
            table.bands.append((band, 1))
        table.columns.append(column)
    rows: dict[str, list[_Field | None]] = {}
    for shown, made in fields:
        row = rows.setdefault(shown.row, [None] * len(columns))
        row[columns[shown.band, shown.column]] = made
    table.rows = list(rows.items())
    return table


def _measured(
    item: ScenarioResult,
    step: str,
    cell: CellResult,
    result: RunResult,
    shown: matrix.Field,
    cells: list[dict[str, Any]],
) -> _Field:
    rows = [[label, printable(text)] for label, text in details(item.scenario, step, cell, result.backend)]
    if cell.observation is not None:
        rows.append(["attempts", str(cell.observation.attempts)])
        rows.append(["time", duration(cell.observation.seconds)])
    cells.append(
        {
            "id": printable(full_id(item.scenario.name, step, cell.id)),
            "status": str(cell.status),
            "head": printable(headline(cell)) if cell.status is not Status.PASSED else "as expected",
            "rows": rows,
        }
    )
    verdict = str(cell.verdict) if cell.verdict is not None else _WORDS[cell.status]
    label = f"{shown.row} to {shown.column}, {shown.band}: {verdict}, {_WORDS[cell.status]}"
    return _Field(len(cells) - 1, shown.mark.text, str(cell.status), label)


def _unmeasured(
    item: ScenarioResult, step: str, cell: Cell, shown: matrix.Field, cells: list[dict[str, Any]]
) -> _Field:
    status = Status.SKIPPED if item.skipped else Status.ERROR
    cells.append(
        {
            "id": printable(full_id(item.scenario.name, step, cell.id)),
            "status": str(status),
            "head": printable(item.skipped or item.error or "not measured"),
            "rows": [["expected", str(cell.expectation.default)], ["place", printable(str(cell.place))]],
        }
    )
    label = f"{shown.row} to {shown.column}, {shown.band}: {_WORDS[status]}"
    mark = symbols.NOT_MEASURED if status is Status.SKIPPED else symbols.ERROR
    return _Field(len(cells) - 1, mark, str(status), label)


def _data(cells: list[dict[str, Any]]) -> Any:
    """JSON that can stand inside of a script element: no `<` that could end it."""
    from markupsafe import Markup

    text = json.dumps(cells, ensure_ascii=True, separators=(",", ":"))
    escapes: Mapping[int, str] = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}
    return Markup(text.translate(escapes))  # noqa: S704 - JSON whose markup characters are escaped above
