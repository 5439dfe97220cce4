"""Who has which address in a lab. The ranges are those of a default kind cluster."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from harness.engine.cluster import ClusterError
from harness.model.topology import External, Family, Pod, ServiceType, Topology

POD_RANGES = {Family.IPV4: "10.244.0.0/16", Family.IPV6: "fd00:10:244::/56"}
SERVICE_RANGES = {Family.IPV4: "10.96.0.0/16", Family.IPV6: "fd00:10:96::/112"}
GATEWAYS = {Family.IPV4: "169.254.1.1", Family.IPV6: "fe80::1"}
FAMILIES = (Family.IPV4, Family.IPV6)

MAX_NODES = 16
PODS_PER_NODE = 4000
_FIRST_SERVICE = 11


def family_of(address: str) -> Family:
    """Family of an address in text form."""
    return Family.IPV6 if ":" in address else Family.IPV4


@dataclass(slots=True)
class Addressing:
    """Addresses by name, one per family; an address is never given away twice in the life of a world."""

    nodes: tuple[str, ...] = ()
    homes: dict[str, str] = field(default_factory=dict)
    _pods: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _services: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _numbers: dict[str, int] = field(default_factory=dict)
    _used: dict[str, int] = field(default_factory=dict)
    _spread: int = 0

    kubernetes: tuple[str, ...] = ("10.96.0.1", "fd00:10:96::1")
    dns: tuple[str, ...] = ("10.96.0.10", "fd00:10:96::a")

    def learn(self, topology: Topology, dns_service: str) -> None:
        """Give addresses to everything in `topology` that has none yet.

        Raises:
            ClusterError: The lab has no room for it, or an external sits on an address of the lab's own.
        """
        self.nodes = tuple(sorted({*self.nodes, *topology.nodes}))
        if len(self.nodes) > MAX_NODES:
            raise ClusterError(f"{len(self.nodes)} nodes; the lab has room for {MAX_NODES}")
        for node in self.nodes:
            self._numbers.setdefault(node, len(self._numbers))
        for pod in topology.pods.values():
            if pod.id not in self.homes or (pod.node and self.homes[pod.id] != pod.node):
                self._place(pod)
        for service in topology.services.values():
            if service.id in self._services:
                continue
            if service.type is ServiceType.HEADLESS:
                self._services[service.id] = ()
            elif service.id == dns_service:
                self._services[service.id] = self.dns
            else:
                number = _FIRST_SERVICE + len(self._services)
                self._services[service.id] = (
                    f"10.96.{number // 250}.{number % 250 + 1}",
                    f"fd00:10:96::{number:x}",
                )
        for external in topology.externals.values():
            self._check(external)

    def renew(self, pod: Pod) -> None:
        """Forget a pod's address, because it is gone or restarts."""
        self._pods.pop(pod.id, None)
        self.homes.pop(pod.id, None)

    def _place(self, pod: Pod) -> None:
        if pod.node:
            node = pod.node
        else:
            node = self.nodes[self._spread % len(self.nodes)]
            self._spread += 1
        self.homes[pod.id] = node
        if pod.host_network:
            self._pods[pod.id] = self.node(node)
            return
        number = self._used.get(node, 0)
        if number >= PODS_PER_NODE:
            raise ClusterError(f"more than {PODS_PER_NODE} pods on node {node}")
        self._used[node] = number + 1
        index = self._number(node)
        self._pods[pod.id] = (
            f"10.244.{index * 16 + number // 250}.{number % 250 + 2}",
            str(ipaddress.ip_address(f"fd00:10:244:{index:x}::{number + 2:x}")),
        )

    def _number(self, node: str) -> int:
        """Nodes are numbered as they come, because there are more letters than there is room."""
        return self._numbers[node]

    def _check(self, external: External) -> None:
        own = [
            *POD_RANGES.values(),
            *SERVICE_RANGES.values(),
            "169.254.0.0/16",
            "fe80::/10",
            "127.0.0.0/8",
            "::1/128",
        ]
        for text in external.addresses.values():
            address = ipaddress.ip_address(text)
            taken = any(
                address.version == net.version and address in net
                for net in (ipaddress.ip_network(item) for item in own)
            )
            nodes = {item for node in self.nodes for item in self.node(node)}
            if taken or text in nodes or address.is_multicast or address.is_unspecified:
                raise ClusterError(
                    f"external {external.name} has the address {text}, which belongs to the lab itself",
                    "choose another, for example from 203.0.113.0/24 or 2001:db8::/32",
                )

    def pod(self, pod: str) -> tuple[str, ...]:
        """Addresses of a pod, IPv4 first; a hostNetwork pod has its node's."""
        return self._pods[pod]

    def service(self, service: str) -> tuple[str, ...]:
        """Cluster addresses of a service; empty for a headless one."""
        return self._services[service]

    def node(self, node: str) -> tuple[str, ...]:
        """Addresses of a node."""
        number = self._number(node) + 2
        return f"172.18.0.{number}", f"fc00:f853::{number:x}"

    def pod_ranges(self, node: str) -> tuple[str, ...]:
        """Networks of the pods on a node."""
        index = self._number(node)
        return f"10.244.{index * 16}.0/20", str(ipaddress.ip_network(f"fd00:10:244:{index:x}::/64"))
