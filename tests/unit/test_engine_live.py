"""A world that is asked one question after another: every path is controlled without policies first."""

from __future__ import annotations

import pytest

from harness.engine.cluster import ClusterError, UnsupportedError
from harness.engine.live import LiveWorld
from harness.model.outcome import Observation
from harness.model.probe import Probe
from harness.model.scenario import Scenario
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
    from dataclasses import replace

    cluster = ScriptedCluster()
    with pytest.raises(UnsupportedError, match="scripted lacks the feature sctp"):
        LiveWorld(replace(asked("n/a -> n/b:80"), needs=("sctp",)), cluster, "r")
    assert cluster.log == []
