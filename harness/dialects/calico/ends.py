"""Whether an end of a connection is meant by an end of a rule, on paper (semantics.md 3.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from harness.dialects.calico.objects import Objects
from harness.dialects.calico.selectors import Expression, PodLabels
from harness.dialects.calico.types import CalicoRule, Entity, Port, ServiceRef
from harness.dialects.connection import Connection, End
from harness.dialects.paper import elsewhere
from harness.dialects.standing import Match
from harness.model.probe import SourceKind
from harness.model.rules import Network
from harness.model.topology import Family, Pod, Protocol, Topology
from harness.source import Place

_LOWEST_SOURCE = 1024
"""Connections come from ports from here on; which one, nobody says."""


def every(*asked: Callable[[], Match]) -> Match:
    """True if all are, False as soon as one is, else what the first open one depends on."""
    found: Match = True
    for ask in asked:
        answer = ask()
        if answer is False:
            return False
        if found is True:
            found = answer
    return found


def negated(match: Match) -> Match:
    """The opposite; what is open stays open."""
    return match if isinstance(match, str) else not match


def means(entity: Entity, end: End, connection: Connection, objects: Objects) -> Match:
    """Whether all that is said of an end holds; its ports are another question."""
    if entity.anybody:
        return True
    return every(*(ask for ask, _ in _asked(entity, end, connection, objects)))


def parts(entity: Entity, end: End, connection: Connection, objects: Objects) -> Iterator[tuple[Match, str]]:
    """The same one by one, with words."""
    what = end.address or end
    for ask, said in _asked(entity, end, connection, objects):
        match = ask()
        word = "may be" if isinstance(match, str) else "is" if match else "is not"
        yield match, f"{what} {word} {said}"


def _asked(
    entity: Entity, end: End, connection: Connection, objects: Objects
) -> Iterator[tuple[Callable[[], Match], str]]:
    family = connection.family
    topology = objects.topology
    if entity.members is not None:
        members = entity.members
        yield lambda: _selected(members, end, family, objects), f"among {members}"
    if entity.not_selector is not None:
        others = entity.not_selector.expression
        yield lambda: negated(_selected(others, end, family, objects)), f"outside of {others}"
    if entity.nets:
        inside = [item.network for item in entity.nets]
        yield lambda: within(inside, end, family, topology), f"in {', '.join(map(str, inside))}"
    if entity.not_nets:
        outside = [item.network for item in entity.not_nets]
        text = ", ".join(map(str, outside))
        yield lambda: negated(within(outside, end, family, topology)), f"outside of {text}"
    if entity.services is not None:
        service = entity.services
        egress = end == connection.destination
        yield (
            lambda: _behind(service, end, connection, topology, ports=egress),
            f"behind service {service.id}",
        )


def _selected(expression: Expression, end: End, family: Family, objects: Objects) -> Match:
    """By labels, which only pods with a network of their own have; or by the address, in a set."""
    if end.kind is SourceKind.POD:
        pod = objects.topology.pods[end.name]
        if not pod.host_network and expression.matches(PodLabels(pod, objects.topology)):
            return True
    return within(objects.networks(expression), end, family, objects.topology)


def within(networks: Sequence[Network], end: End, family: Family, topology: Topology) -> Match:
    """Whether the address of an end is in one of some networks; those of pods and nodes nobody knows."""
    version = 4 if family is Family.IPV4 else 6
    possible = [item for item in networks if item.version == version]
    if end.address is not None:
        return any(end.address in item for item in possible)
    if any(not item.prefixlen for item in possible):
        return True
    return "address" if any(not elsewhere(item, topology) for item in possible) else False


def _behind(
    wanted: ServiceRef, end: End, connection: Connection, topology: Topology, *, ports: bool
) -> Match:
    """Pods behind a service, as a destination on the ports that they serve."""
    service = topology.services.get(wanted.id)
    if service is None or end.kind is SourceKind.EXTERNAL:
        return False
    found: Match = False
    for port in service.ports:
        for pod, number in topology.backends(service, port):
            if ports and (connection.protocol, connection.port) != (port.protocol, number):
                continue
            same = _same_address(pod, end, topology)
            if same is True:
                return True
            found = found or same
    return found


def _same_address(pod: Pod, end: End, topology: Topology) -> Match:
    if end.kind is SourceKind.POD and end.name == pod.id:
        return True
    on_node = end.kind is SourceKind.NODE or topology.pods[end.name].host_network
    if not (pod.host_network and on_node):
        return False
    return "placement" if pod.node is None or end.node is None else pod.node == end.node


# -- ports -------------------------------------------------------------------------------------------------


def arrives(entity: Entity, connection: Connection, topology: Topology) -> Match:
    """Whether the port of the destination is one of those that are meant."""

    def holds(port: Port) -> bool:
        if not port.name:
            return port.first <= connection.port <= port.last
        return connection.port in _named(port.name, connection.destination, connection.protocol, topology)

    wanted = not entity.ports or any(holds(port) for port in entity.ports)
    return wanted and not any(holds(port) for port in entity.not_ports)


def leaves(entity: Entity, connection: Connection, topology: Topology) -> Match:
    """Whether it comes from a port that is meant: any is possible from 1024 on."""

    def share(ports: Sequence[Port]) -> Match:
        possible = set(range(_LOWEST_SOURCE, 65536))
        for port in ports:
            if port.name:
                possible -= _named(port.name, connection.source, connection.protocol, topology)
            else:
                possible -= set(range(port.first, port.last + 1))
        left = len(possible)
        return True if not left else False if left == 65536 - _LOWEST_SOURCE else "source-port"

    return every(
        lambda: not entity.ports or share(entity.ports),
        lambda: not entity.not_ports or negated(share(entity.not_ports)),
    )


def _named(name: str, end: End, protocol: Protocol, topology: Topology) -> set[int]:
    """What an end calls by a name; only pods with a network of their own call anything so."""
    if end.kind is not SourceKind.POD or topology.pods[end.name].host_network:
        return set()
    pod = topology.pods[end.name]
    return {item.port for item in pod.listeners if item.name == name and item.protocol is protocol}


# -- words -------------------------------------------------------------------------------------------------


def in_words(rule: CalicoRule) -> str:
    """What a rule says of protocols and ports; empty when it says nothing."""
    words = []
    if rule.family is not None:
        words.append("IPv4" if rule.family is Family.IPV4 else "IPv6")
    if rule.protocol is not None:
        words.append(rule.protocol.text)
    if rule.not_protocol is not None:
        words.append(f"not {rule.not_protocol.text}")
    for icmp, prefix in ((rule.icmp, ""), (rule.not_icmp, "not ")):
        if icmp is not None and icmp.type is not None:
            words.append(f"{prefix}type {icmp.type}")
    for text, ports in (
        ("to", rule.destination.ports),
        ("not to", rule.destination.not_ports),
        ("from", rule.source.ports),
        ("not from", rule.source.not_ports),
    ):
        if ports:
            words.append(f"{text} {', '.join(map(str, ports))}")
    return " ".join(words)


def transport_place(rule: CalicoRule) -> Place:
    """Where a rule says something of protocols and ports."""
    for ports in (rule.destination.ports, rule.destination.not_ports, rule.source.ports):
        if ports:
            return ports[0].place
    for item in (rule.protocol, rule.not_protocol, rule.not_icmp):
        if item is not None:
            return item.place
    return rule.place
