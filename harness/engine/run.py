"""A run: scenarios side by side, one result."""

from __future__ import annotations

import datetime
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from harness import __version__
from harness.engine.cluster import Claims, Cluster
from harness.engine.events import (
    Event,
    Interrupted,
    RunFinished,
    RunStarted,
    ScenarioFinished,
    ScenarioStarted,
)
from harness.engine.scenario_run import ScenarioRun
from harness.model.result import RunResult, ScenarioResult
from harness.model.scenario import Scenario
from harness.model.verdict import Status
from harness.oracle import in_family

_LOOK = 0.1
"""Seconds between two looks whether the user wants to stop; decides no verdict."""


def run(
    scenarios: Sequence[Scenario],
    cluster: Cluster,
    emit: Callable[[Event], None],
    *,
    jobs: int = 1,
    fail_fast: bool = False,
    revision: str = "",
    stop: threading.Event | None = None,
) -> RunResult:
    """Run scenarios on a cluster.

    Args:
        scenarios: What to run.
        cluster: Where; it stays open.
        emit: Receives every event, one at a time, from any thread.
        jobs: How many scenarios run side by side.
        fail_fast: Begin no further scenario after one that failed or could not be measured.
        revision: Git revision of the scenarios, for the reports.
        stop: When set, what runs is taken down, nothing more is begun, and the result says `interrupted`.

    Returns:
        The result, in the order of `scenarios`; what was not begun is missing from it.
    """
    scenarios = tuple(in_family(scenario, cluster.backend.family) for scenario in scenarios)
    stop = stop or threading.Event()
    enough = threading.Event()
    lock = threading.Lock()

    def tell(event: Event) -> None:
        with lock:
            emit(event)

    identity = secrets.token_hex(4)
    began = time.monotonic()
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    tell(RunStarted(identity, cluster.backend, tuple(scenarios)))

    def one(scenario: Scenario) -> ScenarioResult | None:
        if stop.is_set() or enough.is_set():
            return None
        tell(ScenarioStarted(scenario))
        result = ScenarioRun(scenario, cluster, tell, stop, identity).execute()
        tell(ScenarioFinished(result))
        if fail_fast and result.status in (Status.FAILED, Status.ERROR):
            enough.set()
        return result

    done: dict[int, ScenarioResult] = {}
    told = False
    jobs = max(1, jobs)
    cluster.prepare(scenarios, identity)
    pending = {index: cluster.claims(scenario) for index, scenario in enumerate(scenarios)}
    with ThreadPoolExecutor(max_workers=jobs, thread_name_prefix="scenario") as pool:
        running: dict[Future[ScenarioResult | None], tuple[int, Claims]] = {}
        try:
            while pending or running:
                while len(running) < jobs and (index := _next(pending, running.values())) is not None:
                    running[pool.submit(one, scenarios[index])] = index, pending.pop(index)
                if stop.is_set() and not told:
                    told = True
                    cluster.interrupt()
                    tell(Interrupted("stopped by the user"))
                finished, _ = wait(running, timeout=_LOOK, return_when=FIRST_COMPLETED)
                for future in finished:
                    index, _ = running.pop(future)
                    measured = future.result()
                    if measured is not None:
                        done[index] = measured
        except BaseException:
            # A fault of our own: let the other scenarios take their worlds down before it is reported.
            stop.set()
            raise
    if stop.is_set() and not told:
        tell(Interrupted("stopped by the user"))
    result = RunResult(
        run=identity,
        started=started,
        backend=cluster.backend,
        scenarios=tuple(done[index] for index in sorted(done)),
        seconds=time.monotonic() - began,
        interrupted=stop.is_set(),
        revision=revision,
        version=__version__,
    )
    tell(RunFinished(result))
    return result


def _next(pending: Mapping[int, Claims], running: Iterable[tuple[int, Claims]]) -> int | None:
    """The first scenario that may begin beside those that run."""
    taken = [claims for _, claims in running]
    for index, claims in pending.items():
        if all(claims.beside(other) for other in taken):
            return index
    return None
