"""What measuring needs besides scenarios, for `run` and pytest: where, under which names, by what means."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from harness.cli import options
from harness.cli.exits import CliError
from harness.cli.kinds import Request, is_kind, kind_options, typed_for_kind
from harness.cli.outside import Wish, outside_options
from harness.cli.pods import PodSettings, pod_options
from harness.cli.prefix import check_prefix, namespace_prefix_option

if TYPE_CHECKING:
    from harness.cli.clusters import Opening
    from harness.engine.cluster import Cluster, ClusterError
    from harness.model.result import RunResult
    from harness.model.scenario import Scenario
    from harness.report.writers import Report

DEFAULT_CLUSTER = "lab"
_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Place:
    """Where the packets flow, and what the user says of it.

    Attributes:
        cluster: As on the command line.
        namespace_prefix: Stands before every namespace of the scenarios; may be empty.
        assume: Features that the cluster is taken to have.
        request: The shape of a kind cluster.
        wish: What is outside of a Kubernetes cluster.
        pods: How pods are made on a Kubernetes cluster.
    """

    cluster: str = DEFAULT_CLUSTER
    namespace_prefix: str = ""
    assume: tuple[str, ...] = ()
    request: Request = field(default_factory=Request)
    wish: Wish = field(default_factory=Wish)
    pods: PodSettings = field(default_factory=PodSettings)

    def check(self, ctx: click.Context) -> None:
        """Refuse what cannot be understood before anything is opened.

        Raises:
            CliError: The cluster's spec, or options that do not go with it.
        """
        from harness.cli.clusters import parse_spec

        parse_spec(self.cluster)
        if not is_kind(self.cluster) and typed_for_kind(ctx):
            text = f"add --cluster kind; this is {self.cluster}"
            raise CliError("--cni and its like are for kind clusters", text)

    def opening(self, *, keep: bool, say: Callable[[str], None]) -> Opening:
        """Begin to open the cluster, while the files are read.

        Args:
            keep: Leave worlds standing after the run.
            say: Takes lines of progress.
        """
        from harness.cli.clusters import Opening

        return Opening(self.cluster, keep=keep, pods=self.pods, request=self.request, say=say, wish=self.wish)

    def ready(self, scenarios: Sequence[Scenario]) -> tuple[Scenario, ...]:
        """Scenarios as they are measured here: externals at their addresses, the oracle asked.

        Raises:
            CliError: The prefix makes a name too long.
        """
        from harness.cli.clusters import parse_spec
        from harness.model.personality import GENERIC
        from harness.oracle import resolve
        from harness.scenario.externals import relocate

        lab = parse_spec(self.cluster)
        found = tuple(
            resolve(relocate(item, self.wish.externals), lab.reads(item) if lab else GENERIC)
            for item in scenarios
        )
        check_prefix(self.namespace_prefix, found)
        return found

    def furnished(self, cluster: Cluster) -> Cluster:
        """An opened cluster with what the user says of it."""
        from harness.clusters.renamed import RenamedCluster

        assumed = frozenset(self.assume) - cluster.backend.features
        words = (word for feature in self.assume for word in ("--assume", feature))
        cluster.backend = replace(
            cluster.backend,
            features=cluster.backend.features | assumed,
            assumed=assumed,
            options=(*self.wish.words(), *words),
        )
        return RenamedCluster(cluster, self.namespace_prefix) if self.namespace_prefix else cluster


def place_options(command: _Command) -> _Command:
    """The options of `Place`, handed to the command as `place`."""

    @functools.wraps(command)
    def with_place(*args: Any, **values: Any) -> Any:
        return command(*args, place=_place(values, values.pop("cluster")), **values)

    return click.option(
        "--cluster",
        default=DEFAULT_CLUSTER,
        show_default=True,
        metavar="SPEC",
        help="Where the packets flow: lab[?as=NAME], kind[:NAME], context:NAME or kubeconfig:PATH. NAME is "
        "generic, calico or cilium, with settings: calico&deny=reject, "
        "cilium&cidr=nodes,pods&dns=nxdomain&enforcement=always.",
    )(_place_but_cluster(with_place))  # type: ignore[return-value]


def places_options(command: _Command) -> _Command:
    """The options of several `Place`s, alike but for their clusters; handed to the command as `places`."""

    @functools.wraps(command)
    def with_places(*args: Any, **values: Any) -> Any:
        place = _place(values, DEFAULT_CLUSTER)
        clusters: tuple[str, ...] = values.pop("cluster")
        return command(*args, places=tuple(replace(place, cluster=item) for item in clusters), **values)

    return click.option(
        "--cluster",
        multiple=True,
        allow_from_autoenv=False,
        metavar="SPEC",
        help="Where the packets flow: lab[?as=NAME], kind[:NAME], context:NAME or kubeconfig:PATH. At least "
        "two times.",
    )(_place_but_cluster(with_places))  # type: ignore[return-value]


def _place(values: dict[str, Any], cluster: str) -> Place:
    """Take from the options those that say where."""
    return Place(
        cluster=cluster,
        namespace_prefix=values.pop("namespace_prefix"),
        assume=values.pop("assume"),
        request=values.pop("request"),
        wish=Wish(values.pop("adopt"), values.pop("external")),
        pods=values.pop("pods"),
    )


def _place_but_cluster(command: Callable[..., Any]) -> Callable[..., Any]:
    collected = pod_options(command)
    collected = click.option(
        "--assume",
        multiple=True,
        metavar="FEATURE",
        callback=options.features_value,
        help="Take it that the cluster has FEATURE, whatever was found. Repeatable.",
    )(collected)
    collected = outside_options(collected)
    collected = kind_options(hidden=True)(collected)
    return namespace_prefix_option(collected)


def jobs_option(command: _Command) -> _Command:
    """`--jobs`."""
    return click.option(
        "-j",
        "--jobs",
        callback=options.jobs_value,
        default="auto",
        show_default=True,
        metavar="N|auto",
        help="Scenarios at the same time.",
    )(command)


def run_options(command: _Command) -> _Command:
    """`--jobs`, `--report` and `--keep`."""
    command = click.option(
        "--keep", is_flag=True, help="Leave the worlds standing; `netcheck cleanup` removes them."
    )(command)
    command = click.option(
        "--report",
        multiple=True,
        metavar="FORMAT:PATH[,...]",
        help="Write junit:PATH, json:PATH, html:PATH, md:PATH or github:PATH; `-` is stdout; repeatable.",
    )(command)
    return jobs_option(command)


def parse_reports(values: Sequence[str], option: str = "--report") -> tuple[Report, ...]:
    """What `--report` (or another option like it) asks for; the folders are made.

    Raises:
        CliError: It cannot be understood or written.
    """
    from harness.report import writers

    try:
        reports = writers.parse(values)
        writers.prepare(reports)
    except writers.ReportError as error:
        advice = f"write {option} with {', '.join(f'{name}:PATH' for name in writers.FORMATS)}"
        raise CliError(f"{option}: {error}", advice) from error
    return reports


def write_reports(
    reports: Sequence[Report],
    result: RunResult,
    advice: str = "the run itself is done; mend this and run it again",
) -> None:
    """Write what was asked for.

    Raises:
        CliError: A file cannot be written.
    """
    from harness.report import writers

    try:
        writers.write(reports, result)
    except writers.ReportError as error:
        raise CliError(str(error), advice) from error


def annotate(reports: Sequence[Report], result: RunResult) -> None:
    """In GitHub Actions, say beside the lines of the files what is wrong, unless a report does that already.

    On stderr, where the groups of the progress are: stdout belongs to the results.
    """
    if os.environ.get("GITHUB_ACTIONS") != "true" or any(item.format == "github" for item in reports):
        return
    from harness.report.github import to_github

    click.echo(to_github(result, os.environ), err=True, nl=False)


def unavailable(scenarios: Sequence[Scenario], spec: str, error: ClusterError, revision: str) -> RunResult:
    """Nothing could be measured: every scenario is an error, and the reports say so."""
    import datetime

    from harness import __version__
    from harness.model.result import Backend, RunResult, ScenarioResult

    return RunResult(
        run="",
        started=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        backend=Backend(spec, (spec.partition("?")[0],)),
        scenarios=tuple(ScenarioResult(item, error=str(error)) for item in scenarios),
        revision=revision,
        version=__version__,
    )


def advice_of(error: ClusterError) -> str:
    """What to do about a cluster that cannot be had."""
    return error.advice or "`netcheck doctor` says what is missing"


def left_behind_lines(spec: str, result: RunResult) -> list[str]:
    """What could not be removed, and how to remove it later."""
    import shlex

    from harness.source.render import printable

    lines = [f"warning: not everything could be removed: {printable(why)}" for why in result.left_behind]
    words = ["netcheck", "cleanup", "--cluster", spec, "--run", result.run]
    return [*lines, f"  help: later: {printable(shlex.join(words))}"] if lines else []


def revision_of(path: Path) -> str:
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
