"""A comparison of runs, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from harness.model.result import RunResult
from harness.model.verdict import Expected, Status
from harness.report.diff import Diff, Difference, Entry, Row, Run
from harness.report.text import EMPTY, Line, count, indent, line, pad, shorten, width

_GAP: Final = "  "
_LONGEST_TITLE: Final = 24
_STYLES: Final = {
    Status.PASSED: "good",
    Status.FAILED: "bad",
    Status.ERROR: "error",
    Status.SKIPPED: "skip",
    Status.XFAILED: "known",
}
WORDS: Final = {
    Difference.VERDICT: "verdict differs",
    Difference.STATUS: "verdict agrees, its status differs",
    Difference.UNMEASURED: "not measured everywhere",
    Difference.MISSING: "not in every run",
}
"""What the differences are called in summaries."""

NOT_THERE: Final = "-"
_LEGEND: Final = "observed[expected] failed   ~ known deviation   ? observed only   - not in this run"


def value(entry: Entry | None) -> str:
    """What one run says of a cell: `drop`, `allow[deny]` or `error`."""
    if entry is None:
        return NOT_THERE
    result = entry.result
    if result is None or not entry.measured or result.verdict is None:
        return str(entry.status)
    if entry.status is Status.FAILED:
        return f"{result.verdict}[{result.expected}]"
    if entry.status is Status.XFAILED:
        return f"{result.verdict}~"
    return f"{result.verdict}?" if result.expected is Expected.OBSERVE else str(result.verdict)


def remarks(row: Row, runs: Sequence[Run]) -> Iterator[tuple[str, str]]:
    """What explains a difference, with the numbers of the runs that say so."""
    found: dict[str, list[str]] = {}
    predictions = [entry.result.predicted for entry in row.entries if entry and entry.result]
    disagree = len({item.word for item in predictions if item is not None}) > 1
    for run, entry in zip(runs, row.entries, strict=True):
        for text in dict.fromkeys((*_texts(entry), *(_paper(entry) if disagree else ()))):
            found.setdefault(text, []).append(str(run.number))
    if row.open_point:
        said = f"undefined by the specification: {row.open_point}"
        found = {said: [str(run.number) for run in runs], **{t: n for t, n in found.items() if t != said}}
    for text, numbers in found.items():
        yield ",".join(numbers), text


def _paper(entry: Entry | None) -> Iterator[str]:
    """Why the policies have another meaning here than there."""
    predicted = entry.result.predicted if entry is not None and entry.result is not None else None
    if predicted is not None:
        yield f"on paper {predicted.word}: {predicted.rules}"


def _texts(entry: Entry | None) -> Iterator[str]:
    if entry is None or entry.whole:
        return
    result = entry.result
    plain = result and f"expected {result.expected}, observed {result.verdict}"
    if entry.reason not in ("", plain):
        yield entry.reason
    if result is None:
        return
    if result.control:
        yield f"control: {result.control}"
    yield from result.notes
    if result.finding_text:
        yield result.finding_text
    expectation = result.cell.expectation
    if expectation.backends:
        named = ", ".join(f"{name} {wanted}" for name, wanted in expectation.backends.items())
        yield f"expected by backend: {expectation.default}, {named}"


def summary(diff: Diff) -> str:
    """`3 cells: verdict differs; 20 cells agree`."""
    parts = [f"{count(diff.count(kind), 'cell')}: {WORDS[kind]}" for kind in Difference if diff.count(kind)]
    same = diff.count(None)
    parts.append(f"{count(same, 'cell')} {'agrees' if same == 1 else 'agree'}")
    return "; ".join(parts)


def run_words(result: RunResult) -> tuple[str, str]:
    """Where a run took place, and when, with what and with which result."""
    versions = ", ".join(f"{name} {version}" for name, version in result.backend.versions.items() if version)
    counts = ", ".join(f"{result.count(status)} {status}" for status in Status if result.count(status))
    parts = [
        counts or "no cells",
        result.started,
        f"netcheck {result.version}" if result.version else "",
        f"scenarios at {result.revision}" if result.revision else "",
        "interrupted" if result.interrupted else "",
    ]
    where = f"{result.backend.spec} ({versions})" if versions else result.backend.spec
    return where, " · ".join(part for part in parts if part)


def render(diff: Diff, columns: int, *, everything: bool = False) -> list[Line]:
    """The comparison as lines.

    Args:
        diff: What to show.
        columns: Width of the terminal.
        everything: Show cells that agree too.
    """
    lines: list[Line] = []
    for run in diff.runs:
        words = run_words(run.result)
        first, *rest = (run.file, *words) if run.file else words
        lines.append(line((str(run.number), "bold"), "  ", (first, "bold")))
        lines += [line("   ", (text, "dim")) for text in rest]
    shown = diff.shown(everything=everything)
    entries = [row.entries for _, rows in shown for row in rows]
    titles = [shorten(f"{run.number} {run.name}", _LONGEST_TITLE) for run in diff.runs]
    widths = [
        max([width(title), *(width(value(item[index])) for item in entries)])
        for index, title in enumerate(titles)
    ]
    room = columns - 4 - sum(widths) - len(_GAP) * len(widths)
    for name, rows in shown:
        lines += [EMPTY, line((name, "bold")), *indent(_table(rows, diff, titles, widths, room), 2)]
    for gap in diff.gaps():
        lines += [
            EMPTY,
            line((f"{count(gap.cells, 'cell')} of ", "skip"), (", ".join(gap.scenarios), "bold")),
        ]
        lines += [line("  ", (f"{run.number} {run.name}", "skip"), f": {text}") for run, text in gap.reasons]
    lines.append(EMPTY)
    if any(value(item)[-1] in "]~?-" for row in entries for item in row):
        lines.append(line((_LEGEND, "dim")))
    lines.append(line((summary(diff), "bad" if diff.count(Difference.VERDICT) else "bold")))
    return lines


def _table(
    rows: Sequence[Row], diff: Diff, titles: Sequence[str], widths: Sequence[int], room: int
) -> list[Line]:
    steps = len({row.step for row in rows}) > 1
    longest = max(width(row.cell) for row in rows) + (2 if steps else 0)
    names = max(0, min(longest, room))
    header = _GAP.join(pad(title, size) for title, size in zip(titles, widths, strict=True))
    lines = [line(" " * names + _GAP, (header, "dim"))]
    step = None
    for row in rows:
        if steps and row.step != step:
            step = row.step
            lines.append(line((f"step {step}", "dim")))
        before = "  " if steps else ""
        values: list[tuple[str, str]] = []
        for entry, size in zip(row.entries, widths, strict=True):
            style = "dim" if entry is None or not row.difference else _STYLES[entry.status]
            values += [(_GAP, ""), (pad(value(entry), size), style)]
        if width(before + row.cell) <= names:
            lines.append(line(pad(before + row.cell, names), *values))
        else:
            # An id that is cut could not be given to `-k`.
            lines += [line(before + row.cell), line(" " * names, *values)]
        if row.difference and not row.whole:
            lines += [
                line(before + "  ", (f"{numbers}: {text}", "dim"))
                for numbers, text in remarks(row, diff.runs)
            ]
    return lines
