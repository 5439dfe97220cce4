"""kindnet: what kind's own node images bring; it enforces NetworkPolicy (semantics.md 2.1)."""

from __future__ import annotations

from dataclasses import replace

from harness.clusters.kind.cni import Say, Site
from harness.clusters.kind.shape import IpFamily
from harness.clusters.kube.api import SpecError
from harness.cni.installing import Inputs
from harness.cni.table import Entry


class KindnetInstaller:
    """Nothing to install; a `clusters.kind.cni.Installer`.

    Args:
        entry: What the table says of it.
        inputs: Where it comes from: only from the node image.

    Raises:
        SpecError: A version or a source was named.
    """

    own_network = True
    brings_network = True

    def __init__(self, entry: Entry, inputs: Inputs) -> None:
        if replace(inputs, trust=False) != Inputs():
            raise SpecError(
                "kindnet comes with the node image and cannot be had otherwise",
                "choose its version by the node image: --node-image or --k8s-version",
            )
        self.name = entry.name
        self.version = ""
        self.source = "node image"
        self.workloads = entry.workloads

    def prepare(self, ip_family: IpFamily, say: Say) -> None:
        """Nothing is needed."""

    def install(self, site: Site) -> None:
        """Kind has done it."""
