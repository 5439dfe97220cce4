"""What to build: the keeper's operations for nodes, pods and externals (see `keeper`).

Every pod hangs on its node by a routed pair of interfaces; every two nodes share a wire; nodes and externals
hang on `fabric`, a namespace that only forwards. Neighbours are permanent:
nothing is resolved, nothing waits, nothing is lost.
There is no interface to the machine itself: no packet can leave.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.clusters.lab.addressing import GATEWAYS, Addressing, family_of
from harness.clusters.resolve import external_place, node_place
from harness.model.topology import External, Pod

FABRIC = "fabric"
_UPLINK = 2
_POD_LINK = 2
_FIRST_INTERFACE = 10

Operations = list[list[Any]]

_UNLIMITED = {
    "?net/ipv4/icmp_ratelimit": "0",
    "?net/ipv4/icmp_ratemask": "0",
    "?net/ipv6/icmp/ratelimit": "0",
    "?net/ipv6/icmp/ratemask": "0",
}
"""Every refusal is told: neither the limits for each destination nor the one for all apply to such errors."""

_HOST_SYSCTLS = {
    **_UNLIMITED,
    "net/ipv4/ping_group_range": "0 0",
    "?net/core/somaxconn": "65535",
    "?net/ipv4/tcp_max_syn_backlog": "65535",
    "?net/ipv6/conf/default/addr_gen_mode": "1",
}
_ROUTER_SYSCTLS = {
    **_UNLIMITED,
    "net/ipv4/ip_forward": "1",
    "?net/ipv6/conf/all/forwarding": "1",
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
    "net/ipv4/conf/all/send_redirects": "0",
    "net/ipv4/conf/default/send_redirects": "0",
    "?net/ipv6/conf/default/addr_gen_mode": "1",
    "?net/core/somaxconn": "65535",
}


class Wiring:
    """Gives out interface numbers and hardware addresses, and writes operations."""

    def __init__(self, addressing: Addressing) -> None:
        self._addressing = addressing
        self._next = _FIRST_INTERFACE
        self._nodes: set[str] = set()
        self._interfaces: dict[str, str] = {}

    def interface(self, pod: str) -> str:
        """Name of the pod's interface on its node."""
        return self._interfaces[pod]

    def nodes(self) -> Operations:
        """The fabric and the nodes that are not there yet."""
        operations: Operations = []
        if not self._nodes:
            operations += [["namespace", FABRIC], ["sysctl", FABRIC, _ROUTER_SYSCTLS]]
        for node in self._addressing.nodes:
            if node in self._nodes:
                continue
            self._nodes.add(node)
            place = node_place(node)
            operations += [
                ["namespace", place],
                ["sysctl", place, {**_HOST_SYSCTLS, **_ROUTER_SYSCTLS}],
            ]
            self._hang(operations, place, self._addressing.node(node))
            number = self._next - 1
            for network, via in zip(
                self._addressing.pod_ranges(node), self._addressing.node(node), strict=True
            ):
                operations.append(["route", FABRIC, network, number, via])
            for other in sorted(self._nodes - {node}):
                self._wire(operations, node, other)
        return operations

    def _wire(self, operations: Operations, one: str, other: str) -> None:
        """A wire of their own between two nodes, so that their pods' packets take no detour by the fabric."""
        number, mac, peer_mac = self._link()
        ends = ((one, other, peer_mac), (other, one, mac))
        operations.append(
            [
                "veth",
                node_place(one),
                f"n{number}",
                number,
                mac,
                node_place(other),
                f"n{number}",
                number,
                peer_mac,
            ]
        )
        for here, there, station in ends:
            place = node_place(here)
            for address, network in zip(
                self._addressing.node(there), self._addressing.pod_ranges(there), strict=True
            ):
                single = f"{address}/32" if "." in address else f"{address}/128"
                operations += [
                    ["neighbour", place, number, address, station],
                    ["route", place, single, number, ""],
                    ["route", place, network, number, address],
                ]

    def external(self, external: External) -> Operations:
        """An address outside the cluster."""
        place = external_place(external.name)
        operations: Operations = [["namespace", place], ["sysctl", place, _HOST_SYSCTLS]]
        self._hang(operations, place, list(external.addresses.values()))
        return operations

    def pod(self, pod: Pod) -> Operations:
        """A pod's namespace and its link; for a hostNetwork pod the node's own."""
        node = node_place(self._addressing.homes[pod.id])
        if pod.host_network:
            return [["alias", pod.id, node]]
        addresses = self._addressing.pod(pod.id)
        number, mac, router = self._link()
        self._interfaces[pod.id] = f"p{number}"
        operations: Operations = [
            ["namespace", pod.id],
            ["sysctl", pod.id, _HOST_SYSCTLS],
            ["veth", node, f"p{number}", number, router, pod.id, "eth0", _POD_LINK, mac],
        ]
        self._address(operations, node, number, pod.id, addresses, mac, router)
        return operations

    def gone(self, pods: Sequence[str]) -> Operations:
        """Pods that are no more; the kernel takes their links down with them."""
        for pod in pods:
            self._interfaces.pop(pod, None)
        return [["gone", *pods]] if pods else []

    def _link(self) -> tuple[int, str, str]:
        number = self._next
        self._next += 1
        tail = f"{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
        return number, f"02:00:0a:{tail}", f"02:00:0b:{tail}"

    def _hang(self, operations: Operations, place: str, addresses: Sequence[str]) -> None:
        number, mac, router = self._link()
        operations.append(["veth", FABRIC, f"f{number}", number, router, place, "up", _UPLINK, mac])
        self._address(operations, FABRIC, number, place, addresses, mac, router)

    def _address(
        self,
        operations: Operations,
        upstream: str,
        number: int,
        place: str,
        addresses: Sequence[str],
        mac: str,
        router: str,
    ) -> None:
        for address in addresses:
            gateway = GATEWAYS[family_of(address)]
            everything = "0.0.0.0/0" if "." in address else "::/0"
            single = f"{address}/32" if "." in address else f"{address}/128"
            operations += [
                ["address", place, _POD_LINK, address],
                ["neighbour", place, _POD_LINK, gateway, router],
                ["route", place, everything, _POD_LINK, gateway],
                ["route", upstream, single, number, ""],
                ["neighbour", upstream, number, address, mac],
            ]
