"""Pods that cannot run, as an API server tells it: what the user reads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest

from harness.clusters.kube.api import Api
from harness.clusters.kube.grounds import Grounds
from harness.clusters.kube.manifests import PodOptions
from harness.clusters.kube.objects import Objects
from harness.engine.cluster import ClusterError


class Listed:
    """An API server that has one pod."""

    def __init__(self, pod: dict[str, Any]) -> None:
        self._pod = pod

    def get(self, path: str, **query: str) -> dict[str, Any]:
        return {"items": [self._pod], "metadata": {"resourceVersion": "1"}}

    def watch(self, path: str, version: str, seconds: float, **query: str) -> Iterator[dict[str, Any]]:
        threading.Event().wait(seconds)  # nothing changes
        return iter(())


def awaited(
    status: dict[str, Any], options: PodOptions | None = None, **spec: Any
) -> dict[str, tuple[str, ...]]:
    pod = {"metadata": {"namespace": "ops", "name": "agent"}, "spec": spec, "status": status}
    api = cast("Api", Listed(pod))
    return Objects(api, "r1", options or PodOptions(), Grounds(api)).await_pods(["ops/agent"])


def ended(message: str) -> dict[str, Any]:
    return {"terminated": {"exitCode": 1, "reason": "Error", "message": message}}


TAKEN = "ops/agent cannot listen on 0.0.0.0 port 9100/TCP: Address already in use"


@pytest.mark.parametrize(
    "container",
    [
        {"state": ended(f"noise\n{TAKEN}\n")},
        {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ended(TAKEN)},
        {"state": {"running": {}}, "lastState": ended(TAKEN)},
    ],
)
def test_a_port_that_the_node_has_taken_is_said(container: dict[str, Any]) -> None:
    with pytest.raises(ClusterError, match=f"pod ops/agent ended at once: {TAKEN}") as trouble:
        awaited({"containerStatuses": [container]}, hostNetwork=True)
    assert "those of the node" in trouble.value.advice


def test_an_agent_that_ends_without_a_word() -> None:
    silent = {"state": {"terminated": {"exitCode": 127}}}
    with pytest.raises(ClusterError, match="ended at once: exit code 127") as trouble:
        awaited({"containerStatuses": [silent]})
    assert "python3" in trouble.value.advice


def test_an_image_without_the_agent() -> None:
    trace = "Traceback (most recent call last):\n  ...\nModuleNotFoundError: No module named 'probes'\n"
    ours = PodOptions(agent_inside=True)
    with pytest.raises(ClusterError, match="ended at once: ModuleNotFoundError") as trouble:
        awaited({"containerStatuses": [{"state": ended(trace)}]}, ours)
    assert "--agent inject" in trouble.value.advice
    waiting = {"waiting": {"reason": "ErrImageNeverPull", "message": 'image "x" is not present'}}
    with pytest.raises(ClusterError, match='ErrImageNeverPull: image "x" is not present') as trouble:
        awaited({"containerStatuses": [{"state": waiting}]}, ours)
    assert "netcheck's agent" in trouble.value.advice


def test_a_pod_that_runs_has_addresses() -> None:
    status = {"containerStatuses": [{"state": {"running": {}}}], "podIPs": [{"ip": "10.0.0.1"}]}
    assert awaited(status) == {"ops/agent": ("10.0.0.1",)}


def test_a_pod_gets_the_time_that_the_user_gives_it() -> None:
    unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no room"}
    text = "pod ops/agent did not run within 1 s: Unschedulable: no room"
    with pytest.raises(ClusterError, match=text) as trouble:
        awaited({"conditions": [unscheduled]}, PodOptions(start_seconds=1))
    assert "--pod-timeout" in trouble.value.advice
