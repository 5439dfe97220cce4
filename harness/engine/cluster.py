"""What the engine needs of a cluster; the rooms under `clusters/` implement it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from harness.model.outcome import Observation, Outcome
from harness.model.policy import Policy, PolicyRef
from harness.model.probe import Probe
from harness.model.result import Backend
from harness.model.scenario import Scenario
from harness.model.topology import Topology


class ClusterError(Exception):
    """The cluster could not do what was asked: the scenario could not be tested (never a verdict).

    Attributes:
        advice: What the user can do; may be empty.
    """

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice


class UnsupportedError(ClusterError):
    """The cluster lacks something that the scenario needs; the scenario is skipped with this reason."""


@dataclass(frozen=True, slots=True)
class InForce:
    """How long it took until all changes were known to be in force, and how that was known.

    Attributes:
        trouble: Why they are not known to be in force; then nothing may be judged. Empty when they are.
        enforced: False when not even a policy of netcheck's own had any effect.
    """

    seconds: float
    by: str
    trouble: str = ""
    enforced: bool = True


@dataclass(frozen=True, slots=True)
class Sample:
    """One probe of a flow: when it started (seconds since the flow began) and what it saw."""

    at: float
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class FlowRecord:
    """What a flow saw while a change was made.

    Attributes:
        samples: Fresh connections, one after another.
        established_before: The long-lived connection answered before the change.
        established_after: It still answered after the change; None when none was opened.
    """

    samples: tuple[Sample, ...]
    established_before: bool = False
    established_after: bool | None = None


class Flows(Protocol):
    """Flows that run in the background while a change is made."""

    def now(self) -> float:
        """Seconds since the flows began, on the clock of the samples."""
        ...

    def stop(self) -> tuple[FlowRecord, ...]:
        """End the flows, once each has sampled the world after the change; one record per probe."""
        ...


class World(Protocol):
    """One scenario's world, built on a cluster.

    Attributes:
        connect_timeout: Seconds that a probe may take when the scenario does not say.
        sweeps: How many consecutive sweeps must agree (1 where a change is known to be in force at once).
        build_seconds: How long building took.
    """

    connect_timeout: float
    sweeps: int
    build_seconds: float

    def reshape(self, topology: Topology) -> None:
        """Make the world look like `topology`: relabel, add, remove, in this order.

        Returns when every listener answers from its own pod.
        """
        ...

    def restart(self, pods: Sequence[str]) -> None:
        """Restart pods; returns when they listen again."""
        ...

    def apply(self, policies: Sequence[Policy]) -> None:
        """Create or update policies."""
        ...

    def delete(self, policies: Sequence[PolicyRef]) -> None:
        """Delete policies."""
        ...

    def in_force(self) -> InForce:
        """Wait until all changes so far are in force on every node; never judged by verdicts."""
        ...

    def sweep(self, probes: Sequence[Probe], timeout: float) -> tuple[Observation, ...]:
        """Send all probes side by side; one observation per probe, in order.

        Args:
            probes: The probes, in any order.
            timeout: Seconds that a probe may take, all attempts together.
        """
        ...

    def lifted(self) -> AbstractContextManager[None]:
        """While it lasts nothing but policies isolates pods, so that controls can be taken.

        Only a world that isolates pods by itself has something to do here.
        """
        ...

    def blockers(self, probes: Sequence[Probe]) -> tuple[str, ...]:
        """What keeps probes from their destinations that were denied without any policy of this world.

        Returns:
            For each probe `blocked by policy NAME`, or what else is known of others' policies; empty where
            there are none.
        """
        ...

    def start_flows(self, probes: Sequence[Probe], established: Sequence[Probe], timeout: float) -> Flows:
        """Probe `probes` again and again in the background; hold a connection open for `established`."""
        ...

    def evidence(self, probes: Sequence[Probe], timeout: float) -> Iterator[tuple[str, ...]]:
        """Probe once more and say which rule decided, while the policies still stand.

        Returns:
            Lines for each probe, in order; what nobody asks for any more need not be gathered.
        """
        ...

    def close(self) -> None:
        """Take everything down; never raises."""
        ...


@dataclass(frozen=True, slots=True)
class Claims:
    """What a scenario must have for itself while it runs.

    Attributes:
        names: Things that one scenario at a time can have, such as namespaces of a cluster.
        alone: No other scenario may run on the cluster, since policies of this one reach all of it.
    """

    names: frozenset[str] = frozenset()
    alone: bool = False

    def beside(self, other: Claims) -> bool:
        """Whether both scenarios may run at the same time."""
        return not (self.alone or other.alone or self.names & other.names)


Waits = Callable[[str], None]
"""Takes what a world waits for before it is built, such as `run 1a2b, which has the cluster alone`."""


class Cluster(Protocol):
    """Somewhere to build worlds.

    Attributes:
        backend: Names, versions and features, for the reports and for `needs:`.
    """

    backend: Backend

    @property
    def left_behind(self) -> tuple[str, ...]:
        """What could not be removed, and why; to be asked after `close`."""
        ...

    def prepare(self, scenarios: Sequence[Scenario], run: str) -> None:
        """Learn what the run will open, before anything else; `open` tells what of it cannot be had."""
        ...

    def claims(self, scenario: Scenario) -> Claims:
        """What the scenario must have for itself; the engine opens no two worlds whose claims collide."""
        ...

    def open(self, scenario: Scenario, run: str, waits: Waits) -> World:
        """Build the scenario's first topology, without policies; every listener answers.

        Args:
            scenario: What to build.
            run: Id of the run.
            waits: Is told when somebody else must be waited for, and for whom.

        Raises:
            UnsupportedError: The cluster lacks something that only a look at it could tell.
            ClusterError: When it cannot be built.
        """
        ...

    def interrupt(self) -> None:
        """The user has stopped the run: `open` waits for nobody else any more. It may come at any time."""
        ...

    def close(self) -> None:
        """Let go of what the cluster holds for the run; never raises."""
        ...
