"""Clusters whose plugin netcheck does not know: none, preinstalled, a manifest, a command."""

from __future__ import annotations

from harness.clusters.kind.cni import Say, Site, Workload
from harness.clusters.kind.shape import IpFamily
from harness.clusters.kube.api import SpecError
from harness.cni import manifests
from harness.cni.installing import Inputs, run_command


class OtherInstaller:
    """A plugin that the table does not know; a `clusters.kind.cni.Installer`.

    `none` brings nothing unless a manifest or command is given: nodes then stay without a pod network, for
    whoever installs one. `preinstalled` is whatever pod network the node image brings.

    Args:
        name: `none`, `preinstalled`, or `file` for a manifest.
        inputs: Where it comes from.

    Raises:
        SpecError: The plugin cannot come that way.
    """

    workloads: tuple[Workload, ...] = ()

    def __init__(self, name: str, inputs: Inputs) -> None:
        if inputs.chart or inputs.values or inputs.sha256 or inputs.trust or inputs.version:
            raise SpecError(
                f"--cni {name} takes no version, chart or download",
                "name the plugin, or bring it with --cni-manifest or --cni-command",
            )
        if name == "preinstalled" and inputs.local:
            raise SpecError("--cni preinstalled brings its own plugin", "to bring another: --cni none")
        self.name = name
        self.version = ""
        self.source = inputs.source() or ("node image" if name == "preinstalled" else "nothing")
        self.own_network = name == "preinstalled"
        self.brings_network = self.own_network or inputs.local
        self._inputs = inputs
        self._objects: list[manifests.Json] = []

    def prepare(self, ip_family: IpFamily, say: Say) -> None:
        """Read the manifests."""
        for path in self._inputs.manifests:
            self._objects += manifests.read(path.read_bytes(), str(path))

    def install(self, site: Site) -> None:
        """Run the command or apply the manifests, where there are any."""
        if self._inputs.command:
            run_command(self._inputs, site)
        elif self._objects:
            site.load(manifests.images(self._objects))
            manifests.apply(site.api, self._objects, site.say, site.stop)
