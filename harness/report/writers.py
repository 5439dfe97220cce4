"""`--report junit:PATH,json:PATH`: which files to write, and writing them.

There is one way to a report: the run becomes its JSON document, and every other report is made from that. So
`netcheck report` makes the same files later that `run --report` makes now.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from harness.model.result import RunResult
from harness.source.diagnostics import did_you_mean

T = TypeVar("T")
STDOUT = Path("-")
STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
"""Names the file whose Markdown GitHub Actions shows for a step; several commands add to it."""


class ReportError(Exception):
    """A `--report` that cannot be understood or written; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Report:
    """One file to write; the path `-` is standard output."""

    format: str
    path: Path

    @property
    def to_stdout(self) -> bool:
        """Whether it goes to standard output."""
        return self.path == STDOUT


def _junit(result: RunResult) -> str:
    from harness.report.junit import to_junit

    return to_junit(result)


def _json(result: RunResult) -> str:
    from harness.report.json import to_text

    return to_text(result)


def _html(result: RunResult) -> str:
    from harness.report.html import to_html

    return to_html(result)


def _markdown(result: RunResult) -> str:
    from harness.report.markdown import to_markdown

    return to_markdown(result)


def _github(result: RunResult) -> str:
    from harness.report.github import to_github

    return to_github(result, os.environ)


FORMATS: dict[str, Callable[[RunResult], str]] = {
    "junit": _junit,
    "json": _json,
    "html": _html,
    "md": _markdown,
    "github": _github,
}
"""What can be written, by the name that `--report` takes."""


def parse(values: Iterable[str], formats: Collection[str] = FORMATS) -> tuple[Report, ...]:
    """Read the values of `--report`, each one or more `FORMAT:PATH` with commas between.

    Args:
        values: What the options say.
        formats: Names of the formats that there are.

    Raises:
        ReportError: An unknown format, no path, or two reports for one file.
    """
    reports: list[Report] = []
    for entry in (part.strip() for value in values for part in value.split(",")):
        if not entry:
            continue
        name, colon, path = entry.partition(":")
        if name not in formats:
            hint = did_you_mean(name, formats)
            raise ReportError(
                f"unknown report format {name!r}; this version writes {', '.join(formats)}"
                + (f" ({hint})" if hint else "")
            )
        if not colon or not path:
            raise ReportError(f"the report {entry!r} names no file; write {name}:PATH")
        report = Report(name, Path(path))
        if any(other.path == report.path for other in reports):
            raise ReportError(f"two reports go to the same file {path!r}")
        reports.append(report)
    return tuple(reports)


def prepare(reports: Iterable[Report]) -> None:
    """Make the folders and see that every file can be written, before any packet is sent.

    Raises:
        ReportError: One that cannot be written.
    """
    for report in reports:
        if report.to_stdout:
            continue
        existed = report.path.exists()
        try:
            report.path.parent.mkdir(parents=True, exist_ok=True)
            with report.path.open("a", encoding="utf-8"):
                pass
            if not existed:
                report.path.unlink()
        except OSError as error:
            raise _unwritable(report, error) from error


def write(reports: Iterable[Report], result: RunResult) -> None:
    """Write all reports of a run, from its JSON document; see `write_as`."""
    from harness.report.json import through

    wanted = tuple(reports)
    if wanted:
        write_as(wanted, through(result), FORMATS)


def write_as(reports: Iterable[Report], result: T, formats: Mapping[str, Callable[[T], str]]) -> None:
    """Write all reports; one that cannot be written does not keep the others from being written.

    Raises:
        ReportError: About the first that could not be written.
    """
    first: ReportError | None = None
    for report in reports:
        try:
            _put(report, formats[report.format](result).encode(errors="backslashreplace"))
        except BrokenPipeError:
            raise
        except OSError as error:
            first = first or _unwritable(report, error)
    if first is not None:
        raise first


def _put(report: Report, data: bytes) -> None:
    if report.to_stdout:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
        return
    summary = os.environ.get(STEP_SUMMARY)
    adds = report.format == "md" and summary and report.path.absolute() == Path(summary).absolute()
    with report.path.open("ab" if adds else "wb") as stream:
        stream.write(data)


def _unwritable(report: Report, error: OSError) -> ReportError:
    return ReportError(f"cannot write the {report.format} report to {report.path}: {error.strerror or error}")
