"""A scenario after reading: worlds, changes and cells, fully expanded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from harness.model.policy import Policy, PolicyRef
from harness.model.probe import Probe
from harness.model.topology import Family, Topology
from harness.model.verdict import Expectation
from harness.source import Place

STEADY, CUT, ESTABLISHED = "~steady", "~cut", "~established"
"""What ids of a transition's results end in."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Times, in seconds; None = the cluster's default.

    Attributes:
        connect_timeout: How long a probe may take, all its attempts together.
        settle: How long a verdict must stay the same on clusters that converge.
        deadline: How long convergence may take at most.
    """

    connect_timeout: float | None = None
    settle: float | None = None
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """A probe with its expectation and place in the file; `id` is unique within its step."""

    id: str
    probe: Probe
    expectation: Expectation
    place: Place


def flow_id(cell: Cell, kind: str) -> str:
    """Id of what becomes of a transition's flow; `kind` is one of the endings."""
    return cell.id.removesuffix(STEADY).removesuffix(CUT) + kind


@dataclass(frozen=True, slots=True)
class Relabel:
    """Labels set and removed on a pod or namespace; `target` is its id."""

    kind: str
    target: str
    set: Mapping[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Transition:
    """What must hold while a step's change is carried out.

    Attributes:
        steady: Flows that must never break.
        cut: Flows that, once they first drop, must never pass again.
        established: `keep` or `cut`: what becomes of connections of the `cut` cells that were opened before
            the change; None = not looked at.
        backends: The same by CNI name or personality, where it is not `established`.
    """

    steady: tuple[Cell, ...] = ()
    cut: tuple[Cell, ...] = ()
    established: str | None = None
    backends: Mapping[str, str] = field(default_factory=dict)

    def on(self, names: tuple[str, ...]) -> Transition:
        """As it is meant for a backend that goes by `names`, the most particular first."""
        for name in names:
            if name in self.backends:
                return replace(self, established=self.backends[name], backends={})
        return self


@dataclass(frozen=True, slots=True)
class Step:
    """One state of the world and what is expected of it.

    The changes are carried out in this order: apply, delete, label, add, remove, restart.

    Attributes:
        topology: The world once the step's changes are made.
        policies: All policies that are in force then.
        add: Ids of pods, services and namespaces that are new (they stand in `topology`).
        remove: Ids of pods that are gone.
    """

    name: str
    topology: Topology
    policies: tuple[Policy, ...]
    cells: tuple[Cell, ...]
    apply: tuple[Policy, ...] = ()
    delete: tuple[PolicyRef, ...] = ()
    label: tuple[Relabel, ...] = ()
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()
    transition: Transition | None = None

    def transition_cells(self) -> tuple[Cell, ...]:
        """Cells whose flows run while the step's change is made."""
        return (*self.transition.steady, *self.transition.cut) if self.transition else ()

    def planned(self) -> tuple[tuple[str, Cell], ...]:
        """Ids of the results that the step gives, each with its cell.

        Open connections of `cut` flows give results of their own wherever any are looked at: what is expected
        of them may differ by backend, that something is may not.
        """
        found = [(cell.id, cell) for cell in self.cells]
        if self.transition is not None:
            found += [(flow_id(cell, STEADY), cell) for cell in self.transition.steady]
            found += [(flow_id(cell, CUT), cell) for cell in self.transition.cut]
            if self.transition.established is not None:
                found += [(flow_id(cell, ESTABLISHED), cell) for cell in self.transition.cut]
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario ready to run.

    Attributes:
        topology: The world before the first step.
        needs: Features that a cluster must have.
        families: IP families to probe; empty = the cluster's primary family.
    """

    name: str
    place: Place
    topology: Topology
    steps: tuple[Step, ...]
    description: str = ""
    tags: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    families: tuple[Family, ...] = ()
    settings: Settings = field(default_factory=Settings)

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All cells of all steps, in order, without transitions."""
        return tuple(cell for step in self.steps for cell in step.cells)
