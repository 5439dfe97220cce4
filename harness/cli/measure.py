"""From an opening cluster and scenarios to a result, whatever happens on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from harness.cli import measuring
from harness.cli.exits import CliError, ExitCode
from harness.cli.kept import tell_kept

if TYPE_CHECKING:
    from harness.cli.clusters import Opening
    from harness.engine.events import Event
    from harness.model.result import RunResult
    from harness.model.scenario import Scenario


def measure(
    scenarios: Sequence[Scenario],
    place: measuring.Place,
    opening: Opening,
    emit: Callable[[Event], None],
    done: Callable[[], None],
    *,
    jobs: int,
    revision: str,
    fail_fast: bool = False,
    keep: bool = False,
) -> RunResult:
    """Measure, and take everything down.

    A cluster that cannot be had is said on stderr; the result then has an error for each scenario.

    Args:
        scenarios: As `Place.ready` gave them.
        place: Where.
        opening: Its cluster.
        emit: Takes the engine's events.
        done: Called when there will be no more events, before anything else is said.
        jobs: Scenarios at the same time.
        revision: Git revision of the scenarios.
        fail_fast: Begin none after one that is not as expected.
        keep: Leave the worlds standing, and say where they are.
    """
    from harness.cli.signals import stop_on_signal
    from harness.engine.cluster import ClusterError
    from harness.engine.run import run as engine

    try:
        opened = opening.wait()
        cluster = place.furnished(opened)
    except ClusterError as error:
        CliError(str(error), measuring.advice_of(error), ExitCode.INCONCLUSIVE).show()
        return measuring.unavailable(scenarios, place.cluster, error, revision)
    # What the cluster holds for the run is let go before a signal may end the process again.
    with stop_on_signal() as stop:
        try:
            result = engine(
                scenarios, cluster, emit, jobs=jobs, fail_fast=fail_fast, revision=revision, stop=stop
            )
        finally:
            done()
            cluster.close()
    if keep:
        tell_kept(place.cluster, result.run, opened)
    if cluster.left_behind:
        result = replace(result, left_behind=cluster.left_behind)
        for line in measuring.left_behind_lines(place.cluster, result):
            click.echo(line, err=True)
    return result
