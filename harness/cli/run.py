"""`netcheck run`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli import measuring, options
from harness.cli.app import cli
from harness.cli.exits import exit_code
from harness.cli.kept import check_keep
from harness.cli.kinds import tell

if TYPE_CHECKING:
    from harness.cli.clusters import Opening
    from harness.cli.reading import Warnings
    from harness.engine.events import Event
    from harness.model.result import RunResult
    from harness.model.scenario import Scenario


@cli.command(short_help="Run scenarios; report expected against observed.")
@options.paths_argument
@measuring.place_options
@options.selection_options
@click.option(
    "-x", "--fail-fast", is_flag=True, help="Stop after the first scenario that is not as expected."
)
@measuring.run_options
@options.verbose_option("Matrices of passing scenarios and notes of their cells, too; each stage in a log.")
@click.option("-q", "--quiet", is_flag=True, help="Only what is wrong, and the summary; no progress.")
@options.color_option
@click.pass_context
def run(
    ctx: click.Context,
    paths: tuple[str, ...],
    place: measuring.Place,
    k: str,
    tag: tuple[str, ...],
    fail_fast: bool,
    jobs: int,
    report: tuple[str, ...],
    keep: bool,
    verbose: bool,
    quiet: bool,
    color: str,
) -> int:
    """Run scenarios and report expected against observed.

    PATH is a scenario file or a folder with some; default: the configuration's paths, else scenarios/.

    Exit codes: 0 as expected, 1 a verdict differs, 2 interrupted, 3 internal error, 4 usage or invalid
    file, 5 nothing selected, 6 inconclusive (errors, no mismatch).
    """
    verbose, quiet = options.loudness(ctx, verbose, quiet)
    place.check(ctx)
    files = measuring.parse_reports(report)
    chosen = options.chosen_paths(ctx, paths)
    shown: Warnings = "none" if quiet else "all" if verbose else "count"
    opening = place.opening(keep=keep, say=_silent if quiet else tell)
    try:
        scenarios = place.ready(_selected(chosen, k, tag, color, warnings=shown))
        if keep:
            check_keep(place.cluster, scenarios)
        revision = measuring.revision_of(chosen[0])
        aside = any(item.to_stdout and item.format != "github" for item in files)
        how = _How(place, jobs, fail_fast, keep, verbose, quiet, color, revision, aside)
    except BaseException:
        opening.abandon()
        raise
    result = _measure(scenarios, how, opening)
    measuring.annotate(files, result)
    measuring.write_reports(files, result)
    from harness.cli.select import count_cells

    return exit_code(result, count_cells(scenarios))


def _silent(line: str) -> None:
    """Takes a line of progress that nobody wants."""


def _selected(
    paths: Sequence[Path], expression: str, tags: Sequence[str], color: str, *, warnings: Warnings
) -> tuple[Scenario, ...]:
    from harness.cli import reading
    from harness.cli.select import select

    scenarios = reading.read(paths, color=reading.wants_color(color, sys.stderr), warnings=warnings)
    chosen = select(scenarios, expression, tags)
    if not chosen:
        raise reading.nothing_selected(expression, tags)
    return chosen


@dataclass(frozen=True, slots=True)
class _How:
    """The options that the measuring depends on.

    Attributes:
        aside: A report goes to stdout, so what people read goes to stderr.
    """

    place: measuring.Place
    jobs: int
    fail_fast: bool
    keep: bool
    verbose: bool
    quiet: bool
    color: str
    revision: str
    aside: bool


def _measure(scenarios: Sequence[Scenario], how: _How, opening: Opening) -> RunResult:
    from harness.cli.measure import measure
    from harness.report.live import LiveReport
    from harness.report.printer import printer
    from harness.report.progress import progress
    from harness.report.streams import shown_together

    out = sys.stderr if how.aside else sys.stdout
    together = shown_together(out, sys.stderr, os.environ)
    bar = progress(sys.stderr, quiet=how.quiet, environ=os.environ, told=together, verbose=how.verbose)
    report = LiveReport(printer(out, how.color), bar, verbose=how.verbose, quiet=how.quiet)

    def emit(event: Event) -> None:
        bar(event)
        report(event)

    return measure(
        scenarios,
        how.place,
        opening,
        emit,
        bar.close,
        jobs=how.jobs,
        revision=how.revision,
        fail_fast=how.fail_fast,
        keep=how.keep,
    )
