"""Why an agent fell silent, as far as the API server knows: a reason for an error, no trouble of its own."""

from __future__ import annotations

from typing import Any, cast

import pytest

from harness.clusters.kube.api import Api
from harness.clusters.kube.errors import ApiError
from harness.clusters.kube.fates import fate


class Server:
    """An API server with one pod and its node."""

    def __init__(self, pod: dict[str, Any] | int, ready: str | int = "True") -> None:
        self._pod, self._ready = pod, ready

    def reach(self, path: str, seconds: float, **query: str) -> dict[str, Any]:
        if path == "/api/v1/nodes":
            assert query == {"fieldSelector": "metadata.name=w1"}
            if isinstance(self._ready, int):
                raise ApiError("no", self._ready)
            condition = {"type": "Ready", "status": self._ready, "reason": "NodeStatusUnknown"}
            return {"items": [{"status": {"conditions": [condition]}}]}
        assert path == "/api/v1/namespaces/n/pods/a"
        if isinstance(self._pod, int):
            raise ApiError("no", self._pod)
        return self._pod


def told(pod: dict[str, Any] | int, ready: str | int = "True") -> str:
    return fate(cast("Api", Server(pod, ready)), "n/a")


def pod(*containers: dict[str, Any], **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "a"},
        "spec": {"nodeName": "w1"},
        "status": {"containerStatuses": list(containers), **status},
    }


KILLED = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}


@pytest.mark.parametrize(
    ("found", "ready", "text"),
    [
        (pod({"state": KILLED}), "True", "its container ended: OOMKilled, exit code 137"),
        (
            pod({"state": {"running": {}}, "lastState": KILLED}),
            "True",
            "its container ended: OOMKilled, exit code 137",
        ),
        (pod({"state": {"running": {}}}), "Unknown", "node w1 is not ready: NodeStatusUnknown"),
        (pod(reason="Evicted"), "True", "the pod: Evicted"),
        (404, "True", "the pod is gone"),
        # Nothing to say, or nobody to ask: the reason of the error stays what it is.
        (pod({"state": {"running": {}}}), "True", ""),
        (pod({"state": {"running": {}}}), 403, ""),
        (0, "True", ""),
    ],
)
def test_what_is_known_of_a_pod(found: dict[str, Any] | int, ready: str | int, text: str) -> None:
    assert told(found, ready) == text


def test_a_pod_on_its_way_out() -> None:
    going = pod({"state": {"running": {}}})
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert told(going) == "the pod is being deleted"
