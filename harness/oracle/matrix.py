"""All pairs of pods at once, by classes of pods that no policy can tell apart.

`predict` decides one probe; here a rule is held once against each class of peers, and a tier is walked for
all peers together, one bit for each class. A class whose bit stands in both sets, the allowed and the denied,
gets no answer from paper.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from itertools import groupby

from harness.dialects.calico.selectors import Comparison, Has
from harness.dialects.connection import Connection, End
from harness.dialects.registry import carried
from harness.dialects.selectors import Requirement
from harness.dialects.standing import Standing
from harness.model.builtin import DNS_POD, with_builtins
from harness.model.personality import Personality, asked_for
from harness.model.policy import Policy
from harness.model.prediction import Answer
from harness.model.probe import Probe, Source, SourceKind, Target, TargetKind
from harness.model.rules import Action, Direction
from harness.model.topology import Family, Pod, Protocol, Topology
from harness.oracle.predict import predict
from harness.oracle.tiers import ranks, stand

Port = tuple[Protocol, int]
Bits = int
"""A set of classes: bit `n` stands for class `n`."""

Ends = tuple[Bits, Bits]
"""Peers towards which a connection can be allowed, and those towards which it can be denied."""


class Matrix:
    """The answers to direct connections between all pods of a world.

    Args:
        step_topology: The world as it is in the step.
        policies: All policies in force, of any dialect.
        ports: The ports that are asked at every destination, whether or not it listens.
        family: The address family of all connections.
    """

    def __init__(
        self,
        step_topology: Topology,
        policies: Sequence[Policy],
        ports: Sequence[Port],
        family: Family = Family.IPV4,
    ) -> None:
        known = DNS_POD in step_topology.services
        self._topology = step_topology if known else with_builtins(step_topology)
        self._policies = tuple(policies)
        self._family = family
        self.ports = tuple(ports)
        self.pods = tuple(step_topology.pods)
        plain = [pod for pod in step_topology.pods.values() if not pod.host_network]
        # What a pod with its node's network gets depends on nodes: such pods are asked one by one.
        self._hosts = tuple(pod.id for pod in step_topology.pods.values() if pod.host_network)
        self._classes = classes(plain, self._topology, policies)
        self._class_of = {id: number for number, group in enumerate(self._classes) for id in group}
        self._unread = carried(policies) is not None
        self._sides: dict[Direction, list[tuple[Ends, ...]]] = {}
        if not self._unread:
            for direction in Direction:
                self._sides[direction] = list(self._side(direction))

    def answer(self, source: str, destination: str, port: Port) -> Answer:
        """What `predict` says of one of the connections."""
        if source not in self._class_of or destination not in self._class_of:
            target = Target(TargetKind.POD, destination, port[1], port[0])
            probe = Probe(Source(SourceKind.POD, source), target, self._family)
            return predict(self._topology, self._policies, probe).verdict
        if self._unread:
            return Answer.UNDEFINED
        if source == destination:
            return Answer.ALLOW
        return self._cell(self._class_of[source], self._class_of[destination], self.ports.index(port))

    def count(self) -> Counter[Answer]:
        """How many connections get which answer; a pod and itself count as well."""
        found: Counter[Answer] = Counter()
        sizes = [len(group) for group in self._classes]
        weights = {size: _bits(one == size for one in sizes) for size in sizes}
        pods = sum(sizes)
        itself = Answer.UNDEFINED if self._unread else Answer.ALLOW
        for index, port in enumerate(self.ports):
            for source, (allowed, denied) in enumerate(self._rows(index)):
                size = sizes[source]
                allow, deny = (
                    sum(weight * (bits & which).bit_count() for weight, which in weights.items())
                    for bits in (allowed, denied)
                )
                found[Answer.ALLOW] += size * allow
                found[Answer.DENY] += size * deny
                found[Answer.UNDEFINED] += size * (pods - allow - deny)
                # Among the pods of a class are those that reach themselves.
                found[self._cell(source, source, index)] -= size
                found[itself] += size
            for host in self._hosts:
                for pod in self.pods:
                    found[self.answer(host, pod, port)] += 1
                    if pod not in self._hosts:
                        found[self.answer(pod, host, port)] += 1
        return +found

    def _rows(self, port: int) -> Iterator[tuple[Bits, Bits]]:
        """For each source the destinations that are allowed, and those that are denied, both for certain."""
        if self._unread:
            yield from ((0, 0) for _ in self._classes)
            return
        arriving = [side[port] for side in self._sides[Direction.INGRESS]]
        let_in = _turned([allowed & ~denied for allowed, denied in arriving])
        kept_out = _turned([denied & ~allowed for allowed, denied in arriving])
        for source, side in enumerate(self._sides[Direction.EGRESS]):
            allowed, denied = side[port]
            yield allowed & ~denied & let_in[source], denied & ~allowed | kept_out[source]

    def _cell(self, source: int, destination: int, port: int) -> Answer:
        if self._unread:
            return Answer.UNDEFINED
        egress = _at(self._sides[Direction.EGRESS][source][port], destination)
        if egress is Answer.DENY:
            return egress
        ingress = _at(self._sides[Direction.INGRESS][destination][port], source)
        return ingress if egress is Answer.ALLOW or ingress is Answer.DENY else egress

    def _side(self, direction: Direction) -> Iterator[tuple[Ends, ...]]:
        """For each class as the subject, and each port, where connections can end."""
        every = (1 << len(self._classes)) - 1
        ends = [_end(self._topology.pods[group[0]]) for group in self._classes]
        reader = _Rules(ends, self.ports, direction, self._topology, self._family, asked_for(self._policies))
        for subject in ends:
            standing = stand(self._policies, self._topology, direction, subject)
            yield tuple(
                walk(standing, reader.about(subject, index), every) if standing else (every, 0)
                for index in range(len(self.ports))
            )


def classes(
    pods: Iterable[Pod], topology: Topology, policies: Sequence[Policy]
) -> tuple[tuple[str, ...], ...]:
    """Pods that no policy can tell apart: same namespace, ports, and labels of which any policy speaks."""
    keys = {key for policy in policies for key in _keys(policy.parsed)}
    # Policies may name services, and mean the pods behind them.
    keys |= {key for service in topology.services.values() for key in service.selector}
    found: dict[object, list[str]] = {}
    for pod in pods:
        labels = frozenset((key, value) for key, value in pod.labels.items() if key in keys)
        found.setdefault((pod.namespace, pod.service_account, labels, pod.listeners), []).append(pod.id)
    return tuple(tuple(group) for group in found.values())


def _keys(value: object) -> Iterator[str]:
    """Label keys of all selectors inside of what a parser made."""
    if isinstance(value, Requirement):
        yield value.key
    elif isinstance(value, Comparison | Has):
        yield value.label
    elif isinstance(value, tuple):
        for item in value:
            yield from _keys(item)
    elif is_dataclass(value):
        for field in fields(value):
            yield from _keys(getattr(value, field.name))


def _end(pod: Pod) -> End:
    return End(SourceKind.POD, pod.id, node=pod.node)


def _bits(members: Iterable[bool]) -> Bits:
    return sum(1 << number for number, member in enumerate(members) if member)


def _turned(rows: Sequence[Bits]) -> list[Bits]:
    """Rows as columns: bit `m` of row `n` becomes bit `n` of row `m`."""
    texts = [format(row, f"0{len(rows)}b") for row in reversed(rows)]
    return [int("".join(column), 2) for column in zip(*texts, strict=True)][::-1]


def _at(ends: Ends, number: int) -> Answer:
    allowed, denied = ends[0] >> number & 1, ends[1] >> number & 1
    return Answer.UNDEFINED if allowed and denied else Answer.ALLOW if allowed else Answer.DENY


@dataclass(frozen=True, slots=True)
class _About:
    """The rules, held against all peers of one subject on one port."""

    rules: _Rules
    subject: object
    connections: Sequence[Connection]
    port: int

    def bits(self, item: Standing, number: int) -> tuple[Bits, Bits, Bits]:
        """Peers that a rule matches, those for which that is open, and those whose request may not pass."""
        rule = item.rules[number]
        # A policy may stand twice, with other rules of its own each time.
        key = (id(item.policy), id(rule), item.order, self.port, self.subject)
        known = self.rules.known.get(key)
        if known is None:
            certain = uncertain = halted = 0
            demands = item.demands(rule)
            for bit in self._near(item, number):
                match = item.matches(rule, self.connections[bit])
                if match is True:
                    certain |= 1 << bit
                elif match:
                    uncertain |= 1 << bit
                if demands and match and item.passes(rule, self.connections[bit]) is not True:
                    halted |= 1 << bit
            known = self.rules.known[key] = certain, uncertain, halted
        return known

    def _near(self, item: Standing, number: int) -> Sequence[int]:
        """Peers that the rule may mean, whatever the port."""
        rule = item.rules[number]
        key = (id(item.policy), id(rule), item.order, self.subject)
        known = self.rules.near.get(key)
        if known is None:
            peers = enumerate(self.connections)
            known = self.rules.near[key] = [bit for bit, one in peers if item.near(rule, one)]
        return known


class _Rules:
    """What is known of rules in one direction; the subject matters only by the ports that it listens on."""

    def __init__(
        self,
        ends: Sequence[End],
        ports: Sequence[Port],
        direction: Direction,
        topology: Topology,
        family: Family,
        personality: Personality,
    ) -> None:
        self.known: dict[object, tuple[Bits, Bits, Bits]] = {}
        self.near: dict[object, list[int]] = {}
        self._ends = ends
        self._ports = ports
        self._direction = direction
        self._topology = topology
        self._family = family
        self.personality = personality
        self._connections: dict[object, Sequence[Connection]] = {}

    def about(self, subject: End, port: int) -> _About:
        """The rules about one subject and port."""
        ingress = self._direction is Direction.INGRESS
        # Egress asks nothing of the subject; ingress looks up the names of its ports.
        kind: object = self._topology.pods[subject.name].listeners if ingress else None
        if (kind, port) not in self._connections:
            protocol, number = self._ports[port]
            self._connections[kind, port] = [
                Connection(
                    *((peer, subject) if ingress else (subject, peer)),
                    protocol,
                    number,
                    self._family,
                    personality=self.personality,
                )
                for peer in self._ends
            ]
        return _About(self, kind, self._connections[kind, port], port)


def walk(standing: Sequence[Standing], about: _About, every: Bits) -> Ends:
    """Follow connections with all peers through the tiers, as `oracle.tiers.walk` follows one."""
    allowed = denied = 0
    arriving = every
    for _, members in groupby(standing, key=lambda item: item.tier):
        tier = list(members)
        staying, leaving = arriving, 0
        for group in ranks(tier, by_name=about.rules.personality.sorts_by_name):
            settled = free = halting = 0
            for item in group:
                asked = staying
                for number, rule in enumerate(item.rules):
                    action = item.action(rule)
                    if action is Action.LOG:
                        continue
                    certain, uncertain, halted = about.bits(item, number)
                    reached = (certain | uncertain) & asked
                    if action is Action.ALLOW:
                        allowed |= reached
                        free |= certain & asked & ~halted
                        halting |= reached & halted
                    elif action is Action.DENY:
                        denied |= reached
                    else:
                        leaving |= reached
                    settled |= certain & asked
                    if item.ordered:
                        asked &= ~certain
            # What connections of netcheck's own carry is no answer to what proxies look for.
            denied |= halting & ~free
            staying &= ~settled
        isolating = [item for item in tier if item.isolates]
        if isolating:
            denied |= staying
        if not isolating or all(item.silent(about.connections[0]) for item in isolating):
            leaving |= staying
        arriving = leaving
    return allowed | arriving, denied
