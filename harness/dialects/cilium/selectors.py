"""Cilium's label selectors: requirements on labels that carry a source (semantics.md 3.3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness.dialects.selectors import Requirement
from harness.model.topology import METADATA_NAME, Pod, Topology
from harness.source import Place

ANY, K8S, RESERVED = "any", "k8s", "reserved"
"""Sources of labels: whichever, Kubernetes, and Cilium's own names for what is no pod."""

NAMESPACE = "io.kubernetes.pod.namespace"
NAMESPACE_LABELS = "io.cilium.k8s.namespace.labels."
SERVICE_ACCOUNT = "io.cilium.k8s.policy.serviceaccount"
CLUSTER = "io.cilium.k8s.policy.cluster"
CLUSTER_NAME = "default"
"""What a cluster is called unless its Helm values say otherwise."""

HOST, REMOTE_NODE, WORLD, API_SERVER = "host", "remote-node", "world", "kube-apiserver"
"""Reserved labels of ends that scenarios have."""


@dataclass(frozen=True, slots=True)
class Term:
    """A requirement on labels of one source."""

    source: str
    requirement: Requirement

    def matches(self, labels: Mapping[str, str], reserved: Mapping[str, str]) -> bool:
        """Whether an end meets it; labels of other sources no end of a scenario has."""
        view: Mapping[str, str] = {}
        if self.source == RESERVED or (self.source == ANY and self.requirement.key in reserved):
            view = reserved
        elif self.source in (ANY, K8S):
            view = labels
        return self.requirement.matches(view)


@dataclass(frozen=True, slots=True)
class EndpointSelector:
    """A conjunction of terms, with the namespace that Cilium adds to it.

    Attributes:
        place: Where it stands in the file.
    """

    terms: tuple[Term, ...]
    place: Place

    @property
    def reserved(self) -> bool:
        """Whether it speaks of what is no pod."""
        return any(term.source == RESERVED for term in self.terms)

    def matches(self, labels: Mapping[str, str], reserved: Mapping[str, str]) -> bool:
        """Whether an end with these labels meets all terms."""
        return all(term.matches(labels, reserved) for term in self.terms)

    def matches_pod(self, pod: Pod, topology: Topology) -> bool:
        """Whether it selects a pod with a network of its own."""
        return self.matches(PodLabels(pod, topology), {})

    @property
    def clusters(self) -> bool:
        """Whether it names a cluster; scenarios do not say what theirs is called."""
        return any(term.requirement.key == CLUSTER for term in self.terms)


class PodLabels(Mapping[str, str]):
    """The labels of a pod's identity: its own and those that Cilium derives."""

    def __init__(self, pod: Pod, topology: Topology) -> None:
        self._pod = pod
        self._topology = topology

    def __getitem__(self, key: str) -> str:
        if key == NAMESPACE:
            # Worlds of all label classes have several namespaces of one name, which only the label tells.
            labels = self._topology.namespaces[self._pod.namespace].labels
            return labels.get(METADATA_NAME, self._pod.namespace)
        if key.startswith(NAMESPACE_LABELS):
            return self._topology.namespaces[self._pod.namespace].labels[key.removeprefix(NAMESPACE_LABELS)]
        if key == SERVICE_ACCOUNT:
            return self._pod.service_account
        if key == CLUSTER:
            return CLUSTER_NAME
        return self._pod.labels[key]

    def __iter__(self) -> Iterator[str]:
        yield from (NAMESPACE, SERVICE_ACCOUNT, CLUSTER)
        yield from (NAMESPACE_LABELS + key for key in self._topology.namespaces[self._pod.namespace].labels)
        yield from self._pod.labels

    def __len__(self) -> int:
        return sum(1 for _ in self)
