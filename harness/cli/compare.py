"""`netcheck compare`."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from harness.cli import measuring, options
from harness.cli.app import cli
from harness.cli.diff import parse_reports, show, shown_options
from harness.cli.exits import CliError, ExitCode
from harness.cli.kinds import is_kind, tell

if TYPE_CHECKING:
    from harness.cli.clusters import Opening
    from harness.report.diff import Diff, Row

_FEW = "name two clusters at least: --cluster lab?as=cilium --cluster lab?as=calico"


@cli.command(short_help="The same cells on several clusters, in one table.")
@options.paths_argument
@measuring.places_options
@options.selection_options
@click.option(
    "-j", "--jobs", default="auto", show_default=True, metavar="N|auto", help="Scenarios at the same time."
)
@shown_options
@click.option("-q", "--quiet", is_flag=True, help="Only the table; no progress.")
@click.pass_context
def compare(
    ctx: click.Context,
    paths: tuple[str, ...],
    places: tuple[measuring.Place, ...],
    k: str,
    tag: tuple[str, ...],
    jobs: str,
    everything: bool,
    report: tuple[str, ...],
    as_json: bool,
    color: str,
    quiet: bool,
) -> int:
    """Run scenarios on several clusters, one after the other, and show the cells where these differ.

    What the cells expect does not matter here: a verdict that is wrong on all clusters is no difference.
    Where the policies mean something else to one of the clusters, its reading stands below the cell.

    Exit codes: 0 the clusters agree, 1 a verdict differs (or is expected on one of them only), 2
    interrupted, 4 usage or invalid file, 5 nothing selected, 6 inconclusive: they agree as far as could be
    measured, and something could not.
    """
    from harness.cli import reading
    from harness.cli.clusters import parse_spec
    from harness.cli.measure import measure
    from harness.cli.select import select
    from harness.report.diff import Run
    from harness.report.diff import compare as compared
    from harness.report.progress import progress
    from harness.report.streams import shown_together

    if len(places) < 2:
        raise click.UsageError(_FEW, ctx)
    if len({place.cluster for place in places}) < len(places):
        raise CliError("a cluster is named twice", "its two runs would be the same")
    kinds = any(is_kind(place.cluster) for place in places)
    for place in places:
        if kinds:
            parse_spec(place.cluster)
        else:
            place.check(ctx)
    many = {place.cluster: options.jobs_value(ctx, _parameter(ctx), _jobs(jobs, place)) for place in places}
    reports = parse_reports(report)
    chosen = options.chosen_paths(ctx, paths)
    warnings: reading.Warnings = "none" if quiet else "count"
    read = reading.read(chosen, color=reading.wants_color(color, sys.stderr), warnings=warnings)
    scenarios = select(read, k, tag)
    if not scenarios:
        raise reading.nothing_selected(k, tag)
    revision = measuring.revision_of(chosen[0])
    say = (lambda _line: None) if quiet else tell
    openings = [place.opening(keep=False, say=say) for place in places]
    runs: list[Run] = []
    try:
        _look(places, openings)
        for number, (place, opening) in enumerate(zip(places, openings, strict=True), 1):
            say(f"{number} of {len(places)}: {place.cluster}")
            together = shown_together(sys.stdout, sys.stderr, os.environ)
            bar = progress(sys.stderr, quiet=quiet, environ=os.environ, told=together)
            ready = place.ready(scenarios)
            result = measure(
                ready, place, opening, bar, bar.close, jobs=many[place.cluster], revision=revision
            )
            runs.append(Run(number, "", result))
            if result.interrupted:
                break
    finally:
        # Those that were measured on are closed; closing is for the rest.
        for opening in openings[len(runs) :]:
            opening.abandon()
    found = _with_open_points(compared(runs))
    show(found, reports, everything=everything, as_json=as_json, color=color)
    return _exit_code(found)


def _look(places: Sequence[measuring.Place], openings: Sequence[Opening]) -> None:
    """Refuse a cluster that is no cluster before the first is measured on; kind clusters are made in turn.

    Raises:
        CliError: Such as a kubeconfig that is not there.
    """
    from harness.engine.cluster import ClusterError

    for place, opening in zip(places, openings, strict=True):
        if not is_kind(place.cluster):
            with contextlib.suppress(ClusterError):
                opening.wait()


def _with_open_points(found: Diff) -> Diff:
    """The comparison with what the specification leaves open about cells whose verdicts differ."""
    from harness.model.personality import GENERIC
    from harness.model.rules import OPEN_POINTS
    from harness.oracle import predict
    from harness.report.diff import Difference

    steps = {
        (item.scenario.name, step.name): step
        for run in found.runs
        for item in run.result.scenarios
        for step in item.scenario.steps
    }

    def named(row: Row) -> Row:
        step = steps[row.scenario, row.step]
        cell = next((item for item in step.cells if item.id == row.cell), None)
        if cell is None or row.difference is not Difference.VERDICT:
            return row
        point = predict(step.topology, step.policies, cell.probe, GENERIC).open_point
        return replace(row, open_point=OPEN_POINTS[point]) if point else row

    return replace(found, rows=tuple(named(row) for row in found.rows))


def _exit_code(found: Diff) -> ExitCode:
    from harness.model.verdict import Status
    from harness.report.diff import Difference

    if any(run.result.interrupted for run in found.runs):
        return ExitCode.INTERRUPTED
    if found.count(Difference.VERDICT) or found.count(Difference.STATUS):
        return ExitCode.DIFFERENT
    errors = any(run.result.count(Status.ERROR) for run in found.runs)
    return ExitCode.INCONCLUSIVE if errors else ExitCode.OK


def _jobs(text: str, place: measuring.Place) -> str:
    return str(options.auto_jobs(place.cluster)) if text == "auto" else text


def _parameter(ctx: click.Context) -> click.Parameter:
    return next(item for item in ctx.command.params if item.name == "jobs")
