"""`netcheck report`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli import measuring, options
from harness.cli.app import cli
from harness.cli.exits import CliError, ExitCode

if TYPE_CHECKING:
    from harness.model.result import RunResult

STANDARD_INPUT = Path("-")
_WRITE = "write one with `netcheck run --report json:PATH`"


@cli.command(short_help="Other reports of a run that is over.")
@click.argument("file", metavar="REPORT", type=click.Path(path_type=Path))
@click.option(
    "--to",
    multiple=True,
    metavar="FORMAT:PATH[,...]",
    help="Write junit:PATH, json:PATH, html:PATH, md:PATH or github:PATH; `-` is stdout; repeatable.",
)
@options.verbose_option("Show the matrices of passing scenarios and the notes of their cells too.")
@click.option("-q", "--quiet", is_flag=True, help="Only what is wrong, and the summary.")
@options.color_option
@click.pass_context
def report(
    ctx: click.Context, file: Path, to: tuple[str, ...], verbose: bool, quiet: bool, color: str
) -> int:
    """Make other reports of a run that is over, the same that it would have written itself.

    REPORT is a JSON report of `netcheck run`; `-` reads standard input. Without --to it is shown here.

    Exit codes: 0 done, 4 usage or a file that is no report.
    """
    verbose, quiet = options.loudness(ctx, verbose, quiet)
    files = measuring.parse_reports(to, "--to")
    result = read_report(file)
    measuring.write_reports(files, result, "mend this and run it again")
    if not files:
        from harness.report.printer import printer
        from harness.report.terminal import Style, names_width, render

        out = printer(sys.stdout, color)
        names = names_width([item.scenario for item in result.scenarios])
        out.print(render(result, Style(out.columns, verbose, quiet, names)))
    return ExitCode.OK


def read_report(path: Path) -> RunResult:
    """The run that a JSON report tells of.

    Args:
        path: The file; `-` is standard input.

    Raises:
        CliError: The file cannot be read, or is no report of this version.
    """
    from harness.report.json import JsonReportError, document, from_json

    name = "standard input" if path == STANDARD_INPUT else str(path)
    try:
        data = sys.stdin.buffer.read() if path == STANDARD_INPUT else path.read_bytes()
    except OSError as error:
        raise CliError(f"{name}: cannot be read: {error.strerror or error}", "check the path") from error
    writer: object = None
    try:
        found = document(data)
        writer = found.get("netcheck")
        return from_json(found)
    except JsonReportError as error:
        from harness import __version__

        advice = _WRITE
        if isinstance(writer, str) and writer != __version__:
            advice = (
                f"it was written by netcheck {writer}, and this is {__version__}: {_WRITE} of this version"
            )
        raise CliError(f"{name}: {error}", advice) from error
