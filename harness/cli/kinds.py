"""Options of kind clusters, shared by `run` and `cluster up`, and from them to a cluster."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from harness.cli.exits import CliError, ExitCode

if TYPE_CHECKING:
    from harness.clusters.kind.cni import Installer, Say
    from harness.clusters.kind.process import Stop
    from harness.clusters.kind.shape import Wanted
    from harness.clusters.kube.cluster import KubeCluster
    from harness.clusters.kube.leftovers import Cleaned
    from harness.cni.installing import Inputs

_Command = TypeVar("_Command", bound=Callable[..., Any])
_FILE = click.Path(path_type=Path)


def is_kind(spec: str) -> bool:
    """Whether a cluster spec is `kind` or `kind:NAME`."""
    return spec == "kind" or spec.startswith("kind:")


def kind_name(spec: str) -> str:
    """The name of the cluster that `kind` or `kind:NAME` means.

    Raises:
        CliError: It cannot be one.
    """
    from harness.clusters.kind.shape import cluster_name
    from harness.clusters.kube.api import SpecError

    _, colon, name = spec.partition(":")
    if colon and not name:
        raise CliError(f"cluster {spec!r} names nothing", "write `kind` or `kind:NAME`")
    try:
        return cluster_name(name)
    except SpecError as trouble:
        raise CliError(str(trouble), trouble.advice) from trouble


@dataclass(frozen=True, slots=True)
class Request:
    """The options as they were given; empty where nothing was said."""

    cni: str = ""
    nodes: int | None = None
    kubernetes: str = ""
    node_image: str = ""
    archives: tuple[Path, ...] = ()
    ip_family: str = ""
    config: Path | None = None
    chart: Path | None = None
    manifests: tuple[Path, ...] = ()
    command: str = ""
    values: Path | None = None
    sha256: tuple[str, ...] = ()
    trust: bool = False

    def inputs(self) -> Inputs:
        """Where the network plugin comes from.

        Raises:
            SpecError: The options contradict each other.
        """
        from harness.cni.installing import Inputs

        return Inputs(
            chart=self.chart,
            manifests=self.manifests,
            command=self.command,
            values=self.values,
            sha256=self.sha256,
            trust=self.trust,
        )

    def installer(self) -> Installer:
        """What brings the network plugin.

        Raises:
            SpecError: See `cni.installers.installer`.
        """
        from harness.cni.installers import installer

        return installer(self.cni, self.inputs())

    def wanted(self) -> Wanted:
        """The shape of the cluster.

        Raises:
            SpecError: A value is none, or two contradict each other.
        """
        from harness.clusters.kind.shape import IpFamily, Wanted
        from harness.cni.installers import split

        name, version = split(self.cni) if self.cni else ("", "")
        manifest = bool(name) and name == self.cni and self.installer().name == "file"
        source = self.installer().source if manifest else self.inputs().source()
        return Wanted(
            cni="file" if manifest else name,
            cni_version=version,
            cni_source=source,
            nodes=self.nodes,
            kubernetes=self.kubernetes,
            node_image=self.node_image,
            ip_family=IpFamily(self.ip_family) if self.ip_family else None,
            config=self.config,
        )


_PARAMETERS = {
    "cni": "cni",
    "nodes": "nodes",
    "k8s_version": "kubernetes",
    "node_image": "node_image",
    "image_archive": "archives",
    "ip_family": "ip_family",
    "kind_config": "config",
    "cni_chart": "chart",
    "cni_manifest": "manifests",
    "cni_command": "command",
    "cni_values": "values",
    "cni_sha256": "sha256",
    "cni_trust_download": "trust",
}
"""Names of the options, as the environment and files spell them, and the fields of `Request` behind them."""


def kind_options(*, hidden: bool) -> Callable[[_Command], _Command]:
    """The options of `Request`, handed to the command as `request`.

    Args:
        hidden: Leave all but `--cni` out of the help; the manual has them.
    """

    def decorate(command: _Command) -> _Command:
        @functools.wraps(command)
        def with_request(*args: Any, **values: Any) -> Any:
            given = {field: values.pop(name) for name, field in _PARAMETERS.items()}
            request = Request(**{field: value for field, value in given.items() if value is not None})
            return command(*args, request=request, **values)

        for option in reversed(_options(hidden)):
            option(with_request)
        return with_request  # type: ignore[return-value]

    return decorate


def _options(hidden: bool) -> list[Callable[..., Any]]:
    def option(flag: str, text: str, *, hide: bool = hidden, **more: Any) -> Callable[..., Any]:
        return click.option(flag, hidden=hide, help=text, **more)

    return [
        option(
            "--cni",
            "Network plugin of a kind cluster: cilium, calico, calico-manifest, kindnet, kube-router, antrea "
            "(each with @VERSION), none, preinstalled, or a manifest.",
            hide=False,
            metavar="NAME|FILE",
        ),
        option("--nodes", "Number of nodes, the control plane included.", type=int, metavar="N"),
        option("--k8s-version", "Version of Kubernetes, such as 1.35.8.", metavar="V"),
        option("--node-image", "Image of the nodes.", metavar="IMAGE"),
        option(
            "--image-archive",
            "Archive of images (docker save) to put onto the nodes; repeatable.",
            multiple=True,
            type=_FILE,
            metavar="FILE",
        ),
        option(
            "--ip-family",
            "Address families of pods and services.",
            type=click.Choice(["ipv4", "ipv6", "dual"]),
        ),
        option("--kind-config", "kind's own configuration file.", type=_FILE, metavar="FILE"),
        option("--cni-chart", "Bring the plugin by this chart.", type=_FILE, metavar="PATH"),
        option(
            "--cni-manifest",
            "Bring the plugin by this manifest; repeatable.",
            multiple=True,
            type=_FILE,
            metavar="FILE",
        ),
        option(
            "--cni-command",
            "Bring the plugin by this command; {name} and {kubeconfig} in it are filled in.",
            metavar="COMMAND",
        ),
        option("--cni-values", "More values for the chart.", type=_FILE, metavar="FILE"),
        option(
            "--cni-sha256",
            "Digest of what is downloaded; one for each file.",
            multiple=True,
            metavar="DIGEST",
        ),
        option("--cni-trust-download", "Take downloads whose digest nobody knows.", is_flag=True),
    ]


def typed_for_kind(ctx: click.Context) -> bool:
    """Whether the command line itself has an option for kind clusters; files may have some for other runs."""
    return any(ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE for name in _PARAMETERS)


def open_kind(
    spec: str,
    request: Request,
    *,
    image: str,
    keep: bool,
    say: Say,
    stop: Stop,
    furnish: Callable[[str], KubeCluster],
) -> KubeCluster:
    """The kind cluster that a run asks for: one that stands, or a new one.

    Args:
        spec: `kind` or `kind:NAME`.
        request: Its shape.
        image: Of the pods; put onto the nodes where the container engine has it.
        keep: Leave it standing after the run, if the run makes it.
        say: Takes lines of progress.
        stop: Set when nobody waits any more.
        furnish: From the path of its kubeconfig to the cluster.

    Raises:
        CliError: There is one of another shape, or that netcheck did not make.
        ClusterError: It cannot be made or used.
    """
    from harness.clusters.kind import store
    from harness.clusters.kind.hold import Hold
    from harness.clusters.kind.images import load_present
    from harness.clusters.kind.maker import Maker
    from harness.clusters.kube.api import SpecError

    name = kind_name(spec)
    maker = Maker(say=say, stop=stop)
    try:
        use, made = maker.obtain(name, request.wanted(), request.installer, request.archives, for_run=True)
    except SpecError as trouble:
        raise CliError(str(trouble), trouble.advice) from trouble
    hold = Hold(maker, name, use, made, keep, say)
    try:
        load_present(maker.kind, maker.docker, name, [image], say)
        cluster = furnish(str(store.kubeconfig(name)))
    except BaseException:
        hold.end()
        raise
    cluster.at_close(hold.end)
    return cluster


def tell(line: str) -> None:
    """A line of progress, on stderr."""
    from harness.source.render import printable

    click.echo(printable(line), err=True)


def clean_up_kind(spec: str, run: str, everything: bool) -> Cleaned:
    """Remove kind clusters that killed runs left, and what is left in the others.

    Args:
        spec: `kind` for all that netcheck made, `kind:NAME` for one.
        run: In the others, only what this run left.
        everything: In the others, also what runs left that may be alive.

    Raises:
        CliError: It cannot be done.
    """
    from harness.cli.outside import clean_outside
    from harness.clusters.kind.maker import Maker
    from harness.clusters.kube.leftovers import Cleaned as Done
    from harness.clusters.kube.leftovers import cleanup
    from harness.engine.cluster import ClusterError

    only = kind_name(spec) if spec != "kind" else ""
    try:
        maker = Maker(say=tell)
        done = Done(maker.remove_leftovers(only), [])
        for found in maker.all_ours():
            if found.shape is not None and only in ("", found.name):
                api = maker.api(found.name)
                here = cleanup(api, run=run, everything=everything)
                here.removed.extend(clean_outside(api, run, [name for name, _ in here.spared]))
                done.removed.extend(f"{line} in kind cluster {found.name}" for line in here.removed)
                done.spared.extend(here.spared)
                done.unseen.extend(here.unseen)
    except ClusterError as trouble:
        raise CliError(str(trouble), trouble.advice, ExitCode.INCONCLUSIVE) from trouble
    return done
