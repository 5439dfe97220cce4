"""What is outside of a Kubernetes cluster: `--adopt` and `--external`, and what killed runs left there."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import click

from harness.cli.exits import CliError

if TYPE_CHECKING:
    from harness.clusters.kube.api import Api
    from harness.clusters.kube.cluster import KubeCluster
    from harness.clusters.kube.outside import Outside

_Command = TypeVar("_Command", bound=Callable[..., Any])
ADVICE = "on a kind cluster of this machine: --adopt lets netcheck add routes and names to it for the run"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user says of the outside.

    Attributes:
        adopt: Routes and names may be added to a kind cluster that netcheck did not make.
        externals: Real addresses by the external's name.
    """

    adopt: bool = False
    externals: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def words(self) -> tuple[str, ...]:
        """The wish as it stands on a command line."""
        named = [f"{name}={address}" for name, found in self.externals.items() for address in found]
        external = tuple(word for text in named for word in ("--external", text))
        return ("--adopt", *external) if self.adopt else external


def outside_options(command: _Command) -> _Command:
    """`--adopt` and `--external`."""
    command = click.option(
        "--external",
        multiple=True,
        metavar="NAME=ADDRESS",
        callback=_externals,
        help="A real address of an external, for a cluster that gets none from netcheck. Repeatable.",
    )(command)
    return click.option(
        "--adopt",
        is_flag=True,
        help="Let a kind cluster that netcheck did not make have externals: routes, names in its DNS.",
    )(command)


def _externals(
    ctx: click.Context, param: click.Parameter, values: tuple[str, ...]
) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for value in values:
        name, equals, text = value.partition("=")
        try:
            address = str(ipaddress.ip_address(text))
        except ValueError:
            address = ""
        if not name or not equals or not address:
            raise click.BadParameter(
                f"{value!r} is no NAME=ADDRESS; write, for example, internet=198.51.100.20", ctx, param
            )
        known = found.get(name, ())
        if any((":" in item) == (":" in address) for item in known):
            raise click.BadParameter(f"{name} has two addresses of one family", ctx, param)
        found[name] = (*known, address)
    return found


def outside_of(cluster: KubeCluster, wish: Wish) -> Outside:
    """What a cluster gets of what the user wishes.

    Raises:
        ClusterError: A cluster that shall be adopted cannot be.
    """
    from harness.clusters.kind.commands import Docker
    from harness.clusters.kind.outside import KindOutside, find_place
    from harness.clusters.kube.outside import Nothing
    from harness.engine.cluster import ClusterError

    if wish.externals:
        if wish.adopt:
            raise CliError(
                "--external and --adopt exclude each other", "name the addresses, or have them made"
            )
        from harness.clusters.kube.named import Named

        return Named(wish.externals)
    try:
        docker = Docker()
        place = find_place(docker, cluster.node_addresses)
    except ClusterError as trouble:
        if wish.adopt:
            raise
        return Nothing(f"{ADVICE}; here {trouble}")
    if place is None:
        if wish.adopt:
            raise ClusterError(
                "--adopt: the nodes of this cluster are no kind nodes of this machine",
                "leave --adopt out, and name real addresses: --external NAME=ADDRESS",
            )
        return Nothing("name a real address: --external NAME=ADDRESS")
    if not place.ours and not wish.adopt:
        return Nothing("--adopt lets netcheck add routes and names to this kind cluster for the run")
    return KindOutside(cluster.api, docker, place, cluster.agent, cluster.ranges)


def clean_outside(api: Api, run: str, spared: Collection[str]) -> list[str]:
    """Remove routes, containers and names that runs left; one line for each.

    Args:
        api: The cluster.
        run: Only of this run; empty = of all.
        spared: Runs that are to be left alone.

    Raises:
        ClusterError: They cannot be removed.
    """
    from harness.clusters.kind.commands import Docker
    from harness.clusters.kind.outside import clean_up, find_place
    from harness.clusters.kube import names
    from harness.engine.cluster import ClusterError

    def mine(found: str) -> bool:
        return found == run if run else found not in spared

    lines = names.clean_up(api, mine)
    nodes = {
        item["metadata"]["name"]: tuple(
            each["address"] for each in item["status"].get("addresses", ()) if each["type"] == "InternalIP"
        )
        for item in api.get("/api/v1/nodes")["items"]
    }
    try:
        docker = Docker()
        place = find_place(docker, nodes)
    except ClusterError:
        return lines  # without the containers' engine here, no run of this machine made any
    return [*lines, *clean_up(docker, place, mine)] if place is not None else lines
