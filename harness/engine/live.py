"""A world that stays while one question after another is asked of it, by the rules of any scenario.

What will be asked is not known when the world is built. So the control of a path that was not asked for yet
is taken when it is: all policies are deleted, the path must connect, and the policies are applied again.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from harness.engine import plan
from harness.engine.cluster import Cluster, ClusterError, UnsupportedError, World
from harness.engine.scenario_run import ScenarioRun, lacking
from harness.model.policy import Policy
from harness.model.result import StepResult
from harness.model.scenario import Scenario, Step
from harness.model.topology import Topology


class LiveWorld(ScenarioRun):
    """One world; a context manager that takes it down.

    Args:
        scenario: Its first topology; the steps are handed to `measure`.
        cluster: Where to build it.
        run: Id of the run, for what is built.

    Raises:
        UnsupportedError: The cluster lacks something that the scenario needs.
        ClusterError: It cannot be built.
    """

    def __init__(self, scenario: Scenario, cluster: Cluster, run: str) -> None:
        super().__init__(scenario, cluster, lambda event: None, threading.Event(), run)
        self._check(scenario)
        self._world: World = cluster.open(scenario, run, lambda text: None)
        self._topology: Topology = scenario.topology
        self._standing: tuple[Policy, ...] = ()
        self._lost = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def measure(self, scenario: Scenario, steps: Sequence[Step]) -> StepResult:
        """Carry out steps and sweep the cells of the last one.

        Args:
            scenario: The one that the steps stand in, for what it needs and how long probes may take.
            steps: At least one, and those that follow what was measured before; only the last one has cells,
                and none has a transition.

        Raises:
            UnsupportedError: The cluster lacks something that the scenario needs.
            ClusterError: The world is in trouble; nothing can be said, then and ever after: which policies
                stand, and which pods there are, is not known any more.
        """
        if self._lost:
            raise ClusterError(f"the world was in trouble before: {self._lost}", "make another world")
        self._check(scenario)
        self._scenario = scenario
        try:
            return self._measured(steps)
        except BaseException as trouble:
            self._lost = str(trouble) or type(trouble).__name__
            raise

    def _measured(self, steps: Sequence[Step]) -> StepResult:
        self._take_controls(steps[-1])
        for step in steps:
            result = self._step(self._world, step, self._topology)
            self._topology, self._standing = step.topology, step.policies
            if self._broken is not None:
                raise self._broken
        return result

    def close(self) -> None:
        """Take the world down; never raises."""
        self._world.close()

    def _check(self, scenario: Scenario) -> None:
        missing = lacking(scenario, self._backend)
        if missing:
            raise UnsupportedError(missing)
        asked = self._cluster.backend.of(scenario).personality
        if asked != self._backend.personality:
            mine = self._backend.personality.name
            raise UnsupportedError(
                f"the world was built for {mine}, and the policies ask for {asked.name}",
                "make the world with these policies",
            )

    def _take_controls(self, step: Step) -> None:
        """Probe the paths that are not known to work yet, while no policy stands in the way."""
        fresh = {
            key: key[0]
            for cell in step.cells
            for key in (plan.control_key(cell.probe, step.topology),)
            if self._controls.get(key, "not taken")
        }
        if not fresh:
            return
        if self._standing:
            self._world.delete(tuple(policy.ref for policy in self._standing))
            self._settle()
        if step.topology != self._topology:
            self._world.reshape(step.topology)
        with self._world.lifted():
            self._controls |= self._controlled(self._world, fresh)
        if step.topology != self._topology:
            self._world.reshape(self._topology)
        if self._standing:
            self._world.apply(self._standing)
            self._settle()

    def _settle(self) -> None:
        settled = self._world.in_force()
        if settled.trouble:
            raise ClusterError(f"the change is not known to be in force: {settled.trouble}")
