"""What the page knows of its cells: plain values that its script shows as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from harness.model.prediction import Finding
from harness.model.result import CellResult, RunResult, ScenarioResult
from harness.model.scenario import Cell
from harness.model.verdict import Status
from harness.report.failures import details, full_id, headline
from harness.report.quotes import quotes
from harness.report.summary import status_of_unmeasured, words
from harness.report.text import duration
from harness.source.render import printable

_AGAINST: Final = {
    Finding.EXPECTATION: "expected",
    Finding.CLUSTER: "observed",
    Finding.ORACLE: "predicted",
}
"""Which of the three answers a finding is about."""
_OWN: Final = ("rerun", "place")
"""Labels that have a field of their own."""


class Cells:
    """Collects the cells of a run; the page names them by number.

    Attributes:
        legend: Keys of the symbols in use.
    """

    def __init__(self, result: RunResult) -> None:
        self.legend: set[str] = set()
        self._result = result
        self._cells: list[dict[str, Any]] = []

    def document(self) -> dict[str, Any]:
        """Everything collected, and the policies that are quoted."""
        excerpts = [
            {
                "parts": [[first, [printable(text) for text in lines]] for first, lines in item.parts],
            }
            for item in self._result.excerpts
        ]
        return {"cells": self._cells, "excerpts": excerpts}

    def measured(self, item: ScenarioResult, step: str, cell: CellResult) -> int:
        """Add a cell; returns its number."""
        told = [
            (label, printable(text))
            for label, text in details(item.scenario, step, cell, self._result.backend)
        ]
        own = dict(told)
        entry: dict[str, Any] = {
            "id": printable(full_id(item.scenario.name, step, cell.id)),
            "cell": printable(cell.id),
            "status": str(cell.status),
            "head": printable(headline(cell)) if cell.status is not Status.PASSED else "as expected",
            "rows": [[label, text] for label, text in told if label not in _OWN] + list(_measures(cell)),
            "place": own["place"],
            "rerun": own["rerun"],
        }
        if cell.finding is not None:
            entry["odd"] = _AGAINST[cell.finding]
        elif cell.status is Status.FAILED:
            entry["odd"] = "observed"
        found = quotes(cell, self._result.excerpts)
        if found:
            entry["quotes"] = [[item.number, printable(item.title), sorted(item.marked)] for item in found]
        self._cells.append(entry)
        return len(self._cells) - 1

    def unmeasured(self, item: ScenarioResult, step: str, cell: Cell) -> int:
        """Add a planned cell that has no result; returns its number."""
        reason = printable(item.error or item.skipped or "not measured")
        self._cells.append(
            {
                "id": printable(full_id(item.scenario.name, step, cell.id)),
                "cell": printable(cell.id),
                "status": str(status_of_unmeasured(item)),
                "head": reason,
                "rows": [["expected", str(cell.expectation.default)], ["reason", reason]],
                "place": printable(str(cell.place)),
            }
        )
        return len(self._cells) - 1


def label(row: str, column: str, band: str, cell: CellResult | None, status: Status) -> str:
    """What a screen reader says of a cell."""
    verdict = str(cell.verdict) if cell is not None and cell.verdict is not None else ""
    expected = f" instead of {cell.expected}" if cell is not None and status is Status.FAILED else ""
    said = ", ".join(part for part in (f"{verdict}{expected}".strip(), words(status)) if part)
    return f"{row} to {column}, {band}: {said}"


def _measures(cell: CellResult) -> Iterator[list[str]]:
    seen = cell.observation
    if seen is None:
        return
    if not cell.control and cell.verdict is not None:
        yield ["control", "connected without policies"]
    yield ["attempts", str(seen.attempts)]
    yield ["time", duration(seen.seconds)]
    if seen.source_address and seen.destination:
        yield ["packets", printable(f"{seen.source_address} → {seen.destination}")]
    if cell.denied_after is not None:
        yield ["denied after", duration(cell.denied_after)]
    if cell.leaks:
        yield ["leaks", str(cell.leaks)]
