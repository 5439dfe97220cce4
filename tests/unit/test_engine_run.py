"""Scenarios from build to tear-down, in a world that writes down what it is asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from harness.engine.cluster import Claims, ClusterError, FlowRecord, Waits
from harness.engine.events import (
    CellJudged,
    Event,
    Interrupted,
    PhaseStarted,
    RunFinished,
    RunStarted,
    ScenarioFinished,
    ScenarioStarted,
    StepFinished,
)
from harness.engine.run import run
from harness.engine.scenario_run import EVIDENCE_CELLS
from harness.model.outcome import Observation
from harness.model.policy import PolicyRef
from harness.model.prediction import Answer, Finding
from harness.model.probe import Probe
from harness.model.result import ScenarioResult
from harness.model.rules import OPEN_POINTS
from harness.model.scenario import Scenario, Settings, Transition
from harness.model.verdict import Expectation, Expected, Known, Status, Verdict
from tests.unit.kubernetes_worlds import pod, policy, world
from tests.unit.worlds import (
    ALLOWED,
    BROKEN,
    DEAD,
    DROPPED,
    LOST,
    PASSED,
    REJECTED,
    TRIO,
    ScriptedCluster,
    cell,
    flow,
    scenario,
    step,
)

AB, BA, CA = "n/a->n/b:80/TCP", "n/b->n/a:80/TCP", "n/c->n/a:80/TCP"
DENY_ALL = policy("podSelector: {}\npolicyTypes: [Ingress]")
TINY = Settings(deadline=1e-9)


def ignore(event: Event) -> None:
    pass


def one(
    found: Scenario,
    cluster: ScriptedCluster,
    *,
    emit: Callable[[Event], None] = ignore,
    stop: threading.Event | None = None,
) -> ScenarioResult:
    (result,) = run([found], cluster, emit, stop=stop).scenarios
    return result


def after_change(observation: Observation) -> Callable[[Probe, int], Observation]:
    """Connects in the control, then gives the observation."""
    return lambda probe, sweep: observation if sweep else ALLOWED


# -- the order of calls --------------------------------------------------------------------------------


def test_calls_in_the_order_of_the_design() -> None:
    changed = world(*TRIO.pods.values(), pod("n/d"))
    cluster = ScriptedCluster(after_change(ALLOWED))
    result = one(
        scenario(
            step(cell("n/a -> n/b:80"), apply=[DENY_ALL], policies=[DENY_ALL]),
            step(
                cell("n/a -> n/b:80"),
                cell("n/d -> n/b:80", Expected.DENY),
                name="second",
                topology=changed,
                apply=[DENY_ALL],
                delete=[PolicyRef("networkpolicy", "n", "old")],
                restart=["n/b"],
            ),
        ),
        cluster,
    )
    assert cluster.log == [
        ("open", "s"),
        ("control", AB),
        ("reshape", "n/a", "n/b", "n/c", "n/d"),
        ("control", "n/d->n/b:80/TCP"),
        ("reshape", "n/a", "n/b", "n/c"),
        ("apply", "p"),
        ("in_force",),
        ("sweep", AB),
        ("apply", "p"),
        ("delete", "old"),
        ("reshape", "n/a", "n/b", "n/c", "n/d"),
        ("restart", "n/b"),
        ("in_force",),
        ("sweep", AB, "n/d->n/b:80/TCP"),
        ("evidence", "n/d->n/b:80/TCP"),
        ("close",),
    ]
    assert result.status is Status.FAILED
    assert (result.error, result.skipped) == ("", "")


def test_a_step_without_changes_asks_for_none() -> None:
    cluster = ScriptedCluster()
    one(scenario(step(cell("n/a -> n/b:80"))), cluster)
    assert [call[0] for call in cluster.log] == ["open", "control", "in_force", "sweep", "close"]


def test_a_step_without_cells_is_not_swept() -> None:
    cluster = ScriptedCluster()
    result = one(scenario(step(apply=[DENY_ALL])), cluster)
    assert [call[0] for call in cluster.log] == ["open", "apply", "in_force", "close"]
    assert result.status is Status.PASSED


def test_events_tell_what_goes_on() -> None:
    events: list[Event] = []
    found = scenario(step(cell("n/a -> n/b:80"), cell("n/b -> n/a:80", Expected.DENY)))
    result = run([found], ScriptedCluster(), events.append)
    shown = [
        (type(item).__name__, item.phase, item.cells) if isinstance(item, PhaseStarted) else type(item)
        for item in events
    ]
    assert shown == [
        RunStarted,
        ScenarioStarted,
        ("PhaseStarted", "build", 0),
        ("PhaseStarted", "control", 2),
        ("PhaseStarted", "apply", 0),
        ("PhaseStarted", "sweep", 2),
        ("PhaseStarted", "evidence", 1),
        CellJudged,
        CellJudged,
        StepFinished,
        ("PhaseStarted", "close", 0),
        ScenarioFinished,
        RunFinished,
    ]
    last = events[-1]
    assert isinstance(last, RunFinished)
    assert last.result is result
    judged = [item.result for item in events if isinstance(item, CellJudged)]
    assert tuple(judged) == result.scenarios[0].cells


def test_what_is_not_known_to_be_in_force_is_not_judged() -> None:
    cluster = ScriptedCluster(trouble="the agent of node n1 hangs")
    cells = (cell("n/a -> n/b:80"), cell("n/b -> n/a:80", Expected.DENY))
    result = one(scenario(step(*cells, apply=[DENY_ALL], policies=[DENY_ALL], transition=FLOWS)), cluster)
    calls = [call[0] for call in cluster.log]
    assert "sweep" not in calls
    assert "flows.stop" in calls
    assert result.status is Status.ERROR
    assert {item.status for item in result.cells} == {Status.ERROR}
    assert {item.reason for item in result.cells} == {
        "the change is not known to be in force: the agent of node n1 hangs"
    }
    transition = "n/a->n/b:80/TCP~steady", "n/c->n/a:80/TCP~cut", "n/c->n/a:80/TCP~established"
    assert [item.id for item in result.cells[2:]] == list(transition)


def test_times_and_signal_are_in_the_result() -> None:
    result = one(scenario(step(cell("n/a -> n/b:80"))), ScriptedCluster())
    (only,) = result.steps
    assert result.build_seconds == 0.25
    assert only.in_force >= 0.25
    assert only.in_force_by == "the script"
    assert only.leaks == 0


@pytest.mark.parametrize(("setting", "wanted"), [(None, 0.5), (0.125, 0.125)])
def test_the_scenario_may_say_how_long_a_probe_takes(setting: float | None, wanted: float) -> None:
    cluster = ScriptedCluster()
    one(scenario(step(cell("n/a -> n/b:80")), settings=Settings(connect_timeout=setting)), cluster)
    assert cluster.worlds["s"].timeouts == [wanted, wanted]


# -- verdicts and controls -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "expected", "status", "verdict"),
    [
        (ALLOWED, Expected.ALLOW, Status.PASSED, Verdict.ALLOW),
        (ALLOWED, Expected.DENY, Status.FAILED, Verdict.ALLOW),
        (DROPPED, Expected.DENY, Status.PASSED, Verdict.DROP),
        (DROPPED, Expected.REJECT, Status.FAILED, Verdict.DROP),
        (REJECTED, Expected.DENY, Status.PASSED, Verdict.REJECT),
        (DROPPED, Expected.ALLOW, Status.FAILED, Verdict.DROP),
        (DROPPED, Expected.OBSERVE, Status.PASSED, Verdict.DROP),
        # A dead listener and the prober's own trouble are no verdict, whatever is expected.
        (DEAD, Expected.DENY, Status.ERROR, None),
        (DEAD, Expected.ALLOW, Status.ERROR, None),
        (DEAD, Expected.OBSERVE, Status.ERROR, None),
        (BROKEN, Expected.DENY, Status.ERROR, None),
    ],
)
def test_cell(seen: Observation, expected: Expected, status: Status, verdict: Verdict | None) -> None:
    result = one(scenario(step(cell("n/a -> n/b:80", expected))), ScriptedCluster(after_change(seen)))
    (found,) = result.cells
    assert (found.status, found.verdict, found.expected) == (status, verdict, expected)
    assert found.observation is seen
    assert found.control == ""
    assert bool(found.reason) == (status is not Status.PASSED)


@pytest.mark.parametrize("expected", [Expected.DENY, Expected.DROP, Expected.ALLOW, Expected.OBSERVE])
@pytest.mark.parametrize("control", [DROPPED, REJECTED, DEAD, BROKEN])
@pytest.mark.parametrize("later", [ALLOWED, DROPPED])
def test_a_failed_control_is_an_error_whatever_is_expected_and_seen(
    expected: Expected, control: Observation, later: Observation
) -> None:
    cluster = ScriptedCluster(lambda probe, sweep: later if sweep else control)
    (found,) = one(scenario(step(cell("n/a -> n/b:80", expected))), cluster).cells
    assert (found.status, found.verdict) == (Status.ERROR, None)
    assert found.control
    assert found.reason == f"control: {found.control}"


def test_only_denied_controls_are_laid_at_the_door_of_others() -> None:
    """Whether the reason is a policy is asked once controls are given up, and never of what is broken."""
    cluster = ScriptedCluster(lambda probe, sweep: DEAD if probe.id == BA else DROPPED)
    cluster.others = {
        "n/a->n/b:80/TCP": "blocked by policy NetworkPolicy n/theirs",
        BA: "blocked by policy x",
    }
    result = one(scenario(step(cell("n/a -> n/b:80"), cell("n/b -> n/a:80"))), cluster)
    assert result.cells[0].reason == "control blocked by policy NetworkPolicy n/theirs (timeout)"
    assert "policy" not in result.cells[1].reason
    assert [item for item in cluster.log if item[0] == "blockers"] == [("blockers", "n/a->n/b:80/TCP")]


def test_a_failed_control_leaves_the_other_cells_alone() -> None:
    cluster = ScriptedCluster(lambda probe, sweep: DEAD if probe.id == BA else ALLOWED)
    result = one(scenario(step(cell("n/a -> n/b:80"), cell("n/b -> n/a:80"))), cluster)
    assert [item.status for item in result.cells] == [Status.PASSED, Status.ERROR]


def test_what_the_specification_leaves_open_is_noted() -> None:
    cluster = ScriptedCluster(after_change(replace(DROPPED, open_point="ICMP")))
    (found,) = one(scenario(step(cell("n/a -> n/b:80", Expected.OBSERVE))), cluster).cells
    assert found.notes == ("undefined by the specification: ICMP",)


@pytest.mark.parametrize("expected", [Expected.ALLOW, Expected.DENY, Expected.OBSERVE])
def test_pods_behind_a_service_that_differ_make_no_verdict_by_luck(expected: Expected) -> None:
    split = "connected from 1 of 2, timeout from 1 of 2"
    cluster = ScriptedCluster(after_change(replace(ALLOWED, split=split)))
    (found,) = one(scenario(step(cell("n/a -> n/b:80", expected))), cluster).cells
    text = f"the pods behind the service answer differently: {split}"
    if expected is Expected.OBSERVE:
        assert (found.status, found.reason, found.notes) == (Status.PASSED, "", (text,))
    else:
        assert (found.status, found.reason) == (Status.FAILED, text)


def test_pods_behind_a_service_that_differ_without_policies_are_no_control() -> None:
    cluster = ScriptedCluster(lambda probe, sweep: replace(ALLOWED, split="" if sweep else "one is dead"))
    (found,) = one(scenario(step(cell("n/a -> n/b:80"))), cluster).cells
    assert found.status is Status.ERROR
    assert "the pods behind the service answer differently: one is dead" in found.reason


FROM_AGENT = policy("podSelector: {}\ningress: [{from: [{podSelector: {matchLabels: {app: agent}}}]}]")


@pytest.mark.parametrize("text", ["n/agent -> n/b:80", "n/a -> n/agent:80"])
def test_a_pod_with_its_nodes_address_is_an_open_point_that_no_packet_shows(text: str) -> None:
    places = world(
        pod("n/a", node="a"), pod("n/b", node="a"), pod("n/agent", node="b", host=True, app="agent")
    )
    policies = [FROM_AGENT]
    found = scenario(step(cell(text), apply=policies, policies=policies, topology=places), topology=places)
    (seen,) = one(found, ScriptedCluster(features=frozenset({"host-network"}))).cells
    assert seen.notes == (f"undefined by the specification: {OPEN_POINTS['host-network']}",)


def test_a_known_deviation_is_an_expected_failure() -> None:
    expectation = Expectation(Expected.DENY, known=(Known("cilium<1.21", Expected.ALLOW, "URL"),))
    cluster = ScriptedCluster(names=("cilium",))
    (found,) = one(scenario(step(cell("n/a -> n/b:80", expectation))), cluster).cells
    assert (found.status, found.verdict) == (Status.XFAILED, Verdict.ALLOW)
    assert all(call[0] != "evidence" for call in cluster.log)


def test_paper_and_evidence_stand_beside_each_other() -> None:
    cluster = ScriptedCluster(after_change(ALLOWED))
    found = scenario(step(cell("n/a -> n/b:80", Expected.DENY), apply=[DENY_ALL], policies=[DENY_ALL]))
    (failed,) = one(found, cluster).cells
    assert failed.evidence == ("a counter moved",)
    assert failed.predicted is not None
    assert failed.predicted.verdict is Answer.DENY
    assert "NetworkPolicy n/p" in failed.predicted.rules
    assert failed.finding is Finding.CLUSTER


def test_evidence_is_gathered_for_the_first_failed_cells_only() -> None:
    many = [cell(f"n/a -> n/b:{8000 + number}", Expected.DENY) for number in range(EVIDENCE_CELLS + 2)]
    cluster = ScriptedCluster()
    result = one(scenario(step(*many)), cluster)
    assert [bool(item.evidence) for item in result.cells] == [True] * EVIDENCE_CELLS + [False] * 2


# -- convergence ---------------------------------------------------------------------------------------


def by_sweep(*answers: Observation) -> Callable[[Probe, int], Observation]:
    """One answer per sweep after the change; the last one stays."""
    return lambda probe, sweep: answers[min(sweep, len(answers)) - 1] if sweep else ALLOWED


def test_on_clusters_a_path_may_come_late() -> None:
    # The network of a pod comes after the pod.
    answers = iter((DROPPED, DROPPED))
    cluster = ScriptedCluster(lambda _probe, _sweep: next(answers, ALLOWED), sweeps=2)
    (found,) = one(scenario(step(cell("n/a -> n/b:80", Expected.ALLOW))), cluster).cells
    assert (found.status, found.control) == (Status.PASSED, "")


def test_on_the_lab_a_control_is_taken_once() -> None:
    answers = iter((DROPPED,))
    cluster = ScriptedCluster(lambda _probe, _sweep: next(answers, ALLOWED))
    (found,) = one(scenario(step(cell("n/a -> n/b:80", Expected.ALLOW))), cluster).cells
    assert found.status is Status.ERROR
    assert found.control


def test_a_path_that_never_comes_is_an_error_after_the_deadline() -> None:
    cluster = ScriptedCluster(lambda _probe, _sweep: DROPPED, sweeps=2)
    broken = scenario(step(cell("n/a -> n/b:80", Expected.DENY)), settings=Settings(deadline=0.3))
    (found,) = one(broken, cluster).cells
    assert found.status is Status.ERROR
    assert "control" in found.reason


def test_two_sweeps_that_agree_are_enough() -> None:
    cluster = ScriptedCluster(by_sweep(DROPPED), sweeps=2)
    (found,) = one(scenario(step(cell("n/a -> n/b:80", Expected.DENY))), cluster).cells
    assert found.status is Status.PASSED
    assert [call[0] for call in cluster.log].count("sweep") == 2


def test_a_cell_that_flips_and_then_stays_has_the_verdict_that_stayed() -> None:
    cluster = ScriptedCluster(by_sweep(ALLOWED, DROPPED, DROPPED), sweeps=2)
    (found,) = one(scenario(step(cell("n/a -> n/b:80", Expected.DENY))), cluster).cells
    assert (found.status, found.verdict, found.reason) == (Status.PASSED, Verdict.DROP, "")
    assert [call[0] for call in cluster.log].count("sweep") == 3


def test_only_cells_that_differ_are_probed_again() -> None:
    def answers(probe: Probe, sweep: int) -> Observation:
        return DROPPED if probe.id == BA and sweep > 1 else ALLOWED

    cluster = ScriptedCluster(answers, sweeps=2)
    one(scenario(step(cell("n/a -> n/b:80"), cell("n/b -> n/a:80", Expected.DENY))), cluster)
    assert [call for call in cluster.log if call[0] == "sweep"] == [
        ("sweep", AB, BA),
        ("sweep", AB, BA),
        ("sweep", BA),
    ]


def test_a_denial_that_came_late_is_passed_with_its_leaks() -> None:
    cluster = ScriptedCluster(by_sweep(ALLOWED, DROPPED, DROPPED), sweeps=2)
    result = one(scenario(step(cell("n/a -> n/b:80", Expected.DROP))), cluster)
    (found,) = result.cells
    assert (found.status, found.leaks) == (Status.PASSED, 1)
    assert found.notes == ("changed after the change was in force: allow → drop",)
    assert result.steps[0].leaks == 1


FLIPPING = by_sweep(ALLOWED, DROPPED, ALLOWED, DROPPED)


@pytest.mark.parametrize("expected", [Expected.ALLOW, Expected.DENY, Expected.DROP])
def test_a_cell_that_still_flips_at_the_deadline_fails(expected: Expected) -> None:
    cluster = ScriptedCluster(FLIPPING, sweeps=2)
    (found,) = one(scenario(step(cell("n/a -> n/b:80", expected)), settings=TINY), cluster).cells
    assert (found.status, found.reason) == (Status.FAILED, "flapping: allow → drop")
    assert found.evidence


def test_a_flipping_cell_that_is_only_observed_is_noted() -> None:
    cluster = ScriptedCluster(FLIPPING, sweeps=2)
    (found,) = one(scenario(step(cell("n/a -> n/b:80", Expected.OBSERVE)), settings=TINY), cluster).cells
    assert (found.status, found.notes) == (Status.PASSED, ("flapping: allow → drop",))


def test_no_cell_is_judged_by_fewer_sweeps_than_the_cluster_asks_for() -> None:
    cluster = ScriptedCluster(by_sweep(DROPPED), sweeps=3)
    one(scenario(step(cell("n/a -> n/b:80", Expected.DENY)), settings=TINY), cluster)
    assert [call[0] for call in cluster.log].count("sweep") == 3


def test_trouble_in_between_counts_as_a_flip() -> None:
    cluster = ScriptedCluster(by_sweep(ALLOWED, BROKEN, ALLOWED, ALLOWED), sweeps=2)
    (found,) = one(scenario(step(cell("n/a -> n/b:80"))), cluster).cells
    assert found.status is Status.PASSED
    assert [call[0] for call in cluster.log].count("sweep") == 4


def test_trouble_that_stays_is_an_error_and_not_flapping() -> None:
    cluster = ScriptedCluster(by_sweep(ALLOWED, BROKEN), sweeps=2)
    (found,) = one(scenario(step(cell("n/a -> n/b:80")), settings=TINY), cluster).cells
    assert (found.status, found.reason) == (Status.ERROR, "EMFILE")


@pytest.mark.parametrize("seen", [by_sweep(ALLOWED), by_sweep(DROPPED, ALLOWED, DROPPED, DROPPED), FLIPPING])
def test_what_is_expected_never_changes_what_is_asked(seen: Callable[[Probe, int], Observation]) -> None:
    logs = []
    for expected in (Expected.ALLOW, Expected.DENY, Expected.DROP, Expected.OBSERVE):
        cluster = ScriptedCluster(seen, sweeps=2)
        one(scenario(step(cell("n/a -> n/b:80", expected)), settings=TINY), cluster)
        logs.append([call for call in cluster.log if call[0] != "evidence"])
    assert logs == [logs[0]] * len(logs)


# -- transitions ---------------------------------------------------------------------------------------

STEADY, CUT = flow((0.5, PASSED), (3.5, PASSED)), flow((0.5, PASSED), (1.5, LOST), (3.5, LOST))
FLOWS = Transition(steady=(cell("n/a -> n/b:80"),), cut=(cell("n/c -> n/a:80"),), established="cut")


def test_flows_run_around_the_change_and_end_before_the_sweep() -> None:
    cluster = ScriptedCluster(
        lambda probe, sweep: DROPPED if sweep and probe.id == CA else ALLOWED,
        records=(STEADY, CUT, FlowRecord((), True, False)),
    )
    result = one(
        scenario(step(cell("n/b -> n/a:80"), apply=[DENY_ALL], policies=[DENY_ALL], transition=FLOWS)),
        cluster,
    )
    assert cluster.log == [
        ("open", "s"),
        ("control", AB, CA, BA),
        ("start_flows", 2, 1),
        ("flows.now", 1),
        ("apply", "p"),
        ("flows.now", 2),
        ("in_force",),
        ("flows.now", 3),
        ("flows.stop",),
        ("sweep", CA, CA),  # what stopped must be denied, by a live listener's word
        ("sweep", BA),
        ("close",),
    ]
    assert [(item.id, item.status) for item in result.cells] == [
        (BA, Status.PASSED),
        (f"{AB}~steady", Status.PASSED),
        (f"{CA}~cut", Status.PASSED),
        (f"{CA}~established", Status.PASSED),
    ]


@pytest.mark.parametrize(
    ("later", "status", "reason"),
    [
        (DEAD, Status.ERROR, "the flow stopped, but that proves nothing"),
        (ALLOWED, Status.FAILED, "passes again after the change was in force"),
    ],
)
def test_a_flow_that_stopped_was_cut_only_if_it_is_denied(
    later: Observation, status: Status, reason: str
) -> None:
    cluster = ScriptedCluster(
        lambda probe, sweep: later if sweep and probe.id == CA else ALLOWED,
        records=(STEADY, CUT, FlowRecord((), True, False)),
    )
    result = one(
        scenario(step(cell("n/b -> n/a:80"), apply=[DENY_ALL], policies=[DENY_ALL], transition=FLOWS)),
        cluster,
    )
    (found,) = (item for item in result.cells if item.id == f"{CA}~cut")
    assert found.status is status
    assert reason in found.reason


def test_a_flow_without_a_control_is_an_error() -> None:
    cluster = ScriptedCluster(
        lambda probe, sweep: DEAD if probe.id == CA else ALLOWED,
        records=(STEADY, CUT, FlowRecord((), True, False)),
    )
    result = one(scenario(step(transition=FLOWS)), cluster)
    assert [item.status for item in result.cells] == [Status.PASSED, Status.ERROR, Status.ERROR]
    assert result.cells[1].reason.startswith("control: nobody listens there")


def test_leaks_are_counted_and_failed_flows_have_evidence() -> None:
    leaking = flow((0.5, PASSED), (2.5, PASSED), (3.5, PASSED))
    cluster = ScriptedCluster(records=(STEADY, leaking, FlowRecord((), True, False)))
    result = one(scenario(step(transition=FLOWS)), cluster)
    failed = result.cells[1]
    assert (failed.status, failed.reason) == (Status.FAILED, "never dropped")
    assert failed.evidence[-1] == "a counter moved"
    assert result.steps[0].leaks == 2


# -- trouble -------------------------------------------------------------------------------------------


def raise_on(call: str, number: int = 1) -> Callable[[str], None]:
    """Raise at the n-th call of that name."""
    count = 0

    def hook(name: str) -> None:
        nonlocal count
        count += name == call
        if name == call and count == number:
            raise ClusterError(f"{call} went wrong", "mend it")

    return hook


TWO_STEPS = scenario(
    step(cell("n/a -> n/b:80")),
    step(cell("n/b -> n/a:80", Expected.DENY), name="two", apply=[DENY_ALL], policies=[DENY_ALL]),
)


@pytest.mark.parametrize(
    ("call", "number", "steps"),
    [
        ("open", 1, []),
        ("control", 1, []),
        ("in_force", 1, []),
        ("sweep", 1, []),
        ("apply", 1, ["expect"]),
        ("in_force", 2, ["expect"]),
        ("sweep", 2, ["expect"]),
        # The verdicts of the step are known when the evidence fails, so they stay.
        ("evidence", 1, ["expect", "two"]),
    ],
)
def test_a_cluster_in_trouble_is_an_error_of_the_scenario(call: str, number: int, steps: list[str]) -> None:
    cluster = ScriptedCluster(on=raise_on(call, number))
    events: list[Event] = []
    result = one(TWO_STEPS, cluster, emit=events.append)
    assert result.error == f"{call} went wrong; mend it"
    assert [item.name for item in result.steps] == steps
    assert result.status is (Status.FAILED if call == "evidence" else Status.ERROR)
    if call != "open":
        assert cluster.log[-1] == ("close",)
        assert cluster.worlds["s"].closed
    assert isinstance(events[-1], RunFinished)
    judged = [item.result for item in events if isinstance(item, CellJudged)]
    assert tuple(judged) == result.cells


def test_the_cells_of_a_step_survive_trouble_with_their_evidence() -> None:
    found = scenario(step(cell("n/a -> n/b:80", Expected.DENY), cell("n/b -> n/a:80", Expected.DENY)))
    result = one(found, ScriptedCluster(on=raise_on("evidence")))
    assert [item.status for item in result.cells] == [Status.FAILED, Status.FAILED]
    assert [item.evidence for item in result.cells] == [(), ()]
    assert all(item.predicted and item.predicted.verdict is Answer.ALLOW for item in result.cells)


def test_trouble_in_one_scenario_leaves_the_next_alone() -> None:
    cluster = ScriptedCluster(on=raise_on("open"))
    result = run([replace(TWO_STEPS, name=name) for name in ("one", "two")], cluster, ignore)
    assert [item.error for item in result.scenarios] == ["open went wrong; mend it", ""]
    assert not result.interrupted


def test_without_advice_the_error_stands_alone() -> None:
    def hook(name: str) -> None:
        if name == "open":
            raise ClusterError("no room")

    assert one(TWO_STEPS, ScriptedCluster(on=hook)).error == "no room"


def test_a_missing_feature_skips_the_scenario_and_says_why() -> None:
    cluster = ScriptedCluster()
    result = one(scenario(step(cell("n/a -> n/b/ICMP")), needs=("bgp",)), cluster)
    assert result.skipped == (
        "scripted lacks the feature bgp (the scenario says so (needs)), icmp (cell n/a->n/b/ICMP)"
    )
    assert (result.status, result.steps, cluster.log) == (Status.SKIPPED, (), [])


def test_a_feature_that_is_there_skips_nothing() -> None:
    cluster = ScriptedCluster(features=frozenset({"icmp"}))
    assert one(scenario(step(cell("n/a -> n/b/ICMP"))), cluster).skipped == ""


class OwnFaultError(Exception):
    """A mistake of the program itself."""


def test_a_fault_of_our_own_is_reported_after_every_world_is_down() -> None:
    building = threading.Barrier(2, timeout=10)

    def hook(name: str) -> None:
        # Both worlds stand before the fault happens.
        if name == "control":
            building.wait()
            raise OwnFaultError

    cluster = ScriptedCluster(on=hook)
    with pytest.raises(OwnFaultError):
        run([replace(TWO_STEPS, name=name) for name in ("one", "two")], cluster, ignore, jobs=2)
    assert [item.closed for item in cluster.worlds.values()] == [True, True]


def test_a_listener_that_fails_does_not_leave_the_world_standing() -> None:
    def emit(event: Event) -> None:
        if isinstance(event, PhaseStarted) and event.phase in ("sweep", "close"):
            raise BrokenPipeError

    cluster = ScriptedCluster()
    with pytest.raises(BrokenPipeError):
        run([TWO_STEPS], cluster, emit)
    assert cluster.worlds["s"].closed


# -- interruption --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "number", "steps"),
    [
        ("open", 1, []),
        ("control", 1, []),
        ("in_force", 1, []),
        ("sweep", 1, ["expect"]),
        ("apply", 1, ["expect"]),
        ("in_force", 2, ["expect"]),
        ("sweep", 2, ["expect", "two"]),
        ("evidence", 1, ["expect", "two"]),
    ],
)
def test_interrupted_in_any_phase_what_is_measured_stays(call: str, number: int, steps: list[str]) -> None:
    stop = threading.Event()
    count = 0

    def hook(name: str) -> None:
        nonlocal count
        count += name == call
        if name == call and count == number:
            stop.set()

    cluster = ScriptedCluster(on=hook)
    events: list[Event] = []
    later = replace(TWO_STEPS, name="later")
    result = run([TWO_STEPS, later], cluster, events.append, stop=stop)
    assert result.interrupted
    (only,) = result.scenarios
    assert [item.name for item in only.steps] == steps
    assert only.error == ("" if len(steps) == 2 else "interrupted before everything was measured")
    assert cluster.log[-1] == ("close",)
    assert list(cluster.worlds) == ["s"]
    assert [type(item) for item in events].count(Interrupted) == 1
    assert isinstance(events[-1], RunFinished)


def test_a_cluster_that_waits_for_others_is_told_of_the_users_stop() -> None:
    stop = threading.Event()
    cluster = ScriptedCluster()

    def wait(name: str) -> None:
        if name == "open":
            stop.set()
            deadline = time.monotonic() + 10
            while not cluster.interrupted:
                assert time.monotonic() < deadline, "nobody told"
                time.sleep(0.01)

    cluster._on = wait
    assert run([TWO_STEPS], cluster, lambda _: None, stop=stop).interrupted


def test_interrupted_while_cells_flip() -> None:
    stop = threading.Event()

    def hook(name: str) -> None:
        if name == "sweep":
            stop.set()

    result = one(scenario(step(cell("n/a -> n/b:80"))), ScriptedCluster(on=hook, sweeps=2), stop=stop)
    assert (result.steps, result.error) == ((), "interrupted before everything was measured")


def test_stopped_before_it_began() -> None:
    stop = threading.Event()
    stop.set()
    events: list[Event] = []
    cluster = ScriptedCluster()
    result = run([TWO_STEPS], cluster, events.append, stop=stop)
    assert (result.scenarios, result.interrupted, cluster.log) == ((), True, [])
    assert [type(item) for item in events] == [RunStarted, Interrupted, RunFinished]


# -- several scenarios ---------------------------------------------------------------------------------


def named(names: Sequence[str], expected: Expected = Expected.ALLOW) -> list[Scenario]:
    return [scenario(step(cell("n/a -> n/b:80", expected)), name=name) for name in names]


def test_results_come_in_the_order_of_the_scenarios() -> None:
    names = [f"s{number}" for number in range(6)]
    first_done = threading.Event()
    finished: list[str] = []

    def emit(event: Event) -> None:
        if isinstance(event, ScenarioFinished):
            finished.append(event.result.scenario.name)
            if event.result.scenario.name != "s0":
                first_done.set()

    class Slow(ScriptedCluster):
        def open(self, scenario: Scenario, run: str, waits: Waits):  # type: ignore[no-untyped-def]
            if scenario.name == "s0":
                assert first_done.wait(10)
            return super().open(scenario, run, waits)

    result = run(named(names), Slow(), emit, jobs=3)
    assert [item.scenario.name for item in result.scenarios] == names
    assert finished[0] != "s0"
    assert set(finished) == set(names)


@pytest.mark.parametrize("trouble", ["failure", "error"])
def test_fail_fast_begins_nothing_more(trouble: str) -> None:
    scenarios = named(["one"]) + named(["two"], Expected.DENY) + named(["three"])

    def hook(name: str) -> None:
        if trouble == "error" and name == "open" and len(cluster.worlds) == 1:
            raise ClusterError("no room")

    cluster = ScriptedCluster(on=hook)
    result = run(scenarios, cluster, ignore, fail_fast=True)
    assert [item.scenario.name for item in result.scenarios] == ["one", "two"]
    assert not result.interrupted


def test_without_fail_fast_all_run() -> None:
    result = run(named(["one", "two"], Expected.DENY), ScriptedCluster(), ignore)
    assert [item.status for item in result.scenarios] == [Status.FAILED, Status.FAILED]
    assert result.count(Status.FAILED) == 2


def test_nothing_to_run() -> None:
    events: list[Event] = []
    result = run([], ScriptedCluster(), events.append, revision="abc")
    assert (result.scenarios, result.revision, result.interrupted) == ((), "abc", False)
    assert [type(item) for item in events] == [RunStarted, RunFinished]
    assert result.run
    assert result.started.endswith("+00:00")


class Claiming(ScriptedCluster):
    """Claims by scenario; writes down who was open together."""

    def __init__(self, claims: dict[str, Claims], meet: set[str]) -> None:
        super().__init__(on=lambda call: None)
        self.table, self.meet = claims, meet
        self.running: set[str] = set()
        self.together: set[frozenset[str]] = set()
        self.order: list[str] = []
        self.guard = threading.Condition()

    def claims(self, scenario: Scenario) -> Claims:
        return self.table[scenario.name]

    def open(self, scenario: Scenario, run: str, waits: Waits):  # type: ignore[no-untyped-def]
        with self.guard:
            self.order.append(scenario.name)
            self.running.add(scenario.name)
            self.together.add(frozenset(self.running))
            self.guard.notify_all()
            if scenario.name in self.meet:
                assert self.guard.wait_for(lambda: any(self.meet <= met for met in self.together), 10)
        world = super().open(scenario, run, waits)
        inner = world.close

        def close() -> None:
            with self.guard:
                self.running.discard(scenario.name)
            inner()

        world.close = close  # type: ignore[method-assign]
        return world


def test_scenarios_that_claim_the_same_wait_and_are_overtaken() -> None:
    shop, other = Claims(frozenset({"shop"})), Claims(frozenset({"other"}))
    cluster = Claiming({"one": shop, "two": shop, "three": other}, meet={"one", "three"})
    result = run(named(["one", "two", "three"]), cluster, ignore, jobs=3)
    assert [item.scenario.name for item in result.scenarios] == ["one", "two", "three"]
    assert cluster.order.index("three") < cluster.order.index("two")
    assert not any({"one", "two"} <= met for met in cluster.together)


def test_a_scenario_that_reaches_the_whole_cluster_runs_alone() -> None:
    names = ["one", "all", "two"]
    claims = {"one": Claims(frozenset({"shop"})), "all": Claims(alone=True), "two": Claims()}
    cluster = Claiming(claims, meet={"one", "two"})
    run(named(names), cluster, ignore, jobs=3)
    assert sorted(cluster.order) == sorted(names)
    assert {met for met in cluster.together if "all" in met} == {frozenset({"all"})}
