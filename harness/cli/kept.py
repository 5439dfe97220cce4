"""`--keep`: what may be left standing after a run, and how to look into it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from harness.cli.exits import CliError

if TYPE_CHECKING:
    from harness.engine.cluster import Cluster
    from harness.model.scenario import Scenario

_EXISTING = ("context:", "kubeconfig:")


def check_keep(spec: str, scenarios: Sequence[Scenario]) -> None:
    """On a cluster that exists, worlds that stay would get in the way of the ones after them.

    Raises:
        CliError: There would be more than one.
    """
    if spec.startswith(_EXISTING) and len(scenarios) > 1:
        raise CliError(
            f"--keep on {spec} keeps one world, and {len(scenarios)} scenarios are selected",
            f"choose one of them, for example -k {shlex.quote(scenarios[0].name + '::')}",
        )


def tell_kept(spec: str, run: str, cluster: Cluster) -> None:
    """How to look into what `--keep` left standing, and how to remove it.

    Args:
        spec: The cluster, as on the command line.
        run: The run's id.
        cluster: What it was opened as.
    """
    from harness.source.render import printable

    if spec.startswith("lab"):
        _tell_labs(run)
        return
    from harness.clusters.kube.cluster import KubeCluster

    # Who made a kind cluster says itself that it stays.
    if not isinstance(cluster, KubeCluster) or not cluster.kept:
        return
    kind, _, value = spec.partition(":")
    for namespace in cluster.kept:
        words = ["kubectl", f"--{kind}", value, "get", "pods,networkpolicies", "--namespace", namespace]
        click.echo(f"kept: namespace {namespace}; look into it with", err=True)
        click.echo(f"  {printable(shlex.join(words))}", err=True)
    words = ["netcheck", "cleanup", "--cluster", spec, "--run", run]
    click.echo(f"`{printable(shlex.join(words))}` removes what is kept", err=True)


def _tell_labs(run: str) -> None:
    from harness.clusters.lab.kept import standing
    from harness.source.render import printable

    for lab in standing():
        if lab.run == run:
            click.echo(f"kept: the world of {printable(lab.scenario)}; open a shell in it with", err=True)
            for place in lab.places:
                click.echo(f"  {printable(lab.enter(place))}  # {printable(place)}", err=True)
    click.echo("`netcheck cleanup` removes what is kept", err=True)
