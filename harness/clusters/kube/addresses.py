"""Addresses that the cluster gave to pods, services and nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Addresses:
    """By id, one per family at most; an `AddressBook` (see `clusters.resolve`).

    Attributes:
        nodes: Host name of the cluster's node behind each letter.
        node_addresses: Internal addresses by letter.
        dns: Cluster addresses of the DNS service.
        homes: Letter of the node of each pod.
    """

    nodes: Mapping[str, str]
    node_addresses: Mapping[str, tuple[str, ...]]
    dns: tuple[str, ...]
    pods: dict[str, tuple[str, ...]] = field(default_factory=dict)
    services: dict[str, tuple[str, ...]] = field(default_factory=dict)
    homes: dict[str, str] = field(default_factory=dict)

    def pod(self, pod: str) -> tuple[str, ...]:
        """Addresses of a pod."""
        return self.pods[pod]

    def service(self, service: str) -> tuple[str, ...]:
        """Cluster addresses of a service."""
        return self.services[service]

    def node(self, node: str) -> tuple[str, ...]:
        """Addresses of a node, by its letter."""
        return self.node_addresses[node]

    def forget(self, pod: str) -> None:
        """A pod is gone."""
        self.pods.pop(pod, None)
        self.homes.pop(pod, None)
