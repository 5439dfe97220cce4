"""Whether a fresh cluster is ready, by watch: its nodes, daemon sets and deployments."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

from harness.clusters.kind.cni import Workload
from harness.clusters.kind.process import InterruptedCommandError, Stop
from harness.clusters.kube.api import Api, ApiError
from harness.engine.cluster import ClusterError

READY_SECONDS = 600.0
"""How long a fresh cluster may take: plugins pull their images first (Calico's own CI allows 20 min)."""

_GLANCE = 5.0
"""Seconds of one watch; between two it is seen that nobody waits any more."""

_HOPELESS = ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "CrashLoopBackOff")

Json = dict[str, Any]
Found = dict[tuple[str, str], Json]
"""Objects of a collection by namespace and name."""


def await_ready(
    api: Api, expected: Sequence[Workload], *, seconds: float = READY_SECONDS, stop: Stop | None = None
) -> None:
    """Wait until nodes are ready and whatever runs on the cluster is rolled out.

    Args:
        api: The cluster.
        expected: What must be there, beside whatever else is.
        seconds: How long it may take.
        stop: Set when nobody waits any more.

    Raises:
        ClusterError: It takes longer; the text says what is not ready and why.
    """
    deadline = time.monotonic() + seconds
    try:
        for plural in ("daemonsets", "deployments"):
            mine = [item for item in expected if item.plural == plural]
            until(
                api,
                f"/apis/apps/v1/{plural}",
                functools.partial(_rolled_out, mine),
                deadline,
                stop,
            )
        until(api, "/api/v1/nodes", _nodes_ready, deadline, stop)
    except ClusterError as trouble:
        if isinstance(trouble, InterruptedCommandError):
            raise
        raise ClusterError(f"{trouble}{_pods_in_trouble(api)}", trouble.advice) from trouble


def until(
    api: Api, path: str, missing: Callable[[Found], str], deadline: float, stop: Stop | None = None
) -> None:
    """Wait until nothing is missing in a collection.

    Args:
        api: The cluster.
        path: URL path of the collection.
        missing: Says what is missing, empty when nothing is.
        deadline: On the monotonic clock.
        stop: Set when nobody waits any more.

    Raises:
        ClusterError: Something is missing still; the text says what.
        InterruptedCommandError: `stop` was set.
    """
    why = "nothing is known of it"
    while True:
        listed = api.get(path)
        found = {_key(item): item for item in listed["items"]}
        version = str(listed["metadata"]["resourceVersion"])
        why = missing(found)
        while why:
            if stop is not None and stop.is_set():
                raise InterruptedCommandError("interrupted", program="netcheck")
            left = deadline - time.monotonic()
            if left <= 0:
                raise ClusterError(f"the cluster is not ready in time: {why}")
            try:
                for event in api.watch(path, version, min(_GLANCE, left)):
                    if event["type"] == "ERROR":
                        raise ApiError("the watch is too old", 410)
                    item = event["object"]
                    version = str(item["metadata"]["resourceVersion"])
                    if event["type"] == "DELETED":
                        found.pop(_key(item), None)
                    else:
                        found[_key(item)] = item
                    why = missing(found)
                    if not why:
                        break
            except ApiError:
                break
        if not why:
            return


def _key(item: Json) -> tuple[str, str]:
    metadata = item["metadata"]
    return str(metadata.get("namespace", "")), str(metadata["name"])


def _nodes_ready(found: Found) -> str:
    for (_, name), node in sorted(found.items()):
        conditions = {each["type"]: each for each in node.get("status", {}).get("conditions", ())}
        ready = conditions.get("Ready", {})
        if ready.get("status") != "True":
            return f"node {name} is not ready: {ready.get('message', 'nothing is known of it')}"
    return "" if found else "there is no node"


def _rolled_out(expected: Sequence[Workload], found: Found) -> str:
    for each in expected:
        if (each.namespace, each.name) not in found:
            return f"{each} does not exist"
    for (namespace, name), item in sorted(found.items()):
        spec, status = item.get("spec", {}), item.get("status", {})
        if "template" in spec and "replicas" in spec:
            wanted, updated = spec["replicas"], status.get("updatedReplicas", 0)
            available = status.get("availableReplicas", 0)
        else:
            # A daemon set that has seen no node yet wants none; the cluster has at least one.
            wanted = max(1, status.get("desiredNumberScheduled", 0))
            updated = status.get("updatedNumberScheduled", 0)
            available = status.get("numberAvailable", 0)
            if _fits_no_node(spec, status, item):
                continue
        fresh = status.get("observedGeneration", 0) >= item["metadata"].get("generation", 0)
        if not fresh or updated < wanted or available < wanted:
            return f"{namespace}/{name} has {available} of {wanted} pods available"
    return ""


def _fits_no_node(spec: Json, status: Json, item: Json) -> bool:
    """A daemon set for other nodes (of Windows, say) wants no pod at all, and that is known."""
    selector = spec.get("template", {}).get("spec", {}).get("nodeSelector") or {}
    seen = status.get("observedGeneration", 0) >= item["metadata"].get("generation", 1)
    return bool(seen and status.get("desiredNumberScheduled") == 0 and selector)


def _pods_in_trouble(api: Api) -> str:
    """Why pods do not run, the first few of them; what is told to whoever waits in vain."""
    try:
        pods = api.get("/api/v1/pods")["items"]
    except ClusterError:
        return ""
    lines = []
    for pod in pods:
        status = pod.get("status", {})
        for container in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
            waiting = container.get("state", {}).get("waiting") or {}
            if waiting.get("reason") in _HOPELESS:
                name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
                why = f"{waiting['reason']} {str(waiting.get('message', ''))[:200]}".strip()
                lines.append(f"; pod {name}: {why}")
                break
    return "".join(lines[:3])
