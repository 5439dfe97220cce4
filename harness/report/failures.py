"""What there is to say about a cell that did not pass, the same in every report."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.cni.deviations import suspected
from harness.model.outcome import Observation, OutcomeKind
from harness.model.prediction import Predicted
from harness.model.result import NAMESPACE_PREFIX, Backend, CellResult
from harness.model.scenario import Scenario
from harness.model.verdict import Status
from harness.report.text import count
from harness.source.render import printable

DEFAULT_CLUSTER = "lab"

NOT_ENFORCED = "no policy is enforced here"
NOT_ENFORCED_WHY = "netcheck's own had no effect either; does the cluster's network plugin enforce any?"


@dataclass(frozen=True, slots=True)
class Group:
    """Cells of one step that have the same trouble; failures stand alone, equal errors together."""

    step: str
    cells: tuple[CellResult, ...]


def full_id(scenario: str, step: str, cell: str) -> str:
    """`scenario::step::cell-id`, what `-k` takes to select exactly one cell."""
    return f"{scenario}::{step}::{cell}"


def rerun(scenario: Scenario, step: str, cell: CellResult, backend: Backend) -> str:
    """The command that measures this cell alone, quoted for a shell."""
    words = ["netcheck", "run", scenario.place.file]
    if backend.spec != DEFAULT_CLUSTER:
        words += ["--cluster", backend.spec, *backend.options]
    if NAMESPACE_PREFIX in backend.versions:
        words += ["--namespace-prefix", backend.versions[NAMESPACE_PREFIX]]
    words += ["-k", full_id(scenario.name, step, cell.id)]
    if any(not char.isprintable() for word in words for char in word):
        words = [printable(word) for word in words]
    return shlex.join(words)


def headline(result: CellResult) -> str:
    """One sentence: what was expected and what came instead, or why nothing could be said."""
    if result.status is Status.FAILED:
        if result.verdict is None:
            return result.reason or f"not {result.expected}"
        text = _difference(result)
        return f"{text}: {result.reason}" if result.reason not in ("", text) else text
    if result.status is Status.XFAILED:
        return result.reason or "known deviation"
    return result.reason or (f"control: {result.control}" if result.control else "could not be measured")


def _difference(result: CellResult) -> str:
    return f"expected {result.expected}, observed {result.verdict}"


def predicted_text(predicted: Predicted) -> str:
    """What the policies say on paper, and the rules that decide."""
    deciding = ", ".join(str(origin) for origin in predicted.deciding)
    text = f"{predicted.word}, {predicted.reason}" if predicted.reason else predicted.word
    return f"{text} [{deciding}]" if deciding else text


def outcome_text(observation: Observation) -> str:
    """What the prober saw, with who answered and how often it tried."""
    text = str(observation.outcome)
    if observation.outcome.served_by:
        text += f", answered by {observation.outcome.served_by}"
    if observation.attempts > 1:
        text += f", after {observation.attempts} attempts"
    return text


def receipt_text(observation: Observation) -> str:
    """What the destination saw."""
    if observation.receipts:
        return "arrived" if observation.receipts == 1 else f"arrived {observation.receipts} times"
    text = "nothing arrived"
    if observation.listening is not None:
        text += ", although the listener was up" if observation.listening else ", and no listener was up"
    return text


def handshake_text(observation: Observation) -> str:
    """Who shook hands with whom, and what the destination did with it; empty without a handshake."""
    parts = []
    if observation.client_identity:
        parts.append(f"as {observation.client_identity}")
    if observation.server_identity:
        parts.append(f"with {observation.server_identity}")
    if observation.handshake:
        parts.append(f"the listener says: {observation.handshake}")
    elif observation.outcome.kind is OutcomeKind.TLS:
        parts.append("the listener has seen no ClientHello")
    return ", ".join(parts)


def suspicions(scenario: Scenario, step: str, result: CellResult, backend: Backend) -> tuple[str, ...]:
    """Known departures of the backend that may be behind a failed cell, one sentence each."""
    if result.suspected or result.status is not Status.FAILED or result.verdict is None:
        return result.suspected
    policies = next((item.policies for item in scenario.steps if item.name == step), ())
    return tuple(suspected(result.verdict, policies, backend))


def details(scenario: Scenario, step: str, result: CellResult, backend: Backend) -> Iterator[tuple[str, str]]:
    """Labels and texts in the order in which reports show them; a label may come more than once."""
    if result.status is Status.ERROR:
        yield "reason", headline(result)
    else:
        yield "expected", str(result.expected)
        if result.predicted is not None:
            yield "predicted", predicted_text(result.predicted)
        if result.verdict is not None:
            yield "observed", str(result.verdict)
    if result.observation is not None:
        yield "outcome", outcome_text(result.observation)
        yield "receipt", receipt_text(result.observation)
        shaken = handshake_text(result.observation)
        if shaken:
            yield "handshake", shaken
    if result.status is not Status.ERROR and result.reason not in ("", _difference(result)):
        yield "reason", result.reason
    if result.finding_text:
        yield "finding", result.finding_text
    for text in suspicions(scenario, step, result, backend):
        yield "known", f"{text}; if that is it, declare it with `known`"
    if result.control:
        yield "control", result.control
    for text in result.evidence:
        yield "evidence", text
    for text in result.notes:
        yield "note", text
    yield "place", str(result.cell.place)
    yield "rerun", rerun(scenario, step, result, backend)


def grouped(step: str, cells: Sequence[CellResult]) -> list[Group]:
    """Failures one by one, then errors by reason: twenty cells behind one broken pod are one trouble."""
    groups = [Group(step, (cell,)) for cell in cells if cell.status is Status.FAILED]
    errors: dict[tuple[str, str], list[CellResult]] = {}
    for cell in cells:
        if cell.status is Status.ERROR:
            errors.setdefault((cell.reason, cell.control), []).append(cell)
    groups += [Group(step, tuple(same)) for same in errors.values()]
    return groups


def more(number: int) -> str:
    """`and 3 more cells`."""
    return f"and {count(number, 'more cell')}"
