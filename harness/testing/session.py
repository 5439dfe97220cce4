"""The scenarios of a pytest session, from their files to what became of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.cli.select import has_tags
from harness.model.scenario import Scenario
from harness.model.verdict import Status
from harness.scenario.loader import FileByFile, is_scenario_file
from harness.source.diagnostics import Diagnostic, Severity
from harness.testing.flags import FLAGS, PREFIX
from harness.testing.nodes import CellItem, DiagnosticsError
from harness.testing.settings import Settings, SettingsError, read
from harness.testing.workers import DIST, OUTPUT, SCATTERED, TOGETHER, ScatteredWarning

if TYPE_CHECKING:
    from harness.clusters.lab.cluster import LabCluster
    from harness.model.result import RunResult
    from harness.testing.measurement import Found, Measurement


def words(config: pytest.Config) -> list[str]:
    """What the command line says, as words for `settings.read`."""
    found = []
    for name, _, _, repeatable in FLAGS:
        value = config.getoption(f"{PREFIX}{name}".replace("-", "_"))
        option = f"--{PREFIX}{name}"
        if value is True:
            found.append(option)
        elif value:
            found += [f"{option}={item}" for item in (value if repeatable else [value])]
    return found


class Scenarios:
    """All scenarios of a session.

    Args:
        config: pytest's.

    Raises:
        SettingsError: The options cannot be understood.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.settings: Settings = read(words(config), config.invocation_params.dir)
        self.worker = hasattr(config, "workerinput")
        self.fail_fast = config.getoption("maxfail", 0) == 1
        self.own_lab: LabCluster | None = None
        self.documents: list[dict[str, Any]] = []
        self._measurement: Measurement | None = None
        self.problem: SettingsError | None = None
        self.warnings: list[Diagnostic] = []
        self._reading = FileByFile()
        self._files: dict[Path, tuple[Scenario, ...]] = {}
        self._told: dict[tuple[str, str, str], str] = {}
        self._spokesmen: dict[str, str] = {}

    @property
    def measurement(self) -> Measurement:
        """What measures; made when it is first asked for, since collecting needs none."""
        if self._measurement is None:
            from harness.testing.measurement import Measurement

            self._measurement = Measurement(
                self.settings,
                self.config.rootpath,
                ahead=not self.worker,
                fail_fast=self.fail_fast,
                say=self._say,
            )
        return self._measurement

    # -- collection ------------------------------------------------------------------------------------

    def load(self, path: Path) -> tuple[Scenario, ...]:
        """The scenarios of a file.

        Raises:
            DiagnosticsError: Something is wrong with it.
        """
        real = path.resolve()
        if real not in self._files:
            loaded = self._reading.read(seen_from(self.config.invocation_params.dir, path))
            if any(item.severity is Severity.ERROR for item in loaded.problems):
                if not is_scenario_file(path):
                    return ()
                raise DiagnosticsError(loaded.problems, loaded.sources)
            self.warnings += loaded.problems
            self._files[real] = loaded.scenarios
        return self._files[real]

    def wants(self, scenario: Scenario) -> bool:
        """Whether its tags are meant."""
        return has_tags(scenario.tags, self.settings.tags)

    def plan(self, items: Sequence[pytest.Item]) -> None:
        """Take the cells that are left after all selections.

        Raises:
            SettingsError: The options do not go with them.
        """
        chosen: dict[str, tuple[Scenario, set[str]]] = {}
        for item in items:
            if isinstance(item, CellItem):
                scenario = item.scenario_node.scenario
                chosen.setdefault(scenario.name, (scenario, set()))[1].add(item.full_id)
        if chosen and self.worker:
            self._check_sharing(next(item for item in items if isinstance(item, CellItem)))
        if chosen:
            self.measurement.plan({name: (found, frozenset(ids)) for name, (found, ids) in chosen.items()})

    def _check_sharing(self, item: CellItem) -> None:
        workerinput = self.config.workerinput  # type: ignore[attr-defined]
        if not self.settings.place.cluster.startswith("lab"):
            raise SettingsError(self.unshared())
        if workerinput.get(DIST) not in TOGETHER and workerinput["workerid"] in ("gw0", "main"):
            item.warn(ScatteredWarning(SCATTERED))

    def unshared(self) -> str:
        """Why workers cannot have this cluster together."""
        return (
            f"workers of pytest-xdist cannot share {self.settings.place.cluster}: policies of one scenario "
            "would meet another's packets; leave -n out, netcheck measures several scenarios at a time "
            f"itself (--{PREFIX}jobs)"
        )

    # -- results ---------------------------------------------------------------------------------------

    def result_of(self, name: str) -> Found:
        """What became of a scenario; waits for it."""
        if self.problem is not None:
            raise self.problem
        return self.measurement.result_of(name)

    def told_before(self, item: CellItem) -> str:
        """Step and id of the cell that has told the same trouble already; empty for the first."""
        case = item.case
        if case.status is not Status.ERROR:
            return ""
        step = item.step.name if case.result is not None else ""
        reason = "\n".join(text for label, text in case.details if label in ("reason", "control"))
        key = (item.scenario_node.nodeid, step, reason)
        first = self._told.setdefault(key, case.name)
        return "" if first == case.name else first

    def first_in_trouble(self, scenario: str, cell: str) -> str:
        """The cell that speaks for a scenario that could not be measured as a whole: the first that asks."""
        return self._spokesmen.setdefault(scenario, cell)

    # -- the end ---------------------------------------------------------------------------------------

    def finish(self, session: pytest.Session) -> RunResult | None:
        """Take everything down; what was measured, be it by workers.

        A worker hands over what it measured and reports nothing itself.
        """
        # Like `netcheck run -x`: what has begun when the first one fails comes to its end.
        first_failure = self.fail_fast and bool(session.shouldfail)
        from harness.report.json import from_json, to_text
        from harness.testing.merge import merged

        found = self.measurement.finish(
            stop=not first_failure, interrupted=session.exitstatus == pytest.ExitCode.INTERRUPTED
        )
        if self.own_lab is not None:
            self.own_lab.close()
        if self.worker:
            if found is not None:
                self.config.workeroutput[OUTPUT] = to_text(found)  # type: ignore[attr-defined]
            return None
        runs = [from_json(item) for item in self.documents]
        if found is not None:
            runs.append(found)
        if not runs:
            return None
        return replace(merged(runs), seconds=max(run.seconds for run in runs))

    def _say(self, line: str) -> None:
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.ensure_newline()
            reporter.write_line(line)


def seen_from(folder: Path, path: Path) -> Path:
    """The path as a person in `folder` would write it."""
    relative = Path(os.path.relpath(path, folder))
    return path if relative.parts[:1] == ("..",) else relative
