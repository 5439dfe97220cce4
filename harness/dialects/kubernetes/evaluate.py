"""NetworkPolicy on paper: allow, deny or undefined, and the rules that decide (semantics.md 3.1 and 9).

Shares the parser and the selectors with the compiler, and nothing else: each checks the other.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.dialects.connection import Connection, End, Ruling
from harness.dialects.kubernetes.types import (
    BlockPeer,
    IpBlock,
    NetworkPolicy,
    PodPeer,
    PolicyPort,
    PolicyRule,
)
from harness.model.policy import Policy
from harness.model.prediction import Answer
from harness.model.probe import SourceKind
from harness.model.rules import OPEN_POINTS, Direction, Network, Origin
from harness.model.topology import Family, Pod, Protocol, Topology

Match = bool | str
"""Whether something matches: yes, no, or the open point (a key of `OPEN_POINTS`) on which that depends."""

_NOBODYS = tuple(
    ipaddress.ip_network(text)
    for text in (
        *("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"),  # RFC 5737, RFC 3849
        *("127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "::1/128", "fe80::/10", "ff00::/8"),
    )
)
"""Addresses for documentation, of the own machine, of the own link, of groups: no pod's and no node's."""


def evaluate(
    policies: Sequence[Policy], topology: Topology, direction: Direction, connection: Connection
) -> Ruling | None:
    """Decide one direction of one connection.

    Args:
        policies: NetworkPolicies; those of other dialects must not be among them.
        topology: The world with the labels as they are now.
        direction: The side that is asked.
        connection: What is to be decided.

    Returns:
        The ruling, or None when no policy has a say: the side is no pod, or nothing isolates it.
    """
    subject = connection.subject(direction)
    if subject.kind is not SourceKind.POD:
        return None
    pod = topology.pods[subject.name]
    isolating = [item for item in policies if _isolates(item.parsed, pod, direction)]
    if not isolating:
        return None
    if connection.to_itself:
        return Ruling(Answer.ALLOW, "no policy can keep a pod from itself")
    ruling = _by_rules(isolating, topology, direction, connection)
    if ruling.answer is Answer.ALLOW:
        return ruling
    ruling = _own_node(ruling, subject, connection.peer(direction), topology)
    if pod.host_network and ruling.answer is not Answer.ALLOW:
        # Either the policy is ignored, and the answer is allow, or the pod is treated as any other.
        return _open("host-network", ruling.deciding)
    return ruling


def _isolates(policy: NetworkPolicy, pod: Pod, direction: Direction) -> bool:
    return (
        policy.namespace == pod.namespace
        and direction in policy.directions
        and policy.subject.matches(pod.labels)
    )


def _by_rules(
    isolating: Sequence[Policy], topology: Topology, direction: Direction, connection: Connection
) -> Ruling:
    """The union of all rules of all isolating policies (3.1 no. 3)."""
    allowing: list[Origin] = []
    open_rules: dict[str, list[Origin]] = {}
    for policy in isolating:
        for number, rule in enumerate(policy.parsed.rules(direction)):
            match = _Question(policy.parsed, topology, direction, connection).rule(rule)
            origin = Origin(str(policy), f"{direction}[{number}]", rule.place)
            if match is True:
                allowing.append(origin)
            elif match:
                open_rules.setdefault(match, []).append(origin)
    if allowing:
        return Ruling(Answer.ALLOW, f"{direction} rule matches", tuple(allowing))
    if open_rules:
        point = next(iter(open_rules))
        return _open(point, tuple(origin for origins in open_rules.values() for origin in origins))
    isolated_by = tuple(Origin(str(policy), "", policy.place) for policy in isolating)
    if connection.protocol is Protocol.ICMP:
        return _open("icmp", isolated_by)
    return Ruling(Answer.DENY, f"isolated for {direction}, and no rule matches", isolated_by)


def _own_node(ruling: Ruling, subject: End, peer: End, topology: Topology) -> Ruling:
    """The node on which a pod runs always reaches it, and is reached (3.1 no. 11)."""
    if not _is_node(peer, topology):
        return ruling
    if subject.node is None or peer.node is None:
        return Ruling(
            Answer.UNDEFINED,
            f"{subject} and {peer}: the scenario does not say whether they share a node, "
            "and a pod's own node is always allowed",
            ruling.deciding,
        )
    if subject.node == peer.node:
        return Ruling(Answer.ALLOW, "a pod's own node is always allowed")
    return ruling


def _open(point: str, deciding: tuple[Origin, ...]) -> Ruling:
    return Ruling(Answer.UNDEFINED, f"undefined by the specification: {OPEN_POINTS[point]}", deciding, point)


def _is_node(end: End, topology: Topology) -> bool:
    """A hostNetwork pod has its node's address."""
    if end.kind is SourceKind.POD:
        return topology.pods[end.name].host_network
    return end.kind is SourceKind.NODE


@dataclass(frozen=True, slots=True)
class _Question:
    """Whether rules of one policy match one connection."""

    policy: NetworkPolicy
    topology: Topology
    direction: Direction
    connection: Connection

    def rule(self, rule: PolicyRule) -> Match:
        """Any peer AND any port (3.1 no. 5), the port asked together with the peer it belongs to."""
        return _any(self._pair(peer, rule) for peer in rule.peers or (None,))

    def _pair(self, peer: PodPeer | BlockPeer | None, rule: PolicyRule) -> Match:
        found = self._peer(peer)
        if found is False:
            return False
        if not rule.ports:
            port: Match = "icmp" if self.connection.protocol is Protocol.ICMP else True
        else:
            port = _any(self._port(item, peer) for item in rule.ports)
        if port is False:
            return False
        return port if found is True else found

    def _peer(self, peer: PodPeer | BlockPeer | None) -> Match:
        end = self.connection.peer(self.direction)
        if peer is None:
            return True
        if isinstance(peer, BlockPeer):
            return self._block(peer.block, end)
        if end.kind is not SourceKind.POD:
            return False
        pod = self.topology.pods[end.name]
        if peer.namespaces is None:
            selected = pod.namespace == self.policy.namespace
        else:
            selected = peer.namespaces.matches(self.topology.namespaces[pod.namespace].labels)
        selected = selected and peer.pods.matches(pod.labels)
        return "host-network" if selected and pod.host_network else selected

    def _block(self, block: IpBlock, end: End) -> Match:
        if (block.network.version == 4) is not (self.connection.family is Family.IPV4):
            return False
        if end.address is not None:
            inside = end.address in block.network
            return inside and not any(end.address in hole for hole in block.excepts)
        if self._elsewhere(block):
            return False
        return "ipblock-node" if _is_node(end, self.topology) else "ipblock-pod"

    def _elsewhere(self, block: IpBlock) -> bool:
        """Whether no pod or node can have an address of the block, wherever the cluster's ranges lie."""
        if any(_within(block.network, nobodys) for nobodys in _NOBODYS):
            return True
        return block.network.num_addresses == 1 and any(
            ipaddress.ip_address(text) == block.network.network_address
            for external in self.topology.externals.values()
            for text in external.addresses.values()
        )

    def _port(self, port: PolicyPort, peer: PodPeer | BlockPeer | None) -> Match:
        if port.protocol is not self.connection.protocol:
            return False
        if port.port is None:
            return True
        if isinstance(port.port, int):
            return port.port <= self.connection.port <= (port.end or port.port)
        return self._named_port(port.port, peer)

    def _named_port(self, name: str, peer: PodPeer | BlockPeer | None) -> Match:
        """A name is looked up in the destination pod; towards addresses it means nothing (3.1 no. 8)."""
        end = self.connection.destination
        towards_block = self.direction is Direction.EGRESS and isinstance(peer, BlockPeer)
        if end.kind is not SourceKind.POD or towards_block:
            return False
        pod = self.topology.pods[end.name]
        named = any(
            item.name == name
            and item.protocol is self.connection.protocol
            and item.port == self.connection.port
            for item in pod.listeners
        )
        return "host-network" if named and pod.host_network else named


def _within(inner: Network, outer: Network) -> bool:
    return (
        inner.version == outer.version
        and inner.prefixlen >= outer.prefixlen
        and (inner.network_address in outer)
    )


def _any(matches: Iterator[Match]) -> Match:
    """True if one is, else an open point if there is one, else False."""
    found: Match = False
    for match in matches:
        if match is True:
            return True
        found = found or match
    return found
