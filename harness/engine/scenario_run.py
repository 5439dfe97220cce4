"""One scenario from build to tear-down (design section 4)."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from harness.engine import plan
from harness.engine.cluster import Cluster, ClusterError, UnsupportedError, World
from harness.engine.events import CellJudged, Event, PhaseStarted, StepFinished, Waiting
from harness.engine.flows import Moments, judge_transition
from harness.engine.judge import DENIED, Judgement, blocked, control_error, judge, judge_control
from harness.engine.open_points import named
from harness.engine.status import decide
from harness.engine.three_way import weigh
from harness.model.outcome import Observation
from harness.model.prediction import Predicted
from harness.model.probe import Probe
from harness.model.result import Backend, CellResult, ScenarioResult, StepResult
from harness.model.scenario import Cell, Scenario, Step
from harness.model.topology import Topology
from harness.model.verdict import Expected, Status, Verdict
from harness.oracle import predict

EVIDENCE_CELLS = 25
"""Failed cells of one step for which evidence is gathered; more of them rarely say more."""

EVIDENCE_TIMEOUT = 0.1
"""Seconds for the probe that moves a counter; it need not wait for an answer that will not come."""

UNWITNESSED = "judged without a receipt: nothing of netcheck's runs at the destination"
"""What a reader should know of a cell towards a real address outside."""

CONTROL_PAUSE = 0.2
"""Seconds between two looks at paths that do not work yet; decides nothing."""

DEADLINE = 30.0
"""Seconds in which differing sweeps must come to agree, unless the scenario says otherwise."""


class InterruptedRunError(Exception):
    """The user stopped the run."""


class ScenarioRun:
    """Runs one scenario; every measured step survives an interruption."""

    def __init__(
        self,
        scenario: Scenario,
        cluster: Cluster,
        emit: Callable[[Event], None],
        stop: threading.Event,
        run: str,
    ) -> None:
        self._scenario = scenario
        self._cluster = cluster
        self._backend: Backend = cluster.backend.of(scenario)
        self._emit = emit
        self._stop = stop
        self._run = run
        self._controls: dict[plan.ControlKey, str] = {}
        self._steps: list[StepResult] = []
        self._build_seconds = 0.0
        self._phases: dict[str, float] = {}
        self._sweeps = 0
        self._broken: ClusterError | None = None

    def execute(self) -> ScenarioResult:
        """Build, control, change, sweep, judge, tear down."""
        began = time.monotonic()
        error = ""
        skipped = lacking(self._scenario, self._backend)
        if not skipped:
            try:
                self._in_world()
            except InterruptedRunError:
                error = "interrupted before everything was measured"
            except UnsupportedError as trouble:
                skipped = str(trouble)
            except ClusterError as trouble:
                error = f"{trouble}; {trouble.advice}" if trouble.advice else str(trouble)
        return ScenarioResult(
            self._scenario,
            tuple(self._steps),
            skipped,
            error,
            time.monotonic() - began,
            self._build_seconds,
            self._phases,
            self._backend.personality.name if self._backend is not self._cluster.backend else "",
        )

    def _in_world(self) -> None:
        self._phase("build")
        with _timed(self._phases, "build"):
            world = self._cluster.open(self._scenario, self._run, self._waits)
        try:
            self._build_seconds = world.build_seconds
            with _timed(self._phases, "control"), world.lifted():
                self._control(world)
            topology = self._scenario.topology
            for step in self._scenario.steps:
                self._steps.append(self._step(world, step, topology))
                self._emit(StepFinished(self._scenario, self._steps[-1]))
                if self._broken is not None:
                    raise self._broken
                topology = step.topology
        finally:
            try:
                self._phase("close", check=False)
            finally:
                with _timed(self._phases, "close"):
                    world.close()

    def _phase(self, phase: str, step: str = "", cells: int = 0, *, check: bool = True) -> None:
        if check and self._stop.is_set():
            raise InterruptedRunError
        self._emit(PhaseStarted(self._scenario, phase, step, cells))

    def _waits(self, reason: str) -> None:
        self._emit(Waiting(self._scenario, reason))

    # -- control ---------------------------------------------------------------------------------------

    def _control(self, world: World) -> None:
        """Every cell of every step once, while no policy stands in the way."""
        here = self._scenario.topology
        for sweep in plan.controls(self._scenario):
            self._phase("control", cells=len(sweep.probes))
            if sweep.topology != here:
                world.reshape(sweep.topology)
                here = sweep.topology
            self._controls |= self._controlled(world, sweep.probes)
        if here != self._scenario.topology:
            world.reshape(self._scenario.topology)

    def _controlled(
        self, world: World, probes: Mapping[plan.ControlKey, Probe]
    ) -> dict[plan.ControlKey, str]:
        """Why each path does not work; empty where it does.

        On clusters the network of a new pod and the way to a new service come some time after the pod itself
        runs, so what does not connect there is probed again until the deadline.
        """
        found: dict[plan.ControlKey, str] = {}
        left = dict(probes)
        deadline = time.monotonic() + (self._scenario.settings.deadline or DEADLINE)
        while True:
            seen = world.sweep(tuple(left.values()), self._timeout(world))
            for (key, probe), observation in zip(left.items(), seen, strict=True):
                found[key] = judge_control(probe, observation)
            left = {key: probe for key, probe in left.items() if found[key]}
            if not left or world.sweeps == 1 or time.monotonic() >= deadline:
                return found | self._blocked(world, found, left)
            if self._stop.wait(CONTROL_PAUSE):
                raise InterruptedRunError

    def _blocked(
        self, world: World, found: Mapping[plan.ControlKey, str], left: Mapping[plan.ControlKey, Probe]
    ) -> dict[plan.ControlKey, str]:
        """What of others' policies is behind controls that were denied."""
        denied = [key for key in left if found[key].endswith(DENIED)]
        said = world.blockers([left[key] for key in denied]) if denied else ()
        return {key: blocked(found[key], text) for key, text in zip(denied, said, strict=True)}

    def _timeout(self, world: World) -> float:
        return self._scenario.settings.connect_timeout or world.connect_timeout

    # -- steps -----------------------------------------------------------------------------------------

    def _step(self, world: World, step: Step, before: Topology) -> StepResult:
        began = time.monotonic()
        phases: dict[str, float] = {}
        self._phase("apply", step.name)
        transition = step.transition.on(self._backend.names) if step.transition else None
        flowing = step.transition_cells()
        established = transition.cut if transition and transition.established else ()
        flows = None
        if flowing:
            flows = world.start_flows(_probes(flowing), _probes(established), self._timeout(world))
            change_began = flows.now()
        first = time.monotonic()
        with _timed(phases, "apply"):
            self._change(world, step, before)
        accepted = flows.now() if flows is not None else 0.0
        with _timed(phases, "in-force"):
            settled = world.in_force()
        in_force = max(settled.seconds, time.monotonic() - first)
        if settled.trouble:
            if flows is not None:
                flows.stop()
            cells = self._unsettled(step, settled.trouble)
            for item in cells:
                self._emit(CellJudged(self._scenario, step.name, item))
            return StepResult(step.name, cells, in_force, settled.by, 0, time.monotonic() - began)
        results: tuple[CellResult, ...] = ()
        leaks = 0
        if flows is not None and transition is not None:
            moments = Moments(change_began, accepted, flows.now())
            results, leaks = judge_transition(transition, flows.stop(), moments)
            results = tuple(self._under_control(item, before) for item in results)
            results = self._proven(world, transition.cut, results)
        self._phase("sweep", step.name, len(step.cells))
        with _timed(phases, "sweep"):
            judged = self._sweep(world, step)
        leaks += sum(item.leaks for item in judged)
        weighed = tuple(self._predicted(step, item) for item in (*judged, *results))
        with _timed(phases, "evidence"):
            cells = self._with_evidence(world, step, weighed)
        for cell in cells:
            self._emit(CellJudged(self._scenario, step.name, cell))
        seconds = time.monotonic() - began
        sweeps = self._sweeps if judged else 0
        return StepResult(
            step.name,
            cells,
            in_force,
            settled.by,
            leaks,
            seconds,
            phases,
            sweeps,
            settled.enforced,
        )

    def _unsettled(self, step: Step, trouble: str) -> tuple[CellResult, ...]:
        """The cells of a step whose change is not known to be in force: no packet could say anything."""
        reason = f"the change is not known to be in force: {trouble}"
        return tuple(
            CellResult(id, cell, Status.ERROR, cell.expectation.on(self._backend.names), reason=reason)
            for id, cell in step.planned()
        )

    def _proven(
        self, world: World, cut: tuple[Cell, ...], results: tuple[CellResult, ...]
    ) -> tuple[CellResult, ...]:
        """A flow that stopped was cut only if the network still denies it and its listener is alive."""
        stopped = [
            index
            for index, item in enumerate(results)
            if item.status is Status.PASSED and item.expected is Expected.DENY and item.cell in cut
        ]
        seen = world.sweep(_probes(results[index].cell for index in stopped), self._timeout(world))
        found = list(results)
        for index, observation in zip(stopped, seen, strict=True):
            judged = judge(found[index].cell.probe, observation)
            if judged.verdict is None:
                reason = f"the flow stopped, but that proves nothing: {judged.reason}"
                found[index] = replace(found[index], status=Status.ERROR, verdict=None, reason=reason)
            elif judged.verdict is Verdict.ALLOW and not found[index].id.endswith("~established"):
                reason = "passes again after the change was in force"
                found[index] = replace(
                    found[index], status=Status.FAILED, verdict=Verdict.ALLOW, reason=reason
                )
        return tuple(found)

    def _change(self, world: World, step: Step, before: Topology) -> None:
        """The changes of a step, in the order of design section 3."""
        if step.apply:
            world.apply(step.apply)
        if step.delete:
            world.delete(step.delete)
        if step.topology != before:
            world.reshape(step.topology)
        if step.restart:
            world.restart(step.restart)

    def _under_control(self, result: CellResult, topology: Topology) -> CellResult:
        control = self._controls.get(plan.control_key(result.cell.probe, topology), "")
        if not control:
            return result
        return replace(
            result, status=Status.ERROR, verdict=None, control=control, reason=control_error(control)
        )

    def _sweep(self, world: World, step: Step) -> tuple[CellResult, ...]:
        """Sweep until every cell has said the same in as many consecutive sweeps as the cluster asks for."""
        cells = step.cells
        if not cells:
            return ()
        timeout = self._timeout(world)
        seen = list(world.sweep(_probes(cells), timeout))
        agreed = dict.fromkeys(range(len(cells)), 1)
        flips: dict[int, list[str]] = {}
        deadline = time.monotonic() + (self._scenario.settings.deadline or DEADLINE)
        left = [index for index in agreed if agreed[index] < world.sweeps]
        sweeps = 1
        # The deadline is for cells that differ; none is judged by fewer sweeps than the cluster asks for.
        while left and (sweeps < world.sweeps or time.monotonic() < deadline):
            if self._stop.is_set():
                raise InterruptedRunError
            sweeps += 1
            again = world.sweep(_probes(cells[index] for index in left), timeout)
            for index, observation in zip(left, again, strict=True):
                probe = cells[index].probe
                old, new = judge(probe, seen[index]), judge(probe, observation)
                if old.verdict is new.verdict:
                    agreed[index] += 1
                else:
                    agreed[index] = 1
                    flips.setdefault(index, [str(old.verdict or "error")]).append(str(new.verdict or "error"))
                seen[index] = observation
            left = [index for index in agreed if agreed[index] < world.sweeps]
        self._sweeps = sweeps
        return tuple(
            _unsteady(
                self._judge(cell, seen[index], step, flips.get(index, []) if index in left else []), said
            )
            for index, cell in enumerate(cells)
            for said in (flips.get(index, []),)
        )

    def _judge(self, cell: Cell, seen: Observation, step: Step, flapping: Sequence[str]) -> CellResult:
        expected = cell.expectation.on(self._backend.names)
        control = self._controls.get(plan.control_key(cell.probe, step.topology), "not taken")
        found = judge(cell.probe, seen)
        seen = named(step, cell.probe, seen, self._backend.personality)
        notes = _notes(seen)
        if control:
            found = Judgement(None, control_error(control))
        if found.verdict is None:
            return CellResult(
                cell.id, cell, Status.ERROR, expected, None, seen, found.reason, control, notes=notes
            )
        if flapping or seen.split:
            # Neither is one verdict: which one a client meets is luck.
            reason = f"flapping: {' → '.join(flapping)}"
            if seen.split:
                reason = f"the pods behind the service answer differently: {seen.split}"
            if expected is Expected.OBSERVE:
                notes, status, reason = (*notes, reason), Status.PASSED, ""
            else:
                status = Status.FAILED
            return CellResult(cell.id, cell, status, expected, found.verdict, seen, reason, notes=notes)
        outcome = decide(cell.expectation, found.verdict, self._backend)
        return CellResult(
            cell.id, cell, outcome.status, outcome.expected, found.verdict, seen, outcome.reason, notes=notes
        )

    def _predicted(self, step: Step, result: CellResult) -> CellResult:
        """The third answer; a transition's flow is judged by when it stops, so only its rules are of use."""
        found = predict(step.topology, step.policies, result.cell.probe, self._backend.personality)
        predicted = Predicted(found.verdict, found.reason, found.deciding, found.denial, found.denials)
        if result.id != result.cell.id:
            return replace(result, predicted=predicted)
        return weigh(result, predicted, self._backend)

    # -- evidence --------------------------------------------------------------------------------------

    def _with_evidence(
        self, world: World, step: Step, results: tuple[CellResult, ...]
    ) -> tuple[CellResult, ...]:
        """What the cluster knows of every failed cell, while the policies still stand.

        Verdicts outlive their evidence: neither an interruption nor a cluster in trouble takes them back.
        """
        failed = [index for index, item in enumerate(results) if item.status is Status.FAILED]
        if not failed:
            return results
        self._phase("evidence", step.name, len(failed), check=False)
        found = list(results)
        chosen = failed[:EVIDENCE_CELLS]
        lines = world.evidence(_probes(found[index].cell for index in chosen), EVIDENCE_TIMEOUT)
        for index in chosen:
            if self._stop.is_set():
                break
            try:
                found[index] = replace(found[index], evidence=next(lines))
            except ClusterError as trouble:
                self._broken = trouble
                break
        return tuple(found)


def lacking(scenario: Scenario, backend: Backend) -> str:
    """What a scenario needs and a backend has not, with the reasons; empty when it has everything."""
    needed = plan.needs(scenario)
    missing = [f"{name} ({reason})" for name, reason in needed.items() if name not in backend.features]
    if not missing:
        return ""
    advice = {backend.lacks[item] for item in needed if item in backend.lacks}
    return "; ".join((f"{backend.spec} lacks the feature {', '.join(missing)}", *sorted(advice)))


@contextlib.contextmanager
def _timed(phases: dict[str, float], name: str) -> Iterator[None]:
    """Add the time that the block takes to a phase."""
    began = time.monotonic()
    try:
        yield
    finally:
        phases[name] = phases.get(name, 0.0) + time.monotonic() - began


def _unsteady(result: CellResult, said: Sequence[str]) -> CellResult:
    """A swept cell with what it said before its last verdict; passes before a denial are leaks."""
    if not said or result.verdict is None:
        return result
    leaks = said.count(str(Verdict.ALLOW)) if result.verdict is not Verdict.ALLOW else 0
    history = " → ".join(said)
    told = any(history in text for text in (result.reason, *result.notes))
    notes = () if told else (f"changed after the change was in force: {history}",)
    return replace(result, leaks=leaks, notes=(*result.notes, *notes))


def _probes(cells: Iterable[Cell]) -> tuple[Probe, ...]:
    return tuple(cell.probe for cell in cells)


def _notes(seen: Observation) -> tuple[str, ...]:
    found = (f"undefined by the specification: {seen.open_point}",) if seen.open_point else ()
    return (*found, UNWITNESSED) if seen.unwitnessed else found


__all__ = ["EVIDENCE_CELLS", "Expected", "InterruptedRunError", "ScenarioRun", "lacking"]
