"""From a probe in the words of a scenario to an address on the lab's wires."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.clusters.lab.addressing import Addressing, pick
from harness.clusters.lab.wiring import external_place, node_place
from harness.model.builtin import CLUSTER_DOMAIN, DNS_POD
from harness.model.probe import DnsQuery, HttpRequest, Probe, SourceKind, TargetKind
from harness.model.topology import Family, Protocol, ServiceType, Topology

_KINDS = {Protocol.TCP: "tcp", Protocol.UDP: "udp", Protocol.SCTP: "sctp", Protocol.ICMP: "icmp"}


class UnresolvedError(Exception):
    """The probe has no address to go to; the text says why."""


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
class Resolved:
    """A probe ready to be sent.

    Attributes:
        spec: `[source, kind, address, port, options]`, as the prober wants it.
        servers: Ids that may answer; empty = whoever does.
        proofs: What must listen for a denial to be one.
    """

    spec: list[Any]
    servers: tuple[str, ...]
    proofs: tuple[Proof, ...]


def resolve(probe: Probe, topology: Topology, addressing: Addressing) -> Resolved:
    """Find the addresses of a probe.

    Raises:
        UnresolvedError: The source or destination has no address of the probe's family.
    """
    source = str(probe.source)
    dns_address = _need(pick(addressing.dns, probe.family), "the cluster's DNS", probe.family)
    if isinstance(probe.request, DnsQuery):
        options = _dns_options(probe.request, probe)
        proof = _dns_proof(topology, addressing, probe.family)
        return Resolved([source, "dns", dns_address, 53, options], (), proof)
    kind = _KINDS[probe.target.protocol]
    options = {}
    if isinstance(probe.request, HttpRequest):
        kind = "http"
        request = probe.request
        options = {
            "method": request.method,
            "path": request.path,
            "headers": [list(item) for item in request.headers],
            "host": request.host,
            "body": request.body,
        }
    if probe.target.kind is TargetKind.HOST:
        name = probe.target.name
        lookup = {"names": [name], "type": "A" if probe.family is Family.IPV4 else "AAAA"}
        options = {**options, **lookup, "kind": kind, "port": probe.target.port}
        if kind == "http" and not options.get("host"):
            options["host"] = f"{name}:{probe.target.port}"
        proofs = _dns_proof(topology, addressing, probe.family) + _host_proof(probe, kind, topology)
        return Resolved([source, "host", dns_address, 53, options], (), proofs)
    address, port, servers, proofs = _destination(
        probe, "tcp" if kind == "http" else kind, topology, addressing
    )
    return Resolved([source, kind, address, port, options], servers, proofs)


def _destination(
    probe: Probe, kind: str, topology: Topology, addressing: Addressing
) -> tuple[str, int, tuple[str, ...], tuple[Proof, ...]]:
    target, family = probe.target, probe.family
    if target.kind is TargetKind.POD:
        address = _need(pick(addressing.pod(target.name), family), target.name, family)
        return address, target.port, (target.name,), (Proof(target.name, kind, address, target.port),)
    if target.kind is TargetKind.EXTERNAL:
        external = topology.externals[target.name]
        address = _need(external.addresses.get(family), f"external {target.name}", family)
        place = external_place(target.name)
        return address, target.port, (place,), (Proof(place, kind, address, target.port),)
    if target.kind is TargetKind.NODE:
        address = _need(pick(addressing.node(target.name), family), f"node {target.name}", family)
        place = node_place(target.name)
        servers = tuple(
            pod.id
            for pod in topology.pods.values()
            if pod.host_network and addressing.homes[pod.id] == target.name
        )
        return address, target.port, servers, (Proof(place, kind, address, target.port),)
    return _translated(probe, kind, topology, addressing)


def _translated(
    probe: Probe, kind: str, topology: Topology, addressing: Addressing
) -> tuple[str, int, tuple[str, ...], tuple[Proof, ...]]:
    """Services: the address that is dialled, and the pods behind it."""
    target, family = probe.target, probe.family
    if target.kind is TargetKind.NODEPORT:
        address = _need(pick(addressing.node(target.name), family), f"node {target.name}", family)
        chosen = [
            (service, port)
            for service in topology.services.values()
            for port in service.ports
            if port.node_port == target.port and port.protocol == target.protocol
        ]
    else:
        service = topology.services[target.name]
        chosen = [
            (service, port)
            for port in service.ports
            if (port.port == target.port or service.type is ServiceType.HEADLESS)
            and port.protocol == target.protocol
        ]
        address = ""
    if not chosen:
        raise UnresolvedError(f"no service offers {target}")
    service, port = next(((item, number) for item, number in chosen if number.port == target.port), chosen[0])
    backends = topology.backends(service, port)
    if service.type is ServiceType.HEADLESS:
        # No translation: the client dials the pod, at the port that it names (semantics.md 3.1 no. 13).
        if not backends:
            raise UnresolvedError(f"headless service {service.id} has no pods behind it")
        first = backends[0][0]
        address = _need(pick(addressing.pod(first.id), family), first.id, family)
        return address, target.port, (first.id,), (Proof(first.id, kind, address, target.port),)
    if target.kind is TargetKind.SERVICE:
        address = _need(pick(addressing.service(service.id), family), f"service {service.id}", family)
    proofs = []
    for pod, number in backends:
        backend = pick(addressing.pod(pod.id), family)
        if backend:
            proofs.append(Proof(pod.id, kind, backend, number))
    return address, target.port, tuple(pod.id for pod, _ in backends), tuple(proofs)


def _need(address: str | None, what: str, family: Family) -> str:
    if address is None:
        raise UnresolvedError(f"{what} has no {family} address")
    return address


def _dns_options(request: DnsQuery, probe: Probe) -> dict[str, Any]:
    names = [request.name]
    if request.search and not request.name.endswith("."):
        namespace = probe.source.name.split("/")[0] if probe.source.kind is SourceKind.POD else "default"
        suffixes = [f"{namespace}.svc.{CLUSTER_DOMAIN}", f"svc.{CLUSTER_DOMAIN}", CLUSTER_DOMAIN]
        expanded = [f"{request.name}.{suffix}" for suffix in suffixes]
        # As a pod's resolver does with ndots:5.
        names = [*names, *expanded] if request.name.count(".") >= 5 else [*expanded, *names]
    return {"names": names, "type": request.type, "tcp": request.tcp}


def _dns_proof(topology: Topology, addressing: Addressing, family: Family) -> tuple[Proof, ...]:
    address = pick(addressing.pod(DNS_POD), family) if DNS_POD in topology.pods else None
    if address is None:
        return ()
    names = (f"kubernetes.default.svc.{CLUSTER_DOMAIN}",)
    return (Proof(DNS_POD, "dns", address, 53, (("names", names), ("type", "A"))),)


def _host_proof(probe: Probe, kind: str, topology: Topology) -> tuple[Proof, ...]:
    name = probe.target.name.rstrip(".").lower()
    for external in topology.externals.values():
        if name in (item.rstrip(".").lower() for item in external.names):
            address = external.addresses.get(probe.family)
            if address:
                kind = "tcp" if kind == "http" else kind
                return (Proof(external_place(external.name), kind, address, probe.target.port),)
    return ()


def sources(probes: Sequence[Probe]) -> set[str]:
    """Places that the probes start from."""
    return {str(probe.source) for probe in probes}
