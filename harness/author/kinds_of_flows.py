"""The connections by which policies are compared: those of a world, and those of all label classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.author.classes import OTHER, Classes, classes
from harness.author.pairs import probes
from harness.dialects.connection import Connection, End, Ruling
from harness.dialects.standing import Match, Standing
from harness.model.personality import Personality
from harness.model.policy import Policy
from harness.model.probe import Probe, SourceKind, Target, TargetKind
from harness.model.rules import Direction
from harness.model.topology import METADATA_NAME, Family, Protocol, Topology
from harness.oracle import Prediction, predict
from harness.oracle.tiers import rule as decide
from harness.oracle.tiers import stand

MOST_CONNECTIONS = 2_000_000
"""More kinds of connections are not asked: nobody would wait for the answer."""

Answers = tuple[Ruling | Prediction | None, Ruling | Prediction | None]


@dataclass(frozen=True, slots=True)
class Asked:
    """Connections that get the same answers, one of them in words, and the answers under each reading."""

    text: str
    answers: Sequence[Answers]
    count: int = 1


Asking = Callable[[Sequence[tuple[Personality, Personality]]], Iterator[Asked]]


def of_world(topology: Topology, before: Sequence[Policy], after: Sequence[Policy]) -> Asking:
    """Every probe that a world offers, from end to end, ICMP between pods included."""

    def ask(readings: Sequence[tuple[Personality, Personality]]) -> Iterator[Asked]:
        for probe in probes_of(topology):
            answers = [
                (predict(topology, before, probe, first), predict(topology, after, probe, second))
                for first, second in readings
            ]
            yield Asked(probe.id, answers)

    return ask


def probes_of(topology: Topology) -> Iterator[Probe]:
    """Every probe to a listener or to the cluster's DNS, and a ping from each pod to each other one."""
    pinged: set[tuple[object, str, Family]] = set()
    for probe in probes(topology):
        yield probe
        key = (probe.source, probe.target.name, probe.family)
        if probe.target.kind is TargetKind.POD and probe.source.kind is SourceKind.POD and key not in pinged:
            pinged.add(key)
            yield replace(probe, target=Target(TargetKind.POD, probe.target.name, 0, Protocol.ICMP))


@dataclass(frozen=True, slots=True)
class LabelClasses:
    """All label classes that two sets tell apart, one side of a connection at a time.

    Attributes:
        gap: Why they cannot be asked; empty = they can.
    """

    before: Sequence[Policy]
    after: Sequence[Policy]
    worlds: Sequence[tuple[str, Classes]]
    gap: str = ""

    def __call__(self, readings: Sequence[tuple[Personality, Personality]]) -> Iterator[Asked]:
        """The connections of each kind of pod in each direction."""
        own = {name for name, _ in self.worlds}
        for name, world in self.worlds:
            asked: set[object] = set()
            first = [policy for policy in self.before if policy.namespace in ("", name)]
            second = [policy for policy in self.after if policy.namespace in ("", name)]
            for direction in Direction:
                for subject, pod in world.topology.pods.items():
                    real = world.topology.namespaces[pod.namespace].labels.get(METADATA_NAME, pod.namespace)
                    if pod.node is None or (name and pod.namespace != name) or (not name and real in own):
                        # Pods of a namespace that has policies of its own are asked beside these.
                        continue
                    end = End(SourceKind.POD, subject, node="a")
                    both = (
                        stand(first, world.topology, direction, end),
                        stand(second, world.topology, direction, end),
                    )
                    alike = (direction, *(id(item.policy) for item in both[0]), None, *_ids(both[1]))
                    if any(both) and alike not in asked:
                        asked.add(alike)
                        yield from _of_subject(world, direction, subject, both, readings)


def _ids(standing: Sequence[Standing]) -> tuple[int, ...]:
    return tuple(id(item.policy) for item in standing)


def label_classes(before: Sequence[Policy], after: Sequence[Policy]) -> LabelClasses:
    """The classes of two sets together."""
    together = [*before, *after]
    names = list(dict.fromkeys(policy.namespace for policy in together))
    found: list[tuple[str, Classes]] = []
    gap = ""
    for name in names:
        beside = [policy for policy in together if policy.namespace in ("", name)]
        worlds = list(classes(beside, name))
        if not worlds:
            gap = (
                "the policies tell apart more than labels, names of namespaces, addresses and ports, or too "
                "many of them"
            )
            break
        found += [(name, world) for world in worlds]
    size = sum(
        (len(world.topology.pods) + len(world.addresses) + 2) * (len(world.ports) + 1) for _, world in found
    )
    if size > MOST_CONNECTIONS:
        gap = "the policies tell apart too many labels, addresses and ports"
    return LabelClasses(before, after, () if gap else found, gap)


def _of_subject(
    world: Classes,
    direction: Direction,
    subject: str,
    both: tuple[Sequence[Standing], Sequence[Standing]],
    readings: Sequence[tuple[Personality, Personality]],
) -> Iterator[Asked]:
    """Connections that the same rules match get the same answers, and are asked once."""
    found: dict[object, tuple[Connection, list[Answers], int]] = {}
    for connection in connections(world, direction, subject):
        peer = connection.peer(direction)
        pairs = [
            (replace(connection, personality=first), replace(connection, personality=second))
            for first, second in readings
        ]
        key = (
            peer.kind is SourceKind.NODE and peer.node,
            connection.protocol is Protocol.ICMP,
            *(_said(both[0], first) + _said(both[1], second) for first, second in pairs),
        )
        if key in found:
            one, answers, count = found[key]
            found[key] = (one, answers, count + 1)
            continue
        answers = [
            (
                decide(both[0], world.topology, direction, first),
                decide(both[1], world.topology, direction, second),
            )
            for first, second in pairs
        ]
        found[key] = (connection, answers, 1)
    for connection, answers, count in found.values():
        yield Asked(in_words(connection, direction, world.topology), answers, count)


def connections(world: Classes, direction: Direction, subject: str) -> Iterator[Connection]:
    """Every kind of connection of a pod, SCTP and pings included."""
    pinged: set[End] = set()
    sctp = any(protocol is Protocol.SCTP for protocol, _ in world.ports)
    for connection in world.connections(direction, subject):
        yield connection
        if not sctp and connection.protocol is Protocol.TCP:
            yield replace(connection, protocol=Protocol.SCTP)
        peer = connection.peer(direction)
        if peer not in pinged:
            pinged.add(peer)
            yield replace(connection, protocol=Protocol.ICMP, port=0)


def _said(standing: Sequence[Standing], connection: Connection) -> tuple[Match, ...]:
    return tuple(item.matches(one, connection) for item in standing for one in item.rules)


# -- in words ------------------------------------------------------------------------------------------------


def in_words(connection: Connection, direction: Direction, topology: Topology) -> str:
    """A connection between classes, as a person would say it."""
    subject = connection.subject(direction)
    source, destination = (
        _end(end, subject, topology) for end in (connection.source, connection.destination)
    )
    return f"{direction}: {source} -> {destination}, {_port(connection, topology)}"


def _port(connection: Connection, topology: Topology) -> str:
    if connection.protocol is Protocol.ICMP:
        return f"ICMP over {'IPv4' if connection.family is Family.IPV4 else 'IPv6'}"
    end = connection.destination
    listeners = topology.pods[end.name].listeners if end.kind is SourceKind.POD else ()
    named = {(item.port, item.protocol): item.name for item in listeners}
    return f"{named.get((connection.port, connection.protocol)) or connection.port}/{connection.protocol}"


def _end(end: End, subject: End, topology: Topology) -> str:
    if end.kind is SourceKind.EXTERNAL:
        return str(end.address)
    if end.kind is SourceKind.NODE:
        return "the pod's own node" if end.node == subject.node else "another node"
    pod = topology.pods[end.name]
    labels = dict(topology.namespaces[pod.namespace].labels)
    name = labels.pop(METADATA_NAME, pod.namespace)
    where = "another namespace" if name.startswith(OTHER) else name
    return f"{where}{_labels(labels)}/{_labels(pod.labels) or 'no labels'}"


def _labels(labels: Mapping[str, str]) -> str:
    pairs = (f"{key}={'(another)' if value == OTHER else value}" for key, value in labels.items())
    text = ",".join(pairs)
    return f"{{{text}}}" if text else ""
