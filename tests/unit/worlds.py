"""Scenarios in a few words, and a world that writes down every call and answers from a script."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from harness.engine.cluster import Claims, FlowRecord, Flows, InForce, Sample, Waits
from harness.model.outcome import Observation, Outcome, OutcomeKind
from harness.model.policy import Policy, PolicyRef
from harness.model.probe import DnsQuery, HttpRequest, Probe, Source, SourceKind, Target, TargetKind
from harness.model.result import Backend
from harness.model.scenario import Cell, Scenario, Settings, Step, Transition
from harness.model.topology import Family, Protocol, Topology
from harness.model.verdict import Expectation, Expected
from harness.source import Place
from tests.unit.kubernetes_worlds import pod, probe, world

HERE = Place("s.yaml")

ALLOWED = Observation(Outcome(OutcomeKind.CONNECTED, token=True), receipts=1)
DROPPED = Observation(Outcome(OutcomeKind.TIMEOUT), listening=True)
REJECTED = Observation(Outcome(OutcomeKind.REFUSED, by="icmp 3/13 from 10.0.0.1"), listening=True)
DEAD = Observation(Outcome(OutcomeKind.REFUSED, by="rst"), listening=False)
BROKEN = Observation(Outcome(OutcomeKind.ERROR, "EMFILE"))

PASSED = Outcome(OutcomeKind.CONNECTED, token=True)
LOST = Outcome(OutcomeKind.TIMEOUT)

TRIO = world(pod("n/a"), pod("n/b"), pod("n/c"))
"""Three pods that listen on 80."""

STEP = "NetworkPolicy n/p"
POLICY = Policy("kubernetes", "networking.k8s.io/v1", "NetworkPolicy", "n", "p", {}, None, HERE)


def http_probe(text: str, request: HttpRequest | None = None) -> Probe:
    """As `probe`, with an HTTP request."""
    base = probe(text)
    return Probe(base.source, base.target, base.family, request or HttpRequest())


def dns_probe(source: str, name: str, *, tcp: bool = False, family: Family = Family.IPV4) -> Probe:
    return Probe(
        Source(SourceKind.POD, source),
        Target(TargetKind.DNS, "", 53, Protocol.TCP if tcp else Protocol.UDP),
        family,
        DnsQuery(name, tcp=tcp),
    )


def cell(what: str | Probe, expected: Expected | Expectation = Expected.ALLOW) -> Cell:
    found = probe(what) if isinstance(what, str) else what
    wanted = Expectation(expected) if isinstance(expected, Expected) else expected
    return Cell(found.id, found, wanted, HERE)


def step(
    *cells: Cell,
    name: str = "expect",
    topology: Topology = TRIO,
    policies: Sequence[Policy] = (),
    apply: Sequence[Policy] = (),
    delete: Sequence[PolicyRef] = (),
    restart: Sequence[str] = (),
    transition: Transition | None = None,
) -> Step:
    return Step(
        name,
        topology,
        tuple(policies),
        cells,
        tuple(apply),
        tuple(delete),
        restart=tuple(restart),
        transition=transition,
    )


def scenario(
    *steps: Step,
    name: str = "s",
    topology: Topology = TRIO,
    needs: Sequence[str] = (),
    families: Sequence[Family] = (),
    settings: Settings | None = None,
) -> Scenario:
    return Scenario(
        name,
        HERE,
        topology,
        steps,
        needs=tuple(needs),
        families=tuple(families),
        settings=settings or Settings(),
    )


Call = tuple[object, ...]
Answers = Callable[[Probe, int], Observation]
"""A probe and the number of the sweep after the last change (0 = control) → what is seen."""


@dataclass
class ScriptedFlows:
    """Flows whose records are written beforehand; the clock stands at 1, 2, 3, …"""

    log: list[Call]
    records: tuple[FlowRecord, ...]
    clock: int = 0

    def now(self) -> float:
        self.clock += 1
        self.log.append(("flows.now", self.clock))
        return float(self.clock)

    def stop(self) -> tuple[FlowRecord, ...]:
        self.log.append(("flows.stop",))
        return self.records


@dataclass
class ScriptedWorld:
    """Writes down every call; `on` may raise or set events, by the name of the call."""

    answers: Answers
    log: list[Call]
    on: Callable[[str], None] = lambda call: None
    records: tuple[FlowRecord, ...] = ()
    sweeps: int = 1
    connect_timeout: float = 0.5
    build_seconds: float = 0.25
    sweep_number: int = 0
    timeouts: list[float] = field(default_factory=list)
    closed: bool = False
    trouble: str = ""
    others: dict[str, str] = field(default_factory=dict)

    def _note(self, name: str, *details: object) -> None:
        self.log.append((name, *details))
        self.on(name)

    def reshape(self, topology: Topology) -> None:
        self._note("reshape", *topology.pods)

    def restart(self, pods: Sequence[str]) -> None:
        self._note("restart", *pods)

    def apply(self, policies: Sequence[Policy]) -> None:
        self._note("apply", *(item.name for item in policies))

    def delete(self, policies: Sequence[PolicyRef]) -> None:
        self._note("delete", *(item.name for item in policies))

    def in_force(self) -> InForce:
        self._note("in_force")
        self.sweep_number = 1
        return InForce(0.25, "the script", self.trouble)

    def sweep(self, probes: Sequence[Probe], timeout: float) -> tuple[Observation, ...]:
        name = "sweep" if self.sweep_number else "control"
        self._note(name, *(item.id for item in probes))
        self.timeouts.append(timeout)
        found = tuple(self.answers(item, self.sweep_number) for item in probes)
        if self.sweep_number:
            self.sweep_number += 1
        return found

    def start_flows(self, probes: Sequence[Probe], established: Sequence[Probe], timeout: float) -> Flows:
        self._note("start_flows", len(probes), len(established))
        return ScriptedFlows(self.log, self.records)

    def lifted(self) -> AbstractContextManager[None]:
        return nullcontext()

    def blockers(self, probes: Sequence[Probe]) -> tuple[str, ...]:
        self._note("blockers", *(item.id for item in probes))
        return tuple(self.others.get(item.id, "") for item in probes)

    def evidence(self, probes: Sequence[Probe], timeout: float) -> Iterator[tuple[str, ...]]:
        for item in probes:
            self._note("evidence", item.id)
            yield ("a counter moved",)

    def close(self) -> None:
        self.log.append(("close",))
        self.closed = True


class ScriptedCluster:
    """Opens scripted worlds; keeps them by scenario."""

    left_behind: tuple[str, ...] = ()

    def __init__(
        self,
        answers: Answers = lambda probe, sweep: ALLOWED,
        *,
        on: Callable[[str], None] = lambda call: None,
        records: tuple[FlowRecord, ...] = (),
        sweeps: int = 1,
        features: frozenset[str] = frozenset(),
        names: tuple[str, ...] = ("lab", "generic"),
        trouble: str = "",
    ) -> None:
        self.backend = Backend("scripted", names, {"cilium": "1.20.1"}, features)
        self.interrupted = False
        self.log: list[Call] = []
        self.worlds: dict[str, ScriptedWorld] = {}
        self._answers, self._on, self._records, self._sweeps = answers, on, records, sweeps
        self._trouble = trouble
        self.others: dict[str, str] = {}
        self._lock = threading.Lock()

    def prepare(self, scenarios: Sequence[Scenario], run: str) -> None:
        self.prepared = (tuple(scenarios), run)

    def claims(self, scenario: Scenario) -> Claims:
        return Claims()

    def interrupt(self) -> None:
        self.interrupted = True

    def open(self, scenario: Scenario, run: str, waits: Waits) -> ScriptedWorld:
        with self._lock:
            self.log.append(("open", scenario.name))
            self._on("open")
            made = ScriptedWorld(self._answers, self.log, self._on, self._records, self._sweeps)
            made.trouble = self._trouble
            made.others = self.others
            self.worlds[scenario.name] = made
            return made

    def close(self) -> None:
        self.log.append(("cluster.close",))


def flow(*samples: tuple[float, Outcome]) -> FlowRecord:
    return FlowRecord(tuple(Sample(at, outcome) for at, outcome in samples))
