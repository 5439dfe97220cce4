"""What a Kubernetes cluster needs of a CNI; the rooms under `cni/` implement it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Cni(Protocol):
    """A network plugin, as it was found on a cluster.

    Attributes:
        name: `cilium`, `calico`, `kindnet`, …; `unknown` where none was recognised.
        version: Its version; empty when unknown.
        features: What it can do beyond the plain.
    """

    name: str
    version: str
    features: frozenset[str]

    def relabelled(self, pods: Mapping[str, Mapping[str, str]]) -> None:
        """Wait until the plugin knows the new labels of pods; plugins that cannot say return at once.

        Raises:
            ClusterError: It does not learn them in time.
        """
        ...

    def settle(self, pod: str) -> str:
        """Wait for the plugin's own sign that changes are in force; in words what it was, or empty."""
        ...
