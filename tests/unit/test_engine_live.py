"""A world that is asked one question after another: every path is controlled without policies first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from harness.engine.cluster import ClusterError, UnsupportedError
from harness.engine.live import LiveWorld
from harness.model.outcome import Observation
from harness.model.probe import Probe
from harness.model.scenario import Scenario, Settings
from harness.model.verdict import Expected, Status, Verdict
from tests.unit.kubernetes_worlds import pod, policy, world
from tests.unit.worlds import ALLOWED, DROPPED, TRIO, ScriptedCluster, cell, scenario, step

AB, BA = "n/a->n/b:80/TCP", "n/b->n/a:80/TCP"
DENY_ALL = policy("podSelector: {}\npolicyTypes: [Ingress]")


def asked(*texts: str) -> Scenario:
    """A question in a world with the policy."""
    cells = (cell(text, Expected.OBSERVE) for text in texts)
    return scenario(step(*cells, policies=[DENY_ALL]))


def applied() -> Scenario:
    return scenario(step(apply=[DENY_ALL], policies=[DENY_ALL]))


def last(cluster: ScriptedCluster, begin: int) -> list[tuple[str, ...]]:
    return cluster.log[begin:]


def test_controls_come_before_the_first_policy() -> None:
    cluster = ScriptedCluster(lambda probe, sweep: DROPPED if sweep else ALLOWED)
    with LiveWorld(asked("n/a -> n/b:80"), cluster, "r") as live:
        found = live.measure(asked("n/a -> n/b:80"), (*applied().steps, *asked("n/a -> n/b:80").steps))
    assert cluster.log == [
        ("open", "s"),
        ("control", AB),
        ("apply", "p"),
        ("in_force",),
        ("in_force",),
        ("sweep", AB),
        ("close",),
    ]
    assert [item.verdict for item in found.cells] == [Verdict.DROP]


def test_a_path_that_is_asked_for_later_is_controlled_without_the_policies_that_stand() -> None:
    cluster = ScriptedCluster()
    with LiveWorld(asked("n/a -> n/b:80"), cluster, "r") as live:
        live.measure(asked("n/a -> n/b:80"), (*applied().steps, *asked("n/a -> n/b:80").steps))
        begin = len(cluster.log)
        live.measure(asked("n/b -> n/a:80"), asked("n/b -> n/a:80").steps)
        assert [call[0] for call in last(cluster, begin)] == [
            "delete",
            "in_force",
            "sweep",
            "apply",
            "in_force",
            "in_force",
            "sweep",
        ]
        begin = len(cluster.log)
        live.measure(asked("n/b -> n/a:80"), asked("n/b -> n/a:80").steps)
        assert [call[0] for call in last(cluster, begin)] == ["in_force", "sweep"]


def test_a_path_that_did_not_work_is_no_denial_and_is_tried_again() -> None:
    answers = [DROPPED, DROPPED, ALLOWED, ALLOWED]

    def answer(probe: Probe, sweep: int) -> Observation:
        return answers.pop(0)

    cluster = ScriptedCluster(answer)
    with LiveWorld(asked("n/a -> n/b:80"), cluster, "r") as live:
        (first,) = live.measure(asked("n/a -> n/b:80"), asked("n/a -> n/b:80").steps).cells
        assert (first.status, first.verdict) == (Status.ERROR, None)
        assert first.control == "timeout although no policy stands in the way"
        (second,) = live.measure(asked("n/a -> n/b:80"), asked("n/a -> n/b:80").steps).cells
        assert (second.status, second.verdict) == (Status.PASSED, Verdict.ALLOW)


def test_a_new_pod_is_there_for_its_control_and_comes_with_its_step() -> None:
    more = world(*TRIO.pods.values(), pod("n/d"))
    step_with = step(cell("n/d -> n/b:80", Expected.OBSERVE), topology=more)
    wanted = scenario(step_with)
    cluster = ScriptedCluster()
    with LiveWorld(scenario(step()), cluster, "r") as live:
        live.measure(wanted, wanted.steps)
    calls = [call for call in cluster.log if call[0] in ("reshape", "control")]
    four, three = ("reshape", "n/a", "n/b", "n/c", "n/d"), ("reshape", "n/a", "n/b", "n/c")
    assert calls == [four, ("control", "n/d->n/b:80/TCP"), three, four]


def test_changes_that_are_not_in_force_are_trouble() -> None:
    cluster = ScriptedCluster(trouble="the agent hangs")
    with LiveWorld(asked("n/a -> n/b:80"), cluster, "r") as live:
        (found,) = live.measure(
            asked("n/a -> n/b:80"), (*applied().steps, *asked("n/a -> n/b:80").steps)
        ).cells
        assert found.status is Status.ERROR
        assert "the agent hangs" in found.reason
        with pytest.raises(ClusterError, match="not known to be in force: the agent hangs"):
            live.measure(asked("n/b -> n/a:80"), asked("n/b -> n/a:80").steps)


def test_what_the_cluster_lacks_is_said_before_anything_is_built() -> None:
    cluster = ScriptedCluster()
    with pytest.raises(UnsupportedError, match="scripted lacks the feature sctp"):
        LiveWorld(replace(asked("n/a -> n/b:80"), needs=("sctp",)), cluster, "r")
    assert cluster.log == []


def test_what_the_cluster_lacks_for_a_later_question_harms_nothing() -> None:
    cluster = ScriptedCluster()
    with LiveWorld(asked("n/a -> n/b:80"), cluster, "r") as live:
        wanted = replace(asked("n/a -> n/b:80"), needs=("sctp",))
        with pytest.raises(UnsupportedError, match="scripted lacks the feature sctp"):
            live.measure(wanted, wanted.steps)
        assert last(cluster, 1) == []
        (found,) = live.measure(asked("n/a -> n/b:80"), asked("n/a -> n/b:80").steps).cells
        assert found.verdict is Verdict.ALLOW


def test_policies_that_ask_for_another_personality_need_another_world() -> None:
    cluster = ScriptedCluster()
    cluster.backend = replace(cluster.backend, adapts=True)
    with LiveWorld(asked("n/a -> n/b:80"), cluster, "r") as live:
        wanted = scenario(step(apply=[replace(DENY_ALL, dialect="cilium")]))
        with pytest.raises(UnsupportedError, match="built for generic, and the policies ask for cilium"):
            live.measure(wanted, wanted.steps)
        assert last(cluster, 1) == []


def failing(call: str, number: int) -> Callable[[str], None]:
    """Trouble at the call of that name, the first of them being number 1."""
    seen: list[str] = []

    def on(name: str) -> None:
        seen.append(name)
        if name == call and seen.count(name) == number:
            raise ClusterError(f"no {call}")

    return on


@pytest.mark.parametrize(
    ("call", "number"), [("delete", 1), ("in_force", 3), ("sweep", 2), ("apply", 2), ("in_force", 4)]
)
def test_after_trouble_a_world_answers_nothing_more(call: str, number: int) -> None:
    """Whether the policies stand is not known: a path that was controlled before could seem to be allowed."""
    cluster = ScriptedCluster(on=failing(call, number))
    with LiveWorld(asked("n/a -> n/b:80"), cluster, "r") as live:
        first = asked("n/a -> n/b:80")
        live.measure(first, (*applied().steps, *first.steps))
        with pytest.raises(ClusterError, match=f"no {call}"):
            live.measure(asked("n/b -> n/a:80"), asked("n/b -> n/a:80").steps)
        begin = len(cluster.log)
        with pytest.raises(ClusterError, match=f"was in trouble before: no {call}") as refused:
            live.measure(first, first.steps)
        assert refused.value.advice == "make another world"
        assert last(cluster, begin) == []
    assert cluster.log[-1] == ("close",)


def test_an_interruption_leaves_nothing_to_be_asked() -> None:
    def on(name: str) -> None:
        if name == "control":
            raise KeyboardInterrupt

    live = LiveWorld(asked("n/a -> n/b:80"), ScriptedCluster(on=on), "r")
    with pytest.raises(KeyboardInterrupt):
        live.measure(asked("n/a -> n/b:80"), asked("n/a -> n/b:80").steps)
    with pytest.raises(ClusterError, match="was in trouble before: KeyboardInterrupt"):
        live.measure(asked("n/a -> n/b:80"), asked("n/a -> n/b:80").steps)


def test_changes_are_carried_out_in_their_order_between_two_questions() -> None:
    """Each step is in force before the next one begins."""
    cluster = ScriptedCluster()
    question = asked("n/a -> n/b:80")
    with LiveWorld(question, cluster, "r") as live:
        live.measure(question, question.steps)
        begin = len(cluster.log)
        open_again = step(delete=[DENY_ALL.ref])
        restarted = step(restart=["n/b"])
        final = step(cell("n/a -> n/b:80", Expected.OBSERVE))
        live.measure(question, (*applied().steps, open_again, restarted, final))
    assert last(cluster, begin) == [
        ("apply", "p"),
        ("in_force",),
        ("delete", "p"),
        ("in_force",),
        ("restart", "n/b"),
        ("in_force",),
        ("in_force",),
        ("sweep", AB),
        ("close",),
    ]


def test_policies_that_were_deleted_do_not_come_back_with_a_control() -> None:
    cluster = ScriptedCluster()
    question = asked("n/a -> n/b:80")
    with LiveWorld(question, cluster, "r") as live:
        live.measure(question, (*applied().steps, *question.steps))
        gone = scenario(step(delete=[DENY_ALL.ref]), step(cell("n/b -> n/a:80", Expected.OBSERVE)))
        begin = len(cluster.log)
        live.measure(gone, gone.steps)
        changes = [call for call in last(cluster, begin) if call[0] in ("apply", "delete")]
        assert changes == [("delete", "p"), ("apply", "p"), ("delete", "p")]
        begin = len(cluster.log)
        live.measure(asked("n/c -> n/a:80"), scenario(step(cell("n/c -> n/a:80"))).steps)
        assert [call[0] for call in last(cluster, begin)] == ["sweep", "in_force", "sweep"]


def test_paths_that_do_not_work_yet_are_waited_for_where_a_cluster_sweeps_twice() -> None:
    tries: list[str] = []

    def answer(probe: Probe, sweep: int) -> Observation:
        tries.append(probe.id)
        return DROPPED if len(tries) == 1 else ALLOWED

    cluster = ScriptedCluster(answer, sweeps=2)
    question = asked("n/a -> n/b:80")
    with LiveWorld(question, cluster, "r") as live:
        (found,) = live.measure(question, question.steps).cells
    assert (found.status, found.verdict) == (Status.PASSED, Verdict.ALLOW)
    assert [call[0] for call in cluster.log] == [
        "open",
        "control",
        "control",
        "in_force",
        "sweep",
        "sweep",
        "close",
    ]


def test_times_are_those_of_the_question() -> None:
    cluster = ScriptedCluster()
    question = replace(asked("n/a -> n/b:80"), settings=Settings(connect_timeout=0.125))
    with LiveWorld(asked("n/a -> n/b:80"), cluster, "r") as live:
        live.measure(question, question.steps)
    assert cluster.worlds["s"].timeouts == [0.125, 0.125]


def test_cells_of_one_path_share_a_control() -> None:
    cluster = ScriptedCluster()
    question = asked("n/a -> n/b:80", "n/a -> n/b:80", "n/b -> n/a:80")
    with LiveWorld(question, cluster, "r") as live:
        live.measure(question, question.steps)
    assert ("control", AB, BA) in cluster.log


def test_a_failed_cell_has_evidence_while_the_policies_stand() -> None:
    cluster = ScriptedCluster(lambda probe, sweep: DROPPED if sweep else ALLOWED)
    question = scenario(step(cell("n/a -> n/b:80"), policies=[DENY_ALL]))
    with LiveWorld(question, cluster, "r") as live:
        (found,) = live.measure(question, (*applied().steps, *question.steps)).cells
    assert (found.status, found.evidence) == (Status.FAILED, ("a counter moved",))


def test_evidence_that_cannot_be_had_is_trouble_of_the_world() -> None:
    cluster = ScriptedCluster(lambda probe, sweep: DROPPED if sweep else ALLOWED, on=failing("evidence", 1))
    question = scenario(step(cell("n/a -> n/b:80"), policies=[DENY_ALL]))
    with LiveWorld(question, cluster, "r") as live:
        with pytest.raises(ClusterError, match="no evidence"):
            live.measure(question, (*applied().steps, *question.steps))
        with pytest.raises(ClusterError, match="was in trouble before: no evidence"):
            live.measure(question, question.steps)
