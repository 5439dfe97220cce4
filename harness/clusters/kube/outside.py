"""What gives a world its externals and their names; the rooms beside `kube/` implement it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from harness.clusters.kube.streams import Pipe
from harness.model.scenario import Scenario
from harness.model.topology import External

Dial = Callable[[], Pipe]


class Externals(Protocol):
    """The externals of one world.

    Attributes:
        patience: Seconds until the cluster's DNS has to know their names.
        advice: What to do when it does not.
    """

    patience: float
    advice: str

    @property
    def names(self) -> Mapping[str, Sequence[str]]:
        """What the cluster's DNS has to answer, one address per family at most."""
        ...

    def servers(self) -> Sequence[str]:
        """Addresses of all servers of the cluster's DNS; empty = its service has to do."""
        ...

    def nudge(self) -> None:
        """Remind the DNS of the names."""
        ...

    @property
    def dials(self) -> Mapping[str, Dial]:
        """How to speak with the agent of each external, by the external's name; none = it has no agent."""
        ...

    def sources(self, external: str) -> Sequence[str]:
        """Addresses that the external's own probes come from."""
        ...

    def close(self) -> None:
        """Take them away.

        Raises:
            ClusterError: Something is left.
        """
        ...


class Outside(Protocol):
    """What is outside of a cluster.

    Attributes:
        features: `external`, `external-names`, as far as it can give them.
        advice: What to do where it cannot; empty when it can.
    """

    features: frozenset[str]
    advice: str

    def prepare(self, scenarios: Sequence[Scenario], run: str) -> None:
        """Learn what the run will need, before its first world.

        Raises:
            ClusterError: It cannot be had.
        """
        ...

    def open(self, world: str, run: str, externals: Mapping[str, External]) -> Externals:
        """Make the externals of a world; returns when they can be spoken with.

        Raises:
            ClusterError: They cannot be made.
            UnsupportedError: This cluster has none of such a name.
        """
        ...

    def close(self) -> None:
        """Take away what was made for the run.

        Raises:
            ClusterError: Something is left; `netcheck cleanup` finds it.
        """
        ...


class Nothing:
    """No externals at all; see `Outside`."""

    features: frozenset[str] = frozenset()

    def __init__(self, advice: str = "") -> None:
        self.advice = advice

    def prepare(self, scenarios: Sequence[Scenario], run: str) -> None:
        """There is nothing to prepare."""

    def open(self, world: str, run: str, externals: Mapping[str, External]) -> Externals:
        """Nothing; scenarios that need more were skipped before."""
        return NoExternals()

    def close(self) -> None:
        """There is nothing to take away."""


class NoExternals:
    """See `Externals`."""

    patience = 0.0
    advice = ""
    dials: Mapping[str, Dial] = {}
    names: Mapping[str, Sequence[str]] = {}

    def servers(self) -> Sequence[str]:
        """None."""
        return ()

    def nudge(self) -> None:
        """There is nothing to remind of."""

    def sources(self, external: str) -> Sequence[str]:
        """None."""
        return ()

    def close(self) -> None:
        """There is nothing to take away."""
