"""`--report junit:PATH,json:PATH`: which files to write, and writing them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from harness.model.result import RunResult
from harness.source.diagnostics import did_you_mean

T = TypeVar("T")


class ReportError(Exception):
    """A `--report` that cannot be understood or written; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Report:
    """One file to write."""

    format: str
    path: Path


def _junit(result: RunResult) -> str:
    from harness.report.junit import to_junit

    return to_junit(result)


def _json(result: RunResult) -> str:
    from harness.report.json import to_text

    return to_text(result)


def _html(result: RunResult) -> str:
    from harness.report.html import to_html

    return to_html(result)


FORMATS: dict[str, Callable[[RunResult], str]] = {"junit": _junit, "json": _json, "html": _html}
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
    """Write all reports of a run; see `write_as`."""
    write_as(reports, result, FORMATS)


def write_as(reports: Iterable[Report], result: T, formats: Mapping[str, Callable[[T], str]]) -> None:
    """Write all reports; one that cannot be written does not keep the others from being written.

    Raises:
        ReportError: About the first that could not be written.
    """
    first: ReportError | None = None
    for report in reports:
        try:
            report.path.write_text(formats[report.format](result), encoding="utf-8")
        except OSError as error:
            first = first or _unwritable(report, error)
    if first is not None:
        raise first


def _unwritable(report: Report, error: OSError) -> ReportError:
    return ReportError(f"cannot write the {report.format} report to {report.path}: {error.strerror or error}")
