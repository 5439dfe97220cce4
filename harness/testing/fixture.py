"""What the fixture `netcheck` measures with: labs for worlds, the session's cluster for files."""

from __future__ import annotations

from pathlib import Path

from harness.clusters.lab.cluster import LabCluster
from harness.engine.cluster import Cluster, ClusterError
from harness.scenario.loader import FileByFile
from harness.source.diagnostics import Severity
from harness.source.render import render
from harness.testing.api import Measured, Netcheck, UnprovenError, WritingError
from harness.testing.session import Scenarios, seen_from
from harness.testing.settings import SettingsError


def fixture(scenarios: Scenarios, folder: Path) -> Netcheck:
    """What a test gets whose file stands in `folder`."""

    def lab() -> Cluster:
        """The session's cluster when it is a lab, else one of its own."""
        if scenarios.settings.place.cluster.startswith("lab"):
            return scenarios.measurement.cluster()
        if scenarios.own_lab is None:
            scenarios.own_lab = LabCluster()
        return scenarios.own_lab

    def measured(path: Path) -> Measured:
        if scenarios.worker and not scenarios.settings.place.cluster.startswith("lab"):
            raise UnprovenError(scenarios.unshared())
        loaded = FileByFile().read(seen_from(scenarios.config.invocation_params.dir, path))
        errors = [item for item in loaded.problems if item.severity is Severity.ERROR]
        if errors:
            raise WritingError(render(errors, loaded.sources).rstrip())
        try:
            return Measured(*scenarios.measurement.measure(loaded.scenarios))
        except ClusterError as trouble:
            raise UnprovenError("; ".join(filter(None, (str(trouble), trouble.advice)))) from trouble
        except SettingsError as error:
            raise UnprovenError(str(error)) from error

    return Netcheck(folder, lab, measured)
