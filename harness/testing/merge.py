"""Several runs of one session as one: pytest's workers measure in runs of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.model.result import RunResult, ScenarioResult


def merged(runs: Sequence[RunResult], order: Sequence[str] = ()) -> RunResult:
    """One result of all runs.

    Args:
        runs: At least one; a scenario that is in several counts once, as the first of them has it.
        order: Names of scenarios, in the order in which they shall stand; others follow.
    """
    if len(runs) == 1:
        return runs[0]
    found: dict[str, ScenarioResult] = {}
    for run in runs:
        for item in run.scenarios:
            found.setdefault(item.scenario.name, item)
    place = {name: number for number, name in enumerate(order)}
    scenarios = sorted(found.values(), key=lambda item: place.get(item.scenario.name, len(place)))
    first = min(runs, key=lambda run: run.started)
    return replace(
        first,
        run=",".join(dict.fromkeys(run.run for run in runs if run.run)),
        backend=next((run.backend for run in runs if run.run), first.backend),
        scenarios=tuple(scenarios),
        seconds=sum(run.seconds for run in runs),
        interrupted=any(run.interrupted for run in runs),
        left_behind=tuple(dict.fromkeys(text for run in runs for text in run.left_behind)),
        excerpts=tuple(dict.fromkeys(item for run in runs for item in run.excerpts)),
    )
