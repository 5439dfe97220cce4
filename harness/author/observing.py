"""Two sets of policies, enforced in the same world, and what real packets make of each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from harness.author.kinds_of_flows import probes_of
from harness.engine.cluster import Cluster
from harness.engine.events import Event
from harness.engine.run import run
from harness.model.policy import Policy
from harness.model.probe import Probe
from harness.model.result import CellResult
from harness.model.scenario import Cell, Scenario, Step
from harness.model.topology import Family, Protocol, Topology
from harness.model.verdict import Expectation, Expected
from harness.source import Place

_NAMES = ("before-the-conversion", "after-the-conversion")


@dataclass(slots=True)
class Observed:
    """What the packets did.

    Attributes:
        where: The backend, such as `lab?as=cilium`.
        compared: How many probes got a verdict with both sets.
        differing: Probes with the verdict before and after.
        unmeasured: Why some have none, each reason once.
    """

    where: str
    compared: int = 0
    differing: list[tuple[str, str, str]] = field(default_factory=list)
    unmeasured: list[str] = field(default_factory=list)


def observe(
    topology: Topology,
    before: Sequence[Policy],
    after: Sequence[Policy],
    cluster: Cluster,
    emit: Callable[[Event], None],
    stop: threading.Event | None = None,
) -> Observed:
    """Apply both sets, each in a world of its own, and send every probe of the world.

    Args:
        topology: The world.
        before: Policies that are in force in the first one.
        after: Policies that are in force in the second one.
        cluster: Where the worlds are made.
        emit: Receives the events of the run.
        stop: When set, the run ends early, and what it did not measure is said.
    """
    found = Observed(cluster.backend.spec)
    if "sctp" not in cluster.backend.features:
        topology = _without_sctp(topology)
    probes = list(probes_of(topology))
    scenarios = [
        every_flow(name, topology, policies, probes, Place("<conversion>"))
        for name, policies in zip(_NAMES, (before, after), strict=True)
    ]
    results = {
        item.scenario.name: item for item in run(scenarios, cluster, emit, jobs=2, stop=stop).scenarios
    }
    cells: list[dict[str, CellResult]] = []
    for name in _NAMES:
        item = results.get(name)
        why = (item.error or item.skipped) if item else "it was not run"
        if why:
            found.unmeasured.append(why)
        cells.append({_key(cell.cell): cell for step in (item.steps if item else ()) for cell in step.cells})
    for probe in probes:
        _compare(_text(probe), cells[0].get(_text(probe)), cells[1].get(_text(probe)), found)
    found.unmeasured = list(dict.fromkeys(found.unmeasured))
    return found


def _compare(text: str, first: CellResult | None, second: CellResult | None, found: Observed) -> None:
    if first is None or second is None:
        if not found.unmeasured:
            found.unmeasured.append(f"{text} was not measured")
        return
    if first.verdict is None or second.verdict is None:
        lacking = first if first.verdict is None else second
        found.unmeasured.append(lacking.reason or f"{text} has no verdict")
        return
    found.compared += 1
    if first.verdict is not second.verdict:
        found.differing.append((text, str(first.verdict), str(second.verdict)))


def every_flow(
    name: str, topology: Topology, policies: Sequence[Policy], probes: Sequence[Probe], place: Place
) -> Scenario:
    """A scenario that applies policies and observes probes; all of it stands at one place."""
    cells = tuple(Cell(_text(probe), probe, Expectation(Expected.OBSERVE), place) for probe in probes)
    step = Step("expect", topology, tuple(policies), cells, apply=tuple(policies))
    families = tuple(dict.fromkeys([Family.IPV4, *(probe.family for probe in probes)]))
    return Scenario(name, place, topology, (step,), families=families)


def _key(cell: Cell) -> str:
    return _text(cell.probe)


def _text(probe: Probe) -> str:
    return probe.id if probe.family is Family.IPV4 else f"{probe.id} {probe.family}"


def _without_sctp(topology: Topology) -> Topology:
    pods = {
        name: replace(
            pod, listeners=tuple(item for item in pod.listeners if item.protocol is not Protocol.SCTP)
        )
        for name, pod in topology.pods.items()
    }
    externals = {
        name: replace(
            item, listeners=tuple(one for one in item.listeners if one.protocol is not Protocol.SCTP)
        )
        for name, item in topology.externals.items()
    }
    return replace(topology, pods=pods, externals=externals)
