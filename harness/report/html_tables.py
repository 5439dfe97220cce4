"""The matrices of the page: sources down, destinations across, in bands of one port and protocol each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from harness.model.result import ScenarioResult, StepResult
from harness.model.scenario import Step
from harness.model.verdict import Status
from harness.report import matrix, symbols
from harness.report.html_cells import Cells, label
from harness.report.summary import status_of_unmeasured

_SMALL: Final = 2000
"""Fields up to which a table may be as empty as it is."""
_EMPTY: Final = 10
"""How many fields there may be for each cell beyond that."""
_SOME: Final = 2
"""Columns beyond which their names are written upwards on a phone."""
_MANY: Final = 7
"""Columns beyond which they are written upwards everywhere."""


@dataclass(slots=True)
class Field:
    """One cell of a matrix as the template sees it."""

    number: int
    symbol: str
    kind: str
    label: str


@dataclass(slots=True)
class Table:
    """A matrix: bands of columns, rows of fields; None where nothing is probed.

    Attributes:
        kind: How many columns there are: empty for a few, `some`, `many`.
    """

    bands: list[tuple[str, int]] = field(default_factory=list)
    columns: list[tuple[str, str]] = field(default_factory=list)
    rows: list[tuple[tuple[str, str], list[Field | None]]] = field(default_factory=list)
    kind: str = ""


Placed = tuple[matrix.Field, Field]


def tables(item: ScenarioResult, step: Step, found: StepResult | None, cells: Cells) -> list[Table]:
    """The matrices of a step; cells without a result stand there as what became of their scenario.

    One, unless it would be nearly empty: then sources with other destinations get one of their own.
    """
    placed = list(_placed(item, step, found, cells))
    rows: dict[str, list[Placed]] = {}
    for pair in placed:
        rows.setdefault(pair[0].row, []).append(pair)
    return [_table([pair for row in block for pair in row]) for block in _blocks(list(rows.values()))]


def _placed(item: ScenarioResult, step: Step, found: StepResult | None, cells: Cells) -> Iterable[Placed]:
    planned = (*step.cells, *step.transition_cells())
    families = len({cell.probe.family for cell in planned}) > 1
    measured = found.cells if found else ()
    for cell in measured:
        mark = symbols.of_result(cell)
        cells.legend.update(mark.legend)
        shown = matrix.field(cell.cell.probe, cell.id, mark, both_families=families)
        said = label(shown.row, shown.column, shown.band, cell, cell.status)
        kind = str(cell.status)
        if cell.status is Status.PASSED and mark.style != "good":
            kind = "passed denied"
        yield shown, Field(cells.measured(item, step.name, cell), symbols.shown(mark.text), kind, said)
    status = status_of_unmeasured(item)
    symbol = symbols.NOT_MEASURED if status is Status.SKIPPED else symbols.ERROR
    for name, planned_cell in item.unmeasured:
        if name == step.name:
            cells.legend.add(symbol)
            mark = symbols.Mark(symbol, "", (symbol,))
            shown = matrix.field(planned_cell.probe, planned_cell.id, mark, both_families=families)
            said = label(shown.row, shown.column, shown.band, None, status)
            number = cells.unmeasured(item, step.name, planned_cell)
            yield shown, Field(number, symbol, str(status), said)


def _blocks(rows: Sequence[list[Placed]]) -> list[list[list[Placed]]]:
    blocks: list[list[list[Placed]]] = []
    columns: set[tuple[str, str]] = set()
    filled = 0
    for row in rows:
        mine = {(shown.band, shown.column) for shown, _ in row}
        area = len(columns | mine) * (len(blocks[-1]) + 1) if blocks else 0
        if not blocks or (area > _SMALL and area > _EMPTY * (filled + len(row))):
            blocks.append([])
            columns, filled = set(), 0
        blocks[-1].append(row)
        columns |= mine
        filled += len(row)
    return blocks


def _table(fields: Sequence[Placed]) -> Table:
    table = Table()
    rows = {row: number for number, row in enumerate(dict.fromkeys(shown.row for shown, _ in fields))}
    names: dict[str, dict[tuple[str, int], None]] = {}
    places: list[tuple[str, tuple[str, int]]] = []
    taken: Counter[tuple[str, str, str]] = Counter()
    for shown, _ in fields:
        # Should two cells have one place, both are shown.
        name = (shown.column, taken[shown.row, shown.band, shown.column])
        taken[shown.row, shown.band, shown.column] += 1
        names.setdefault(shown.band, {})[name] = None
        places.append((shown.band, name))
    columns: dict[tuple[str, tuple[str, int]], int] = {}
    for band, found in names.items():
        # Where all destinations are sources too, in their order: the diagonal is one.
        square = all(name in rows for name, _ in found)
        for name in sorted(found, key=lambda item: rows[item[0]]) if square else found:
            columns[band, name] = len(columns)
        table.bands.append((band, len(found)))
    table.columns = [_split(name) for _, (name, _) in columns]
    made: dict[str, list[Field | None]] = {row: [None] * len(columns) for row in rows}
    for place, (shown, one) in zip(places, fields, strict=True):
        made[shown.row][columns[place]] = one
    table.rows = [(_split(row), one) for row, one in made.items()]
    table.kind = "many" if len(columns) > _MANY else "some" if len(columns) > _SOME else ""
    return table


def _split(name: str) -> tuple[str, str]:
    """Namespace with its stroke, and the rest; anything but a pod stays whole."""
    before, stroke, after = name.partition("/")
    return (before + stroke, after) if stroke and before and not set(before) & set(" .:") else ("", name)
