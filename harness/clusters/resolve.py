"""From a probe in the words of a scenario to an address that packets can be sent to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from typing import Protocol as Interface

from harness.clusters.request_options import (
    TOO_OLD,
    UnresolvedError,
    at_authority,
    dns_options,
    http_options,
    shown,
    tls_options,
)
from harness.model.builtin import CLUSTER_DOMAIN, DNS_POD
from harness.model.probe import DnsQuery, HttpRequest, Probe, Target, TargetKind, TlsRequest
from harness.model.serving import admits
from harness.model.topology import Family, Protocol, Service, ServicePort, ServiceType, Topology

_KINDS = {Protocol.TCP: "tcp", Protocol.UDP: "udp", Protocol.SCTP: "sctp", Protocol.ICMP: "icmp"}
_PROTOCOLS = {**{kind: protocol for protocol, kind in _KINDS.items()}, "tls": Protocol.TCP}


class AddressBook(Interface):
    """Who has which addresses, one per family at most.

    Attributes:
        dns: Addresses of the cluster's DNS service.
    """

    dns: tuple[str, ...]

    @property
    def homes(self) -> Mapping[str, str]:
        """Letter of the node that each pod runs on."""
        ...

    def pod(self, pod: str) -> tuple[str, ...]:
        """Addresses of a pod."""
        ...

    def service(self, service: str) -> tuple[str, ...]:
        """Cluster addresses of a service; empty for a headless one."""
        ...

    def node(self, node: str) -> tuple[str, ...]:
        """Addresses of a node, by its letter."""
        ...


def pick(addresses: Iterable[str], family: Family) -> str | None:
    """The address of one family, or None."""
    six = family is Family.IPV6
    for address in addresses:
        if (":" in address) is six:
            return address
    return None


def node_place(node: str) -> str:
    """What a node is called as a source, and as a namespace of the lab."""
    return f"node:{node}"


def external_place(name: str) -> str:
    """What an external is called as a source, and as a namespace of the lab."""
    return f"external:{name}"


@dataclass(frozen=True, slots=True)
class Proof:
    """Where a live listener must answer from inside: place, kind of probe, address, port."""

    place: str
    kind: str
    address: str
    port: int
    options: tuple[tuple[str, Any], ...] = ()

    def spec(self, index: int) -> list[Any]:
        """As an entry of a plan."""
        options = {key: list(value) if isinstance(value, tuple) else value for key, value in self.options}
        return [index, self.place, self.kind, self.address, self.port, options]


@dataclass(frozen=True, slots=True)
class Leg:
    """One probe of a service among several, each of which is to meet another pod.

    Attributes:
        spec: What the prober sends.
        server: Id of the pod that it must meet.
    """

    spec: list[Any]
    server: str


@dataclass(frozen=True, slots=True)
class Resolved:
    """A probe ready to be sent.

    Attributes:
        spec: `[source, kind, address, port, options]`, as the prober wants it.
        servers: Ids that may answer; empty = whoever does.
        proofs: What must listen for a denial to be one.
        tour: What has to be sent to meet every pod behind a service; empty where there is only one way.
    """

    spec: list[Any]
    servers: tuple[str, ...]
    proofs: tuple[Proof, ...]
    tour: tuple[Leg, ...] = ()

    @property
    def identity(self) -> str:
        """SPIFFE ID of the certificate that the client shows; empty when it shows none."""
        return str(self.spec[4].get("certificate") or "").removesuffix(TOO_OLD)

    @property
    def one_address(self) -> bool:
        """Whether all pods of the tour stand behind one address; the address alone leads to none of them."""
        return len({leg.spec[2] for leg in self.tour}) == 1


Destination = tuple[str, int, tuple[str, ...], tuple[Proof, ...], tuple[tuple[str, str], ...]]
"""Address, port, who may answer, what must listen, and each pod behind a service with what meets it."""


class Resolver:
    """Resolves the probes of one sweep; many of them share their destinations."""

    def __init__(self, topology: Topology, addressing: AddressBook) -> None:
        self._topology = topology
        self._addressing = addressing
        self._known: dict[tuple[str, str, int, str, str, str], Destination] = {}

    def resolve(self, probe: Probe) -> Resolved:
        """Find the addresses of a probe.

        Raises:
            UnresolvedError: The source or destination has no address of the probe's family.
        """
        source = str(probe.source)
        if isinstance(probe.request, DnsQuery):
            options = dns_options(probe.request, probe)
            return Resolved([source, "dns", self._resolver(probe), 53, options], (), self._dns_proof(probe))
        kind = _KINDS[probe.target.protocol]
        options = {}
        if isinstance(probe.request, HttpRequest):
            kind = "http"
            options = http_options(probe.request)
        elif isinstance(probe.request, TlsRequest):
            kind = "tls"
            options = tls_options(probe.request, probe, self._topology)
        if probe.target.kind is TargetKind.HOST:
            name = probe.target.name
            lookup = {"names": [name], "type": "A" if probe.family is Family.IPV4 else "AAAA"}
            options = {**options, **lookup, "kind": kind, "port": probe.target.port}
            if kind == "http":
                options = at_authority(options, f"{name}:{probe.target.port}")
            proofs = self._dns_proof(probe) + self._host_proof(probe, kind)
            return Resolved([source, "host", self._resolver(probe), 53, options], (), proofs)
        address, port, servers, proofs, ways = self._destination(
            probe.target, probe.family, "tcp" if kind == "http" else kind
        )
        spec = [source, kind, address, port, options]
        return Resolved(spec, servers, proofs, _tour(spec, ways))

    def dialled(self, resolved: Resolved, address: str) -> Resolved:
        """A `host:` probe whose name led to `address`: what answers there must listen too.

        Nothing is proven of an address that belongs to nobody in this world.
        """
        options = resolved.spec[4]
        family = Family.IPV6 if ":" in address else Family.IPV4
        kind = "tcp" if options["kind"] == "http" else options["kind"]
        target = self._owner(address, options["names"][0], options["port"], _PROTOCOLS[kind])
        if target is None:
            return replace(resolved, proofs=())
        try:
            _, _, servers, proofs, ways = self._destination(target, family, kind)
        except (UnresolvedError, KeyError):
            return replace(resolved, proofs=())
        both = (*resolved.proofs, *proofs) if proofs else ()
        onward = [resolved.spec[0], options["kind"], address, options["port"], options]
        return replace(resolved, servers=servers, proofs=tuple(dict.fromkeys(both)), tour=_tour(onward, ways))

    def _owner(self, address: str, name: str, port: int, protocol: Protocol) -> Target | None:
        topology, addressing = self._topology, self._addressing
        for service in topology.services.values():
            # The name of a headless service leads to any of its pods, which the answer puts first.
            if address in addressing.service(service.id) or _names(service, name, protocol):
                return Target(TargetKind.SERVICE, service.id, port, protocol)
        for pod in topology.pods.values():
            if not pod.host_network and address in addressing.pod(pod.id):
                return Target(TargetKind.POD, pod.id, port, protocol)
        for external in topology.externals.values():
            if address in external.addresses.values():
                return Target(TargetKind.EXTERNAL, external.name, port, protocol)
        for node in topology.nodes:
            if address in addressing.node(node):
                return Target(TargetKind.NODE, node, port, protocol)
        return None

    def _destination(self, target: Target, family: Family, kind: str) -> Destination:
        key = (target.kind.value, target.name, target.port, target.protocol.value, family.value, kind)
        if key not in self._known:
            self._known[key] = self._find(target, family, kind)
        return self._known[key]

    def _find(self, target: Target, family: Family, kind: str) -> Destination:
        topology, addressing = self._topology, self._addressing
        if target.kind is TargetKind.POD:
            address = _need(pick(addressing.pod(target.name), family), target.name, family)
            proof = self._proof(target.name, kind, address, target.port)
            return address, target.port, (target.name,), (proof,), ()
        if target.kind is TargetKind.EXTERNAL:
            external = topology.externals[target.name]
            address = _need(external.addresses.get(family), f"external {target.name}", family)
            place = external_place(target.name)
            return address, target.port, (place,), (Proof(place, kind, address, target.port),), ()
        if target.kind is TargetKind.NODE:
            address = _need(pick(addressing.node(target.name), family), f"node {target.name}", family)
            place = node_place(target.name)
            servers = tuple(
                pod.id
                for pod in topology.pods.values()
                if pod.host_network and addressing.homes[pod.id] == target.name
            )
            return address, target.port, servers, (Proof(place, kind, address, target.port),), ()
        return self._translated(target, family, kind)

    def _proof(self, pod: str, kind: str, address: str, port: int) -> Proof:
        """A pod that takes only some identities must answer one of them."""
        found = self._topology.pods.get(pod)
        takes = admits(found, port) if found is not None and kind in ("tcp", "tls") else ()
        if found is None or not takes:
            return Proof(pod, kind, address, port)
        servers = () if found.identity is None else (found.identity,)
        return Proof(pod, "tls", address, port, (*shown(takes[0], servers).items(),))

    def _translated(self, target: Target, family: Family, kind: str) -> Destination:
        """Services: the address that is dialled, and the pods behind it."""
        addressing = self._addressing
        service, port = self._offer(target)
        backends = self._topology.backends(service, port)
        if service.type is ServiceType.HEADLESS:
            # No translation: the client dials a pod, at the port that it names (semantics.md 3.1 no. 13).
            if not backends:
                raise UnresolvedError(f"headless service {service.id} has no pods behind it")
            ids = tuple(dict.fromkeys(pod.id for pod, _ in backends))
            direct = tuple(
                self._proof(id, kind, _need(pick(addressing.pod(id), family), id, family), target.port)
                for id in ids
            )
            ways = tuple((proof.place, proof.address) for proof in direct)
            return direct[0].address, target.port, ids, direct, ways
        if target.kind is TargetKind.SERVICE:
            address = _need(pick(addressing.service(service.id), family), f"service {service.id}", family)
        else:
            address = _need(pick(addressing.node(target.name), family), f"node {target.name}", family)
        proofs = []
        for pod, number in backends:
            backend = pick(addressing.pod(pod.id), family)
            if backend:
                proofs.append(self._proof(pod.id, kind, backend, number))
        return (
            address,
            target.port,
            tuple(pod.id for pod, _ in backends),
            tuple(proofs),
            tuple((proof.place, address) for proof in proofs),
        )

    def _offer(self, target: Target) -> tuple[Service, ServicePort]:
        """The service port that a target means."""
        offers = [
            (service, port)
            for service in self._topology.services.values()
            for port in service.ports
            if port.protocol == target.protocol
            and (service.id == target.name if target.kind is TargetKind.SERVICE else True)
        ]
        for service, port in offers:
            number = port.port if target.kind is TargetKind.SERVICE else port.node_port
            if number == target.port:
                return service, port
        for service, port in offers:
            if target.kind is TargetKind.SERVICE and service.type is ServiceType.HEADLESS:
                return service, port
        raise UnresolvedError(f"no service offers {target}")

    def _resolver(self, probe: Probe) -> str:
        if probe.target.kind is TargetKind.HOST and self._addressing.dns:
            # Applications ask whom they can for addresses of either family.
            return pick(self._addressing.dns, probe.family) or self._addressing.dns[0]
        return _need(pick(self._addressing.dns, probe.family), "the cluster's DNS", probe.family)

    def _dns_proof(self, probe: Probe) -> tuple[Proof, ...]:
        known = DNS_POD in self._topology.pods
        address = pick(self._addressing.pod(DNS_POD), probe.family) if known else None
        if address is None:
            return ()
        names = (f"kubernetes.default.svc.{CLUSTER_DOMAIN}",)
        return (Proof(DNS_POD, "dns", address, 53, (("names", names), ("type", "A"))),)

    def _host_proof(self, probe: Probe, kind: str) -> tuple[Proof, ...]:
        name = probe.target.name.rstrip(".").lower()
        for external in self._topology.externals.values():
            address = external.addresses.get(probe.family)
            if address and name in (item.rstrip(".").lower() for item in external.names):
                kind = "tcp" if kind == "http" else kind
                return (Proof(external_place(external.name), kind, address, probe.target.port),)
        return ()


def _names(service: Service, name: str, protocol: Protocol) -> bool:
    """Whether a name is that of a headless service with such a port."""
    full = f"{service.name}.{service.namespace}.svc.{CLUSTER_DOMAIN}"
    offers = any(port.protocol is protocol for port in service.ports)
    return service.type is ServiceType.HEADLESS and offers and name.rstrip(".").lower() == full


def _tour(spec: list[Any], ways: tuple[tuple[str, str], ...]) -> tuple[Leg, ...]:
    if len(ways) < 2:
        return ()
    source, kind, _, port, options = spec
    if len({way for _, way in ways}) > 1:
        return tuple(Leg([source, kind, way, port, options], pod) for pod, way in ways)
    return tuple(
        Leg([source, kind, way, port, {**options, **mark(number)}], pod)
        for number, (pod, way) in enumerate(ways)
    )


def mark(backend: int) -> dict[str, int]:
    """What packets carry that are meant for one of several pods behind an address, as options of a probe.

    Chance, or taking turns, would not do: what a policy drops, the kernel and the prober send again, and that
    is translated anew. Enough for all pods that a world may have.

    Args:
        backend: Number of the pod, from 0, as `Topology.backends` counts.
    """
    turns, dscp = divmod(backend, MARKS)
    options = {"dscp": dscp + 1}
    if turns:
        options["hops"] = HOPS + turns
    return options


MARKS = 63
"""Values that a DSCP may have, besides that of packets which carry none."""

HOPS = 64
"""The hop limit that packets leave with, unless they carry another one."""


def _need(address: str | None, what: str, family: Family) -> str:
    if address is None:
        raise UnresolvedError(f"{what} has no {family} address")
    return address
