"""The policies of the canaries: what stands beside them all the time, and what comes and goes to cut them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harness.clusters.kube.cni import Cni, CutManifest, Kind
from harness.clusters.kube.manifests import RUN_LABEL
from harness.model.rules import Direction

PORT = 8080
POD_PORT, NAMESPACE_PORT = 8081, 8082
"""Ports that a canary keeps open for the hub's newest label, and for the newest label of its namespace."""

LABEL = "netcheck.dev/turn"
NETWORK_POLICY: Kind = ("networking.k8s.io/v1", "NetworkPolicy")
DIRECTIONS = (("in", Direction.INGRESS), ("out", Direction.EGRESS))

Json = dict[str, Any]


class CanaryPolicies:
    """Writes them.

    NetworkPolicies can only allow: their canaries are isolated by what stands, and opened by what comes and
    goes. So they answer also under what denies by default (a baseline, a default deny of the whole cluster),
    which would hide them if nothing allowed them. Other kinds deny outright.

    Args:
        namespace: Where the canaries are.
        run: Id of the run.
        cni: How policies of its own kinds are written.
    """

    def __init__(self, namespace: str, run: str, cni: Cni) -> None:
        self._namespace = namespace
        self._run = run
        self._cni = cni

    def standing(self, labels: int, kinds: list[Kind]) -> Iterator[Json]:
        """What stands as long as the canaries do.

        Args:
            labels: Number of the newest labels.
            kinds: The kinds that have canaries.
        """
        first = [role(name, 0) for name, _ in DIRECTIONS]
        others = {"matchExpressions": [{"key": "role", "operator": "NotIn", "values": first}]}
        spec = {"podSelector": others, "policyTypes": ["Ingress", "Egress"], "ingress": [{}], "egress": [{}]}
        yield self._network_policy("canary-others", spec)
        yield self._network_policy("canary-shut", _isolated(role("out", 0), Direction.EGRESS))
        yield self.newest_labels(labels)
        for index, kind in enumerate(kinds):
            if kind in self._cni.beside:
                yield from self._written(self._cni.beside[kind], index)

    def newest_labels(self, number: int) -> Json:
        """Isolates, and lets the hub in as long as its labels and those of its namespace are the newest."""
        selector = {"matchLabels": {LABEL: str(number)}}
        rules = [
            {"from": [{"podSelector": selector}], "ports": [{"port": POD_PORT}]},
            {"from": [{"namespaceSelector": selector}], "ports": [{"port": NAMESPACE_PORT}]},
        ]
        return self._network_policy(
            "canary-labels", {**_isolated(role("in", 0), Direction.INGRESS), "ingress": rules}
        )

    def turning(self, kinds: list[Kind]) -> Iterator[tuple[Json, bool]]:
        """What comes and goes for canaries of these kinds, and whether it is there when they are cut."""
        for index, kind in enumerate(kinds):
            write = _opened if kind == NETWORK_POLICY else self._cni.cuts[kind]
            for manifest in self._written(write, index):
                yield manifest, kind != NETWORK_POLICY

    def _written(self, write: CutManifest, index: int) -> Iterator[Json]:
        for name, direction in DIRECTIONS:
            label = role(name, index)
            yield self._labelled(write(self._namespace, f"canary-{label}", label, direction))

    def _network_policy(self, name: str, spec: Mapping[str, Any]) -> Json:
        return self._labelled(_network_policy(self._namespace, name, spec))

    def _labelled(self, manifest: Mapping[str, Any]) -> Json:
        metadata = manifest["metadata"]
        labels = {**metadata.get("labels", {}), RUN_LABEL: self._run}
        return {**manifest, "metadata": {**metadata, "labels": labels}}


def role(direction: str, index: int) -> str:
    """Value of the canaries' label; the first kind's are plain `in` and `out`."""
    return f"{direction}{index or ''}"


def _network_policy(namespace: str, name: str, spec: Mapping[str, Any]) -> Json:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": NETWORK_POLICY[0], "kind": NETWORK_POLICY[1], "metadata": metadata, "spec": spec}


def _opened(namespace: str, name: str, role: str, direction: Direction) -> Json:
    return _network_policy(namespace, name, {**_isolated(role, direction), direction.value: [{}]})


def _isolated(label: str, direction: Direction) -> Json:
    return {"podSelector": {"matchLabels": {"role": label}}, "policyTypes": [direction.value.capitalize()]}
