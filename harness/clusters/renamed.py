"""A cluster on which namespaces have other names than in the scenarios; the engine does not notice.

Everything that goes into a world is renamed, and who answered is named back. So results, cell ids and reports
carry the author's names; evidence and errors of the cluster itself carry the real ones.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

from harness.dialects.renaming import RenameError, rename_policy
from harness.engine.cluster import Claims, Cluster, ClusterError, FlowRecord, Flows, InForce, Waits, World
from harness.model.outcome import Observation, Outcome
from harness.model.policy import Policy, PolicyRef
from harness.model.probe import Probe
from harness.model.renaming import Renaming
from harness.model.result import NAMESPACE_PREFIX
from harness.model.scenario import Scenario
from harness.model.topology import Topology
from harness.scenario.renaming import MAX_NAME, rename, renaming_of, too_long

AUTO = "auto"
"""Asks for a prefix of its own for each scenario."""

_RUN_DIGITS = 6


def auto_prefix(run: str, number: int) -> str:
    """The prefix of a run's `number`th scenario."""
    return f"nc-{run[:_RUN_DIGITS]}-{number}-"


class RenamedCluster:
    """See `engine.cluster.Cluster`.

    Args:
        inner: Where the packets flow.
        prefix: What stands before the name of every namespace; `auto` = another one for each scenario.
    """

    def __init__(self, inner: Cluster, prefix: str) -> None:
        self._inner = inner
        self._prefix = prefix
        self._lock = threading.Lock()
        self._numbers: dict[str, int] = {}
        backend = inner.backend
        self.backend = replace(backend, versions={**backend.versions, NAMESPACE_PREFIX: prefix})

    def prepare(self, scenarios: Sequence[Scenario], run: str) -> None:
        """What is outside keeps its names."""
        self._inner.prepare(scenarios, run)

    def claims(self, scenario: Scenario) -> Claims:
        """What the scenario needs under its other names."""
        try:
            return self._inner.claims(rename(scenario, self._renaming(scenario, "")))
        except RenameError:
            return self._inner.claims(scenario)  # `open` will say what is wrong

    def open(self, scenario: Scenario, run: str, waits: Waits) -> RenamedWorld:
        """Build the world under its other names."""
        renaming = self._renaming(scenario, run)
        for name in too_long(renaming):
            raise ClusterError(
                f"namespace {name} would be called {renaming.namespace(name)}; a name has at most {MAX_NAME} "
                "characters",
                "choose a shorter --namespace-prefix",
            )
        try:
            renamed = rename(scenario, renaming)
        except RenameError as error:
            raise ClusterError(str(error)) from error
        return RenamedWorld(self._inner.open(renamed, run, waits), renaming, scenario.topology)

    def _renaming(self, scenario: Scenario, run: str) -> Renaming:
        prefix = self._prefix
        if prefix == AUTO:
            with self._lock:
                number = self._numbers.setdefault(scenario.name, len(self._numbers) + 1)
            prefix = auto_prefix(run, number)
        return renaming_of(scenario, prefix)

    def interrupt(self) -> None:
        """See `engine.cluster.Cluster`."""
        self._inner.interrupt()

    def close(self) -> None:
        """See `engine.cluster.Cluster`."""
        self._inner.close()

    @property
    def left_behind(self) -> tuple[str, ...]:
        """See `engine.cluster.Cluster`."""
        return self._inner.left_behind


class RenamedWorld:
    """See `engine.cluster.World`."""

    def __init__(self, inner: World, renaming: Renaming, topology: Topology) -> None:
        self._inner = inner
        self._renaming = renaming
        self._topology = topology
        self._refs: dict[PolicyRef, PolicyRef] = {}
        self.connect_timeout = inner.connect_timeout
        self.sweeps = inner.sweeps
        self.build_seconds = inner.build_seconds

    def reshape(self, topology: Topology) -> None:
        """See `engine.cluster.World`."""
        self._topology = topology
        self._inner.reshape(self._renaming.topology(topology))

    def restart(self, pods: Sequence[str]) -> None:
        """See `engine.cluster.World`."""
        self._inner.restart([self._renaming.identity(pod) for pod in pods])

    def apply(self, policies: Sequence[Policy]) -> None:
        """See `engine.cluster.World`."""
        renamed = []
        for policy in policies:
            try:
                renamed.append(rename_policy(policy, self._renaming))
            except RenameError as error:
                raise ClusterError(str(error)) from error
            self._refs[policy.ref] = renamed[-1].ref
        self._inner.apply(renamed)

    def delete(self, policies: Sequence[PolicyRef]) -> None:
        """See `engine.cluster.World`."""
        self._inner.delete([self._refs.pop(ref, ref) for ref in policies])

    def in_force(self) -> InForce:
        """See `engine.cluster.World`."""
        return self._inner.in_force()

    def sweep(self, probes: Sequence[Probe], timeout: float) -> tuple[Observation, ...]:
        """See `engine.cluster.World`."""
        seen = self._inner.sweep(self._probes(probes), timeout)
        return tuple(self._authored(item) for item in seen)

    def lifted(self) -> AbstractContextManager[None]:
        """See `engine.cluster.World`."""
        return self._inner.lifted()

    def blockers(self, probes: Sequence[Probe]) -> tuple[str, ...]:
        """See `engine.cluster.World`; others' policies keep their real names."""
        return self._inner.blockers(self._probes(probes))

    def start_flows(self, probes: Sequence[Probe], established: Sequence[Probe], timeout: float) -> Flows:
        """See `engine.cluster.World`."""
        inner = self._inner.start_flows(self._probes(probes), self._probes(established), timeout)
        return _RenamedFlows(inner, self._renaming)

    def evidence(self, probes: Sequence[Probe], timeout: float) -> Iterator[tuple[str, ...]]:
        """What the cluster says, and what the cell's namespaces are called in it."""
        said = self._inner.evidence(self._probes(probes), timeout)
        for probe, lines in zip(probes, said, strict=True):
            yield (*lines, *self._names(probe))

    def close(self) -> None:
        """See `engine.cluster.World`."""
        self._inner.close()

    def _probes(self, probes: Sequence[Probe]) -> list[Probe]:
        return [self._renaming.probe(probe, self._topology) for probe in probes]

    def _authored(self, seen: Observation) -> Observation:
        servers = tuple(self._renaming.authored(item) for item in seen.expected_servers)
        split = seen.split and re.sub(
            r"[^\s/]+/", lambda found: self._renaming.authored(found[0]), seen.split
        )
        ids = {real: name for name, real in self._renaming.spiffe_ids(self._topology).items()}
        return replace(
            seen,
            outcome=_outcome(seen.outcome, self._renaming),
            expected_servers=servers,
            split=split,
            client_identity=ids.get(seen.client_identity, seen.client_identity),
            server_identity=ids.get(seen.server_identity, seen.server_identity),
        )

    def _names(self, probe: Probe) -> tuple[str, ...]:
        namespaces = {end.name.partition("/")[0] for end in (probe.source, probe.target) if "/" in end.name}
        names = self._renaming.namespaces
        pairs = [f"{name} is {names[name]}" for name in sorted(namespaces) if name in names]
        return (f"on the cluster {', '.join(pairs)}",) if pairs else ()


class _RenamedFlows:
    """See `engine.cluster.Flows`."""

    def __init__(self, inner: Flows, renaming: Renaming) -> None:
        self._inner = inner
        self._renaming = renaming

    def now(self) -> float:
        return self._inner.now()

    def stop(self) -> tuple[FlowRecord, ...]:
        return tuple(
            replace(
                record,
                samples=tuple(
                    replace(item, outcome=_outcome(item.outcome, self._renaming)) for item in record.samples
                ),
            )
            for record in self._inner.stop()
        )


def _outcome(outcome: Outcome, renaming: Renaming) -> Outcome:
    served_by = renaming.authored(outcome.served_by)
    return outcome if served_by == outcome.served_by else replace(outcome, served_by=served_by)
