"""`netcheck cluster up`, `down` and `status`: kind clusters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from harness.cli.app import CONTEXT, Command, cli
from harness.cli.exits import CliError, ExitCode
from harness.cli.kinds import Request, kind_name, kind_options, tell

if TYPE_CHECKING:
    from harness.clusters.kind.maker import Maker
    from harness.clusters.kind.standing import Standing

_NAME = click.argument("name", required=False, default="", metavar="[NAME]")


class _Group(click.Group):
    command_class = Command


@cli.group(cls=_Group, context_settings=CONTEXT, short_help="Make, remove and list kind clusters.")
def cluster() -> None:
    """Kind clusters with the network plugin that you want to test against."""


@contextmanager
def _told() -> Iterator[None]:
    """What goes wrong with a cluster, as the errors of a command."""
    from harness.clusters.kind.process import InterruptedCommandError
    from harness.clusters.kube.api import SpecError
    from harness.engine.cluster import ClusterError

    try:
        yield
    except InterruptedCommandError as trouble:
        raise KeyboardInterrupt from trouble
    except SpecError as trouble:
        raise CliError(str(trouble), trouble.advice) from trouble
    except ClusterError as trouble:
        advice = trouble.advice or "`netcheck doctor` says what is missing"
        raise CliError(str(trouble), advice, ExitCode.INCONCLUSIVE) from trouble


@cluster.command(short_help="Make a kind cluster, or see that it has the wanted shape.")
@_NAME
@kind_options(hidden=False)
def up(name: str, request: Request) -> int:
    """Make a kind cluster with a network plugin, and wait until both are ready.

    NAME is `netcheck` unless given. A cluster of that name and shape is left as it is; one of another shape,
    or one that netcheck did not make, is an error. `netcheck run --cluster kind:NAME` uses it.
    """
    from harness.cli.signals import stop_on_signal
    from harness.clusters.kind import store
    from harness.clusters.kind.maker import Maker

    name = kind_name(f"kind:{name}" if name else "kind")
    with _told(), stop_on_signal() as stop:
        maker = Maker(say=tell, stop=stop)
        use, made = maker.obtain(name, request.wanted(), request.installer, request.archives, for_run=False)
        try:
            if not made:
                maker.keep(name)
        finally:
            use.release()
    where = store.kubeconfig(name)
    click.echo(f"kind cluster {name} {'is up' if made else 'was up already'}")
    click.echo(f"  run scenarios on it:  netcheck run --cluster kind:{name}")
    click.echo(f"  look into it:         kubectl --kubeconfig {where} get nodes")
    click.echo(f"  take it down:         netcheck cluster down {name}")
    return ExitCode.OK


@cluster.command(short_help="Take down a kind cluster that netcheck made.")
@_NAME
def down(name: str) -> int:
    """Take down a kind cluster that netcheck made; others are left alone."""
    from harness.clusters.kind.maker import Maker

    name = kind_name(f"kind:{name}" if name else "kind")
    with _told():
        removed = Maker(say=tell).remove(name)
    click.echo(f"kind cluster {name} is gone" if removed else f"there is no kind cluster {name}")
    return ExitCode.OK


@cluster.command(short_help="Show the kind clusters that netcheck made.")
@_NAME
def status(name: str) -> int:
    """Show the kind clusters that netcheck made, or the one of that NAME.

    Exit code 6 when there is none of that name, or it cannot be used.
    """
    from harness.clusters.kind.maker import Maker

    with _told():
        maker = Maker(say=tell)
        if not name:
            found = maker.all_ours()
            for item in found:
                click.echo(describe(item, _ready(maker, item)))
            if not found:
                click.echo("there is no kind cluster of netcheck's")
            return ExitCode.OK
        name = kind_name(f"kind:{name}")
        one = maker.find(name)
        if one is None:
            click.echo(f"there is no kind cluster {name}")
            return ExitCode.INCONCLUSIVE
        click.echo(describe(one, _ready(maker, one)))
        return ExitCode.OK if one.shape is not None else ExitCode.INCONCLUSIVE


def _ready(maker: Maker, item: Standing) -> int:
    """How many nodes are ready."""
    if item.shape is None:
        return 0
    nodes = maker.api(item.name).get("/api/v1/nodes")["items"]
    return sum(
        each["type"] == "Ready" and each["status"] == "True"
        for node in nodes
        for each in node.get("status", {}).get("conditions", ())
    )


def describe(item: Standing, ready: int) -> str:
    """A few lines on a cluster.

    Args:
        item: The cluster.
        ready: How many of its nodes are ready.
    """
    from harness.source.render import printable

    down = f"netcheck cluster down {item.name}"
    if not item.ours:
        return f"{item.name}: not made by netcheck"
    if not item.running:
        return f"{item.name}: its nodes do not run; take it down: {down}"
    if item.shape is None:
        if item.half_made:
            return f"{item.name}: half-made, by a netcheck that still makes it or was killed; {down}"
        return f"{item.name}: does not answer; take it down: {down}"
    shape = item.shape
    version = f" {shape.cni_version}" if shape.cni_version else ""
    rows = [
        ("nodes", f"{shape.nodes}, {ready} ready"),
        ("kubernetes", shape.kubernetes),
        ("plugin", f"{shape.cni}{version}, from {shape.cni_source}"),
        ("family", shape.ip_family),
        ("made for", "one run" if item.for_run else "you"),
    ]
    lines = [f"{item.name}:", *(f"  {key:<11}{printable(value)}" for key, value in rows)]
    return "\n".join(lines)
