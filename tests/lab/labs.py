"""What the lab tests share: scenarios from text, worlds to be broken on purpose, a look at this machine."""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.clusters.lab.cluster import LabCluster
from harness.clusters.lab.world import LabWorld
from harness.engine.cluster import Waits
from harness.engine.events import Event, PhaseStarted
from harness.engine.run import run
from harness.model.personality import Personality
from harness.model.probe import Probe, Source, SourceKind, Target, TargetKind
from harness.model.result import CellResult, RunResult
from harness.model.scenario import Scenario
from harness.model.topology import Family, Protocol
from harness.scenario import load

TWO_PODS = """
scenario: two-pods
namespaces: {shop: {labels: {team: shop}}}
pods:
  shop/web: {labels: {app: web}, listen: [8080, 8081, 5353/UDP], node: a}
  shop/cli: {labels: {app: cli}, node: b}
policies:
  - apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata: {name: only-8080, namespace: shop}
    spec:
      podSelector: {matchLabels: {app: web}}
      ingress: [{from: [{podSelector: {matchLabels: {app: cli}}}], ports: [{port: 8080}]}]
expect:
  - {from: shop/cli, to: "shop/web:8080", verdict: allow}
  - {from: shop/cli, to: ["shop/web:8081", "shop/web:5353/UDP"], verdict: drop}
"""


def scenario(text: str, folder: Path) -> Scenario:
    """The one scenario of a YAML text, which must be without fault."""
    file = folder / "case.yaml"
    file.write_text(text)
    loaded = load([file])
    assert [str(item) for item in loaded.problems if item.severity == "error"] == []
    (found,) = loaded.scenarios
    return found


def measure(
    wanted: Scenario,
    *,
    on_phase: Callable[[str, LabWorld], None] | None = None,
    stop: threading.Event | None = None,
    personality: Personality | None = None,
) -> RunResult:
    """Run one scenario; `on_phase` may tamper with its world when a phase begins."""
    worlds: list[LabWorld] = []

    class Watched(LabCluster):
        def open(self, scenario: Scenario, run: str, waits: Waits) -> LabWorld:
            worlds.append(super().open(scenario, run, waits))
            return worlds[-1]

    def emit(event: Event) -> None:
        if on_phase is not None and isinstance(event, PhaseStarted) and worlds:
            on_phase(event.phase, worlds[-1])

    cluster = Watched(personality=personality)
    try:
        return run([wanted], cluster, emit, stop=stop)
    finally:
        cluster.close()


def cells(result: RunResult) -> dict[str, CellResult]:
    """All cells of a run of one scenario, by id."""
    return {cell.id: cell for cell in result.scenarios[0].cells}


@contextmanager
def world(wanted: Scenario, personality: Personality | None = None) -> Iterator[LabWorld]:
    """A world of its own, without engine."""
    cluster = LabCluster(personality=personality)
    try:
        built = cluster.open(wanted, "tests", print)
        try:
            yield built
        finally:
            built.close()
    finally:
        cluster.close()


def to_pod(
    source: str, pod: str, port: int, protocol: Protocol = Protocol.TCP, family: Family = Family.IPV4
) -> Probe:
    """A token echo from pod to pod."""
    return Probe(Source(SourceKind.POD, source), Target(TargetKind.POD, pod, port, protocol), family)


def children(pid: int) -> set[int]:
    """All processes below `pid`."""
    found: set[int] = set()
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found |= {int(child)} | children(int(child))
    return found


def alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def staying(pids: set[int], seconds: float = 60.0) -> set[int]:
    """The processes of `pids` that still live after a while."""
    deadline = time.monotonic() + seconds
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        select.select([], [], [], 0.02)
    return {pid for pid in pids if alive(pid)}


def open_files() -> int:
    """Descriptors of this process."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
