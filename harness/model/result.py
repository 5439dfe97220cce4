"""What a run found out; reports are made from these objects and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from harness.model.outcome import Observation
from harness.model.personality import GENERIC, Personality, of_scenario
from harness.model.prediction import Finding, Predicted
from harness.model.scenario import Cell, Scenario
from harness.model.topology import Family
from harness.model.verdict import Expected, Status, Verdict
from harness.source import Place

NAMESPACE_PREFIX = "namespace-prefix"
"""Where `Backend.versions` says what stands before the names of namespaces on the cluster."""


@dataclass(frozen=True, slots=True)
class Backend:
    """Which cluster the packets crossed.

    Attributes:
        spec: What the user asked for, such as `lab?as=cilium`.
        names: What it goes by in `verdict:` maps, the most particular first: (`lab`, `generic`).
        versions: Kernel, nft, CNI, Kubernetes, …
        features: What it can do (`ipv6`, `external`, `sctp`, …).
        lacks: What would give it a feature that it has not, by feature; not of every feature is it known.
        assumed: Those of the features that the user says it has, though none were found.
        options: Words of the command line that another run needs to meet the same cluster.
        family: The cluster's primary IP family, in which scenarios are probed that name none.
        personality: How it reads what specifications leave open; `generic` where that is not known.
        adapts: Whether it takes on the personality for which a scenario's policies ask.
    """

    spec: str
    names: tuple[str, ...]
    versions: Mapping[str, str] = field(default_factory=dict)
    features: frozenset[str] = frozenset()
    assumed: frozenset[str] = frozenset()
    lacks: Mapping[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    family: Family = Family.IPV4
    personality: Personality = GENERIC
    adapts: bool = False

    def of(self, scenario: Scenario) -> Backend:
        """What it is to one scenario."""
        asked = of_scenario(scenario) if self.adapts else self.personality
        if asked == self.personality:
            return self
        return replace(self, names=(*self.names[:-1], asked.name), personality=asked)


@dataclass(frozen=True, slots=True)
class CellResult:
    """One cell, measured and judged.

    Attributes:
        id: The cell's id; a transition's cells end in `~steady`, `~cut`, `~established`.
        verdict: None when the cell could not be measured.
        reason: Why the status is what it is, one sentence; empty for a plain pass.
        control: What the control saw; empty when it connected.
        evidence: Deciding rule, counters that moved, …; one line each.
        notes: What a reader should know even of a pass, such as `undefined by the specification: …`.
        predicted: What the policies say on paper; None where paper has no say (flows of a transition).
        finding: Which of expected, predicted and observed stands against the other two; None when they
            agree, or when nothing follows.
        finding_text: The same as one sentence, with the deciding rule.
        leaks: Probes that passed after the change was accepted although the settled verdict denies them:
            those of a `cut` flow, or of sweeps before the verdict was the same twice.
        denied_after: Seconds from acceptance until a `cut` flow first dropped; None = no such flow.
        suspected: Known departures of the backend that may be behind a failure; empty as long as the
            policies themselves are at hand (`harness.report.failures` finds them).
    """

    id: str
    cell: Cell
    status: Status
    expected: Expected
    verdict: Verdict | None = None
    observation: Observation | None = None
    reason: str = ""
    control: str = ""
    evidence: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    predicted: Predicted | None = None
    finding: Finding | None = None
    finding_text: str = ""
    leaks: int = 0
    denied_after: float | None = None
    suspected: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StepResult:
    """One step.

    Attributes:
        in_force: Seconds from the first change until the cluster knew that all were in force.
        in_force_by: How that was known, such as `nft commit`.
        leaks: Those of all its cells.
        phases: Seconds by phase: `apply` (until all changes were accepted), `in-force`, `sweep`, `evidence`.
        sweeps: How many sweeps it took until every cell had said the same often enough.
        enforced: False when not even a policy of netcheck's own had any effect: nothing is enforced here.
    """

    name: str
    cells: tuple[CellResult, ...]
    in_force: float = 0.0
    in_force_by: str = ""
    leaks: int = 0
    seconds: float = 0.0
    phases: Mapping[str, float] = field(default_factory=dict)
    sweeps: int = 0
    enforced: bool = True


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """One scenario; `skipped` and `error` hold the reason when the whole of it was not measured.

    Attributes:
        phases: Seconds by phase, those of the steps left out: `build`, `control`, `close`.
        personality: The one that the lab took on since the scenario's policies ask for it; else empty.
    """

    scenario: Scenario
    steps: tuple[StepResult, ...] = ()
    skipped: str = ""
    error: str = ""
    seconds: float = 0.0
    build_seconds: float = 0.0
    phases: Mapping[str, float] = field(default_factory=dict)
    personality: str = ""

    @property
    def cells(self) -> tuple[CellResult, ...]:
        """All cells of all steps, in order."""
        return tuple(cell for step in self.steps for cell in step.cells)

    @property
    def unmeasured(self) -> tuple[tuple[str, Cell], ...]:
        """Planned cells without a result, flows of transitions included, each with its step's name.

        Where the result would have another id than its cell, the cell has the result's.
        """
        measured = {(step.name, cell.id) for step in self.steps for cell in step.cells}
        return tuple(
            (step.name, cell if cell.id == id else replace(cell, id=id))
            for step in self.scenario.steps
            for id, cell in step.planned()
            if (step.name, id) not in measured
        )

    @property
    def status(self) -> Status:
        """The worst of its cells; failure outranks error, error outranks everything else."""
        statuses = {cell.status for cell in self.cells}
        if Status.FAILED in statuses:
            return Status.FAILED
        if self.error or Status.ERROR in statuses:
            return Status.ERROR
        if self.skipped:
            return Status.SKIPPED
        return Status.PASSED


@dataclass(frozen=True, slots=True)
class Excerpt:
    """What reports quote of a policy that decides cells.

    Attributes:
        policy: The policy as its rules' origins name it: `kind ns/name`.
        place: Where its document begins.
        parts: First line and lines of what is quoted; everything, or of a long policy its head and the
            deciding rules.
    """

    policy: str
    place: Place
    parts: tuple[tuple[int, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class RunResult:
    """A whole run.

    Attributes:
        run: Id of the run, the same that built objects are labelled with.
        started: UTC, ISO 8601.
        interrupted: The user stopped the run; what was measured until then is here.
        revision: Git revision of the scenarios' folder; empty when there is none.
        left_behind: What could not be removed from the cluster, and why.
        excerpts: Of the policies that decide; empty as long as the policies themselves are at hand
            (`harness.report.excerpts` makes them).
    """

    run: str
    started: str
    backend: Backend
    scenarios: tuple[ScenarioResult, ...]
    seconds: float = 0.0
    interrupted: bool = False
    revision: str = ""
    version: str = ""
    left_behind: tuple[str, ...] = ()
    excerpts: tuple[Excerpt, ...] = ()

    @property
    def enforced(self) -> bool:
        """Whether the cluster enforces policies at all, as far as was seen."""
        return all(step.enforced for scenario in self.scenarios for step in scenario.steps)

    def count(self, status: Status) -> int:
        """How many cells have `status`: the one figure that every report shows.

        A planned cell without a result counts as skipped with its scenario, else as error. A scenario that
        was skipped or broke counts once at least, whatever it planned.
        """
        total = 0
        for result in self.scenarios:
            total += sum(cell.status is status for cell in result.cells)
            if status is (Status.SKIPPED if result.skipped and not result.error else Status.ERROR):
                total += len(result.unmeasured) or bool(result.error or result.skipped)
        return total

    @property
    def echoes(self) -> int:
        """How many of the errors are cells that share the trouble of their whole scenario with its first."""
        return sum(max(len(result.unmeasured) - 1, 0) for result in self.scenarios if result.error)
