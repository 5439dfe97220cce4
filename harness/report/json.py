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

from harness.model.personality import GENERIC
from harness.model.result import Backend, RunResult, ScenarioResult, StepResult
from harness.model.scenario import Scenario, Step
from harness.model.topology import Family, Topology
from harness.model.verdict import Status
from harness.report import excerpts, shape
from harness.report import json_parts as parts
from harness.report.failures import suspicions
from harness.report.text import shorten

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
        "scenarios": [_scenario_out(item, result.backend) for item in result.scenarios],
        "excerpts": [parts.excerpt_out(item) for item in excerpts.of(result)],
    }


def from_json(document: Mapping[str, Any]) -> RunResult:
    """The run that `to_json` wrote; whatever comes back is of the types that the model promises.

    Raises:
        JsonReportError: When it is something else.
    """
    schema = document.get("schema")
    if schema != SCHEMA:
        raise JsonReportError(f"this is no report of netcheck: schema is {_shown(schema)}, not {SCHEMA!r}")
    try:
        result = _run_in(document)
        misfit = shape.misfit(result)
    except KeyError as error:
        raise JsonReportError(f"the report lacks {_shown(error.args[0])}") from error
    except (TypeError, ValueError, AttributeError, LookupError) as error:
        raise JsonReportError(f"the report cannot be read: {shorten(str(error), 120)}") from error
    if misfit:
        raise JsonReportError(f"the report cannot be read: {misfit}")
    return result


def _shown(value: object) -> str:
    return shorten(repr(value), 60)


def _run_in(document: Mapping[str, Any]) -> RunResult:
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


def document(text: str | bytes) -> Mapping[str, Any]:
    """The JSON object in a file that should be a report.

    Raises:
        JsonReportError: It is no JSON, or no object.
    """
    try:
        found = json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise JsonReportError(f"no valid JSON: {error.msg} at {where}; was it cut off?") from error
    except (ValueError, RecursionError) as error:
        raise JsonReportError("no JSON report: it cannot be decoded") from error
    if not isinstance(found, dict):
        raise JsonReportError("this is no report of netcheck: it holds no JSON object")
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def through(result: RunResult) -> RunResult:
    """The run as its document tells it: what all other reports are made from, now or later."""
    return from_json(json.loads(json.dumps(to_json(result))))


def portable(result: RunResult) -> RunResult:
    """The run without what JSON leaves out: what `from_json` makes of what `to_json` wrote."""
    backend = replace(result.backend, lacks={}, family=Family.IPV4, personality=GENERIC, adapts=False)
    scenarios = tuple(_portable_scenario(item, result.backend) for item in result.scenarios)
    return replace(result, backend=backend, scenarios=scenarios, excerpts=excerpts.of(result))


def _portable_scenario(result: ScenarioResult, backend: Backend) -> ScenarioResult:
    plan = tuple(
        replace(
            step,
            topology=Topology(),
            policies=tuple(replace(item, manifest={}, parsed=None) for item in step.policies),
            apply=tuple(replace(item, manifest={}, parsed=None) for item in step.apply),
        )
        for step in result.scenario.steps
    )
    steps = tuple(
        replace(
            step,
            cells=tuple(
                replace(cell, suspected=suspicions(result.scenario, step.name, cell, backend))
                for cell in step.cells
            ),
        )
        for step in result.steps
    )
    scenario = replace(result.scenario, topology=Topology(), steps=plan)
    return replace(result, scenario=scenario, steps=steps)


def _scenario_out(result: ScenarioResult, backend: Backend) -> dict[str, Any]:
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
        "personality": result.personality,
        "phases": dict(result.phases),
        "plan": [parts.step_out(step) for step in scenario.steps],
        "steps": [_result_out(step, scenario, backend) for step in result.steps],
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
        personality=data.get("personality", ""),
    )


def _result_out(step: StepResult, scenario: Scenario, backend: Backend) -> dict[str, Any]:
    return {
        "name": step.name,
        "in_force": step.in_force,
        "enforced": step.enforced,
        "in_force_by": step.in_force_by,
        "leaks": step.leaks,
        "seconds": step.seconds,
        "phases": dict(step.phases),
        "sweeps": step.sweeps,
        "cells": [
            parts.result_out(cell, suspicions(scenario, step.name, cell, backend)) for cell in step.cells
        ],
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
