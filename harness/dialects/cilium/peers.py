"""Whether a peer of a Cilium rule means an end of a connection, on paper (semantics.md 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.dialects.cilium.selectors import CLUSTER, HOST, REMOTE_NODE, WORLD, EndpointSelector, PodLabels
from harness.dialects.cilium.types import (
    CidrGroup,
    CidrPeer,
    CloudPeer,
    EndpointPeer,
    Entity,
    EntityPeer,
    FqdnPeer,
    GroupPeer,
    NodePeer,
    Peer,
    ServicePeer,
)
from harness.dialects.connection import End
from harness.dialects.paper import elsewhere, is_node
from harness.dialects.standing import Match
from harness.model.probe import SourceKind
from harness.model.rules import Network
from harness.model.topology import Family, Service, Topology


@dataclass(frozen=True, slots=True)
class Ends:
    """What peers are held against.

    Attributes:
        subject: The pod whose policies are asked.
        looked_up: The name that the subject looked up just before; None = it dialled an address.
        family: Of the connection.
        cidr: Cilium's `policyCIDRMatchMode`: who in the cluster has addresses that CIDRs mean.
    """

    subject: End
    peer: End
    topology: Topology
    groups: Sequence[CidrGroup]
    looked_up: str | None = None
    family: Family = Family.IPV4
    cidr: frozenset[str] = frozenset()

    @property
    def node(self) -> bool:
        """Whether the peer has a node's address."""
        return is_node(self.peer, self.topology)

    @property
    def pod(self) -> bool:
        """Whether the peer is a pod with a network of its own."""
        return self.peer.kind is SourceKind.POD and not self.node

    @property
    def own_node(self) -> Match:
        """Whether the peer is the node on which the subject runs."""
        if not self.node:
            return False
        if self.subject.node is None or self.peer.node is None:
            return "placement"
        return self.subject.node == self.peer.node


def means(peer: Peer, ends: Ends) -> Match:
    """Whether a peer of a rule means the other end."""
    return _MEANS[type(peer)](peer, ends)


def services(peer: ServicePeer, topology: Topology) -> list[Service]:
    """The services of the world that are meant."""
    found = []
    for service in topology.services.values():
        if peer.namespace not in ("", service.namespace):
            continue
        if peer.selector.matches(service.labels) if peer.selector is not None else peer.name == service.name:
            found.append(service)
    return found


def _endpoints(peer: EndpointPeer, ends: Ends) -> Match:
    return _labels(peer.selector, ends)


def _labels(selector: EndpointSelector, ends: Ends) -> Match:
    if ends.pod:
        pod = ends.topology.pods[ends.peer.name]
        labels = PodLabels(pod, ends.topology)
        terms = [term for term in selector.terms if term.requirement.key != CLUSTER]
        if not all(term.matches(labels, {}) for term in terms):
            return False
        return "cluster-name" if len(terms) < len(selector.terms) else True
    if not selector.reserved:
        # Who has no labels meets what excludes labels, such as a namespace.
        return selector.matches({}, {})
    if ends.peer.kind is SourceKind.EXTERNAL:
        return "reserved-label" if selector.matches({}, {WORLD: ""}) else False
    here, there = (selector.matches({}, {name: ""}) for name in (HOST, REMOTE_NODE))
    own = ends.own_node
    if isinstance(own, str):
        return own if here is not there else here
    return here if own else there


def _entity(peer: EntityPeer, ends: Ends) -> Match:
    own = ends.own_node
    match peer.entity:
        case Entity.ALL:
            return True
        case Entity.WORLD:
            return ends.peer.kind is SourceKind.EXTERNAL
        case Entity.CLUSTER | Entity.CLUSTER_MESH:
            return ends.peer.kind is not SourceKind.EXTERNAL
        case Entity.HOST:
            return own
        case Entity.REMOTE_NODE:
            return own if isinstance(own, str) else ends.node and not own
        case Entity.KUBE_APISERVER:
            return "api-server" if ends.node else False
        case _:
            return False


def _cidr(peer: CidrPeer, ends: Ends) -> Match:
    return _outside([peer.network], peer.excepts, ends)


def _group(peer: GroupPeer, ends: Ends) -> Match:
    return _outside(members(peer, ends.groups), peer.excepts, ends)


def members(peer: GroupPeer, groups: Sequence[CidrGroup]) -> list[Network]:
    """The addresses of the groups that are meant."""
    found: list[Network] = []
    for group in groups:
        if peer.means(group):
            found += group.networks
    return found


def _outside(networks: Sequence[Network], excepts: Sequence[Network], ends: Ends) -> Match:
    """Addresses mean nobody inside of the cluster, whatever they are, unless Cilium was told otherwise."""
    if ends.peer.kind is not SourceKind.EXTERNAL:
        return ("nodes" if ends.node else "pods") in ends.cidr and _inside(networks, excepts, ends)
    address = ends.peer.address
    if address is None:
        return False
    return any(address in network for network in networks) and not any(address in hole for hole in excepts)


def _inside(networks: Sequence[Network], excepts: Sequence[Network], ends: Ends) -> Match:
    """The cluster chooses the addresses of pods and nodes, so that only all of them are certain."""
    version = 4 if ends.family is Family.IPV4 else 6
    possible = [item for item in networks if item.version == version and not elsewhere(item, ends.topology)]
    if not possible:
        return False
    every = any(not item.prefixlen for item in possible)
    holes = [item for item in excepts if item.version == version]
    return True if every and all(elsewhere(hole, ends.topology) for hole in holes) else "address"


def _nodes(peer: NodePeer, ends: Ends) -> Match:
    own = ends.own_node
    if own is True or not ends.node:
        return False
    if isinstance(own, str):
        return own
    return "node-labels" if peer.selector.terms else True


def _services(peer: ServicePeer, ends: Ends) -> Match:
    if not ends.pod:
        return False
    pod = ends.topology.pods[ends.peer.name]
    return any(
        service.namespace == pod.namespace
        and service.selector
        and all(pod.labels.get(key) == value for key, value in service.selector.items())
        for service in services(peer, ends.topology)
    )


def _fqdn(peer: FqdnPeer, ends: Ends) -> Match:
    """What a name stands for is learned from lookups; which ones there were, only the cluster knows."""
    if ends.peer.kind is not SourceKind.EXTERNAL:
        return False
    if ends.looked_up is not None and peer.name.matches(ends.looked_up):
        return True
    known = ends.topology.externals.get(ends.peer.name)
    # Of an address that is no external of the world, nothing tells which names stand for it.
    stands = known is None or any(peer.name.matches(name) for name in known.names)
    return "domain-name" if stands else False


def _cloud(peer: CloudPeer, ends: Ends) -> Match:
    return "cloud-groups" if ends.peer.kind is SourceKind.EXTERNAL else False


_MEANS: dict[type, Callable[[Any, Ends], Match]] = {
    EndpointPeer: _endpoints,
    EntityPeer: _entity,
    CidrPeer: _cidr,
    GroupPeer: _group,
    NodePeer: _nodes,
    ServicePeer: _services,
    FqdnPeer: _fqdn,
    CloudPeer: _cloud,
}
