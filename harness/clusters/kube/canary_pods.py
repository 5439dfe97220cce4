"""The pods of the canaries, and the probes that show whether they are cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.clusters.kube.canary_policies import (
    DIRECTIONS,
    LABEL,
    NAMESPACE_PORT,
    POD_PORT,
    PORT,
    role,
)
from harness.clusters.kube.cni import Kind
from harness.model.topology import Listener, Pod

_LISTEN = (Listener(PORT), Listener(POD_PORT), Listener(NAMESPACE_PORT))


def hub(namespace: str) -> str:
    """Id of the pod that the canaries are probed from, and that probe it."""
    return f"{namespace}/hub"


def pods(
    namespace: str, nodes: Sequence[str], kinds: Sequence[Kind], labels: int
) -> dict[str, tuple[Pod, str]]:
    """The canaries' pods with the node of each, by id: the hub, and two of each kind on each node.

    Args:
        namespace: Where they are.
        nodes: Host names.
        kinds: The kinds of policies that have canaries.
        labels: Number of the newest labels.
    """
    marked = {"role": "hub", LABEL: str(labels)}
    found = {hub(namespace): (Pod(namespace, "hub", marked, listeners=_LISTEN), nodes[0])}
    for index in range(len(kinds)):
        for number, node in enumerate(nodes):
            for direction, _ in DIRECTIONS:
                label = role(direction, index)
                pod = Pod(namespace, f"{label}-{number}", {"role": label}, listeners=_LISTEN)
                found[pod.id] = (pod, node)
    return found


def looks(
    namespace: str, addresses: Mapping[str, Sequence[str]], kinds: int, nodes: int
) -> tuple[dict[str, list[list[Any]]], int]:
    """Probes by their source, for a sweep; and the number of the first that is about labels.

    Args:
        namespace: Where the canaries are.
        addresses: Theirs, by id.
        kinds: How many kinds have canaries.
        nodes: How many nodes have.
    """
    middle = hub(namespace)
    plan: dict[str, list[list[Any]]] = {middle: []}
    number = 0
    for index in range(kinds):
        for node in range(nodes):
            target = addresses[f"{namespace}/{role('in', index)}-{node}"][0]
            plan[middle].append([number, middle, "tcp", target, PORT, {}])
            source = f"{namespace}/{role('out', index)}-{node}"
            plan[source] = [[number + 1, source, "tcp", addresses[middle][0], PORT, {}]]
            number += 2
    labels_from = number
    for node in range(nodes):
        target = addresses[f"{namespace}/{role('in', 0)}-{node}"][0]
        for port in (POD_PORT, NAMESPACE_PORT):
            plan[middle].append([number, middle, "tcp", target, port, {}])
            number += 1
    return plan, labels_from
