"""What became of a pod whose agent fell silent, as the API server knows it: for the reason of an error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harness.clusters.kube.api import Api
from harness.clusters.kube.errors import ApiError

SECONDS = 5.0
"""How long the API server may take; a reason is worth no more."""

Json = dict[str, Any]


def fate(api: Api, pod: str) -> str:
    """What happened to a pod, or to its node, in a few words; empty when nothing is known of either."""
    namespace, name = pod.split("/")
    try:
        found = api.reach(f"/api/v1/namespaces/{namespace}/pods/{name}", SECONDS)
    except ApiError as trouble:
        return "the pod is gone" if trouble.status == 404 else ""
    return "; ".join([*_of_pod(found), *_of_node(api, found["spec"].get("nodeName", ""))])


def _of_pod(pod: Json) -> Iterator[str]:
    if "deletionTimestamp" in pod["metadata"]:
        yield "the pod is being deleted"
    status = pod.get("status", {})
    if status.get("reason"):
        yield f"the pod: {status['reason']}"  # such as Evicted
    for container in status.get("containerStatuses", ()):
        for state in (container.get("state", {}), container.get("lastState", {})):
            ended = state.get("terminated")
            if ended:
                reason = ended.get("reason") or "no reason given"
                yield f"its container ended: {reason}, exit code {ended.get('exitCode', '?')}"
                break


def _of_node(api: Api, node: str) -> Iterator[str]:
    if not node:
        return
    try:
        (found,) = api.reach("/api/v1/nodes", SECONDS, fieldSelector=f"metadata.name={node}")["items"]
    except (ApiError, ValueError):
        return
    for condition in found.get("status", {}).get("conditions", ()):
        if condition["type"] == "Ready" and condition["status"] != "True":
            yield f"node {node} is not ready: {condition.get('reason') or condition['status']}"
