"""Which nodes pods may run on: ready, Linux, chosen by the pod template; pods tolerate their taints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from harness.clusters.kube.template import PodTemplate
from harness.engine.cluster import ClusterError

Json = Mapping[str, Any]
CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
_SYSTEM = "kubernetes.io/os"
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def usable(items: Iterable[Json], template: PodTemplate) -> tuple[list[tuple[str, tuple[str, ...]]], bool]:
    """Host names and addresses of the nodes to use, and whether control planes are among them.

    Args:
        items: The cluster's nodes.
        template: Narrows them, and says which taints the pods tolerate.

    Raises:
        ClusterError: There is none.
    """
    workers: list[tuple[str, tuple[str, ...]]] = []
    control: list[tuple[str, tuple[str, ...]]] = []
    reasons = []
    for item in sorted(items, key=lambda item: str(item["metadata"]["name"])):
        labels = item["metadata"].get("labels", {})
        why = _unusable(item, labels, template)
        if why:
            reasons.append(f"{item['metadata']['name']} {why}")
            continue
        addresses = tuple(
            each["address"] for each in item["status"].get("addresses", ()) if each["type"] == "InternalIP"
        )
        host = labels.get("kubernetes.io/hostname", item["metadata"]["name"])
        (control if CONTROL_PLANE in labels else workers).append((host, addresses))
    # A path within a node and one across need two nodes; small clusters have only their control plane left.
    if len(workers) >= 2 or (workers and not control):
        return workers, False
    if not workers and not control:
        raise ClusterError(
            f"the cluster has no node that pods may run on: {'; '.join(reasons[:5]) or 'it has none at all'}",
            "kubectl get nodes; taints are tolerated and nodes chosen by --pod-template",
        )
    return workers + control, True


def is_ready(item: Json) -> bool:
    """Whether the cluster takes a node for ready."""
    conditions = item["status"].get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def runs_linux(item: Json) -> bool:
    """Whether pods of netcheck's can run on a node at all."""
    return bool(item["metadata"].get("labels", {}).get(_SYSTEM, "linux") == "linux")


def _unusable(item: Json, labels: Mapping[str, str], template: PodTemplate) -> str:
    if not is_ready(item):
        return "is not ready"
    if not runs_linux(item):
        return f"runs {labels[_SYSTEM]}"
    if item["spec"].get("unschedulable"):
        return "is cordoned"
    for taint in item["spec"].get("taints", ()):
        hard = taint.get("effect") in ("NoSchedule", "NoExecute")
        # Whether control planes are needed is decided later; the pods tolerate them then.
        if hard and taint["key"] != CONTROL_PLANE and not _tolerated(taint, template.tolerations):
            return f"has the taint {taint['key']}"
    if any(labels.get(key) != value for key, value in template.node_selector.items()):
        return "is not chosen by nodeSelector"
    terms = template.spec.get("affinity", {}).get("nodeAffinity", {}).get(_REQUIRED)
    if terms and not any(_term(each, labels) for each in terms["nodeSelectorTerms"]):
        return "is not chosen by nodeAffinity"
    return ""


def _tolerated(taint: Json, tolerations: Iterable[Json]) -> bool:
    """As the scheduler decides it (core/v1 Toleration.ToleratesTaint)."""
    for item in tolerations:
        if item.get("effect") and item["effect"] != taint.get("effect"):
            continue
        if item.get("key") and item["key"] != taint["key"]:
            continue
        if item.get("operator") == "Exists" or (item.get("value") or "") == (taint.get("value") or ""):
            return True
    return False


def _term(term: Json, labels: Mapping[str, str]) -> bool:
    """All expressions of a term; an empty term chooses nothing (core/v1 NodeSelectorTerm)."""
    expressions = term.get("matchExpressions", ())
    return bool(expressions) and all(_expression(each, labels) for each in expressions)


def _expression(each: Json, labels: Mapping[str, str]) -> bool:
    value, values = labels.get(each["key"]), each.get("values", ())
    match each["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case operator:
            try:
                have, bound = int(value or ""), int(values[0])
            except (ValueError, IndexError):
                return False
            return have > bound if operator == "Gt" else have < bound
