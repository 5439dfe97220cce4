"""Scenario files on the command line: load them, and say everything that is wrong with them at once."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO

from harness.cli.exits import CliError, ExitCode

if TYPE_CHECKING:
    from harness.model.scenario import Scenario
    from harness.source.diagnostics import Diagnostic
    from harness.source.sources import Sources


Warnings = Literal["none", "count", "all"]


class InvalidFilesError(CliError):
    """The files have errors, and they have been printed already."""

    def show(self, file: object = None) -> None:
        """Only the count is left to say."""
        sys.stderr.write(f"{self.message}\n")


def read(paths: Sequence[Path], *, color: bool, warnings: Warnings = "none") -> tuple[Scenario, ...]:
    """The scenarios of all files.

    Args:
        paths: Files and folders.
        color: Whether diagnostics get colours.
        warnings: Whether warnings are shown on stderr where there is no error: not, by number, or each.

    Raises:
        InvalidFilesError: Some file has errors; all of them have been printed on stderr.
    """
    from harness.scenario import load
    from harness.source.diagnostics import Severity

    loaded = load(paths)
    failed = any(item.severity is Severity.ERROR for item in loaded.problems)
    problems = loaded.problems
    if problems and (failed or warnings == "all"):
        print_diagnostics(problems, loaded.sources, sys.stderr, color=color)
    elif problems and warnings == "count":
        sys.stderr.write(f"netcheck: {tally(problems)}: `netcheck lint` shows them\n")
    if failed:
        raise InvalidFilesError(tally(problems))
    return tuple(loaded.scenarios)


def standard_input(*, color: str) -> str:
    """The text of standard input.

    Raises:
        InvalidFilesError: It is too large or no UTF-8 text; what is wrong has been printed on stderr.
    """
    from harness.source.diagnostics import Problems
    from harness.source.limits import MAX_BYTES
    from harness.source.place import Place
    from harness.source.text import decode

    name = "<stdin>"
    problems = Problems()
    # Bytes: which encoding Python takes for text here, and how strictly, depends on the locale.
    data = sys.stdin.buffer.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        message = f"more than {MAX_BYTES / 1e6:.1f} MB come from standard input"
        problems.error("file-too-large", message, Place(name), help="split it into several runs")
        text = None
    else:
        text = decode(data, name, problems)
    if text is None:
        print_diagnostics(problems.found, None, sys.stderr, color=wants_color(color, sys.stderr))
        raise InvalidFilesError(tally(problems.found))
    return text


def print_diagnostics(
    problems: Iterable[Diagnostic], sources: Sources | None, stream: TextIO, *, color: bool
) -> None:
    """Print diagnostics with their excerpts, and an empty line after them."""
    from harness.report.printer import encodable
    from harness.source.render import render

    text = render(problems, sources, color=color)
    stream.write(encodable(text + "\n", stream))
    stream.flush()


def tally(problems: Sequence[Diagnostic]) -> str:
    """`2 errors and 1 warning in 2 files`."""
    from harness.report.text import count
    from harness.source.diagnostics import Severity

    words = ((Severity.ERROR, "error"), (Severity.WARNING, "warning"), (Severity.INFO, "remark"))
    parts = []
    for severity, noun in words:
        number = sum(item.severity is severity for item in problems)
        if number:
            parts.append(count(number, noun))
    files = len({item.place.file for item in problems})
    return f"{' and '.join(parts)} in {count(files, 'file')}"


def wants_color(choice: str, stream: TextIO) -> bool:
    """Whether `stream` gets colours."""
    import os

    from harness.report.printer import wants_colour

    return wants_colour(choice, stream, os.environ)


def nothing_selected(expression: str, tags: Sequence[str]) -> CliError:
    """The error for a selection that leaves nothing."""
    parts = [f"-k {expression!r}"] if expression else []
    parts += [f"--tag {tag}" for tag in tags]
    why = f" by {' '.join(parts)}" if parts else ": the files have no scenario"
    return CliError(
        f"nothing is selected{why}", "`netcheck list` shows what there is", ExitCode.NOTHING_SELECTED
    )
