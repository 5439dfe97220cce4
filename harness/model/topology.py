"""The world of a scenario: namespaces, pods, services, externals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from harness.model.identity import SvidSource

DEFAULT_NODES = ("a", "b")
"""Every world has at least two nodes, so that both same-node and cross-node paths exist."""

METADATA_NAME = "kubernetes.io/metadata.name"
"""The label that the API server sets on every namespace."""


class Protocol(StrEnum):
    """Transport protocols that a probe can use."""

    TCP = "TCP"
    UDP = "UDP"
    SCTP = "SCTP"
    ICMP = "ICMP"


class Family(StrEnum):
    """IP families, spelled as in scenario files."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"


class ServiceType(StrEnum):
    """Service types of the scenario language."""

    CLUSTER_IP = "ClusterIP"
    NODE_PORT = "NodePort"
    HEADLESS = "Headless"


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace; `labels` always carries `kubernetes.io/metadata.name`."""

    name: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Listener:
    """A port that a pod or external listens on.

    Attributes:
        name: The containerPort's name.
        allow: SPIFFE IDs whose certificates the port takes; it then speaks nothing but mutual TLS. Empty =
            it speaks to anybody, with TLS or without.
    """

    port: int
    protocol: Protocol = Protocol.TCP
    name: str | None = None
    allow: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod.

    Attributes:
        node: Letter of the node that the author asked for; None = spread.
        host_network: The pod shares its node's network namespace and address.
        identity: SPIFFE ID that its certificate names; None = it has none.
        svid: Who gives it this certificate; None = netcheck issues it.
    """

    namespace: str
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    listeners: tuple[Listener, ...] = ()
    service_account: str = "default"
    node: str | None = None
    host_network: bool = False
    identity: str | None = None
    svid: SvidSource | None = None

    @property
    def id(self) -> str:
        """`namespace/name`, the name used everywhere."""
        return f"{self.namespace}/{self.name}"

    def listens(self, port: int, protocol: Protocol) -> bool:
        """Whether a listener stands on `port`/`protocol`."""
        return any(item.port == port and item.protocol == protocol for item in self.listeners)


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of a service; `target` is a number or the name of a container port."""

    port: int
    target: int | str
    protocol: Protocol = Protocol.TCP
    name: str | None = None
    node_port: int | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """A service; selects pods of its own namespace by equality of labels."""

    namespace: str
    name: str
    selector: Mapping[str, str]
    ports: tuple[ServicePort, ...]
    type: ServiceType = ServiceType.CLUSTER_IP
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class External:
    """An address outside the cluster.

    Attributes:
        addresses: One address per family at most (text form).
        names: DNS names that the cluster's DNS resolves to the addresses.
    """

    name: str
    addresses: Mapping[Family, str]
    listeners: tuple[Listener, ...] = ()
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Topology:
    """Everything a cluster has to build; keys are the objects' ids, in the order of the file."""

    namespaces: Mapping[str, Namespace] = field(default_factory=dict)
    pods: Mapping[str, Pod] = field(default_factory=dict)
    services: Mapping[str, Service] = field(default_factory=dict)
    externals: Mapping[str, External] = field(default_factory=dict)

    @property
    def nodes(self) -> tuple[str, ...]:
        """Letters of the nodes: `a`, `b` and whatever letters the pods name."""
        named = {pod.node for pod in self.pods.values() if pod.node}
        return tuple(sorted({*DEFAULT_NODES, *named}))

    def backends(self, service: Service, port: ServicePort) -> tuple[tuple[Pod, int], ...]:
        """Pods behind one service port with the port number that each serves.

        A named target port is looked up per pod, by name and protocol; a pod without it is no backend.
        """
        found = []
        for pod in self.pods.values():
            if pod.namespace != service.namespace or not service.selector:
                continue
            if any(pod.labels.get(key) != value for key, value in service.selector.items()):
                continue
            if isinstance(port.target, int):
                found.append((pod, port.target))
                continue
            named = (
                item for item in pod.listeners if item.name == port.target and item.protocol == port.protocol
            )
            found.extend((pod, item.port) for item in named)
        return tuple(found)
