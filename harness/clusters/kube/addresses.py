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

    def ways(self) -> dict[str, str]:
        """Address of the node that leads to each address of a pod or node; a node leads to itself."""
        found = {item: item for addresses in self.node_addresses.values() for item in addresses}
        for pod, letter in self.homes.items():
            for address in self.pods.get(pod, ()):
                for node in self.node_addresses[letter]:
                    if (":" in node) == (":" in address):
                        found.setdefault(address, node)
        return found

    def forget(self, pod: str) -> None:
        """A pod is gone."""
        self.pods.pop(pod, None)
        self.homes.pop(pod, None)
