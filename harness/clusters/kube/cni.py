"""What a Kubernetes cluster needs of a CNI; the rooms under `cni/` implement it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from harness.model.policy import Policy
from harness.model.rules import Direction

Kind = tuple[str, str]
"""`(apiVersion, kind)`."""

CutManifest = Callable[[str, str, str, Direction], Mapping[str, Any]]
"""Makes a policy that denies one direction: of (namespace, name, value of the label `role`, direction)."""


@dataclass(frozen=True, slots=True)
class PodPlace:
    """A running pod of a world.

    Attributes:
        node: Host name label of its node.
    """

    node: str
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LabelChange:
    """Labels of a running pod, and of its namespace, before and after a change.

    A pod that is new had none before, nor had its namespace.
    """

    place: PodPlace
    before: Mapping[str, str]
    after: Mapping[str, str]
    namespace_before: Mapping[str, str] = field(default_factory=dict)
    namespace_after: Mapping[str, str] = field(default_factory=dict)

    @property
    def new(self) -> bool:
        """Whether the pod is new; every namespace has a label, its name at least."""
        return not self.before and not self.namespace_before


@dataclass(frozen=True, slots=True)
class Mark:
    """An object of the run's own, created or deleted after the user's: who knows of it knows of those."""

    kind: str
    namespace: str
    name: str
    present: bool


@dataclass(frozen=True, slots=True)
class Signal:
    """What a plugin says of changes.

    Attributes:
        by: In words, how it is known that they are in force; empty when the plugin says nothing.
        trouble: Why they are known not to be in force everywhere; empty when all is well.
        sure: The plugin itself said that they are in force on every node.
    """

    by: str = ""
    trouble: str = ""
    sure: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """A probe about which evidence is wanted.

    Attributes:
        source: Id of the pod that sends it.
        source_place: Where that runs.
        destinations: The pods that it may reach, by id; none for addresses outside.
    """

    source: str
    source_place: PodPlace
    destinations: Mapping[str, PodPlace]

    @property
    def nodes(self) -> tuple[str, ...]:
        """Host names of the nodes that have a say: the source's first, then those of the destinations."""
        places = (self.source_place, *self.destinations.values())
        return tuple(dict.fromkeys(place.node for place in places))


@dataclass(frozen=True, slots=True)
class Sent:
    """Addresses and ports of a probe that was sent once more, as `address:port`."""

    local: str
    remote: str


class Cni(Protocol):
    """A network plugin, as it was found on a cluster.

    Attributes:
        name: `cilium`, `calico`, `kindnet`, …; `unknown` where none was recognised.
        version: Its version; empty when unknown.
        features: What it can do beyond the plain.
        denies: How denied packets end: `drop`, `reject`, or empty when unknown.
        enforces: Whether it is known to enforce policies as it is set up here; else a canary without effect
            means that nothing is enforced.
        knows_labels: `relabelled` waits until it knows labels; else a canary with new labels has to do. A
            plugin that cannot be asked after all says so from then on.
        cuts: For each policy kind beyond NetworkPolicy, how a canary policy of that kind is written.
        beside: What stands all the time beside cuts of a kind that denies nothing by itself.
        idle: Kinds that have no effect on packets, so that there is nothing to wait for.
    """

    name: str
    version: str
    features: frozenset[str]
    denies: str
    enforces: bool
    cuts: Mapping[Kind, CutManifest]
    beside: Mapping[Kind, CutManifest]
    idle: frozenset[Kind]
    knows_labels: bool

    def relabelled(self, changes: Mapping[str, LabelChange], nodes: Sequence[str]) -> None:
        """Wait until the plugin knows new pods and new labels; one that cannot say returns at once.

        Args:
            changes: By the pod's id.
            nodes: Host names of all nodes of the world: each has to know.

        Raises:
            ClusterError: It does not learn them in time.
        """
        ...

    def settle(
        self,
        marks: Callable[[], Sequence[Mark]],
        pods: Mapping[str, PodPlace],
        policies: Sequence[Policy],
        gone: Sequence[Policy],
    ) -> Signal:
        """Wait for the plugin's own sign that everything that came before the marks is in force for `pods`.

        Args:
            marks: Says what came or went last. Asked anew for each look: once a change was seen by packets,
                others may make the next, and whoever knows of that knows of this.
            pods: The pods of the world, canaries included.
            policies: The policies that stand now; the API server took them, the plugin need not have.
            gone: Policies that were deleted since changes were last known to be in force.
        """
        ...

    def evidence(
        self,
        questions: Sequence[Question],
        send: Callable[[Sequence[int]], Mapping[int, Sent]],
        deadline: float,
    ) -> list[tuple[str, ...]]:
        """What the plugin says of probes, in lines; they are sent once more while it is watched.

        Args:
            questions: What is asked.
            send: Sends the probes with these indices at once.
            deadline: When to stop, as `time.monotonic()` counts; what is left out says so.
        """
        ...

    def close(self) -> None:
        """Let go of what is held open; never raises."""
        ...
