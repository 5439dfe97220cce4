"""The run as JSON, versioned, complete enough to make every other report from it; `docs/json-report.md`.

What is not in it: the worlds (namespaces, pods, …), and of the policies everything but excerpts of those that
decide a cell. Both stand in the files that the report names, at the revision that it names; `portable` says
exactly what comes back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from harness.model.result import RunResult, ScenarioResult, StepResult
from harness.model.scenario import Scenario, Step
from harness.model.topology import Family, Topology
from harness.model.verdict import Status
from harness.report import excerpts
from harness.report import json_parts as parts

SCHEMA: Final = "netcheck.dev/run/v1"


class JsonReportError(Exception):
    """Not a report of this version; the text says what is wrong."""


def to_text(result: RunResult) -> str:
    """The document as text, with a line break at its end."""
    return json.dumps(to_json(result), indent=1, ensure_ascii=True) + "\n"


def to_json(result: RunResult) -> dict[str, Any]:
    """The run as plain JSON values."""
    return {
        "schema": SCHEMA,
        "run": result.run,
        "started": result.started,
        "seconds": result.seconds,
        "interrupted": result.interrupted,
        "netcheck": result.version,
        "revision": result.revision,
        "enforced": result.enforced,
        "left_behind": list(result.left_behind),
        "backend": parts.backend_out(result.backend),
        "counts": {str(status): result.count(status) for status in Status},
        "scenarios": [_scenario_out(item) for item in result.scenarios],
        "excerpts": [parts.excerpt_out(item) for item in excerpts.of(result)],
    }


def from_json(document: Mapping[str, Any]) -> RunResult:
    """The run that `to_json` wrote.

    Raises:
        JsonReportError: When it is something else.
    """
    schema = document.get("schema")
    if schema != SCHEMA:
        raise JsonReportError(f"this is no report of netcheck: schema is {schema!r}, not {SCHEMA!r}")
    try:
        return RunResult(
            run=document["run"],
            started=document["started"],
            backend=parts.backend_in(document["backend"]),
            scenarios=tuple(_scenario_in(item) for item in document["scenarios"]),
            seconds=document["seconds"],
            interrupted=document["interrupted"],
            left_behind=tuple(document.get("left_behind", ())),
            revision=document["revision"],
            version=document["netcheck"],
            # Earlier reports quote no policies.
            excerpts=tuple(parts.excerpt_in(item) for item in document.get("excerpts", ())),
        )
    except KeyError as error:
        raise JsonReportError(f"the report lacks {error.args[0]!r}") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise JsonReportError(f"the report cannot be read: {error}") from error


def checked(result: RunResult) -> RunResult:
    """The run, if what people and tables read in it is text.

    Raises:
        JsonReportError: Some of it is something else; the file was not written by netcheck.
    """
    backend = result.backend
    texts: list[object] = [result.run, result.started, result.revision, result.version, backend.spec]
    texts += [*backend.names, *backend.versions, *backend.versions.values()]
    for item in result.scenarios:
        texts += [item.scenario.name, item.skipped, item.error]
        texts += [step.name for step in item.scenario.steps] + [step.name for step in item.steps]
        texts += [cell.id for step in item.scenario.steps for cell in (*step.cells, *step.transition_cells())]
        for cell in item.cells:
            texts += [cell.id, cell.reason, cell.control, cell.finding_text, *cell.notes]
            texts += cell.cell.expectation.backends
    for excerpt in result.excerpts:
        texts += [excerpt.policy, excerpt.place.file, *(text for _, lines in excerpt.parts for text in lines)]
        numbers = [excerpt.place.line, excerpt.place.column, *(number for number, _ in excerpt.parts)]
        if not all(isinstance(number, int) for number in numbers):
            raise JsonReportError("the report cannot be read: an excerpt does not say which lines it quotes")
    for text in texts:
        if not isinstance(text, str):
            raise JsonReportError(f"the report cannot be read: {text!r:.40} stands where a text belongs")
    return result


def portable(result: RunResult) -> RunResult:
    """The run without what JSON leaves out: what `from_json` makes of what `to_json` wrote."""
    scenarios = tuple(_portable_scenario(item) for item in result.scenarios)
    return replace(result, scenarios=scenarios, excerpts=excerpts.of(result))


def _portable_scenario(result: ScenarioResult) -> ScenarioResult:
    steps = tuple(
        replace(
            step,
            topology=Topology(),
            policies=tuple(replace(item, manifest={}, parsed=None) for item in step.policies),
            apply=tuple(replace(item, manifest={}, parsed=None) for item in step.apply),
        )
        for step in result.scenario.steps
    )
    return replace(result, scenario=replace(result.scenario, topology=Topology(), steps=steps))


def _scenario_out(result: ScenarioResult) -> dict[str, Any]:
    scenario = result.scenario
    return {
        "name": scenario.name,
        "place": parts.place_out(scenario.place),
        "description": scenario.description,
        "tags": list(scenario.tags),
        "needs": list(scenario.needs),
        "families": [str(family) for family in scenario.families],
        "settings": parts.settings_out(scenario.settings),
        "status": str(result.status),
        "skipped": result.skipped,
        "error": result.error,
        "seconds": result.seconds,
        "build_seconds": result.build_seconds,
        "phases": dict(result.phases),
        "plan": [parts.step_out(step) for step in scenario.steps],
        "steps": [_result_out(step) for step in result.steps],
    }


def _scenario_in(data: Mapping[str, Any]) -> ScenarioResult:
    plan: tuple[Step, ...] = tuple(parts.step_in(step) for step in data["plan"])
    scenario = Scenario(
        name=data["name"],
        place=parts.place_in(data["place"]),
        topology=Topology(),
        steps=plan,
        description=data["description"],
        tags=tuple(data["tags"]),
        needs=tuple(data["needs"]),
        families=tuple(Family(item) for item in data["families"]),
        settings=parts.settings_in(data["settings"]),
    )
    return ScenarioResult(
        scenario,
        steps=tuple(_result_in(step) for step in data["steps"]),
        skipped=data["skipped"],
        error=data["error"],
        seconds=data["seconds"],
        build_seconds=data["build_seconds"],
        phases=data.get("phases", {}),
    )


def _result_out(step: StepResult) -> dict[str, Any]:
    return {
        "name": step.name,
        "in_force": step.in_force,
        "enforced": step.enforced,
        "in_force_by": step.in_force_by,
        "leaks": step.leaks,
        "seconds": step.seconds,
        "phases": dict(step.phases),
        "sweeps": step.sweeps,
        "cells": [parts.result_out(cell) for cell in step.cells],
    }


def _result_in(data: Mapping[str, Any]) -> StepResult:
    return StepResult(
        name=data["name"],
        cells=tuple(parts.result_in(cell) for cell in data["cells"]),
        in_force=data["in_force"],
        enforced=data.get("enforced", True),
        in_force_by=data["in_force_by"],
        leaks=data["leaks"],
        seconds=data["seconds"],
        phases=data.get("phases", {}),
        sweeps=data.get("sweeps", 0),
    )
