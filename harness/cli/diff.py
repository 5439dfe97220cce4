"""`netcheck diff`."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli import options
from harness.cli.app import cli
from harness.cli.exits import CliError, ExitCode

if TYPE_CHECKING:
    from harness.model.result import RunResult

_WRITE = "write one with `netcheck run --report json:PATH`"


@cli.command(short_help="Two or more runs, cell by cell.")
@click.argument("files", nargs=-1, metavar="REPORT REPORT...", type=click.Path(path_type=Path))
@click.option("--all", "everything", is_flag=True, help="Show the cells on which all runs agree too.")
@click.option(
    "--report", multiple=True, metavar="FORMAT:PATH[,...]", help="Write md:PATH or json:PATH; repeatable."
)
@options.json_option
@options.color_option
def diff(
    files: tuple[Path, ...], everything: bool, report: tuple[str, ...], as_json: bool, color: str
) -> int:
    """Compare runs cell by cell: CNIs, versions, before and after.

    REPORT is a JSON report of `netcheck run`.

    Exit codes: 0 no difference, 1 something differs, 4 usage or a file that is no report.
    """
    from harness.report import diff_files, diff_text, writers
    from harness.report.diff import Run, compare
    from harness.report.printer import printer

    if len(files) < 2:
        raise click.UsageError("a comparison needs two reports at least")
    formats = {
        "md": partial(diff_files.to_markdown, everything=everything),
        "json": partial(diff_files.to_json_text, everything=everything),
    }
    try:
        reports = writers.parse(report, formats)
        writers.prepare(reports)
    except writers.ReportError as error:
        raise CliError(f"--report: {error}", "write --report md:PATH or json:PATH") from error
    runs = [Run(number, str(path), read_report(path)) for number, path in enumerate(files, 1)]
    found = compare(runs)
    if as_json:
        click.echo(diff_files.to_json_text(found, everything=everything), nl=False)
    else:
        out = printer(sys.stdout, color)
        out.print(diff_text.render(found, out.columns, everything=everything))
    try:
        writers.write_as(reports, found, formats)
    except writers.ReportError as error:
        raise CliError(str(error), "mend this and run it again") from error
    return ExitCode.DIFFERENT if found.different else ExitCode.OK


def read_report(path: Path) -> RunResult:
    """The run that a JSON report tells of.

    Raises:
        CliError: The file cannot be read, or is no report of this version.
    """
    from harness.report.json import JsonReportError, checked, from_json

    document = _document(path)
    try:
        return checked(from_json(document))
    except JsonReportError as error:
        from harness import __version__

        writer = document.get("netcheck")
        advice = _WRITE
        if isinstance(writer, str) and writer != __version__:
            advice = (
                f"it was written by netcheck {writer}, and this is {__version__}: {_WRITE} of this version"
            )
        raise CliError(f"{path}: {error}", advice) from error


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise CliError(f"{path}: cannot be read: {error.strerror or error}", "check the path") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        text = f"{path}: no valid JSON: {error.msg} at {where}"
        raise CliError(text, f"was the run cut off while it wrote? {_WRITE}") from error
    except (ValueError, RecursionError) as error:
        raise CliError(f"{path}: no JSON report: it cannot be decoded", _WRITE) from error
    if not isinstance(document, dict):
        raise CliError(f"{path}: this is no report of netcheck", _WRITE)
    return document
