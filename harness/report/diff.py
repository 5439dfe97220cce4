"""Runs beside each other, cell by cell: where networks (or versions of one) do not agree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.model.result import CellResult, RunResult, ScenarioResult
from harness.model.verdict import Status


class Difference(StrEnum):
    """In what the runs of one cell differ; the first that applies.

    `verdict`: networks behave differently. `status`: the same verdict is right in one run and wrong in
    another. `unmeasured`: some could not say. `missing`: some have no such cell.
    """

    VERDICT = "verdict"
    STATUS = "status"
    UNMEASURED = "unmeasured"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One of the runs; `number` counts from 1, `file` is where its report lies, if it was read from one."""

    number: int
    file: str
    result: RunResult

    @property
    def name(self) -> str:
        """What it goes by in the table: the CNI with its version, or the lab's spec."""
        backend = self.result.backend
        first = backend.names[0] if backend.names else backend.spec
        if first == "lab":
            return backend.spec
        version = backend.versions.get(first, "")
        return f"{first} {version}" if version else first


@dataclass(frozen=True, slots=True)
class Entry:
    """One cell in one run.

    Attributes:
        result: None = not measured, and `reason` says why.
        whole: The run measured nothing of the cell's scenario.
    """

    status: Status
    result: CellResult | None
    reason: str = ""
    whole: bool = False

    @property
    def measured(self) -> bool:
        """Whether the run says something about the network."""
        return self.result is not None and self.status not in (Status.ERROR, Status.SKIPPED)


@dataclass(frozen=True, slots=True)
class Row:
    """One cell in all runs; None where a run has no such cell.

    Attributes:
        difference: None when the runs agree.
        whole: What sets this cell apart concerns its whole scenario, such as a missing feature.
        open_point: What the specification leaves open about it, where that was asked for.
    """

    scenario: str
    step: str
    cell: str
    entries: tuple[Entry | None, ...]
    difference: Difference | None
    whole: bool = False
    open_point: str = ""


@dataclass(frozen=True, slots=True)
class Gap:
    """Scenarios that some runs did not measure at all.

    Attributes:
        reasons: Those runs, with what they say of it.
        cells: How many cells that are.
    """

    reasons: tuple[tuple[Run, str], ...]
    scenarios: tuple[str, ...]
    cells: int


@dataclass(frozen=True, slots=True)
class Diff:
    """The comparison; rows in the order of the first run that has them."""

    runs: tuple[Run, ...]
    rows: tuple[Row, ...]

    def count(self, difference: Difference | None) -> int:
        """How many cells differ in this way; None = agree."""
        return sum(row.difference is difference for row in self.rows)

    @property
    def different(self) -> bool:
        """Whether any cell differs in any way."""
        return any(row.difference for row in self.rows)

    def scenarios(self) -> list[tuple[str, list[Row]]]:
        """The rows by scenario."""
        found: dict[str, list[Row]] = {}
        for row in self.rows:
            found.setdefault(row.scenario, []).append(row)
        return list(found.items())

    def shown(self, *, everything: bool) -> list[tuple[str, list[Row]]]:
        """Rows worth a line, by scenario: those that differ, or all.

        Rows that differ only because a whole scenario was not measured are in `gaps`.
        """
        found = [
            (name, [row for row in rows if everything or (row.difference and not row.whole)])
            for name, rows in self.scenarios()
        ]
        return [(name, rows) for name, rows in found if rows]

    def gaps(self) -> list[Gap]:
        """Whole scenarios that some runs did not measure; those for the same reasons together."""
        found: dict[tuple[tuple[Run, str], ...], list[tuple[str, int]]] = {}
        for name, rows in self.scenarios():
            reasons = self._reasons(name)
            if reasons and any(row.difference for row in rows):
                found.setdefault(reasons, []).append((name, len(rows)))
        return [
            Gap(reasons, tuple(name for name, _ in names), sum(cells for _, cells in names))
            for reasons, names in found.items()
        ]

    def _reasons(self, scenario: str) -> tuple[tuple[Run, str], ...]:
        found = []
        for run in self.runs:
            item = next((one for one in run.result.scenarios if one.scenario.name == scenario), None)
            if item is None:
                found.append((run, "not in this run"))
            elif not item.cells:
                status = "skipped" if item.skipped else "error"
                found.append((run, f"{status}: {item.skipped or item.error or 'not measured'}"))
        return tuple(found)


Key = tuple[str, str, str]


def compare(runs: Sequence[Run]) -> Diff:
    """Hold the cells of all runs against each other, by their full ids."""
    tables = [dict(_entries(run.result)) for run in runs]
    keys = dict.fromkeys(key for table in tables for key in table)
    known = [{item.scenario.name for item in run.result.scenarios} for run in runs]
    rows = []
    for key in keys:
        entries = tuple(table.get(key) for table in tables)
        difference = _difference(entries)
        whole = difference in (Difference.UNMEASURED, Difference.MISSING) and all(
            key[0] not in names if entry is None else entry.whole or entry.measured
            for entry, names in zip(entries, known, strict=True)
        )
        rows.append(Row(*key, entries, difference, whole))
    # Runs have the scenarios of a folder in one order; a scenario's rows stand together all the same.
    order = {name: number for number, name in enumerate(dict.fromkeys(key[0] for key in keys))}
    return Diff(tuple(runs), tuple(sorted(rows, key=lambda row: order[row.scenario])))


def _entries(result: RunResult) -> Iterator[tuple[Key, Entry]]:
    for item in result.scenarios:
        yield from _planned(item)
        for step in item.steps:
            for cell in step.cells:
                yield (item.scenario.name, step.name, cell.id), Entry(cell.status, cell, cell.reason)


def _planned(item: ScenarioResult) -> Iterator[tuple[Key, Entry]]:
    """Cells that the run meant to measure; those that it did come later and take their places."""
    status = Status.SKIPPED if item.skipped else Status.ERROR
    reason = item.skipped or item.error or "not measured"
    for step in item.scenario.steps:
        for cell in (*step.cells, *step.transition_cells()):
            yield (item.scenario.name, step.name, cell.id), Entry(status, None, reason, not item.cells)


def _difference(entries: Sequence[Entry | None]) -> Difference | None:
    there = [entry for entry in entries if entry is not None]
    measured = [entry for entry in there if entry.measured]
    if len({entry.result.verdict for entry in measured if entry.result is not None}) > 1:
        return Difference.VERDICT
    if len({entry.status for entry in measured}) > 1:
        return Difference.STATUS
    if len(there) < len(entries):
        return Difference.MISSING
    if measured and len(measured) < len(there):
        return Difference.UNMEASURED
    return None if len({entry.status for entry in there}) == 1 else Difference.UNMEASURED
