"""`netcheck diff`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import click

from harness.cli import options
from harness.cli.app import cli
from harness.cli.exits import CliError, ExitCode
from harness.cli.report import read_report


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
