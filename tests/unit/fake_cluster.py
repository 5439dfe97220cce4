"""A cluster without packets: its worlds answer from a table."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from harness.engine.cluster import Claims, ClusterError, Flows, InForce, Waits
from harness.model.outcome import Observation, Outcome, OutcomeKind
from harness.model.policy import Policy, PolicyRef
from harness.model.probe import DnsQuery, Probe
from harness.model.result import Backend
from harness.model.scenario import Scenario
from harness.model.topology import Topology

ALLOWED = Observation(Outcome(OutcomeKind.CONNECTED, token=True), receipts=1, seconds=0.002)
DROPPED = Observation(Outcome(OutcomeKind.TIMEOUT), listening=True, attempts=2, seconds=0.5)
REJECTED = Observation(Outcome(OutcomeKind.REFUSED, by="icmp 3/13"), listening=True, seconds=0.001)
LAB = Backend("lab", ("lab", "generic"), {"kernel": "6.1.0"}, frozenset({"external"}))
RESOLVED = Observation(Outcome(OutcomeKind.DNS, "NOERROR"), seconds=0.001)


@dataclass
class FakeWorld:
    """Connects everything until the first step is in force; then probes named in the table get its answer."""

    answers: Mapping[str, Observation]
    controls: Mapping[str, Observation]
    connect_timeout: float = 0.5
    sweeps: int = 1
    build_seconds: float = 0.1
    log: list[str] = field(default_factory=list)
    steps: int = 0

    def reshape(self, topology: Topology) -> None:
        self.log.append("reshape")

    def restart(self, pods: Sequence[str]) -> None:
        self.log.append(f"restart {' '.join(pods)}")

    def apply(self, policies: Sequence[Policy]) -> None:
        self.log.append(f"apply {' '.join(str(item) for item in policies)}")

    def delete(self, policies: Sequence[PolicyRef]) -> None:
        self.log.append(f"delete {' '.join(str(item) for item in policies)}")

    def in_force(self) -> InForce:
        self.steps += 1
        return InForce(0.003, "the table")

    def sweep(self, probes: Sequence[Probe], timeout: float) -> tuple[Observation, ...]:
        table = self.answers if self.steps else self.controls
        return tuple(table.get(probe.id, _open(probe)) for probe in probes)

    def start_flows(self, probes: Sequence[Probe], established: Sequence[Probe], timeout: float) -> Flows:
        raise ClusterError("the fake cluster has no flows")

    def lifted(self) -> AbstractContextManager[None]:
        return nullcontext()

    def blockers(self, probes: Sequence[Probe]) -> tuple[str, ...]:
        return ("",) * len(probes)

    def evidence(self, probes: Sequence[Probe], timeout: float) -> Iterator[tuple[str, ...]]:
        return iter([(f"the table says so about {probe.id}",) for probe in probes])

    def close(self) -> None:
        self.log.append("close")


def _open(probe: Probe) -> Observation:
    return RESOLVED if isinstance(probe.request, DnsQuery) else ALLOWED


class FakeCluster:
    """Opens a fake world per scenario.

    Args:
        answers: By the probe's id.
        controls: What the control sweep sees instead of a connection, by the probe's id.
        on_open: Called with every scenario before its world stands; may raise.
        backend: What it says it is.
    """

    left_behind: tuple[str, ...] = ()

    def __init__(
        self,
        answers: Mapping[str, Observation] | None = None,
        controls: Mapping[str, Observation] | None = None,
        on_open: Callable[[Scenario], None] = lambda scenario: None,
        backend: Backend = LAB,
    ) -> None:
        self.backend = backend
        self.worlds: dict[str, FakeWorld] = {}
        self.closed = False
        self.interrupted = False
        self._answers = answers or {}
        self._controls = controls or {}
        self._on_open = on_open
        self._lock = threading.Lock()

    def prepare(self, scenarios: Sequence[Scenario], run: str) -> None:
        self.prepared = (tuple(scenarios), run)

    def claims(self, scenario: Scenario) -> Claims:
        return Claims()

    def open(self, scenario: Scenario, run: str, waits: Waits) -> FakeWorld:
        self._on_open(scenario)
        world = FakeWorld(self._answers, self._controls)
        with self._lock:
            self.worlds[scenario.name] = world
        return world

    def interrupt(self) -> None:
        self.interrupted = True

    def close(self) -> None:
        self.closed = True
