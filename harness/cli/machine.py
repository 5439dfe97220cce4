"""`netcheck doctor`, `cleanup` and `schema`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from harness.cli import options
from harness.cli.app import Command, State, cli
from harness.cli.exits import CliError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.cli.config import Origin
    from harness.clusters.checks import Check
    from harness.clusters.kube.leftovers import Cleaned
    from harness.report.text import Line

_WORDS = {True: (" ok ", "good"), False: ("FAIL", "bad"), None: ("  - ", "dim")}


@cli.command()
def schema() -> int:
    """Print the JSON Schema of scenario files."""
    from harness.scenario import json_schema

    click.echo(json.dumps(json_schema(), indent=2))
    return ExitCode.OK


@cli.command(short_help="Remove the worlds that runs left behind.")
@click.option(
    "--cluster",
    default="lab",
    show_default=True,
    metavar="SPEC",
    help="Where to look: lab, kind[:NAME], context:NAME or kubeconfig:PATH.",
)
@click.option("--run", default="", metavar="ID", help="On a Kubernetes cluster: only this run, alive or not.")
@click.option("--all", "everything", is_flag=True, help="On a Kubernetes cluster: all runs, alive or not.")
def cleanup(cluster: str, run: str, everything: bool) -> int:
    """Remove the worlds that runs left behind, by --keep or because they were killed.

    On a Kubernetes cluster that is whatever carries the label netcheck.dev/run. Runs that are still alive are
    left alone: those whose process lives on this machine, and those of other machines that made something
    within the last hour. With kind: kind clusters that killed runs left, half-made or whole, and what is left
    in netcheck's others. Exit code 6 when a part of the API server did not answer, so that more may be left.
    """
    from harness.cli.kinds import is_kind
    from harness.report.text import count
    from harness.source.render import printable

    if cluster.startswith("lab"):
        removed, things, unseen = _clean_up_labs(cluster), "world", []
    else:
        if is_kind(cluster):
            from harness.cli.kinds import clean_up_kind

            done = clean_up_kind(cluster, run, everything)
        else:
            done = _clean_up(cluster, run, everything)
        for name, why in done.spared:
            name = printable(name)
            click.echo(f"left alone: run {name}: {why}; `--run {name}` removes it", err=True)
        removed, things, unseen = done.removed, "object", done.unseen
    for name in removed:
        click.echo(f"removed {printable(name)}")
    for why in unseen:
        click.echo(f"warning: could not look at {printable(why)}", err=True)
    if unseen and not removed:
        click.echo("nothing found to remove, but not everything could be looked at")
    else:
        click.echo(count(len(removed), things) + " removed" if removed else "nothing to remove")
    return ExitCode.INCONCLUSIVE if unseen else ExitCode.OK


def _clean_up_labs(cluster: str) -> list[str]:
    from harness.cli.clusters import parse_spec
    from harness.clusters.lab.kept import cleanup as end_labs

    parse_spec(cluster)
    return end_labs()


def _clean_up(cluster: str, run: str, everything: bool) -> Cleaned:
    from harness.cli.clusters import connect, parse_spec
    from harness.cli.outside import clean_outside
    from harness.clusters.kube.leftovers import cleanup as end_worlds
    from harness.engine.cluster import ClusterError

    parse_spec(cluster)
    try:
        api = connect(cluster)
        done = end_worlds(api, run=run, everything=everything)
        done.removed.extend(clean_outside(api, run, [name for name, _ in done.spared]))
        return done
    except ClusterError as trouble:
        raise CliError(str(trouble), trouble.advice, ExitCode.INCONCLUSIVE) from trouble


@cli.command(cls=Command, tolerant=True, short_help="What this machine can do, and what it lacks.")
@options.verbose_option("Show where the value of every option of `run` comes from.")
@options.color_option
@click.pass_context
def doctor(ctx: click.Context, verbose: bool, color: str) -> int:
    """Check what this machine can do, and say what to do about what it cannot.

    Exit code 6 when something is missing that a run needs. What kind clusters need counts when the
    configuration or the environment says that runs use one; else it is only told.
    """
    from harness.cli.config import origins
    from harness.cli.kinds import is_kind
    from harness.cli.run import run
    from harness.clusters.kind import doctor as of_kind
    from harness.clusters.lab import doctor as of_lab
    from harness.report.printer import printer

    state = ctx.find_object(State) or State()
    values = origins(ctx, run, state.config)
    kind = any(item.option == "--cluster" and is_kind(item.value) for item in values)
    checks = of_lab.check()
    more = of_kind.check(needed=kind)
    lines = [*_section("lab", checks), *_section("kind clusters", more)]
    checks += more
    if state.problem is not None:
        lines += problem_lines(state.problem.message, state.problem.advice)
    if verbose:
        where = str(state.config.file) if state.config.file else "none"
        lines += origin_lines(values, where)
    printer(sys.stdout, color).print(lines)
    if state.problem is not None:
        return ExitCode.USAGE
    return ExitCode.INCONCLUSIVE if any(item.ok is False for item in checks) else ExitCode.OK


def _section(title: str, checks: Sequence[Check]) -> list[Line]:
    """Checks below a title."""
    from harness.report.text import line

    return [line((title, "dim")), *check_lines(checks)]


def check_lines(checks: Sequence[Check]) -> list[Line]:
    """A line per check, advice below what is wrong."""
    from harness.report.text import line, pad, width

    names = max((width(item.name) for item in checks), default=0)
    lines = []
    for item in checks:
        word, style = _WORDS[item.ok]
        lines.append(line((word, style), "  ", (pad(item.name, names), "bold"), f"  {item.detail}"))
        if item.advice and item.ok is not True:
            lines.append(line(" " * (names + 8), (item.advice, "dim")))
    return lines


def problem_lines(message: str, advice: str) -> list[Line]:
    """A broken configuration file, as one more failed check."""
    from harness.report.text import line

    return [
        line(("FAIL", "bad"), "  ", ("configuration", "bold"), f"  {message}"),
        line(" " * 21, (advice, "dim")),
    ]


def origin_lines(origins: Sequence[Origin], file: str) -> list[Line]:
    """A line per option of `run`: value and where it came from."""
    from harness.report.text import EMPTY, line, pad, width

    options = max(width(item.option) for item in origins)
    values = max(width(item.value) for item in origins)
    lines = [EMPTY, line(("configuration file", "bold"), f"  {file}")]
    lines += [
        line(
            "  ",
            pad(item.option, options),
            "  ",
            (pad(item.value, values), "bold"),
            "  ",
            (item.source, "dim"),
        )
        for item in origins
    ]
    return lines
