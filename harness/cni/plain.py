"""Plugins that say nothing of when a change is in force: canaries and agreeing sweeps have to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from harness.clusters.kube.cni import (
    CutManifest,
    Kind,
    LabelChange,
    Mark,
    PodPlace,
    Question,
    Sent,
    Signal,
)
from harness.cni.admin_cuts import ADMIN_CUTS
from harness.model.policy import Policy


class Plain:
    """A plugin known by name and version only; see `clusters.kube.cni.Cni`."""

    cuts: Mapping[Kind, CutManifest] = ADMIN_CUTS
    beside: Mapping[Kind, CutManifest] = {}
    idle: frozenset[Kind] = frozenset()
    knows_labels = False

    def __init__(
        self,
        name: str,
        version: str,
        features: frozenset[str] = frozenset(),
        denies: str = "",
        enforces: bool = False,
    ) -> None:
        self.name = name
        self.version = version
        self.features = features
        self.denies = denies
        self.enforces = enforces

    def relabelled(self, changes: Mapping[str, LabelChange], nodes: Sequence[str]) -> None:
        """Nothing can be asked."""

    def settle(
        self,
        marks: Callable[[], Sequence[Mark]],
        pods: Mapping[str, PodPlace],
        policies: Sequence[Policy],
        gone: Sequence[Policy],
    ) -> Signal:
        """Nothing can be asked."""
        return Signal()

    def evidence(
        self,
        questions: Sequence[Question],
        send: Callable[[Sequence[int]], Mapping[int, Sent]],
        deadline: float,
    ) -> list[tuple[str, ...]]:
        """Nothing can be asked."""
        return [()] * len(questions)

    def close(self) -> None:
        """Nothing is held."""
