"""What a pytest session measures: the scenarios of its items, on one cluster, by the engine."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli import measuring
from harness.cli.kept import check_keep
from harness.cli.select import narrow
from harness.cli.signals import stop_on_signal
from harness.engine.cluster import ClusterError
from harness.engine.events import Event, ScenarioFinished
from harness.engine.run import run as engine
from harness.model.result import Backend, RunResult, ScenarioResult
from harness.model.scenario import CUT, ESTABLISHED, Scenario
from harness.report.bar import STOPPING
from harness.testing.merge import merged
from harness.testing.settings import Settings, SettingsError

if TYPE_CHECKING:
    from harness.cli.clusters import Opening
    from harness.engine.cluster import Cluster

_LOOK = 0.1
"""Seconds between two looks at a run that is waited for; decides nothing."""


@dataclass(frozen=True, slots=True)
class Found:
    """What became of one scenario.

    Attributes:
        advice: What the user can do about a cluster that cannot be had; may be empty.
    """

    result: ScenarioResult
    backend: Backend
    advice: str = ""


class FaultError(Exception):
    """netcheck itself failed; the text asks to report it."""


class Measurement:
    """Measures scenarios; everything is taken down by `finish`, however the session ended.

    Args:
        settings: What the options say.
        folder: Where the git revision is asked for.
        ahead: All scenarios are measured side by side, from the first that is asked for on; else each when
            it is asked for.
        fail_fast: Begin none after one that is not as expected.
        say: Takes lines of progress.
    """

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        *,
        ahead: bool,
        fail_fast: bool,
        say: Callable[[str], None],
    ) -> None:
        self.settings = settings
        self._folder = folder
        self._ahead = ahead
        self._fail_fast = fail_fast
        self._say = say
        self._opening: Opening | None = None
        self._opened: Cluster | None = None
        self._cluster: Cluster | None = None
        self._trouble: ClusterError | None = None
        self._plan: dict[str, Scenario] = {}
        self._found: dict[str, Found] = {}
        self._runs: list[RunResult] = []
        self._thread: threading.Thread | None = None
        self._fault: BaseException | None = None
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._revision: str | None = None
        self._heeding = False

    # -- before the first packet -----------------------------------------------------------------------

    def open_early(self) -> None:
        """Begin to open the cluster, while files are read."""
        if self._opening is None:
            self._opening = self.settings.place.opening(keep=self.settings.keep, say=self._say)

    def plan(self, scenarios: Mapping[str, tuple[Scenario, frozenset[str]]]) -> None:
        """Say what will be asked for.

        Args:
            scenarios: By name; with each the full ids of the cells that are selected.

        Raises:
            SettingsError: The options do not go with the scenarios.
        """
        chosen = []
        for scenario, wanted in scenarios.values():
            fit = _narrowed(scenario, wanted)
            assert fit is not None, "a scenario is asked for because a cell of it is selected"
            chosen.append(fit)
        try:
            ready = self.settings.place.ready(chosen)
            if self.settings.keep:
                check_keep(self.settings.place.cluster, ready)
        except click.ClickException as error:
            raise SettingsError.of(error) from error
        self._plan = {item.name: item for item in ready}

    def backend(self) -> Backend | None:
        """What the packets cross; None when it cannot be had, which each scenario will say.

        Raises:
            SettingsError: There is no such cluster.
        """
        try:
            return self._use().backend
        except ClusterError:
            return None

    # -- measuring -------------------------------------------------------------------------------------

    def result_of(self, name: str) -> Found:
        """What became of a scenario of the plan; waits for it.

        Raises:
            SettingsError: There is no such cluster.
            FaultError: netcheck itself failed.
        """
        try:
            self._use()
        except ClusterError as trouble:
            return self._unavailable(name, trouble)
        self._heed_terminations()
        if self._ahead and self._thread is None:
            self._thread = threading.Thread(target=self._measure_all, name="netcheck", daemon=False)
            self._thread.start()
        with self._changed:
            while name not in self._found and self._thread is not None and self._thread.is_alive():
                self._changed.wait(_LOOK)
        if self._fault is not None:
            raise FaultError(_apology(self._fault)) from self._fault
        if name not in self._found:
            # Without look-ahead, or not begun since another scenario failed first.
            self._measure((self._plan[name],), fail_fast=False)
        return self._found[name]

    def _heed_terminations(self) -> None:
        """Let SIGTERM end the session as Ctrl-C does, so that worlds are taken down."""
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            self._heeding = True

    def measure(self, scenarios: Sequence[Scenario]) -> tuple[tuple[ScenarioResult, ...], Backend]:
        """Measure scenarios that are in no plan, now.

        Raises:
            ClusterError: The cluster cannot be had.
        """
        cluster = self._use()
        if self._thread is not None and not self.settings.place.cluster.startswith("lab"):
            # On a cluster that scenarios share, one run at a time sees to it that they do not meet.
            self._thread.join()
        ready = self.settings.place.ready(scenarios)
        run = engine(ready, cluster, lambda event: None, jobs=self.settings.jobs, stop=self._stop)
        return run.scenarios, run.backend

    def cluster(self) -> Cluster:
        """Where packets flow.

        Raises:
            ClusterError: It cannot be had.
        """
        return self._use()

    def _use(self) -> Cluster:
        if self._trouble is not None:
            raise self._trouble
        if self._cluster is None:
            self.open_early()
            assert self._opening is not None
            try:
                self._opened = self._opening.wait()
            except ClusterError as trouble:
                self._trouble = trouble
                raise
            except click.ClickException as error:
                raise SettingsError.of(error) from error
            self._cluster = self.settings.place.furnished(self._opened)
        return self._cluster

    def _unavailable(self, name: str, trouble: ClusterError) -> Found:
        scenarios = (self._plan[name],)
        run = measuring.unavailable(scenarios, self.settings.place.cluster, trouble, self._asked_revision())
        self._runs.append(run)
        return Found(run.scenarios[0], run.backend, measuring.advice_of(trouble))

    def _measure_all(self) -> None:
        try:
            self._measure(tuple(self._plan.values()), fail_fast=self._fail_fast)
        except BaseException as fault:  # told by `result_of`, in the thread that waits
            self._fault = fault
        finally:
            with self._changed:
                self._changed.notify_all()

    def _measure(self, scenarios: Sequence[Scenario], *, fail_fast: bool) -> None:
        cluster = self._use()

        def emit(event: Event) -> None:
            if isinstance(event, ScenarioFinished):
                with self._changed:
                    self._found[event.result.scenario.name] = Found(event.result, cluster.backend)
                    self._changed.notify_all()

        run = engine(
            scenarios,
            cluster,
            emit,
            jobs=self.settings.jobs,
            fail_fast=fail_fast,
            revision=self._asked_revision(),
            stop=self._stop,
        )
        self._runs.append(run)

    def _asked_revision(self) -> str:
        if self._revision is None:
            self._revision = measuring.revision_of(self._folder)
        return self._revision

    # -- afterwards ------------------------------------------------------------------------------------

    def finish(self, *, stop: bool, interrupted: bool) -> RunResult | None:
        """Take everything down.

        Args:
            stop: Do not wait for scenarios that nobody asks for any more.
            interrupted: The user has stopped the session already; a further signal ends it at once.

        Returns:
            What was measured; None when that is nothing.
        """
        if stop and self._plan.keys() - self._found.keys():
            self._stop.set()
        with stop_on_signal() as asked:
            if interrupted:
                asked.set()
            if interrupted and self._thread is not None and self._thread.is_alive():
                self._say(STOPPING)
            while self._thread is not None and self._thread.is_alive():
                self._thread.join(_LOOK)
                if asked.is_set():
                    self._stop.set()
            if self._cluster is not None:
                self._cluster.close()
            elif self._opening is not None and self._trouble is None:
                self._opening.abandon()
        if self._heeding:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if not self._runs:
            return None
        found = merged(self._runs, list(self._plan))
        left = self._cluster.left_behind if self._cluster is not None else ()
        return replace(found, left_behind=left) if left else found

    @property
    def opened(self) -> Cluster | None:
        """The cluster as it was opened."""
        return self._opened


def _narrowed(scenario: Scenario, wanted: frozenset[str]) -> Scenario | None:
    def full(step: str, id: str) -> str:
        return f"{scenario.name}::{step}::{id}"

    if all(full(step.name, id) in wanted for step in scenario.steps for id, _ in step.planned()):
        return scenario
    # What becomes of a `cut` flow's open connection is measured with the flow.
    needed = wanted | {id.removesuffix(ESTABLISHED) + CUT for id in wanted if id.endswith(ESTABLISHED)}
    return narrow(scenario, needed.__contains__)


def _apology(fault: BaseException) -> str:
    text = f"netcheck itself failed, sorry; this is a bug: {type(fault).__name__}: {fault}"
    if os.environ.get("NETCHECK_DEBUG"):
        import traceback

        return "".join((text, "\n", *traceback.format_exception(fault)))
    return f"{text}; run it again with NETCHECK_DEBUG=1 for the traceback to report"
