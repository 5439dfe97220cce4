"""The parts of the JSON report; each `…_out` has its `…_in`, and the pair loses nothing that it writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from harness.model.outcome import Observation, Outcome, OutcomeKind
from harness.model.policy import Policy, PolicyRef
from harness.model.prediction import Answer, Finding, Predicted
from harness.model.result import Backend, CellResult, Excerpt
from harness.model.rules import Origin
from harness.model.scenario import Cell, Relabel, Settings, Step, Transition
from harness.model.topology import Topology
from harness.model.verdict import Expectation, Expected, Known, Status, Verdict
from harness.report.json_probes import probe_in, probe_out
from harness.source import Place

Json = dict[str, Any]
In = Mapping[str, Any]


def place_out(place: Place) -> Json:
    """A place; the end is 0 where unknown."""
    return {
        "file": place.file,
        "line": place.line,
        "column": place.column,
        "end_line": place.end_line,
        "end_column": place.end_column,
    }


def place_in(data: In) -> Place:
    """The inverse of `place_out`."""
    return Place(data["file"], data["line"], data["column"], data["end_line"], data["end_column"])


def backend_out(backend: Backend) -> Json:
    """The backend; features sorted."""
    return {
        "spec": backend.spec,
        "names": list(backend.names),
        "versions": dict(backend.versions),
        "features": sorted(backend.features),
        "assumed": sorted(backend.assumed),
        "options": list(backend.options),
    }


def backend_in(data: In) -> Backend:
    """The inverse of `backend_out`."""
    return Backend(
        data["spec"],
        tuple(data["names"]),
        dict(data["versions"]),
        frozenset(data["features"]),
        # Reports of the first version know neither assumptions nor options.
        frozenset(data.get("assumed", ())),
        options=tuple(data.get("options", ())),
    )


def settings_out(settings: Settings) -> Json:
    """Times in seconds; null = the cluster's default."""
    return {
        "connect_timeout": settings.connect_timeout,
        "settle": settings.settle,
        "deadline": settings.deadline,
    }


def settings_in(data: In) -> Settings:
    """The inverse of `settings_out`."""
    return Settings(data["connect_timeout"], data["settle"], data["deadline"])


def expectation_out(expectation: Expectation) -> Json:
    """What the author wrote, for every backend."""
    return {
        "default": str(expectation.default),
        "backends": {name: str(verdict) for name, verdict in expectation.backends.items()},
        "known": [
            {"backend": item.backend, "verdict": str(item.verdict), "why": item.why}
            for item in expectation.known
        ],
    }


def expectation_in(data: In) -> Expectation:
    """The inverse of `expectation_out`."""
    return Expectation(
        Expected(data["default"]),
        {name: Expected(verdict) for name, verdict in data["backends"].items()},
        tuple(Known(item["backend"], Expected(item["verdict"]), item["why"]) for item in data["known"]),
    )


def cell_out(cell: Cell) -> Json:
    """A planned cell."""
    return {
        "id": cell.id,
        "probe": probe_out(cell.probe),
        "expectation": expectation_out(cell.expectation),
        "place": place_out(cell.place),
    }


def cell_in(data: In) -> Cell:
    """The inverse of `cell_out`."""
    return Cell(
        data["id"], probe_in(data["probe"]), expectation_in(data["expectation"]), place_in(data["place"])
    )


def result_out(result: CellResult, suspected: Iterable[str]) -> Json:
    """A measured cell with everything that is known about it.

    Args:
        result: The cell.
        suspected: Known departures of the backend that may be behind its failure.
    """
    return {
        "id": result.id,
        "status": str(result.status),
        "expected": str(result.expected),
        "verdict": None if result.verdict is None else str(result.verdict),
        "reason": result.reason,
        "control": result.control,
        "evidence": list(result.evidence),
        "notes": list(result.notes),
        "predicted": None if result.predicted is None else _predicted_out(result.predicted),
        "finding": None if result.finding is None else str(result.finding),
        "finding_text": result.finding_text,
        "leaks": result.leaks,
        "denied_after": result.denied_after,
        "suspected": list(suspected),
        "observation": None if result.observation is None else _observation_out(result.observation),
        "cell": cell_out(result.cell),
    }


def result_in(data: In) -> CellResult:
    """The inverse of `result_out`."""
    return CellResult(
        id=data["id"],
        cell=cell_in(data["cell"]),
        status=Status(data["status"]),
        expected=Expected(data["expected"]),
        verdict=None if data["verdict"] is None else Verdict(data["verdict"]),
        observation=None if data["observation"] is None else _observation_in(data["observation"]),
        reason=data["reason"],
        control=data["control"],
        evidence=tuple(data["evidence"]),
        notes=tuple(data["notes"]),
        predicted=None if data["predicted"] is None else _predicted_in(data["predicted"]),
        finding=None if data["finding"] is None else Finding(data["finding"]),
        finding_text=data["finding_text"],
        # Reports of the first version count leaks by step only.
        leaks=data.get("leaks", 0),
        denied_after=data.get("denied_after"),
        suspected=tuple(data.get("suspected", ())),
    )


def _predicted_out(predicted: Predicted) -> Json:
    return {
        "verdict": predicted.word,
        "denials": [str(verdict) for verdict in predicted.denials],
        "reason": predicted.reason,
        "deciding": [
            {
                "policy": origin.policy,
                "rule": origin.rule,
                "place": None if origin.place is None else place_out(origin.place),
            }
            for origin in predicted.deciding
        ],
    }


def _predicted_in(data: In) -> Predicted:
    word = data["verdict"]
    denial = None if word in tuple(Answer) else Verdict(word)
    return Predicted(
        Answer(word) if denial is None else Answer.DENY,
        data["reason"],
        tuple(
            Origin(item["policy"], item["rule"], None if item["place"] is None else place_in(item["place"]))
            for item in data["deciding"]
        ),
        denial,
        # Reports of the first version have none.
        tuple(Verdict(verdict) for verdict in data.get("denials", ())),
    )


def _observation_out(seen: Observation) -> Json:
    outcome = seen.outcome
    return {
        "outcome": {
            "kind": str(outcome.kind),
            "detail": outcome.detail,
            "by": outcome.by,
            "token": outcome.token,
            "served_by": outcome.served_by,
            "lookup": outcome.lookup,
        },
        "receipts": seen.receipts,
        "listening": seen.listening,
        "attempts": seen.attempts,
        "seconds": seen.seconds,
        "expected_servers": list(seen.expected_servers),
        "open_point": seen.open_point,
        "source_address": seen.source_address,
        "destination": seen.destination,
        "split": seen.split,
        "handshake": seen.handshake,
        "client_identity": seen.client_identity,
        "server_identity": seen.server_identity,
    }


def _observation_in(data: In) -> Observation:
    outcome = data["outcome"]
    return Observation(
        Outcome(
            OutcomeKind(outcome["kind"]),
            outcome["detail"],
            outcome["by"],
            outcome["token"],
            outcome["served_by"],
            outcome["lookup"],
        ),
        data["receipts"],
        data["listening"],
        data["attempts"],
        data["seconds"],
        tuple(data["expected_servers"]),
        data["open_point"],
        data["source_address"],
        data["destination"],
        data["split"],
        handshake=data.get("handshake", ""),
        client_identity=data.get("client_identity", ""),
        server_identity=data.get("server_identity", ""),
    )


def _ref_out(ref: PolicyRef) -> Json:
    return {"kind": ref.kind, "namespace": ref.namespace, "name": ref.name}


def _policy_out(policy: Policy) -> Json:
    return {
        "dialect": policy.dialect,
        "api_version": policy.api_version,
        "kind": policy.kind,
        "namespace": policy.namespace,
        "name": policy.name,
        "place": place_out(policy.place),
        "needs": list(policy.needs),
    }


def _policy_in(data: In) -> Policy:
    return Policy(
        data["dialect"],
        data["api_version"],
        data["kind"],
        data["namespace"],
        data["name"],
        {},
        None,
        place_in(data["place"]),
        tuple(data.get("needs", ())),
    )


def excerpt_out(excerpt: Excerpt) -> Json:
    """What is quoted of a policy."""
    return {
        "policy": excerpt.policy,
        "file": excerpt.place.file,
        "line": excerpt.place.line,
        "column": excerpt.place.column,
        "parts": [{"line": line, "lines": list(lines)} for line, lines in excerpt.parts],
    }


def excerpt_in(data: In) -> Excerpt:
    """The inverse of `excerpt_out`."""
    return Excerpt(
        data["policy"],
        Place(data["file"], data["line"], data["column"]),
        tuple((part["line"], tuple(part["lines"])) for part in data["parts"]),
    )


def step_out(step: Step) -> Json:
    """A planned step: its changes, the policies then in force, its cells."""
    transition = step.transition
    return {
        "name": step.name,
        "policies": [_policy_out(item) for item in step.policies],
        "apply": [_policy_out(item) for item in step.apply],
        "delete": [_ref_out(item) for item in step.delete],
        "label": [
            {"kind": item.kind, "target": item.target, "set": dict(item.set), "unset": list(item.unset)}
            for item in step.label
        ],
        "add": list(step.add),
        "remove": list(step.remove),
        "restart": list(step.restart),
        "cells": [cell_out(cell) for cell in step.cells],
        "transition": None
        if transition is None
        else {
            "steady": [cell_out(cell) for cell in transition.steady],
            "cut": [cell_out(cell) for cell in transition.cut],
            "established": transition.established,
            "established_backends": dict(transition.backends),
        },
    }


def step_in(data: In) -> Step:
    """The inverse of `step_out`."""
    transition = data["transition"]
    return Step(
        name=data["name"],
        topology=Topology(),
        policies=tuple(_policy_in(item) for item in data["policies"]),
        cells=tuple(cell_in(cell) for cell in data["cells"]),
        apply=tuple(_policy_in(item) for item in data["apply"]),
        delete=tuple(PolicyRef(item["kind"], item["namespace"], item["name"]) for item in data["delete"]),
        label=tuple(
            Relabel(item["kind"], item["target"], dict(item["set"]), tuple(item["unset"]))
            for item in data["label"]
        ),
        add=tuple(data["add"]),
        remove=tuple(data["remove"]),
        restart=tuple(data["restart"]),
        transition=None
        if transition is None
        else Transition(
            tuple(cell_in(cell) for cell in transition["steady"]),
            tuple(cell_in(cell) for cell in transition["cut"]),
            transition["established"],
            transition.get("established_backends", {}),
        ),
    )
