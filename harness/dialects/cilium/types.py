"""What the parser makes of Cilium's objects; defaults are filled in, places are kept."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from harness.dialects.cilium.selectors import EndpointSelector
from harness.dialects.selectors import LabelSelector
from harness.model.application import Application
from harness.model.names import NamePattern
from harness.model.rules import Action, Direction, Network
from harness.model.topology import Family, Protocol
from harness.source import Place


class Entity(StrEnum):
    """Names for ends that are no single endpoint."""

    ALL = "all"
    WORLD = "world"
    CLUSTER = "cluster"
    CLUSTER_MESH = "cluster-mesh"
    HOST = "host"
    REMOTE_NODE = "remote-node"
    KUBE_APISERVER = "kube-apiserver"
    INIT = "init"
    INGRESS = "ingress"
    UNMANAGED = "unmanaged"
    HEALTH = "health"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class EndpointPeer:
    """Endpoints by labels."""

    selector: EndpointSelector
    place: Place


@dataclass(frozen=True, slots=True)
class EntityPeer:
    """An entity."""

    entity: Entity
    place: Place


@dataclass(frozen=True, slots=True)
class CidrPeer:
    """Addresses of `network` outside of `excepts`, as far as they are outside of the cluster."""

    network: Network
    excepts: tuple[Network, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class GroupPeer:
    """Addresses of the CiliumCIDRGroups with this name, or with these labels."""

    name: str
    selector: LabelSelector | None
    excepts: tuple[Network, ...]
    place: Place

    def means(self, group: CidrGroup) -> bool:
        """Whether it is one of them."""
        if self.selector is None:
            return group.name == self.name
        return self.selector.matches(dict(group.labels))


@dataclass(frozen=True, slots=True)
class NodePeer:
    """Other nodes by their labels."""

    selector: EndpointSelector
    place: Place


@dataclass(frozen=True, slots=True)
class ServicePeer:
    """The endpoints behind services: one by its name, or those that have labels.

    Attributes:
        namespace: Empty = any.
        name: Empty where `selector` says which.
    """

    namespace: str
    name: str
    selector: LabelSelector | None
    place: Place


@dataclass(frozen=True, slots=True)
class FqdnPeer:
    """Addresses that were learned for names."""

    name: NamePattern
    place: Place


@dataclass(frozen=True, slots=True)
class CloudPeer:
    """Machines by their groups at a cloud."""

    place: Place


Peer = EndpointPeer | EntityPeer | CidrPeer | GroupPeer | NodePeer | ServicePeer | FqdnPeer | CloudPeer


@dataclass(frozen=True, slots=True)
class Port:
    """Destination ports.

    Attributes:
        protocols: All that are meant; empty for protocols that no probe speaks.
        first: A number, 0 for every port, or a name.
        last: Last port of a range that begins at `first`; None = it is none.
    """

    protocols: tuple[Protocol, ...]
    first: int | str
    last: int | None
    place: Place


@dataclass(frozen=True, slots=True)
class PortRule:
    """An item of `toPorts`: any of the ports, and of what goes there only what the rest says.

    Attributes:
        application: What is looked for in what goes there; None = nothing is.
        places: Of the items of `application`, in their order.
        foreign: A listener of Envoy's, secrets or TLS contexts, which only the cluster knows; empty = none.
    """

    ports: tuple[Port, ...]
    application: Application | None
    places: tuple[Place, ...]
    foreign: str
    place: Place


@dataclass(frozen=True, slots=True)
class IcmpField:
    """One type of ICMP."""

    family: Family
    type: int
    place: Place


@dataclass(frozen=True, slots=True)
class CiliumRule:
    """One rule: any of `peers` AND any of `ports` or `icmps`.

    Attributes:
        name: As in `ingress[0]`, `egressDeny[1]`, `specs[1].ingress[0]`.
        side: The field with the peers, such as `fromEndpoints`; empty where none is given.
        peers: None = the rule names none; empty = an empty list, which nobody is in.
        authentication: Its `authentication.mode`; empty = not given.
    """

    name: str
    action: Action
    side: str
    peers: tuple[Peer, ...] | None
    ports: tuple[PortRule, ...]
    icmps: tuple[IcmpField, ...]
    authentication: str
    place: Place

    @property
    def looks_into(self) -> bool:
        """Whether something of what it allows is looked into."""
        return any(item.application or item.foreign for item in self.ports)

    @property
    def idle(self) -> bool:
        """Whether it can match nothing: neither peers nor ports are given (semantics.md 3.3)."""
        return not self.peers and (self.peers is not None or not (self.ports or self.icmps))


@dataclass(frozen=True, slots=True)
class CiliumSpec:
    """`spec`, or an item of `specs`.

    Attributes:
        subject: The endpoints that it selects; None where it selects nodes.
        nodes: The nodes that it selects.
        isolates: Directions in which it denies what nothing allows.
    """

    subject: EndpointSelector | None
    nodes: EndpointSelector | None
    ingress: tuple[CiliumRule, ...]
    egress: tuple[CiliumRule, ...]
    isolates: frozenset[Direction]
    place: Place

    def rules(self, direction: Direction) -> tuple[CiliumRule, ...]:
        """The rules of one direction, those that allow first."""
        return self.ingress if direction is Direction.INGRESS else self.egress


@dataclass(frozen=True, slots=True)
class CiliumPolicy:
    """A CiliumNetworkPolicy, or a CiliumClusterwideNetworkPolicy, whose namespace is empty."""

    namespace: str
    specs: tuple[CiliumSpec, ...]
    place: Place

    @property
    def of_nodes(self) -> bool:
        """Whether it has a say about nodes."""
        return any(spec.nodes is not None for spec in self.specs)


@dataclass(frozen=True, slots=True)
class CidrGroup:
    """A CiliumCIDRGroup: addresses that policies refer to by its name or labels."""

    name: str
    labels: tuple[tuple[str, str], ...]
    networks: tuple[Network, ...]
    place: Place
