"""Admin policies on paper: whom a policy selects, and which of its rules match (semantics.md 3.2).

Shares the parser and the selectors with the compiler, and nothing else: each checks the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.dialects.admin.types import (
    AdminRule,
    AdminTier,
    NameSet,
    NetworkSet,
    NodeSet,
    Peer,
    PodSet,
    Port,
    PortName,
)
from harness.dialects.connection import Connection, End
from harness.dialects.paper import elsewhere, is_node, port_text, selected
from harness.dialects.selectors import LabelSelector
from harness.dialects.standing import Match, Standing, depends_on
from harness.model.builtin import CLUSTER_DOMAIN
from harness.model.policy import Policy
from harness.model.probe import SourceKind
from harness.model.rules import ADMIN_TIER, BASELINE_TIER, Action, Direction
from harness.model.topology import Family, Pod, Topology
from harness.model.trace import Part
from harness.source import Place

_TIERS = {AdminTier.ADMIN: ADMIN_TIER, AdminTier.BASELINE: BASELINE_TIER}
_SIDES = {Direction.INGRESS: "from", Direction.EGRESS: "to"}


def standing(
    policies: Sequence[Policy], topology: Topology, direction: Direction, pod: Pod
) -> Iterator[Standing]:
    """The admin policies that select a pod and have rules for the direction; never a hostNetwork pod."""
    if pod.host_network:
        return
    for policy in policies:
        spec = policy.parsed
        rules = spec.rules(direction)
        if rules and selected(spec.subject.namespaces, spec.subject.pods, pod, topology):
            found = _Standing(policy, _TIERS[spec.tier], rules, direction, topology)
            found.order = spec.priority
            yield found


class _Standing(Standing):
    """One admin policy: the first of its rules that matches decides; what none matches it leaves alone."""

    def action(self, rule: AdminRule) -> Action:
        """See `Standing.action`."""
        return rule.action

    def matches(self, rule: AdminRule, connection: Connection) -> Match:
        """Any peer AND, if there are ports, any port."""
        found: Match = not rule.ports or any(self._port(port, connection) for port in rule.ports)
        return found and self._any_peer(rule.peers, connection)

    def near(self, rule: AdminRule, connection: Connection) -> bool:
        """See `Standing.near`."""
        return self._any_peer(rule.peers, connection) is not False

    def parts(self, rule: AdminRule, connection: Connection) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
        """See `Standing.parts`."""
        side = _SIDES[self.direction]
        peers = tuple(
            _part(f"{side}[{number}]", self._peer(peer, connection), self._why(peer, connection), peer.place)
            for number, peer in enumerate(rule.peers)
        )
        field = "ports" if self.policy.api_version.endswith("/v1alpha1") else "protocols"
        ports = tuple(
            _part(f"{field}[{number}]", self._port(port, connection), f"wants {_wanted(port)}", port.place)
            for number, port in enumerate(rule.ports)
        )
        return peers, ports

    def _any_peer(self, peers: tuple[Peer, ...], connection: Connection) -> Match:
        found: Match = False
        for peer in peers:
            match = self._peer(peer, connection)
            if match is True:
                return True
            found = found or match
        return found

    def _peer(self, peer: Peer, connection: Connection) -> Match:
        end = connection.peer(self.direction)
        if isinstance(peer, PodSet):
            return self._pods(peer, end)
        if isinstance(peer, NodeSet):
            return is_node(end, self.topology) and _labels_of_nodes(peer.nodes)
        if isinstance(peer, NetworkSet):
            return self._networks(peer, end, connection.family)
        return self._names(peer, end)

    def _pods(self, peer: PodSet, end: End) -> bool:
        if end.kind is not SourceKind.POD:
            return False
        pod = self.topology.pods[end.name]
        # The API leaves out pods with their node's network in so many words.
        return not pod.host_network and selected(peer.namespaces, peer.pods, pod, self.topology)

    def _networks(self, peer: NetworkSet, end: End, family: Family) -> Match:
        """Pods and nodes have addresses like everybody else; which ones, the files do not say."""
        found: Match = False
        for network in peer.networks:
            if (network.version == 4) is not (family is Family.IPV4):
                continue
            if not network.prefixlen:
                return True
            if end.address is not None:
                if end.address in network:
                    return True
            elif not elsewhere(network, self.topology):
                found = "address"
        return found

    def _names(self, peer: NameSet, end: End) -> Match:
        """Which addresses a name stands for, each CNI learns in its own way."""
        if end.kind is SourceKind.EXTERNAL:
            known = self.topology.externals.get(end.name)
            # Of an address that is no external of the world, nothing tells which names stand for it.
            stands = known is None or any(
                _named(pattern, name) for pattern in peer.names for name in known.names
            )
        else:
            stands = any(f".{pattern}".endswith(f".{CLUSTER_DOMAIN}") for pattern in peer.names)
        return "domain-name" if stands else False

    def _port(self, port: Port, connection: Connection) -> bool:
        if not isinstance(port, PortName):
            return port.protocol is connection.protocol and port.first <= connection.port <= port.last
        end = connection.destination
        return end.kind is SourceKind.POD and any(
            item.name == port.name and item.protocol is connection.protocol and item.port == connection.port
            for item in self.topology.pods[end.name].listeners
        )

    def _why(self, peer: Peer, connection: Connection) -> str:
        end = connection.peer(self.direction)
        if isinstance(peer, NodeSet):
            return f"{end} is {'a node' if is_node(end, self.topology) else 'no node'}"
        if isinstance(peer, NetworkSet):
            networks = ", ".join(str(network) for network in peer.networks)
            return f"{end.address or end} against {networks}"
        if isinstance(peer, NameSet):
            return f"{end} against {', '.join(peer.names)}"
        if end.kind is not SourceKind.POD:
            return f"{end} is no pod"
        pod = self.topology.pods[end.name]
        if pod.host_network:
            return f"{end} has its node's network, and such pods are never selected"
        if not peer.namespaces.matches(self.topology.namespaces[pod.namespace].labels):
            return f"the labels of namespace {pod.namespace} do not match"
        if not peer.pods.matches(pod.labels):
            return f"the labels of {end} do not match"
        return f"{end} matches"


def _labels_of_nodes(selector: LabelSelector) -> Match:
    """Every node meets a selector without requirements; no file says which labels nodes have."""
    return "node-labels" if selector.requirements else True


def _named(pattern: str, name: str) -> bool:
    name = name.rstrip(".").lower()
    return name.endswith(pattern[1:]) if pattern.startswith("*.") else name == pattern


def _part(name: str, match: Match, why: str, place: Place) -> Part:
    if isinstance(match, str):
        return Part(name, None, f"{why}; {depends_on(match)}", place)
    return Part(name, match, why, place)


def _wanted(port: Port) -> str:
    if isinstance(port, PortName):
        return f"the port that the pod calls {port.name}"
    return port_text(port.protocol, port.first, port.last)
