"""Everything that the engine tells its listeners, a small closed set."""

from __future__ import annotations

from dataclasses import dataclass

from harness.model.result import Backend, CellResult, RunResult, ScenarioResult, StepResult
from harness.model.scenario import Scenario


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The first event."""

    run: str
    backend: Backend
    scenarios: tuple[Scenario, ...]


@dataclass(frozen=True, slots=True)
class ScenarioStarted:
    """A scenario is about to be built."""

    scenario: Scenario


@dataclass(frozen=True, slots=True)
class PhaseStarted:
    """A scenario entered a phase: `build`, `control`, `apply`, `sweep`, `evidence`, `close`."""

    scenario: Scenario
    phase: str
    step: str = ""
    cells: int = 0


@dataclass(frozen=True, slots=True)
class Waiting:
    """A scenario waits for somebody else before it is built; said once for each of them.

    Attributes:
        reason: For whom, such as `run 1a2b, which has the cluster alone`.
    """

    scenario: Scenario
    reason: str


@dataclass(frozen=True, slots=True)
class CellJudged:
    """One cell has its status."""

    scenario: Scenario
    step: str
    result: CellResult


@dataclass(frozen=True, slots=True)
class StepFinished:
    """All cells of a step are judged."""

    scenario: Scenario
    result: StepResult


@dataclass(frozen=True, slots=True)
class ScenarioFinished:
    """A scenario is done and its world is gone."""

    result: ScenarioResult


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The user stopped the run; worlds are being taken down."""

    signal: str


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The last event, also after an interruption."""

    result: RunResult


Event = (
    RunStarted
    | ScenarioStarted
    | PhaseStarted
    | Waiting
    | CellJudged
    | StepFinished
    | ScenarioFinished
    | Interrupted
    | RunFinished
)
