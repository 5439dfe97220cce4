"""Plugins that say nothing of when a change is in force: canaries and agreeing sweeps have to do."""

from __future__ import annotations

from collections.abc import Mapping


class Plain:
    """A plugin known by name and version only; see `clusters.kube.cni.Cni`."""

    def __init__(self, name: str, version: str) -> None:
        self.name = name
        self.version = version
        self.features: frozenset[str] = frozenset()

    def relabelled(self, pods: Mapping[str, Mapping[str, str]]) -> None:
        """Nothing can be asked."""

    def settle(self, pod: str) -> str:
        """Nothing can be asked."""
        return ""
