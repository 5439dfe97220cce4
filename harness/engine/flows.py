"""Transitions: flows that run while a change is made, judged on what they saw and when."""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.engine.cluster import FlowRecord, Sample
from harness.model.outcome import Observation, OutcomeKind
from harness.model.result import CellResult
from harness.model.rules import OPEN_POINTS
from harness.model.scenario import CUT, ESTABLISHED, STEADY, Cell, Transition, flow_id
from harness.model.verdict import Expected, Status, Verdict


@dataclass(frozen=True, slots=True)
class Moments:
    """When the change began, when the cluster had accepted all of it, and when it was known to be in force.

    In seconds on the flows' clock.
    """

    began: float
    accepted: float
    in_force: float


def judge_transition(
    transition: Transition, records: tuple[FlowRecord, ...], moments: Moments
) -> tuple[tuple[CellResult, ...], int]:
    """Results of a transition's cells, and how many probes leaked: passed although a denial was accepted.

    Args:
        transition: What was asked for.
        records: One per `steady` cell, one per `cut` cell, then one per established connection of the latter.
        moments: When the change was made.
    """
    steady, cut = transition.steady, transition.cut
    firm = zip(steady, records[: len(steady)], strict=True)
    results = [_steady(cell, record, moments) for cell, record in firm]
    leaks = 0
    for cell, record in zip(cut, records[len(steady) : len(steady) + len(cut)], strict=True):
        result, leaked = _cut(cell, record, moments)
        results.append(result)
        leaks += leaked
    if transition.established is not None:
        held = records[len(steady) + len(cut) :]
        results += [
            _established(cell, record, transition.established) for cell, record in zip(cut, held, strict=True)
        ]
    return tuple(results), leaks


def _result(
    cell: Cell, kind: str, status: Status, expected: Expected, reason: str, seen: Sample | None
) -> CellResult:
    verdict = None
    if status is not Status.ERROR:
        passed = status is Status.PASSED
        verdict = Verdict.ALLOW if (expected is Expected.ALLOW) == passed else _denial(seen)
    observation = Observation(seen.outcome, seconds=seen.at) if seen is not None else None
    return CellResult(flow_id(cell, kind), cell, status, expected, verdict, observation, reason)


def _denial(seen: Sample | None) -> Verdict:
    """How a flow that passed before was denied."""
    kind = seen.outcome.kind if seen is not None else OutcomeKind.TIMEOUT
    if kind in (OutcomeKind.REFUSED, OutcomeKind.UNREACHABLE):
        return Verdict.REJECT
    return Verdict.DENY_HTTP if kind is OutcomeKind.HTTP else Verdict.DROP


def _passes(sample: Sample) -> bool:
    return sample.outcome.token


def _trouble(record: FlowRecord, moments: Moments) -> str:
    """Why the flow proves nothing: the prober's own trouble, or no samples on both sides of the change."""
    bad = next((item for item in record.samples if item.outcome.kind is OutcomeKind.ERROR), None)
    if bad is not None:
        return f"the flow could not be measured: {bad.outcome}"
    early = [item for item in record.samples if item.at < moments.began]
    if not early:
        return "no sample was taken before the change"
    broken = next((item for item in early if not _passes(item)), None)
    if broken is not None:
        return f"did not pass before the change: {broken.outcome}"
    late = any(item.at >= moments.in_force for item in record.samples)
    return "" if late else "no sample was taken once the change was in force"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:+.0f} ms"


def _steady(cell: Cell, record: FlowRecord, moments: Moments) -> CellResult:
    trouble = _trouble(record, moments)
    if trouble:
        return _result(cell, STEADY, Status.ERROR, Expected.ALLOW, trouble, None)
    broken = next((item for item in record.samples if not _passes(item)), None)
    if broken is None:
        return _result(cell, STEADY, Status.PASSED, Expected.ALLOW, "", record.samples[-1])
    lost = sum(not _passes(item) for item in record.samples)
    reason = (
        f"broke {_milliseconds(broken.at - moments.began)} after the change began: {broken.outcome} "
        f"({lost} of {len(record.samples)} probes)"
    )
    return _result(cell, STEADY, Status.FAILED, Expected.ALLOW, reason, broken)


def _cut(cell: Cell, record: FlowRecord, moments: Moments) -> tuple[CellResult, int]:
    trouble = _trouble(record, moments)
    if trouble:
        return _result(cell, CUT, Status.ERROR, Expected.DENY, trouble, None), 0
    after = [item for item in record.samples if item.at >= moments.began]
    first = next((item for item in after if not _passes(item)), None)
    denied = None if first is None else max(0.0, first.at - moments.accepted)
    leaks = [item for item in after if _passes(item) and item.at > moments.accepted]
    if first is None:
        result = _result(cell, CUT, Status.FAILED, Expected.DENY, "never dropped", after[-1])
        return replace(result, leaks=len(leaks)), len(leaks)
    again = next((item for item in after if _passes(item) and item.at > first.at), None)
    if again is not None:
        reason = f"passed again {_milliseconds(again.at - first.at)} after it first dropped"
        result = _result(cell, CUT, Status.FAILED, Expected.DENY, reason, again)
    else:
        result = _result(cell, CUT, Status.PASSED, Expected.DENY, "", first)
    return replace(result, leaks=len(leaks), denied_after=denied), len(leaks)


def _established(cell: Cell, record: FlowRecord, wanted: str) -> CellResult:
    expected = Expected.ALLOW if wanted == "keep" else Expected.DENY
    note = (f"undefined by the specification: {OPEN_POINTS['established']}",)
    if not record.established_before or record.established_after is None:
        reason = "the connection could not be opened before the change"
        result = _result(cell, ESTABLISHED, Status.ERROR, expected, reason, None)
    else:
        kept = record.established_after
        status = Status.PASSED if kept == (wanted == "keep") else Status.FAILED
        reason = (
            ""
            if status is Status.PASSED
            else f"expected {wanted}, the connection was {'kept' if kept else 'cut'}"
        )
        result = _result(cell, ESTABLISHED, status, expected, reason, None)
    return CellResult(
        result.id, cell, result.status, expected, result.verdict, None, result.reason, notes=note
    )
