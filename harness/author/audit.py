"""What staged policies would do if they were enforced: on paper, and with packets before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from harness.author.observing import every_flow
from harness.author.pairs import probes
from harness.dialects.registry import staged
from harness.dialects.staged import enforced
from harness.engine.scenario_run import EVIDENCE_CELLS
from harness.model.personality import of_scenario
from harness.model.policy import Policy, PolicyRef
from harness.model.prediction import Answer
from harness.model.result import CellResult, ScenarioResult
from harness.model.scenario import Cell, Scenario, Step
from harness.model.topology import Topology
from harness.model.verdict import Expectation, Expected, Status, Verdict
from harness.oracle import Prediction, predict

ENFORCED: Final = "-enforced"
"""What the name of a scenario ends in whose staged policies are enforced."""

MORE: Final = "+"
"""Stands behind the name of a step whose cells did not fit into it; no author's step has it in its name."""


class Change(StrEnum):
    """What would become of a flow."""

    DENIED = "denied"
    OPENED = "opened"
    SAME = "same"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Flow:
    """One flow, with the staged policies told of and with them enforced.

    Attributes:
        before: What paper says today.
        after: What it would say.
        seen: What packets showed today, and with the policies enforced; None without packets.
        today: What packets showed on a cluster that tells of staged policies itself; None elsewhere.
        told: What that cluster told.
        trouble: Why nothing can be said of it; empty otherwise.
    """

    scenario: str
    step: str
    cell: Cell
    before: Prediction
    after: Prediction
    seen: tuple[Verdict, Verdict] | None = None
    today: Verdict | None = None
    told: tuple[str, ...] = ()
    trouble: str = ""

    @property
    def change(self) -> Change:
        """What would become of it; by the packets, where there were any."""
        if self.seen is not None:
            old, new = (verdict is Verdict.ALLOW for verdict in self.seen)
        elif Answer.UNDEFINED in (self.before.verdict, self.after.verdict):
            return Change.OPEN
        else:
            old, new = (item.verdict is Answer.ALLOW for item in (self.before, self.after))
        if old == new:
            return Change.SAME
        return Change.DENIED if old else Change.OPENED

    @property
    def disagreement(self) -> str:
        """Where packets and paper do not agree; empty where they do, or where one of them has no say."""
        today, then = self.seen or (self.today, None)
        for when, paper, packets in (
            ("today", self.before, today),
            ("with the staged policies enforced", self.after, then),
        ):
            if packets is None:
                continue
            if paper.verdict is not Answer.UNDEFINED and (paper.verdict is Answer.ALLOW) != (
                packets is Verdict.ALLOW
            ):
                return f"{when} the packets say {packets} and paper says {paper.word}"
        return ""


def staged_policies(scenario: Scenario) -> tuple[Policy, ...]:
    """The staged policies of a scenario, each once."""
    found = {
        (policy.dialect, policy.ref): policy
        for step in scenario.steps
        for policy in step.policies
        if staged(policy) is not None
    }
    return tuple(found.values())


def whole_world(topology: Topology, policies: Sequence[Policy]) -> Scenario:
    """A scenario of every flow that a world offers, for policies that stand alone."""
    return every_flow("policies", topology, policies, list(probes(topology)), policies[0].place)


def observing(scenario: Scenario) -> Scenario:
    """The scenario with its staged policies told of; every cell is observed, and no flow runs along."""
    steps = tuple(
        replace(
            step,
            cells=tuple(replace(cell, expectation=Expectation(Expected.OBSERVE)) for cell in step.cells),
            transition=None,
        )
        for step in scenario.steps
    )
    return replace(scenario, steps=steps)


def enforcing(scenario: Scenario) -> Scenario:
    """The same with the staged policies enforced in every step."""
    steps: list[Step] = []
    standing: dict[tuple[str, PolicyRef], Policy] = {}
    for step in observing(scenario).steps:
        wanted = {(item.dialect, item.ref): item for item in enforced(step.policies, staged)}
        apply = tuple(item for key, item in wanted.items() if standing.get(key) != item)
        delete = tuple(item.ref for key, item in standing.items() if key not in wanted)
        steps.append(replace(step, policies=tuple(wanted.values()), apply=apply, delete=delete))
        standing = wanted
    needs = tuple(item for item in scenario.needs if item != "staged")
    return replace(scenario, name=scenario.name + ENFORCED, steps=tuple(steps), needs=needs)


def on_paper(scenario: Scenario) -> list[Flow]:
    """What paper says of every cell, today and with the staged policies enforced."""
    flows = []
    # With what they stage enforced, none may be left of the dialect that decides how open points are read.
    asked = of_scenario(scenario)
    for now, then in zip(observing(scenario).steps, enforcing(scenario).steps, strict=True):
        for cell in now.cells:
            before, after = (predict(item.topology, item.policies, cell.probe, asked) for item in (now, then))
            flows.append(Flow(scenario.name, now.name, cell, before, after))
    return flows


def with_packets(scenario: Scenario, results: Mapping[str, ScenarioResult]) -> list[Flow]:
    """The same with what packets showed.

    Args:
        scenario: As it was given to `observing` and `enforcing`.
        results: What became of these two, by name.
    """
    names = (scenario.name, scenario.name + ENFORCED)
    tables = [_cells(results.get(name)) for name in names]
    troubles = [_trouble(results.get(name)) for name in names]
    flows = []
    for flow in on_paper(scenario):
        found = [table.get((flow.step, flow.cell.id)) for table in tables]
        trouble = next(
            (_why(item, said) for item, said in zip(found, troubles, strict=True) if not _measured(item)), ""
        )
        verdicts = [item.verdict for item in found if item is not None and item.verdict is not None]
        if trouble or len(verdicts) < len(tables):
            flows.append(replace(flow, trouble=trouble or "it was not measured"))
        else:
            flows.append(replace(flow, seen=(verdicts[0], verdicts[1])))
    return flows


def telling(scenario: Scenario) -> Scenario:
    """The scenario for a cluster that tells of staged policies: evidence is wanted of what they would deny.

    Evidence is gathered of cells that fail, of a few in each step.
    """
    denied = {(flow.step, flow.cell.id) for flow in on_paper(scenario) if flow.change is Change.DENIED}
    steps: list[Step] = []
    for step in observing(scenario).steps:
        wanted = [cell for cell in step.cells if (step.name, cell.id) in denied]
        rest = tuple(cell for cell in step.cells if (step.name, cell.id) not in denied)
        for start in range(0, len(wanted), EVIDENCE_CELLS) or [0]:
            some = tuple(
                replace(cell, expectation=Expectation(Expected.DENY))
                for cell in wanted[start : start + EVIDENCE_CELLS]
            )
            if start == 0:
                steps.append(replace(step, cells=(*rest, *some)))
            else:
                steps.append(Step(f"{step.name}{MORE}{start}", step.topology, step.policies, some))
    return replace(scenario, steps=tuple(steps))


def told(scenario: Scenario, result: ScenarioResult | None) -> list[Flow]:
    """What a cluster told of the flows of a scenario.

    Args:
        scenario: As it was given to `telling`.
        result: What became of that.
    """
    table = {(name.partition(MORE)[0], id): cell for (name, id), cell in _cells(result).items()}
    flows = []
    for flow in on_paper(scenario):
        cell = table.get((flow.step, flow.cell.id))
        if cell is None or cell.verdict is None or cell.status in (Status.ERROR, Status.SKIPPED):
            flows.append(replace(flow, trouble=_why(cell, _trouble(result))))
            continue
        lines = tuple(line for line in cell.evidence if "staged " in line)
        trouble = ""
        if flow.change is Change.DENIED and not any("action:Deny" in line for line in lines):
            trouble = "the cluster told of no staged policy that would deny it" + (
                f": {cell.evidence[0]}" if cell.evidence else ""
            )
        flows.append(replace(flow, today=cell.verdict, told=lines, trouble=trouble))
    return flows


def _cells(result: ScenarioResult | None) -> dict[tuple[str, str], CellResult]:
    if result is None:
        return {}
    return {(step.name, cell.id): cell for step in result.steps for cell in step.cells}


def _trouble(result: ScenarioResult | None) -> str:
    return "it was not begun" if result is None else result.error or result.skipped


def _measured(cell: CellResult | None) -> bool:
    return cell is not None and cell.status not in (Status.ERROR, Status.SKIPPED)


def _why(cell: CellResult | None, whole: str) -> str:
    return (cell.reason if cell is not None else whole) or "it was not measured"


def of_kind(flows: Sequence[Flow], change: Change) -> list[Flow]:
    """The flows of which one thing would become."""
    return [flow for flow in flows if not flow.trouble and flow.change is change]
