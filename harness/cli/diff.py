"""`netcheck diff`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from harness.cli import options
from harness.cli.app import cli
from harness.cli.exits import CliError, ExitCode
from harness.cli.report import read_report

if TYPE_CHECKING:
    from harness.report.diff import Diff
    from harness.report.writers import Report

FORMATS: Final = ("md", "json")


def shown_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """How a comparison is shown: `--all`, `--report`, `--json`, `--color`."""
    command = options.json_option(options.color_option(command))
    command = click.option(
        "--report",
        multiple=True,
        metavar="FORMAT:PATH[,...]",
        help="Write md:PATH or json:PATH; repeatable.",
    )(command)
    return click.option(
        "--all", "everything", is_flag=True, help="Show the cells on which all runs agree too."
    )(command)


def parse_reports(values: Sequence[str]) -> tuple[Report, ...]:
    """What `--report` of a comparison asks for; the folders are made.

    Raises:
        CliError: It cannot be understood or written.
    """
    from harness.report import writers

    try:
        reports = writers.parse(values, FORMATS)
        writers.prepare(reports)
    except writers.ReportError as error:
        raise CliError(f"--report: {error}", "write --report md:PATH or json:PATH") from error
    return reports


def show(found: Diff, reports: Sequence[Report], *, everything: bool, as_json: bool, color: str) -> None:
    """Print a comparison and write its reports.

    Raises:
        CliError: A file cannot be written.
    """
    from harness.report import diff_files, diff_text, writers
    from harness.report.printer import printer

    formats = {
        "md": partial(diff_files.to_markdown, everything=everything),
        "json": partial(diff_files.to_json_text, everything=everything),
    }
    if as_json:
        click.echo(formats["json"](found), nl=False)
    else:
        out = printer(sys.stdout, color)
        out.print(diff_text.render(found, out.columns, everything=everything))
    try:
        writers.write_as(reports, found, formats)
    except writers.ReportError as error:
        raise CliError(str(error), "mend this and run it again") from error


@cli.command(short_help="Two or more runs, cell by cell.")
@click.argument("files", nargs=-1, metavar="REPORT REPORT...", type=click.Path(path_type=Path))
@shown_options
def diff(
    files: tuple[Path, ...], everything: bool, report: tuple[str, ...], as_json: bool, color: str
) -> int:
    """Compare runs cell by cell: CNIs, versions, before and after.

    REPORT is a JSON report of `netcheck run`.

    Exit codes: 0 no difference, 1 something differs, 4 usage or a file that is no report.
    """
    from harness.report.diff import Run, compare

    if len(files) < 2:
        raise click.UsageError("a comparison needs two reports at least")
    reports = parse_reports(report)
    found = compare([Run(number, str(path), read_report(path)) for number, path in enumerate(files, 1)])
    show(found, reports, everything=everything, as_json=as_json, color=color)
    return ExitCode.DIFFERENT if found.different else ExitCode.OK
