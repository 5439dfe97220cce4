"""File, scenario, step and cell in pytest's tree; a cell only says what the engine found out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.model.scenario import Cell, Scenario, Step
from harness.model.verdict import Status
from harness.source.render import printable

if TYPE_CHECKING:
    from harness.model.result import Backend, ScenarioResult
    from harness.report.cases import Case
    from harness.testing.session import Scenarios
    from harness.testing.shown import Shown

_ESCAPED = re.compile(r"%(?=[0-9A-F]{2})|[@\[\]]|:(?=:)|[^ -~]")
TAKEN = frozenset({"skip", "skipif", "xfail", "parametrize", "usefixtures", "filterwarnings"})
"""Marks that make pytest itself do something; a tag of such a name selects by `--netcheck-tag` only."""


def node_name(text: str) -> str:
    """A name as it stands in a node id: without what pytest and its plugins split node ids at.

    `[`, `]`, `@`, doubled colons and what is no printable ASCII are written as in URLs; different texts have
    different names.
    """

    def escape(found: re.Match[str]) -> str:
        return "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "surrogatepass"))

    return _ESCAPED.sub(escape, text)


class DiagnosticsError(pytest.Collector.CollectError):
    """A scenario file has errors."""


class ScenarioFile(pytest.File):
    """A file with scenarios."""

    scenarios: Scenarios | None = None
    problem: str | None = None
    """Why nothing can be done with scenarios at all; only the first file says it."""

    def collect(self) -> Iterator[ScenarioNode]:
        """Its scenarios, in order.

        Raises:
            CollectError: The options cannot be used.
            DiagnosticsError: Anything is wrong with it; all of it is said.
        """
        if self.problem is not None:
            raise self.CollectError(self.problem)
        if self.scenarios is None:
            return
        for scenario in self.scenarios.load(self.path):
            if self.scenarios.wants(scenario):
                yield ScenarioNode.of(self, self.scenarios, scenario)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The diagnostics, as `netcheck lint` prints them."""
        if isinstance(excinfo.value, DiagnosticsError):
            from harness.testing.shown import diagnosed

            return diagnosed(*excinfo.value.args)
        return super().repr_failure(excinfo)


class ScenarioNode(pytest.Collector):
    """A scenario; measured once, when the first of its cells is set up."""

    scenarios: Scenarios
    scenario: Scenario
    cases: dict[tuple[str, str], Case]
    advice: str
    result: ScenarioResult
    backend: Backend

    @classmethod
    def of(cls, parent: ScenarioFile, scenarios: Scenarios, scenario: Scenario) -> ScenarioNode:
        """The node of a scenario, with its tags as marks."""
        node: ScenarioNode = cls.from_parent(parent, name=node_name(scenario.name))
        node.scenario = scenario
        node.cases = {}
        for tag in scenario.tags:
            if tag not in TAKEN:
                parent.config.addinivalue_line("markers", f"{tag}: a tag of netcheck scenarios")
                node.add_marker(tag)
        node.scenarios = scenarios
        return node

    def collect(self) -> Iterator[StepNode]:
        """Its steps, in order."""
        for step in self.scenario.steps:
            yield StepNode.of(self, step)

    def setup(self) -> None:
        """Have it measured, and keep what there is to say of each cell."""
        from harness.report.cases import cases

        found = self.scenarios.result_of(self.scenario.name)
        self.advice = found.advice
        self.cases = {(case.step, case.id): case for case in cases(found.result, found.backend)}
        self.result, self.backend = found.result, found.backend


class StepNode(pytest.Collector):
    """A step of a scenario; one without `steps:` has the step `expect`."""

    step: Step

    @classmethod
    def of(cls, parent: ScenarioNode, step: Step) -> StepNode:
        """The node of a step."""
        node: StepNode = cls.from_parent(parent, name=node_name(step.name))
        node.step = step
        return node

    def collect(self) -> Iterator[CellItem]:
        """Its cells, and what becomes of the flows of its transition."""
        for id, cell in self.step.planned():
            yield CellItem.of(self, id, cell)


class WrongVerdictError(Exception):
    """The verdict is not the expected one."""


class NotMeasuredError(Exception):
    """The cell could not be measured."""


class CellItem(pytest.Item):
    """A cell: compares what was measured with what is expected, and nothing else."""

    cell_id: str
    cell: Cell

    @classmethod
    def of(cls, parent: StepNode, id: str, cell: Cell) -> CellItem:
        """The item of a cell."""
        item: CellItem = cls.from_parent(parent, name=node_name(id))
        item.cell_id = id
        item.cell = cell
        return item

    @property
    def step(self) -> Step:
        """The step that it stands in."""
        assert isinstance(self.parent, StepNode)
        return self.parent.step

    @property
    def scenario_node(self) -> ScenarioNode:
        """The scenario that it stands in."""
        assert self.parent is not None
        assert isinstance(self.parent.parent, ScenarioNode)
        return self.parent.parent

    @property
    def full_id(self) -> str:
        """`scenario::step::cell-id`, as `netcheck run -k` takes it."""
        return f"{self.scenario_node.scenario.name}::{self.step.name}::{self.cell_id}"

    @property
    def case(self) -> Case:
        """What there is to say of it, once the scenario has been measured."""
        return self.scenario_node.cases[self.step.name, self.cell_id]

    def setup(self) -> None:
        """A cell that has no verdict ends here: skipped, or an error."""
        if self.case.status is Status.SKIPPED:
            pytest.skip(self.case.message)
        if self.case.status is Status.ERROR:
            raise NotMeasuredError(self.case.message)

    def runtest(self) -> None:
        """Say whether the verdict is the expected one."""
        if self.case.status is Status.XFAILED:
            pytest.xfail(self.case.message)  # does nothing under --runxfail
        if self.case.status is not Status.PASSED:
            raise WrongVerdictError(self.case.message)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where it stands, for pytest: lines count from 0 there."""
        return self.path, self.cell.place.line - 1, printable(self.full_id)

    @property
    def echo(self) -> bool:
        """Whether it only shares the trouble of its whole scenario, which another cell has told."""
        node = self.scenario_node
        if node.cases and (self.case.result is not None or self.case.status is not Status.ERROR):
            return False
        return node.scenarios.first_in_trouble(node.nodeid, self.full_id) != self.full_id

    def told(self, error: BaseException) -> Shown | None:
        """What a report shows of an error of this item; None for one that is not netcheck's."""
        if not isinstance(error, (WrongVerdictError, NotMeasuredError)):
            return None
        from harness.testing.shown import of_case

        node = self.scenario_node
        return of_case(self.case, node.scenario, node.backend, node.scenarios.told_before(self), node.advice)

    def sections(self) -> list[tuple[str, str]]:
        """More about the probe."""
        if self.case.result is None:
            return []
        from harness.testing.shown import transcript

        step = next(item for item in self.scenario_node.result.steps if item.name == self.step.name)
        return [("netcheck probe", transcript(step, self.case.result))]
