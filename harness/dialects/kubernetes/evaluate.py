"""NetworkPolicy on paper: whom a policy isolates, and which of its rules match (semantics.md 3.1).

Shares the parser and the selectors with the compiler, and nothing else: each checks the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.dialects.connection import Connection, End
from harness.dialects.kubernetes.types import BlockPeer, IpBlock, PodPeer, PolicyPort, PolicyRule
from harness.dialects.paper import elsewhere, is_node, port_text, selected
from harness.dialects.standing import Match, Standing, depends_on
from harness.model.policy import Policy
from harness.model.probe import SourceKind
from harness.model.rules import NETWORK_POLICY_TIER, Action, Direction
from harness.model.topology import Family, Pod, Protocol, Topology
from harness.model.trace import Part
from harness.source import Place

_CALICO_ORDER = 1000
"""Where Calico puts NetworkPolicies in their tier (semantics.md 3.4); alone they have no order."""

_SIDES = {Direction.INGRESS: "from", Direction.EGRESS: "to"}


def standing(
    policies: Sequence[Policy], topology: Topology, direction: Direction, pod: Pod
) -> Iterator[Standing]:
    """The NetworkPolicies that isolate a pod in one direction (3.1 no. 1 to 3)."""
    for policy in policies:
        spec = policy.parsed
        if (
            spec.namespace == pod.namespace
            and direction in spec.directions
            and spec.subject.matches(pod.labels)
        ):
            found = _Standing(policy, NETWORK_POLICY_TIER, spec.rules(direction), direction, topology)
            # Either the policy is ignored, or the pod is treated as any other (section 4 no. 3).
            found.doubt = "host-network" if pod.host_network else None
            yield found


class _Standing(Standing):
    """One NetworkPolicy: it isolates, and any of its rules may allow (3.1 no. 3)."""

    order = _CALICO_ORDER
    ordered = False
    isolates = True

    def action(self, rule: PolicyRule) -> Action:
        """NetworkPolicies can only allow."""
        return Action.ALLOW

    def silent(self, connection: Connection) -> str | None:
        """Whether isolation concerns ICMP is open (3.1 no. 12)."""
        settled = connection.personality.isolates_icmp is not None
        return "icmp" if connection.protocol is Protocol.ICMP and not settled else None

    def matches(self, rule: PolicyRule, connection: Connection) -> Match:
        """Any peer AND any port (3.1 no. 5), the port asked together with the peer it belongs to."""
        return _any(self._pair(peer, rule, connection) for peer in rule.peers or (None,))

    def near(self, rule: PolicyRule, connection: Connection) -> bool:
        """See `Standing.near`."""
        return any(self._peer(peer, connection) is not False for peer in rule.peers or (None,))

    def parts(self, rule: PolicyRule, connection: Connection) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
        """See `Standing.parts`."""
        side = _SIDES[self.direction]
        peers = tuple(
            _part(f"{side}[{number}]", self._peer(peer, connection), self._why(peer, connection), peer.place)
            for number, peer in enumerate(rule.peers)
        )
        ports = tuple(
            _part(f"ports[{number}]", self._port(port, connection), _wanted(port), port.place)
            for number, port in enumerate(rule.ports)
        )
        return peers, ports

    def _pair(self, peer: PodPeer | BlockPeer | None, rule: PolicyRule, connection: Connection) -> Match:
        found = self._peer(peer, connection)
        if found is False:
            return False
        if not rule.ports:
            plain = connection.protocol is not Protocol.ICMP
            port: Match = plain or connection.personality.reads("icmp")
        else:
            port = _any(self._port(item, connection) for item in rule.ports)
        if port is False:
            return False
        return port if found is True else found

    def _peer(self, peer: PodPeer | BlockPeer | None, connection: Connection) -> Match:
        if peer is None:
            return True
        end = connection.peer(self.direction)
        if isinstance(peer, BlockPeer):
            return self._block(peer.block, end, connection)
        if end.kind is not SourceKind.POD:
            return False
        pod = self.topology.pods[end.name]
        if peer.namespaces is None:
            found = pod.namespace == self.policy.parsed.namespace and peer.pods.matches(pod.labels)
        else:
            found = selected(peer.namespaces, peer.pods, pod, self.topology)
        return connection.personality.reads("host-network") if found and pod.host_network else found

    def _why(self, peer: PodPeer | BlockPeer, connection: Connection) -> str:
        end = connection.peer(self.direction)
        if isinstance(peer, BlockPeer):
            if end.address is None:
                return f"{end} against {peer.block}: ipBlocks are meant for addresses outside of the cluster"
            return f"{end.address} against {peer.block}"
        if end.kind is not SourceKind.POD:
            return f"{end} is no pod"
        pod = self.topology.pods[end.name]
        if peer.namespaces is None and pod.namespace != self.policy.parsed.namespace:
            return f"{end} is not in {self.policy.parsed.namespace}, and the peer has no namespaceSelector"
        labels = self.topology.namespaces[pod.namespace].labels
        if peer.namespaces is not None and not peer.namespaces.matches(labels):
            return f"the labels of namespace {pod.namespace} do not match"
        if not peer.pods.matches(pod.labels):
            return f"the labels of {end} do not match"
        return f"{end} matches"

    def _block(self, block: IpBlock, end: End, connection: Connection) -> Match:
        if (block.network.version == 4) is not (connection.family is Family.IPV4):
            return False
        if end.address is not None:
            inside = end.address in block.network
            return inside and not any(end.address in hole for hole in block.excepts)
        if elsewhere(block.network, self.topology):
            return False
        point = "ipblock-node" if is_node(end, self.topology) else "ipblock-pod"
        found = connection.personality.reads(point)
        if found is True and (block.network.prefixlen or not self._beside_all(block)):
            # Which addresses pods and nodes have, no file says.
            return "address"
        return found

    def _beside_all(self, block: IpBlock) -> bool:
        """Whether no exception of a block can be the address of a pod or node."""
        return all(elsewhere(hole, self.topology) for hole in block.excepts)

    def _port(self, port: PolicyPort, connection: Connection) -> Match:
        if port.protocol is not connection.protocol:
            return False
        if port.port is None:
            return True
        if isinstance(port.port, int):
            return port.port <= connection.port <= (port.end or port.port)
        return self._named_port(port.port, connection)

    def _named_port(self, name: str, connection: Connection) -> Match:
        """A name is looked up in the destination pod; it means nothing outside of them (3.1 no. 8).

        Whoever lets an ipBlock stand for a pod looks it up there, too.
        """
        end = connection.destination
        if end.kind is not SourceKind.POD:
            return False
        pod = self.topology.pods[end.name]
        named = any(
            item.name == name and item.protocol is connection.protocol and item.port == connection.port
            for item in pod.listeners
        )
        return connection.personality.reads("host-network") if named and pod.host_network else named


def _part(name: str, match: Match, why: str, place: Place) -> Part:
    if isinstance(match, str):
        return Part(name, None, f"{why}; {depends_on(match)}", place)
    return Part(name, match, why, place)


def _wanted(port: PolicyPort) -> str:
    return f"wants {port_text(port.protocol, port.port, port.end)}"


def _any(matches: Iterator[Match]) -> Match:
    """True if one is, else an open point if there is one, else False."""
    found: Match = False
    for match in matches:
        if match is True:
            return True
        found = found or match
    return found
