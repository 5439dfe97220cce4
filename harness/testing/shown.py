"""What pytest shows of a cell: the text of netcheck's own terminal report, with its colours.

It must survive the way from a worker to the process that prints, where only plain values do.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from harness.model.result import Backend, CellResult, StepResult
from harness.model.scenario import Scenario
from harness.report.cases import Case
from harness.report.failures import full_id, handshake_text, outcome_text, receipt_text
from harness.report.printer import encodable
from harness.report.terminal import render_failure
from harness.report.text import Line, duration, line
from harness.source.diagnostics import Diagnostic, Severity
from harness.source.place import Place
from harness.source.render import printable, render_one
from harness.source.sources import Sources

_MARKUP: Final[Mapping[str, Mapping[str, bool]]] = {
    "good": {"green": True},
    "bad": {"red": True, "bold": True},
    "error": {"yellow": True, "bold": True},
    "skip": {"cyan": True},
    "dim": {"light": True},
    "bold": {"bold": True},
    "known": {"purple": True},
}
_LABEL: Final = 10


@dataclass(frozen=True, slots=True)
class Crash:
    """What pytest's short summary and JUnit take as the one-line reason."""

    path: str
    lineno: int
    message: str

    def __str__(self) -> str:
        return self.message


class Shown:
    """Lines for the terminal, and the one-line reason; what pytest calls a longrepr."""

    def __init__(self, lines: Sequence[Line], place: Place, message: str) -> None:
        self.lines = lines
        self.reprcrash = Crash(place.file, place.line, printable(message))

    def toterminal(self, out: Any) -> None:
        """Write the lines with pytest's own writer."""
        write(out, self.lines)

    def __str__(self) -> str:
        return "\n".join("".join(text for text, _ in spans) for spans in self.lines)

    def out(self) -> dict[str, Any]:
        """As plain values."""
        crash = self.reprcrash
        lines = [[[text, style] for text, style in spans] for spans in self.lines]
        return {"lines": lines, "file": crash.path, "line": crash.lineno, "message": crash.message}

    @classmethod
    def back(cls, data: Mapping[str, Any]) -> Shown:
        """The inverse of `out`."""
        lines = [tuple((text, style) for text, style in spans) for spans in data["lines"]]
        return cls(lines, Place(data["file"], data["line"]), data["message"])


def write(out: Any, lines: Iterable[Line]) -> None:
    """Write lines with pytest's writer, in characters that its stream has."""
    stream = getattr(out, "_file", sys.stdout)
    for spans in lines:
        for text, style in spans:
            out.write(encodable(text, stream), **_MARKUP.get(style, {}))
        out.line()


def of_case(case: Case, scenario: Scenario, backend: Backend, before: str, advice: str) -> Shown:
    """A cell that is not as expected.

    Args:
        case: The cell.
        scenario: The one that it stands in.
        backend: Where it was measured.
        before: Step and id of a cell that had the very same trouble, and told it; empty without one.
        advice: What the user can do; may be empty.
    """
    if case.result is not None and not before:
        return Shown(render_failure(scenario, case.step, case.result, backend), case.place, case.message)
    lines = [line(("ERROR", "error"), " ", (full_id(scenario.name, case.step, case.id), "bold"))]
    details = (("reason", f"the same as of {before}"),) if before else case.details
    if advice and not before:
        details = (*details, ("help", advice))
    lines += [_labelled(label, text) for label, text in details]
    return Shown(lines, case.place, case.message)


def broken(id: str, place: Place, why: str) -> Shown:
    """A cell whose scenario could not even be asked for."""
    first, *rest = why.splitlines()
    lines = [line(("ERROR", "error"), " ", (id, "bold")), _labelled("reason", first)]
    return Shown([*lines, *(line(text) for text in rest)], place, f"{place.short}: {first}")


def diagnosed(problems: Sequence[Diagnostic], sources: Sources) -> Shown:
    """What is wrong with a file; the first error stands for all where there is room for one line."""
    errors = [item for item in problems if item.severity is Severity.ERROR]
    first, more = errors[0], len(errors) - 1
    message = f"{first}" + (f" (and {more} more)" if more else "")
    lines: list[Line] = []
    for number, item in enumerate(problems):
        lines += [()] if number else []
        head, *rest = render_one(item, sources).rstrip("\n").split("\n")
        lines.append(line((head, "bad" if item.severity is Severity.ERROR else "error")))
        lines += [((text, ""),) for text in rest]
    return Shown(lines, first.place, message)


def transcript(step: StepResult, cell: CellResult) -> str:
    """How the probe went: what was sent from where to where, and what came of it."""
    return "\n".join("".join(text for text, _ in _labelled(*item)).strip() for item in _told(step, cell))


def _told(step: StepResult, cell: CellResult) -> Iterable[tuple[str, str]]:
    yield "control", cell.control or "connected while no policy stood in the way"
    if step.in_force_by:
        yield "in force", f"after {duration(step.in_force)} ({step.in_force_by})"
    seen = cell.observation
    if seen is None:
        return
    way = " -> ".join(text for text in (seen.source_address, seen.destination) if text)
    tries = "1 attempt" if seen.attempts == 1 else f"{seen.attempts} attempts"
    yield "sent", ", ".join(text for text in (way, tries, duration(seen.seconds)) if text)
    yield "outcome", outcome_text(seen)
    yield "receipt", receipt_text(seen)
    shaken = handshake_text(seen)
    if shaken:
        yield "handshake", shaken


def _labelled(label: str, text: str) -> Line:
    return line((f"  {label:<{_LABEL}}", "dim"), (text, ""))
