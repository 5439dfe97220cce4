"""What several dialects ask of a world on paper."""

from __future__ import annotations

import ipaddress

from harness.dialects.connection import End
from harness.dialects.selectors import LabelSelector
from harness.model.probe import SourceKind
from harness.model.rules import Network
from harness.model.topology import Pod, Protocol, Topology

_NOBODYS = tuple(
    ipaddress.ip_network(text)
    for text in (
        *("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"),  # RFC 5737, RFC 3849
        *("127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "::1/128", "fe80::/10", "ff00::/8"),
    )
)
"""Addresses for documentation, of the own machine, of the own link, of groups: no pod's and no node's."""


def selected(namespaces: LabelSelector, pods: LabelSelector, pod: Pod, topology: Topology) -> bool:
    """Whether the labels of a pod and of its namespace both match."""
    return pods.matches(pod.labels) and namespaces.matches(topology.namespaces[pod.namespace].labels)


def is_node(end: End, topology: Topology) -> bool:
    """Whether an end has a node's address, as a hostNetwork pod has."""
    if end.kind is SourceKind.POD:
        return topology.pods[end.name].host_network
    return end.kind is SourceKind.NODE


def elsewhere(network: Network, topology: Topology) -> bool:
    """Whether no pod or node can have an address of the network, wherever the cluster's ranges lie."""
    if any(_within(network, nobodys) for nobodys in _NOBODYS):
        return True
    return network.num_addresses == 1 and any(
        ipaddress.ip_address(text) == network.network_address
        for external in topology.externals.values()
        for text in external.addresses.values()
    )


def port_text(protocol: Protocol, first: int | str | None, last: int | None = None) -> str:
    """Ports in words: `8080/TCP`, `8000-8999/TCP`, `http/TCP`, `any port of TCP`."""
    if first is None:
        return f"any port of {protocol}"
    span = f"{first}-{last}" if last is not None and last != first else str(first)
    return f"{span}/{protocol}"


def _within(inner: Network, outer: Network) -> bool:
    return (
        inner.version == outer.version
        and inner.prefixlen >= outer.prefixlen
        and (inner.network_address in outer)
    )
