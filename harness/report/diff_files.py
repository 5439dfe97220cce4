"""A comparison of runs as Markdown and as JSON (`docs/json-report.md`)."""

from __future__ import annotations

import json
from typing import Any, Final

from harness.model.verdict import Status
from harness.report import json_parts as parts
from harness.report.diff import Diff, Difference, Entry, Row
from harness.report.diff_text import remarks, run_words, summary, value
from harness.report.markup import code
from harness.report.text import count

SCHEMA: Final = "netcheck.dev/diff/v1"


def to_markdown(diff: Diff, *, everything: bool = False) -> str:
    """The comparison for a pull request or a job's summary."""
    files = any(run.file for run in diff.runs)
    head = ("| Run | Report | Backend |", "|---|---|---|") if files else ("| Run | Backend |", "|---|---|")
    lines = [f"**{summary(diff)}**", "", *head]
    lines += [
        f"| {run.number} {code(run.name)} | "
        + (f"{code(run.file)} | " if files else "")
        + "<br>".join(code(text) for text in run_words(run.result))
        + " |"
        for run in diff.runs
    ]
    names = " | ".join(f"{run.number} {code(run.name)}" for run in diff.runs)
    for name, rows in diff.shown(everything=everything):
        lines += ["", f"### {code(name)}", "", f"| Step | Cell | {names} | |"]
        lines += ["|---|---|" + "---|" * (len(diff.runs) + 1), *(_markdown_row(row, diff) for row in rows)]
    for gap in diff.gaps():
        which = ", ".join(code(name) for name in gap.scenarios)
        lines += ["", f"{count(gap.cells, 'cell')} of {which}:", ""]
        lines += [f"- {run.number} {code(run.name)}: {code(text)}" for run, text in gap.reasons]
    return "\n".join(lines) + "\n"


def _markdown_row(row: Row, diff: Diff) -> str:
    values = " | ".join(_bold(value(entry), entry) for entry in row.entries)
    why = ""
    if row.difference and not row.whole:
        why = "<br>".join(f"{numbers}: {code(text)}" for numbers, text in remarks(row, diff.runs))
    return f"| {code(row.step)} | {code(row.cell)} | {values} | {why} |"


def _bold(text: str, entry: Entry | None) -> str:
    return f"**{code(text)}**" if entry is not None and entry.status is Status.FAILED else code(text)


def to_json(diff: Diff, *, everything: bool = False) -> dict[str, Any]:
    """The comparison as plain JSON values."""
    return {
        "schema": SCHEMA,
        "runs": [
            {
                "number": run.number,
                "name": run.name,
                "file": run.file,
                "run": run.result.run,
                "started": run.result.started,
                "netcheck": run.result.version,
                "revision": run.result.revision,
                "interrupted": run.result.interrupted,
                "backend": parts.backend_out(run.result.backend),
                "counts": {str(status): run.result.count(status) for status in Status},
            }
            for run in diff.runs
        ],
        "counts": {
            **{str(kind): diff.count(kind) for kind in Difference},
            "same": diff.count(None),
        },
        "cells": [
            {
                "scenario": row.scenario,
                "step": row.step,
                "id": row.cell,
                "difference": None if row.difference is None else str(row.difference),
                **({"open_point": row.open_point} if row.open_point else {}),
                "results": [_entry(entry) for entry in row.entries],
            }
            for row in diff.rows
            if everything or row.difference
        ],
    }


def _entry(entry: Entry | None) -> dict[str, Any] | None:
    if entry is None:
        return None
    result = entry.result
    return {
        "status": str(entry.status),
        "verdict": None if result is None or result.verdict is None else str(result.verdict),
        "expected": None if result is None else str(result.expected),
        "predicted": None if result is None or result.predicted is None else result.predicted.word,
        "reason": entry.reason,
        "notes": [] if result is None else list(result.notes),
    }


def to_json_text(diff: Diff, *, everything: bool = False) -> str:
    """The JSON document as text, with a line break at its end."""
    return json.dumps(to_json(diff, everything=everything), indent=1, ensure_ascii=True) + "\n"
