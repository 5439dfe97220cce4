"""`netcheck image build` and `load`: an image that has the agent, for clusters that can have one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness import __version__
from harness.cli.app import CONTEXT, Command, cli
from harness.cli.exits import CliError, ExitCode
from harness.cli.kinds import is_kind, kind_name, tell
from harness.cli.pods import image_name
from harness.clusters.kube.images import OWN

if TYPE_CHECKING:
    from harness.clusters.kind.commands import Docker

DEFAULT_BASE = "python:3.13-slim"
DEFAULT_TAG = f"{OWN}:{__version__}"
BUILDERS = ("docker", "podman")


class _Group(click.Group):
    command_class = Command


@cli.group(cls=_Group, context_settings=CONTEXT, short_help="Build the probe image, put it onto kind nodes.")
def image() -> None:
    """The probe image: Python and netcheck's agent. Any image with python3 does without it."""


@image.command(short_help="Build the probe image.")
@click.option(
    "--base",
    default=DEFAULT_BASE,
    show_default=True,
    metavar="IMAGE",
    callback=image_name,
    allow_from_autoenv=False,
    help="What it stands on: an image with python3 from 3.9 on; pin it by digest.",
)
@click.option(
    "--tag",
    default=DEFAULT_TAG,
    show_default=True,
    metavar="TAG",
    callback=image_name,
    allow_from_autoenv=False,
    help="Its name.",
)
@click.option(
    "--builder",
    type=click.Choice(BUILDERS),
    default=None,
    allow_from_autoenv=False,
    help="The program that builds; default: docker, or what KIND_EXPERIMENTAL_PROVIDER names.",
)
def build(base: str, tag: str, builder: str | None) -> int:
    """Build the probe image with this netcheck's agent, and see that it runs."""
    from harness.clusters.kind.commands import Docker
    from probes.version import digest

    with _told(), tempfile.TemporaryDirectory(prefix="netcheck-") as folder:
        engine = Docker(builder or "")
        tell(f"{engine.name} {engine.version}: building {tag} from {base}")
        stage(Path(folder))
        env, options = _building(engine)
        engine.build(
            Path(folder),
            tag=tag,
            file=Path(folder) / "probes" / "Dockerfile",
            arguments={"BASE": base},
            options=options,
            env=env,
            on_line=tell,
        )
        found = _digest(engine, tag)
    if found != digest():
        raise CliError(
            f"the agent in {tag} answers {found!r} instead of {digest()}",
            f"does {base} have python3 from 3.9 on, and does it leave PYTHONPATH alone?",
            ExitCode.INCONCLUSIVE,
        )
    click.echo(f"built {tag} with agent {found}; use it: --probe-image {tag}{_hint(tag)}")
    return ExitCode.OK


@image.command(short_help="Put an image onto the nodes of a kind cluster.")
@click.option(
    "--cluster",
    "spec",
    required=True,
    metavar="SPEC",
    allow_from_autoenv=False,
    help="kind, kind:NAME or context:kind-NAME.",
)
@click.option(
    "--image",
    "name",
    default=DEFAULT_TAG,
    show_default=True,
    metavar="TAG",
    callback=image_name,
    allow_from_autoenv=False,
    help="An image of the container engine.",
)
def load(spec: str, name: str) -> int:
    """Put an image of this machine onto the nodes of a kind cluster, where nothing has to be pulled then."""
    from harness.clusters.kind.commands import Docker, Kind
    from harness.clusters.kind.images import load_image
    from harness.report.text import count

    cluster = _kind_cluster(spec)
    with _told():
        kind, engine = Kind(), Docker()
        tell(f"kind {kind.version}, {engine.name} {engine.version}")
        nodes = kind.nodes(cluster)
        if not nodes:
            there = ", ".join(kind.clusters()) or "none"
            raise CliError(f"there is no kind cluster {cluster!r}", f"kind get clusters: {there}")
        if not engine.image_id(name):
            raise CliError(
                f"{engine.name} has no image {name}", f"make it: netcheck image build --tag {name}"
            )
        load_image(kind, engine, cluster, name)
    click.echo(f"{name} is on {count(len(nodes), 'node')} of kind cluster {cluster}; --probe-image {name}")
    return ExitCode.OK


def stage(folder: Path) -> None:
    """Write what the image is built from: the modules of the agent, and the Dockerfile.

    They come from the installed package, with modes that another user can read.
    """
    from importlib import resources

    target = folder / "probes"
    target.mkdir()
    folder.chmod(0o755)
    target.chmod(0o755)
    for item in resources.files("probes").iterdir():
        if item.name.endswith(".py") or item.name == "Dockerfile":
            copy = target / item.name
            copy.write_bytes(item.read_bytes())
            copy.chmod(0o644)


def _building(engine: Docker) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """Variables and options: without buildx docker builds as it used to; with it, the image comes back."""
    from harness.clusters.kind.process import CommandError

    if engine.name != "docker":
        return {}, ()
    try:
        engine.run("buildx", "version")
    except CommandError:
        return {"DOCKER_BUILDKIT": "0"}, ()
    if os.environ.get("DOCKER_BUILDKIT") == "0":
        return {}, ()
    return {}, ("--load",)


def _digest(engine: Docker, tag: str) -> str:
    """What the agent in the image says it is, under the conditions of a pod."""
    arguments = ("run", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL", tag, "digest")
    return engine.run(*arguments, timeout=120).stdout.strip()


def _hint(tag: str) -> str:
    from harness.clusters.kube.images import has_agent

    return "" if has_agent(tag) else " --agent image"


def _kind_cluster(spec: str) -> str:
    """The name of the kind cluster that a spec means.

    Raises:
        CliError: It means no kind cluster.
    """
    if is_kind(spec):
        return kind_name(spec)
    prefix = "context:kind-"
    if spec.startswith(prefix) and len(spec) > len(prefix):
        return spec.removeprefix(prefix)
    raise CliError(
        f"cluster {spec!r} is no kind cluster",
        "write kind, kind:NAME or context:kind-NAME; other clusters pull the image from a registry",
    )


@contextmanager
def _told() -> Iterator[None]:
    from harness.clusters.kind.process import InterruptedCommandError
    from harness.engine.cluster import ClusterError

    try:
        yield
    except InterruptedCommandError as trouble:
        raise KeyboardInterrupt from trouble
    except ClusterError as trouble:
        raise CliError(str(trouble), trouble.advice, ExitCode.INCONCLUSIVE) from trouble
