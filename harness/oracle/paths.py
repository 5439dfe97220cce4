"""From a probe to the connections that policies see (semantics.md 3.1 no. 10 and 13).

A probe may become several connections: any backend of a Service may be chosen, and all of them have to agree.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace

from harness.dialects.connection import Connection, End
from harness.model.builtin import CLUSTER_DOMAIN, DNS_POD
from harness.model.personality import GENERIC, Personality
from harness.model.probe import DnsQuery, Probe, Source, SourceKind, Target, TargetKind
from harness.model.topology import External, Family, Protocol, Service, ServicePort, ServiceType, Topology


class UndecidedError(Exception):
    """The probe leads nowhere on paper; the message says why, as a sentence without a full stop."""


@dataclass(frozen=True, slots=True)
class Path:
    """A connection after translation.

    Attributes:
        entries: Nodes that may have put their own address in place of the source's, when it goes through a
            node's port: the one that is addressed, or the sender's, where some CNIs translate already.
    """

    connection: Connection
    entries: tuple[End, ...] = ()


@dataclass(frozen=True, slots=True)
class Leg:
    """One exchange of a probe; its paths are alternatives. A `host:` probe has two legs, DNS first."""

    name: str
    paths: tuple[Path, ...]


def legs(probe: Probe, topology: Topology, personality: Personality = GENERIC) -> tuple[Leg, ...]:
    """The exchanges of a probe, in order; each must be allowed.

    Args:
        probe: The question.
        topology: The world, with what every cluster has.
        personality: How the network reads what specifications leave open.

    Raises:
        UndecidedError: When the files do not tell where the probe leads.
    """
    found = _legs(probe, topology)
    return found if personality is GENERIC else tuple(_read(leg, personality) for leg in found)


def _read(leg: Leg, personality: Personality) -> Leg:
    return replace(
        leg,
        paths=tuple(
            replace(path, connection=replace(path.connection, personality=personality)) for path in leg.paths
        ),
    )


def _legs(probe: Probe, topology: Topology) -> tuple[Leg, ...]:
    if isinstance(probe.request, DnsQuery) or probe.target.kind is TargetKind.DNS:
        tcp = isinstance(probe.request, DnsQuery) and probe.request.tcp
        return (_dns(probe, topology, Protocol.TCP if tcp else Protocol.UDP),)
    if probe.target.kind is TargetKind.HOST:
        name = probe.target.name
        lookup = _dns(replace(probe, request=DnsQuery(name)), topology, Protocol.UDP)
        target = _host(probe.target, probe.family, topology)
        paths = tuple(
            replace(
                path,
                connection=replace(
                    path.connection, authority=f"{name}:{probe.target.port}", looked_up=name.rstrip(".")
                ),
            )
            for path in _paths(probe, target, topology)
        )
        return lookup, Leg("connection", paths)
    return (Leg("connection", _paths(probe, probe.target, topology)),)


def _dns(probe: Probe, topology: Topology, protocol: Protocol) -> Leg:
    target = Target(TargetKind.SERVICE, DNS_POD, 53, protocol)
    return Leg("DNS lookup", _paths(probe, target, topology))


def _host(target: Target, family: Family, topology: Topology) -> Target:
    """What the cluster's DNS makes of a name: an external, or a Service by its full name."""
    name = target.name.rstrip(".").lower()
    for external in topology.externals.values():
        if name in (known.rstrip(".").lower() for known in external.names):
            _external_address(external, family)
            return Target(TargetKind.EXTERNAL, external.name, target.port, target.protocol)
    head, found, _ = name.partition(f".svc.{CLUSTER_DOMAIN}")
    service, _, namespace = head.partition(".")
    if found and f"{namespace}/{service}" in topology.services:
        return Target(TargetKind.SERVICE, f"{namespace}/{service}", target.port, target.protocol)
    raise UndecidedError(f"no external and no service has the name {target.name}")


def _paths(probe: Probe, target: Target, topology: Topology) -> tuple[Path, ...]:
    source = _source(probe.source, probe.family, topology)
    port, protocol = target.port, target.protocol
    match target.kind:
        case TargetKind.POD:
            return (_path(probe, source, _pod(target.name, topology), port, protocol),)
        case TargetKind.NODE:
            node = End(SourceKind.NODE, target.name, node=target.name)
            return (_path(probe, source, node, port, protocol),)
        case TargetKind.EXTERNAL:
            external = _external(target.name, probe.family, topology)
            return (_path(probe, source, external, port, protocol),)
        case TargetKind.SERVICE:
            if source.kind is SourceKind.EXTERNAL:
                raise UndecidedError("the address of a service means nothing outside of the cluster")
            return _service_paths(probe, source, target, topology)
        case _:
            return _node_port_paths(probe, source, target, topology)


def _path(probe: Probe, source: End, destination: End, port: int, protocol: Protocol) -> Path:
    authority = None
    if destination.address is not None:
        literal = f"[{destination.address}]" if destination.address.version == 6 else str(destination.address)
        authority = f"{literal}:{port}"
    return Path(
        Connection(
            source, destination, protocol, port, probe.family, request=probe.request, authority=authority
        )
    )


def _service_paths(probe: Probe, source: End, target: Target, topology: Topology) -> tuple[Path, ...]:
    service = topology.services.get(target.name)
    if service is None:
        raise UndecidedError(f"there is no service {target.name}")
    direct = service.type is ServiceType.HEADLESS
    same = [item for item in service.ports if item.protocol is target.protocol]
    found = [item for item in same if item.port == target.port]
    if direct:
        # Nothing translates the port, so whatever is dialled arrives (semantics.md 3.1 no. 13).
        found = [replace(item, port=target.port) for item in found or same]
    if not found:
        raise UndecidedError(f"service {service.id} has no port {target.port}/{target.protocol}")
    return _backends(probe, source, service, found[0], topology, direct=direct)


def _node_port_paths(probe: Probe, source: End, target: Target, topology: Topology) -> tuple[Path, ...]:
    for service in topology.services.values():
        for port in service.ports:
            if port.node_port == target.port and port.protocol is target.protocol:
                entries = _entries(source, target)
                return _backends(probe, source, service, port, topology, direct=False, entries=entries)
    raise UndecidedError(f"no service has the node port {target.port}/{target.protocol}")


def _entries(source: End, target: Target) -> tuple[End, ...]:
    addressed = End(SourceKind.NODE, target.name, node=target.name)
    if source.kind is not SourceKind.POD or source.node == target.name:
        return (addressed,)
    return (addressed, End(SourceKind.NODE, source.node or f"of {source.name}", node=source.node))


def _backends(
    probe: Probe,
    source: End,
    service: Service,
    port: ServicePort,
    topology: Topology,
    *,
    direct: bool,
    entries: tuple[End, ...] = (),
) -> tuple[Path, ...]:
    """A path per backend; a headless service (`direct`) translates neither address nor port (no. 13)."""
    paths = []
    for pod, number in topology.backends(service, port):
        destination = _pod(pod.id, topology)
        connection = Connection(
            source,
            destination,
            port.protocol,
            port.port if direct else number,
            probe.family,
            looped=not direct and source == destination,
            request=probe.request,
        )
        paths.append(Path(connection, entries))
    if not paths:
        raise UndecidedError(f"service {service.id} has no pod behind port {port.port}/{port.protocol}")
    return tuple(paths)


def _source(source: Source, family: Family, topology: Topology) -> End:
    if source.kind is SourceKind.POD:
        return _pod(source.name, topology)
    if source.kind is SourceKind.NODE:
        return End(SourceKind.NODE, source.name, node=source.name)
    return _external(source.name, family, topology)


def _pod(name: str, topology: Topology) -> End:
    pod = topology.pods.get(name)
    if pod is None:
        raise UndecidedError(f"there is no pod {name}")
    return End(SourceKind.POD, name, node=pod.node)


def _external(name: str, family: Family, topology: Topology) -> End:
    external = topology.externals.get(name)
    if external is None:
        raise UndecidedError(f"there is no external {name}")
    return End(SourceKind.EXTERNAL, name, address=_external_address(external, family))


def _external_address(external: External, family: Family) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    text = external.addresses.get(family)
    if text is None:
        raise UndecidedError(f"external {external.name} has no {family} address")
    return ipaddress.ip_address(text)
