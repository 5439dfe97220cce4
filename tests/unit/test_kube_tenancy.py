"""Runs that share a cluster: beside each other, unless the policies of one reach all of it."""

from __future__ import annotations

import datetime
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.clusters.kube import leftovers, owners, presence, tenancy
from harness.clusters.kube.presence import ALONE, LEASES
from harness.clusters.kube.tenancy import Stay, Tenancy
from harness.engine.cluster import ClusterError
from tests.unit.object_server import ObjectServer

ELSEWHERE = "0123456789abcdef.1.2"
HELD = f"{LEASES}/{ALONE}"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> ObjectServer:
    monkeypatch.setattr(tenancy, "POLL", 0.01)
    monkeypatch.setattr(tenancy, "standing_wide", lambda api, run: [])
    return ObjectServer()


@pytest.fixture
def run(server: ObjectServer) -> Iterator[Callable[..., Tenancy]]:
    made = []

    def make(patience: float = 5.0) -> Tenancy:
        made.append(Tenancy(server, patience))
        return made[-1]

    yield make
    for item in made:
        item.close()


def entering(run: Tenancy, name: str, *, alone: bool) -> Callable[[], Any]:
    """Enters beside the test; the result waits for the end of that."""
    done: list[Any] = []

    def work() -> None:
        try:
            done.append(run.enter(name, print, alone=alone))
        except ClusterError as trouble:
            done.append(trouble)

    thread = threading.Thread(target=work)
    thread.start()

    def result(timeout: float = 5.0) -> Any:
        thread.join(timeout)
        return done[0] if done else None

    return result


def test_worlds_of_several_runs_stand_beside_each_other(run: Callable[..., Tenancy]) -> None:
    one, two = run(), run()
    stays = [
        one.enter("r1", print, alone=False),
        two.enter("r2", print, alone=False),
        one.enter("r1", print, alone=False),
    ]
    assert [(stay.alone, stay.doubtful) for stay in stays] == [(False, False)] * 3


def test_who_wants_the_cluster_alone_waits_for_open_worlds_and_keeps_new_ones_out(
    server: ObjectServer, run: Callable[..., Tenancy]
) -> None:
    one, two, three = run(), run(), run()
    open_ = [one.enter("r1", print, alone=False), one.enter("r1", print, alone=False)]
    alone = entering(two, "r2", alone=True)
    assert alone(0.2) is None
    late = [entering(three, "r3", alone=False), entering(one, "r1", alone=False)]
    assert [each(0.2) for each in late] == [None, None]
    open_[0].end()
    assert alone(0.2) is None
    open_[1].end()
    stay = alone()
    assert (stay.alone, stay.doubtful) == (True, True)
    assert [each(0.2) for each in late] == [None, None]
    stay.end()
    assert [each().doubtful for each in late] == [True, True]
    assert HELD not in server.objects


def test_two_that_want_it_alone_have_it_one_after_the_other(run: Callable[..., Tenancy]) -> None:
    one, two = run(), run()
    first = one.enter("r1", print, alone=True)
    second = entering(two, "r2", alone=True)
    assert second(0.2) is None
    first.end()
    assert second().alone


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (True, False, "run r1, which has it alone: its policies reach all of it"),
        (False, True, "run r1"),
    ],
    ids=["beside", "alone"],
)
def test_who_is_waited_for_is_told_once(
    run: Callable[..., Tenancy], first: bool, second: bool, words: str
) -> None:
    told: list[str] = []
    run().enter("r1", told.append, alone=first)
    assert not told
    with pytest.raises(ClusterError, match="was not free"):
        run(patience=0.2).enter("r2", told.append, alone=second)
    assert told == [words]


def test_whoever_had_it_lets_those_who_waited_in_before_taking_it_again(run: Callable[..., Tenancy]) -> None:
    many, few = run(), run()
    stay = many.enter("r1", print, alone=True)
    waiting = entering(few, "r2", alone=False)
    time.sleep(0.1)
    stay.end()
    again = entering(many, "r1", alone=True)
    theirs = waiting()
    assert not theirs.alone
    assert again(0.2) is None
    theirs.end()
    assert again().alone


def _trouble(stay: Stay) -> str:
    try:
        stay.check()
    except ClusterError as trouble:
        return str(trouble)
    return ""


def _dead() -> str:
    return f"{owners.machine()}.{os.getpid()}.1"


def hold(server: ObjectServer, owner: str, *, lease: bool = True, minutes: float = 0) -> None:
    """Another run has the cluster alone."""
    renewed = (server.clock - datetime.timedelta(minutes=minutes)).isoformat()
    for path in (HELD, *([f"{LEASES}/netcheck-r0"] if lease else [])):
        metadata = {"labels": {"netcheck.dev/run": "r0"}, "annotations": {owners.OWNER: owner}}
        server.put(path, {"metadata": metadata, "spec": {"renewTime": renewed}})


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("lease", [True, False], ids=["killed", "without a lease"])
def test_a_holder_that_is_gone_blocks_nobody(
    server: ObjectServer, run: Callable[..., Tenancy], alone: bool, lease: bool
) -> None:
    hold(server, _dead(), lease=lease)
    assert run().enter("r1", print, alone=alone).doubtful


def test_policies_of_a_holder_that_is_gone_are_said(
    server: ObjectServer, run: Callable[..., Tenancy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenancy, "standing_wide", lambda api, run: [f"GlobalNetworkPolicy of {run}"])
    hold(server, _dead())
    with pytest.raises(
        ClusterError, match=r"run r0 is over and has left .* GlobalNetworkPolicy of r0"
    ) as trouble:
        run().enter("r1", print, alone=False)
    assert trouble.value.advice == "netcheck cleanup --run r0"
    assert HELD in server.objects


def test_a_holder_on_another_machine_is_over_when_it_renews_its_lease_no_more(
    server: ObjectServer, run: Callable[..., Tenancy], monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(server, ELSEWHERE, minutes=1)
    with pytest.raises(ClusterError, match="run r0 is there, which has it alone"):
        run(patience=0.1).enter("r1", print, alone=False)
    server.clock += datetime.timedelta(seconds=presence.DURATION)
    with pytest.raises(ClusterError, match="run r0 is there"):
        # After an API server was away all leases are old: it must be seen to stay so.
        run(patience=0.1).enter("r2", print, alone=False)
    monkeypatch.setattr(presence, "WATCHED", 0.2)
    assert run().enter("r3", print, alone=False)


def test_the_user_need_not_wait(server: ObjectServer, run: Callable[..., Tenancy]) -> None:
    hold(server, owners.mark())
    made = run(patience=60)
    waiting = entering(made, "r1", alone=False)
    assert waiting(0.1) is None
    made.stopped.set()
    assert "stopped while another run had the cluster" in str(waiting())
    assert server.objects[f"{LEASES}/netcheck-r1"]["metadata"]["annotations"][presence.STATE] == ""


def test_who_gives_up_waiting_for_open_worlds_keeps_nobody_out(
    server: ObjectServer, run: Callable[..., Tenancy]
) -> None:
    one, two = run(), run(patience=0.1)
    one.enter("r1", print, alone=False)
    with pytest.raises(ClusterError, match="not free within 0 s: run r1 is there"):
        two.enter("r2", print, alone=True)
    assert HELD not in server.objects


def test_policies_that_could_not_be_removed_keep_everybody_out(
    server: ObjectServer, run: Callable[..., Tenancy]
) -> None:
    one = run()
    one.enter("r1", print, alone=True).end(standing="the API server was away")
    with pytest.raises(ClusterError, match="reach the whole cluster: the API server was away"):
        one.enter("r1", print, alone=False)
    assert HELD in server.objects


def test_doubt_is_handed_on_to_the_next_world(run: Callable[..., Tenancy]) -> None:
    one = run()
    one.enter("r1", print, alone=True).end(doubt=True)
    assert [one.enter("r1", print, alone=False).doubtful for _ in range(2)] == [True, False]


def test_a_run_that_others_may_take_for_dead_measures_nothing(
    server: ObjectServer, run: Callable[..., Tenancy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "RENEW_SECONDS", 0.01)
    made = run()
    stay = made.enter("r1", print, alone=True)
    stay.check()
    del server.objects[f"{LEASES}/netcheck-r1"]
    removed = "somebody has removed the run's lease"
    deadline = time.monotonic() + 5
    while removed not in (seen := _trouble(stay)):
        assert time.monotonic() < deadline, seen
        time.sleep(0.01)
    other = run().enter("r2", print, alone=False)
    monkeypatch.setattr(presence, "FENCE", -1.0)
    with pytest.raises(ClusterError, match="could not renew its lease"):
        other.check()


def test_a_lease_is_renewed_and_gone_at_the_end(
    server: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "RENEW_SECONDS", 0.01)
    made = Tenancy(server)
    made.arrive("r1")
    path = f"{LEASES}/netcheck-r1"
    server.clock += datetime.timedelta(seconds=30)
    deadline = time.monotonic() + 5
    while not server.objects[path]["spec"]["renewTime"].startswith("2026-03-01T12:00:30."):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    made.close()
    assert server.objects == {}


def test_many_runs_never_meet_one_that_is_alone(
    server: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenancy, "POLL", 0.001)
    inside: list[bool] = []
    met: list[list[bool]] = []
    lock = threading.Lock()

    def one(number: int) -> None:
        chance = random.Random(number)
        made = Tenancy(server, 60)
        for _ in range(15):
            stay = made.enter(f"r{number}", print, alone=chance.random() < 0.4)
            with lock:
                inside.append(stay.alone)
                met.append(list(inside))
            time.sleep(chance.uniform(0, 0.002))
            with lock:
                inside.remove(stay.alone)
            stay.end()
        made.close()

    threads = [threading.Thread(target=one, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(met) == 6 * 15
    assert any(len(item) > 1 for item in met)
    assert not [item for item in met if any(item) and len(item) > 1]
    assert server.objects == {}


def test_policies_of_the_whole_cluster_are_found_by_their_run() -> None:
    group = "policy.networking.k8s.io"

    class Server:
        def get(self, path: str, **query: str) -> dict[str, Any]:
            if path == "/apis":
                return {"groups": [{"name": name, "preferredVersion": {"groupVersion": f"{name}/v1"}}
                                   for name in (group, "cilium.io", "apps")]}  # fmt: skip
            assert query == {"labelSelector": "netcheck.dev/run=r0"}
            return {"items": [{"metadata": {"name": "default"}}]}

        def reach(self, path: str) -> dict[str, Any]:
            if "cilium" in path:
                raise leftovers.ApiError("service unavailable", 503)
            verbs = ["list", "delete"]
            wide = {"name": "baselines", "kind": "Baseline", "namespaced": False, "verbs": verbs}
            return {"resources": [wide, {**wide, "name": "policies", "namespaced": True}]}

    assert leftovers.standing_wide(Server(), "r0") == [  # type: ignore[arg-type]
        "Baseline default",
        "perhaps some of cilium.io/v1: service unavailable",
    ]
