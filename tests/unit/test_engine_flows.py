"""Transitions: what flows saw while a change was made, and what that is worth."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.engine.cluster import FlowRecord
from harness.engine.flows import Moments, judge_transition
from harness.model.outcome import Outcome, OutcomeKind
from harness.model.result import CellResult
from harness.model.scenario import Transition
from harness.model.verdict import Expected, Status, Verdict
from tests.unit.worlds import LOST, PASSED, cell, flow

FLOW = cell("n/a -> n/b:80")
MOMENTS = Moments(began=1.0, accepted=1.5, in_force=2.0)
REFUSED = Outcome(OutcomeKind.REFUSED, by="icmp 3/13 from 10.0.0.1")
DENIED = Outcome(OutcomeKind.HTTP, "403")
TROUBLE = Outcome(OutcomeKind.ERROR, "EMFILE")


def steady(record: FlowRecord) -> CellResult:
    (result,), leaks = judge_transition(Transition(steady=(FLOW,)), (record,), MOMENTS)
    assert leaks == 0
    assert result.id == "n/a->n/b:80/TCP~steady"
    assert result.expected is Expected.ALLOW
    return result


def cut(record: FlowRecord) -> tuple[CellResult, int]:
    (result,), leaks = judge_transition(Transition(cut=(FLOW,)), (record,), MOMENTS)
    assert result.id == "n/a->n/b:80/TCP~cut"
    assert result.expected is Expected.DENY
    return result, leaks


@pytest.mark.parametrize(
    ("record", "status", "verdict", "reason"),
    [
        (flow((0.5, PASSED), (1.2, PASSED), (2.1, PASSED)), Status.PASSED, Verdict.ALLOW, ""),
        (
            flow((0.5, PASSED), (1.25, LOST), (2.1, PASSED)),
            Status.FAILED,
            Verdict.DROP,
            "broke +250 ms after the change began: timeout (1 of 3 probes)",
        ),
        (
            flow((0.5, PASSED), (1.25, REFUSED), (1.5, LOST), (2.1, LOST)),
            Status.FAILED,
            Verdict.REJECT,
            "broke +250 ms after the change began: refused by icmp 3/13 from 10.0.0.1 (3 of 4 probes)",
        ),
        # Nothing is proved by a flow that was not there before, or not any more afterwards.
        (flow((1.2, PASSED), (2.1, PASSED)), Status.ERROR, None, "no sample was taken before the change"),
        (
            flow((0.5, PASSED), (1.9, PASSED)),
            Status.ERROR,
            None,
            "no sample was taken once the change was in force",
        ),
        (flow(), Status.ERROR, None, "no sample was taken before the change"),
        (
            flow((0.5, LOST), (1.2, PASSED), (2.1, PASSED)),
            Status.ERROR,
            None,
            "did not pass before the change: timeout",
        ),
        (
            flow((0.5, PASSED), (1.2, TROUBLE), (2.1, PASSED)),
            Status.ERROR,
            None,
            "the flow could not be measured: error:EMFILE",
        ),
    ],
)
def test_steady(record: FlowRecord, status: Status, verdict: Verdict | None, reason: str) -> None:
    result = steady(record)
    assert (result.status, result.verdict, result.reason) == (status, verdict, reason)


@pytest.mark.parametrize(
    ("record", "status", "verdict", "reason", "leaked"),
    [
        (flow((0.5, PASSED), (1.2, LOST), (2.1, LOST)), Status.PASSED, Verdict.DROP, "", 0),
        (flow((0.5, PASSED), (1.2, REFUSED), (2.1, REFUSED)), Status.PASSED, Verdict.REJECT, "", 0),
        (flow((0.5, PASSED), (1.2, DENIED), (2.1, DENIED)), Status.PASSED, Verdict.DENY_HTTP, "", 0),
        # Before the change was accepted nothing leaks; between acceptance and in force it does, but may.
        (flow((0.5, PASSED), (1.2, PASSED), (2.1, LOST)), Status.PASSED, Verdict.DROP, "", 0),
        (flow((0.5, PASSED), (1.6, PASSED), (1.7, PASSED), (2.1, LOST)), Status.PASSED, Verdict.DROP, "", 2),
        (
            flow((0.5, PASSED), (1.2, PASSED), (2.1, PASSED), (2.2, PASSED)),
            Status.FAILED,
            Verdict.ALLOW,
            "never dropped",
            2,
        ),
        (
            flow((0.5, PASSED), (1.25, LOST), (1.375, PASSED), (2.1, LOST)),
            Status.FAILED,
            Verdict.ALLOW,
            "passed again +125 ms after it first dropped",
            0,
        ),
        (
            flow((0.5, PASSED), (1.25, LOST), (2.25, PASSED), (2.5, LOST)),
            Status.FAILED,
            Verdict.ALLOW,
            "passed again +1000 ms after it first dropped",
            1,
        ),
        # It dropped, but late: every probe that passed after acceptance is a leak.
        (flow((0.5, PASSED), (2.1, PASSED), (2.2, LOST)), Status.PASSED, Verdict.DROP, "", 1),
        (
            flow((0.5, PASSED), (1.2, LOST)),
            Status.ERROR,
            None,
            "no sample was taken once the change was in force",
            0,
        ),
        (flow((1.2, LOST)), Status.ERROR, None, "no sample was taken before the change", 0),
        (
            flow((0.5, LOST), (1.2, LOST)),
            Status.ERROR,
            None,
            "did not pass before the change: timeout",
            0,
        ),
        (
            flow((0.5, PASSED), (1.2, TROUBLE), (2.1, LOST)),
            Status.ERROR,
            None,
            "the flow could not be measured: error:EMFILE",
            0,
        ),
    ],
)
def test_cut(record: FlowRecord, status: Status, verdict: Verdict | None, reason: str, leaked: int) -> None:
    result, leaks = cut(record)
    assert (result.status, result.verdict, result.reason) == (status, verdict, reason)
    assert leaks == result.leaks == leaked


def test_a_cut_flow_tells_when_it_was_denied() -> None:
    result, _ = cut(flow((0.5, PASSED), (2.1, PASSED), (2.25, LOST)))
    assert (result.leaks, result.denied_after) == (1, 2.25 - MOMENTS.accepted)
    never, _ = cut(flow((0.5, PASSED), (2.1, PASSED)))
    assert never.denied_after is None


def test_the_sample_that_tells_is_in_the_result() -> None:
    result = steady(flow((0.5, PASSED), (1.25, LOST), (2.1, PASSED)))
    assert result.observation is not None
    assert (result.observation.outcome, result.observation.seconds) == (LOST, 1.25)


@pytest.mark.parametrize(
    ("wanted", "before", "after", "status", "verdict", "reason"),
    [
        ("keep", True, True, Status.PASSED, Verdict.ALLOW, ""),
        ("keep", True, False, Status.FAILED, Verdict.DROP, "expected keep, the connection was cut"),
        ("cut", True, False, Status.PASSED, Verdict.DROP, ""),
        ("cut", True, True, Status.FAILED, Verdict.ALLOW, "expected cut, the connection was kept"),
        ("keep", False, None, Status.ERROR, None, "the connection could not be opened before the change"),
        ("cut", False, False, Status.ERROR, None, "the connection could not be opened before the change"),
        ("cut", True, None, Status.ERROR, None, "the connection could not be opened before the change"),
    ],
)
def test_established(
    wanted: str, before: bool, after: bool | None, status: Status, verdict: Verdict | None, reason: str
) -> None:
    fresh = flow((0.5, PASSED), (1.2, LOST), (2.1, LOST))
    held = FlowRecord((), before, after)
    results, _ = judge_transition(Transition(cut=(FLOW,), established=wanted), (fresh, held), MOMENTS)
    assert [item.id for item in results] == ["n/a->n/b:80/TCP~cut", "n/a->n/b:80/TCP~established"]
    result = results[1]
    assert (result.status, result.verdict, result.reason) == (status, verdict, reason)
    assert result.notes[0].startswith("undefined by the specification: connections opened before the change")


def test_records_belong_to_cells_in_order() -> None:
    one, two, three = cell("n/a -> n/b:80"), cell("n/b -> n/a:80"), cell("n/c -> n/a:80")
    good, lost = flow((0.5, PASSED), (2.1, PASSED)), flow((0.5, PASSED), (1.2, LOST), (2.1, LOST))
    results, _ = judge_transition(
        Transition(steady=(one, two), cut=(three,), established="keep"),
        (good, lost, lost, FlowRecord((), True, True)),
        MOMENTS,
    )
    assert [(item.id, item.status) for item in results] == [
        ("n/a->n/b:80/TCP~steady", Status.PASSED),
        ("n/b->n/a:80/TCP~steady", Status.FAILED),
        ("n/c->n/a:80/TCP~cut", Status.PASSED),
        ("n/c->n/a:80/TCP~established", Status.PASSED),
    ]


def test_a_missing_record_is_not_passed_over() -> None:
    with pytest.raises(ValueError, match="shorter"):
        judge_transition(Transition(steady=(FLOW, FLOW)), (flow((0.5, PASSED)),), MOMENTS)


def test_the_suffix_of_a_transition_cell_is_not_doubled() -> None:
    named = replace(FLOW, id="n/a->n/b:80/TCP~cut")
    results, _ = judge_transition(
        Transition(cut=(named,), established="cut"),
        (flow((0.5, PASSED), (2.0, LOST)), FlowRecord((), True, False)),
        MOMENTS,
    )
    assert [item.id for item in results] == ["n/a->n/b:80/TCP~cut", "n/a->n/b:80/TCP~established"]


OUTCOMES = st.sampled_from((PASSED, LOST, REFUSED, DENIED, TROUBLE))
RECORDS = st.lists(st.tuples(st.floats(0, 3), OUTCOMES), max_size=8).map(
    lambda items: flow(*sorted(items, key=lambda item: item[0]))
)


@given(RECORDS)
def test_laws_of_flows(record: FlowRecord) -> None:
    early = [item for item in record.samples if item.at < MOMENTS.began]
    for result in (steady(record), cut(record)[0]):
        assert (result.verdict is None) == (result.status is Status.ERROR)
        assert bool(result.reason) == (result.status is not Status.PASSED)
        if result.status is not Status.ERROR:
            assert early
            assert all(item.outcome.token for item in early)
            assert record.samples[-1].at >= MOMENTS.in_force
    # What never broke was never cut, and the other way round.
    assert {steady(record).status, cut(record)[0].status} != {Status.PASSED}


def test_open_connections_per_backend() -> None:
    kept = Transition(cut=(FLOW,), established="keep", backends={"cilium": "cut"})
    assert kept.on(("cilium", "kubernetes")) == Transition(cut=(FLOW,), established="cut")
    assert kept.on(("calico", "kubernetes")).established == "keep"
