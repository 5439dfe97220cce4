"""`netcheck run`."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli import options
from harness.cli.app import cli
from harness.cli.exits import CliError, ExitCode, exit_code
from harness.cli.kinds import Request, is_kind, kind_options, tell, typed_for_kind
from harness.cli.outside import Wish, outside_options
from harness.cli.pods import PodSettings, pod_options
from harness.cli.prefix import check_prefix, namespace_prefix_option

if TYPE_CHECKING:
    from harness.cli.clusters import Opening
    from harness.cli.reading import Warnings
    from harness.engine.cluster import ClusterError
    from harness.engine.events import Event
    from harness.model.result import RunResult
    from harness.model.scenario import Scenario
    from harness.report.writers import Report

DEFAULT_CLUSTER = "lab"


@cli.command(short_help="Run scenarios; report expected against observed.")
@options.paths_argument
@click.option(
    "--cluster",
    default=DEFAULT_CLUSTER,
    show_default=True,
    metavar="SPEC",
    help="Where the packets flow: lab, kind[:NAME], context:NAME or kubeconfig:PATH.",
)
@namespace_prefix_option
@kind_options(hidden=True)
@outside_options
@click.option(
    "--assume",
    multiple=True,
    metavar="FEATURE",
    callback=options.features_value,
    help="Take it that the cluster has FEATURE, whatever was found. Repeatable.",
)
@pod_options
@options.selection_options
@click.option(
    "-x", "--fail-fast", is_flag=True, help="Stop after the first scenario that is not as expected."
)
@click.option(
    "-j",
    "--jobs",
    callback=options.jobs_value,
    default="auto",
    show_default=True,
    metavar="N|auto",
    help="Scenarios at the same time.",
)
@click.option(
    "--report",
    multiple=True,
    metavar="FORMAT:PATH[,...]",
    help="Write junit:PATH, json:PATH or html:PATH; repeatable.",
)
@click.option("--keep", is_flag=True, help="Leave the worlds standing; `netcheck cleanup` removes them.")
@options.verbose_option("Show the matrices of passing scenarios and the notes of their cells too.")
@click.option("-q", "--quiet", is_flag=True, help="Only what is wrong, and the summary; no progress.")
@options.color_option
@click.pass_context
def run(
    ctx: click.Context,
    paths: tuple[str, ...],
    cluster: str,
    namespace_prefix: str,
    request: Request,
    adopt: bool,
    external: dict[str, tuple[str, ...]],
    assume: tuple[str, ...],
    pods: PodSettings,
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
    from harness.cli.clusters import Opening, parse_spec

    verbose, quiet = options.loudness(ctx, verbose, quiet)
    parse_spec(cluster)
    if not is_kind(cluster) and typed_for_kind(ctx):
        raise CliError("--cni and its like are for kind clusters", f"add --cluster kind; this is {cluster}")
    files = _reports(report)
    chosen = options.chosen_paths(ctx, paths)
    shown: Warnings = "none" if quiet else "all" if verbose else "count"
    wish, say = Wish(adopt, external), _silent if quiet else tell
    opening = Opening(cluster, keep=keep, pods=pods, request=request, say=say, wish=wish)
    try:
        scenarios = _selected(chosen, k, tag, color, warnings=shown, externals=external)
        check_prefix(namespace_prefix, scenarios)
        how = _How(
            cluster,
            namespace_prefix,
            assume,
            wish.words(),
            jobs,
            fail_fast,
            keep,
            verbose,
            quiet,
            color,
            _revision(chosen[0]),
        )
    except BaseException:
        opening.abandon()
        raise
    result = _measure(scenarios, how, opening)
    _write(files, result)
    from harness.cli.select import count_cells

    return exit_code(result, count_cells(scenarios))


def _silent(line: str) -> None:
    """Takes a line of progress that nobody wants."""


def _reports(values: Sequence[str]) -> tuple[Report, ...]:
    from harness.report import writers

    try:
        reports = writers.parse(values)
        writers.prepare(reports)
    except writers.ReportError as error:
        raise CliError(f"--report: {error}", "write --report junit:PATH, json:PATH or html:PATH") from error
    return reports


def _write(reports: Sequence[Report], result: RunResult) -> None:
    from harness.report import writers

    try:
        writers.write(reports, result)
    except writers.ReportError as error:
        raise CliError(str(error), "the run itself is done; mend this and run it again") from error


def _selected(
    paths: Sequence[Path],
    expression: str,
    tags: Sequence[str],
    color: str,
    *,
    warnings: Warnings,
    externals: Mapping[str, tuple[str, ...]],
) -> tuple[Scenario, ...]:
    from harness.cli import reading
    from harness.cli.select import select

    scenarios = reading.read(paths, color=reading.wants_color(color, sys.stderr), warnings=warnings)
    chosen = select(scenarios, expression, tags)
    if not chosen:
        raise reading.nothing_selected(expression, tags)
    from harness.oracle import resolve
    from harness.scenario.externals import relocate

    return tuple(resolve(relocate(item, externals)) for item in chosen)


@dataclass(frozen=True, slots=True)
class _How:
    """The options that the measuring depends on."""

    cluster: str
    namespace_prefix: str
    assume: tuple[str, ...]
    outside: tuple[str, ...]
    jobs: int
    fail_fast: bool
    keep: bool
    verbose: bool
    quiet: bool
    color: str
    revision: str


def _measure(scenarios: Sequence[Scenario], how: _How, opening: Opening) -> RunResult:
    from harness.cli.signals import stop_on_signal
    from harness.clusters.renamed import RenamedCluster
    from harness.engine.cluster import Cluster, ClusterError
    from harness.engine.run import run as engine
    from harness.report.live import LiveReport
    from harness.report.printer import printer
    from harness.report.progress import progress

    bar = progress(sys.stderr, quiet=how.quiet, environ=os.environ)
    report = LiveReport(printer(sys.stdout, how.color), bar, verbose=how.verbose, quiet=how.quiet)

    def emit(event: Event) -> None:
        bar(event)
        report(event)

    try:
        cluster: Cluster = opening.wait()
    except ClusterError as error:
        return _unavailable(scenarios, how, error)
    assumed = frozenset(how.assume) - cluster.backend.features
    again = [*how.outside, *(word for feature in how.assume for word in ("--assume", feature))]
    cluster.backend = replace(
        cluster.backend,
        features=cluster.backend.features | assumed,
        assumed=assumed,
        options=tuple(again),
    )
    if how.namespace_prefix:
        cluster = RenamedCluster(cluster, how.namespace_prefix)
    # What the cluster holds for the run is let go before a signal may end the process again.
    with stop_on_signal() as stop:
        try:
            result = engine(
                scenarios,
                cluster,
                emit,
                jobs=how.jobs,
                fail_fast=how.fail_fast,
                revision=how.revision,
                stop=stop,
            )
        finally:
            bar.close()
            cluster.close()
    if how.keep:
        _tell_kept(result.run)
    if cluster.left_behind:
        result = replace(result, left_behind=cluster.left_behind)
        _tell_left_behind(how.cluster, result)
    return result


def _tell_left_behind(spec: str, result: RunResult) -> None:
    """What could not be removed, and how to remove it later; also under `--quiet`."""
    from harness.source.render import printable

    for why in result.left_behind:
        click.echo(f"warning: not everything could be removed: {printable(why)}", err=True)
    words = ["netcheck", "cleanup", "--cluster", spec, "--run", result.run]
    click.echo(f"  help: later: {printable(shlex.join(words))}", err=True)


def _tell_kept(run: str) -> None:
    """How to look into the worlds that `--keep` left standing."""
    from harness.clusters.lab.kept import standing
    from harness.source.render import printable

    for lab in standing():
        if lab.run == run:
            click.echo(f"kept: the world of {printable(lab.scenario)}; open a shell in it with", err=True)
            for place in lab.places:
                click.echo(f"  {printable(lab.enter(place))}  # {printable(place)}", err=True)
    click.echo("`netcheck cleanup` removes what is kept", err=True)


def _unavailable(scenarios: Sequence[Scenario], how: _How, error: ClusterError) -> RunResult:
    """Nothing could be measured: every scenario is an error, and the reports say so."""
    import datetime

    from harness import __version__
    from harness.model.result import Backend, RunResult, ScenarioResult

    advice = error.advice or "`netcheck doctor` says what is missing"
    CliError(str(error), advice, ExitCode.INCONCLUSIVE).show()
    return RunResult(
        run="",
        started=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        backend=Backend(how.cluster, (how.cluster.partition("?")[0],)),
        scenarios=tuple(ScenarioResult(item, error=str(error)) for item in scenarios),
        revision=how.revision,
        version=__version__,
    )


def _revision(path: Path) -> str:
    """Git revision of the scenarios' folder, `-dirty` when files differ from it; empty without git."""
    import subprocess

    folder = path if path.is_dir() else path.parent
    command = ["git", "-c", "core.fsmonitor=false", "-C", str(folder)]
    try:
        done = subprocess.run(
            [*command, "describe", "--always", "--dirty", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
