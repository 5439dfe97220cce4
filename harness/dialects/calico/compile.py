"""Calico's policies to neutral stages: for the pods, labels and sets of a world, without any verdict.

A stage per tier and direction, whose policies stand by their order and names (semantics.md 3.4). Felix
programs addresses, so every condition becomes one on addresses: those of the pods that a selector selects,
and those of the sets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from harness.dialects.calico import spans
from harness.dialects.calico.objects import Objects
from harness.dialects.calico.selectors import Expression, PodLabels
from harness.dialects.calico.spans import EVERY, Spans
from harness.dialects.calico.types import (
    ICMP,
    ICMP_V6,
    SCTP,
    TCP,
    UDP,
    CalicoPolicy,
    CalicoRule,
    Entity,
    Icmp,
    Port,
)
from harness.model.policy import Policy
from harness.model.rules import (
    Condition,
    Direction,
    Match,
    Network,
    Origin,
    PolicyBlock,
    Ports,
    Rule,
    Stage,
    Tier,
)
from harness.model.topology import Family, Listener, Pod, Protocol, Topology

_NUMBERS = {
    (Protocol.TCP, Family.IPV4): TCP,
    (Protocol.TCP, Family.IPV6): TCP,
    (Protocol.UDP, Family.IPV4): UDP,
    (Protocol.UDP, Family.IPV6): UDP,
    (Protocol.SCTP, Family.IPV4): SCTP,
    (Protocol.SCTP, Family.IPV6): SCTP,
    (Protocol.ICMP, Family.IPV4): ICMP,
    (Protocol.ICMP, Family.IPV6): ICMP_V6,
}
"""What probes speak; of ICMP only echo requests."""

_ECHO = {Family.IPV4: 8, Family.IPV6: 128}

Conditions = tuple[Condition, ...]


def compile_policies(policies: Sequence[Policy], topology: Topology) -> tuple[Stage, ...]:
    """A stage for each tier and direction that some policy governs."""
    objects = Objects.of(policies, topology)
    pods = _Pods(objects)
    found: dict[tuple[Tier, Direction], list[tuple[tuple[float, str], PolicyBlock]]] = {}
    for policy in policies:
        spec = objects.enforced(policy)
        if spec is None:
            continue
        tier, passes = objects.tiers[spec.tier]
        for direction in sorted(spec.directions):
            compiler = _Compiler(policy, spec, direction, objects, pods)
            place = spec.order, f"{policy.name}/{spec.namespace}"
            found.setdefault((tier, direction), []).append((place, compiler.block(isolates=not passes)))
    return tuple(
        Stage(tier, direction, tuple(block for _, block in sorted(blocks, key=_place)), ordered=True)
        for (tier, direction), blocks in found.items()
    )


def _place(item: tuple[tuple[float, str], PolicyBlock]) -> tuple[float, str]:
    return item[0]


class _Pods:
    """The pods that have an address of their own; whom a selector selects is found out once."""

    def __init__(self, objects: Objects) -> None:
        topology = objects.topology
        self.all = [pod for pod in topology.pods.values() if not pod.host_network]
        self._labels = [dict(PodLabels(pod, topology)) for pod in self.all]
        self._objects = objects
        self._selected: dict[Expression, tuple[list[Pod], frozenset[str], tuple[Network, ...]]] = {}

    def selected(self, expression: Expression) -> tuple[list[Pod], frozenset[str], tuple[Network, ...]]:
        """Pods, their ids, and the addresses of the sets that a selector selects."""
        known = self._selected.get(expression)
        if known is None:
            pods = [
                pod for pod, labels in zip(self.all, self._labels, strict=True) if expression.matches(labels)
            ]
            networks = tuple(self._objects.networks(expression))
            known = self._selected[expression] = pods, frozenset(pod.id for pod in pods), networks
        return known


class _Compiler:
    """Compiles the rules of one policy in one direction."""

    def __init__(
        self,
        policy: Policy,
        spec: CalicoPolicy,
        direction: Direction,
        objects: Objects,
        pods: _Pods,
    ) -> None:
        self._policy = policy
        self._spec = spec
        self._direction = direction
        self._objects = objects
        self._pods = pods
        self._subjects, self._subject_ids, _ = pods.selected(spec.subject)

    def block(self, *, isolates: bool) -> PolicyBlock:
        """The policy with all its rules of the direction."""
        rules = tuple(
            Rule(rule.action, tuple(self._matches(rule)), self._origin(rule))
            for rule in self._spec.rules(self._direction)
        )
        return PolicyBlock(
            self._subject_ids,
            rules if self._subjects else (),
            Origin(str(self._policy), "", self._policy.place),
            order=self._spec.order,
            isolates=isolates,
            strict=True,
        )

    def _origin(self, rule: CalicoRule) -> Origin:
        return Origin(str(self._policy), rule.name, rule.place)

    def _matches(self, rule: CalicoRule) -> Iterator[Match]:
        """Alternatives: by families and protocols, by what ports are called, by what services serve."""
        kinds = [kind for kind in _NUMBERS if _spoken(rule, *kind)]
        ports = self._ports(rule)
        for conditions in self._ends(rule):
            if rule.destination.services is not None and self._direction is Direction.EGRESS:
                yield from self._served(rule, kinds, conditions)
            elif ports is not None:
                for more, there, here in ports:
                    yield from self._spans(kinds, (*conditions, *more), there, here)
            elif len(kinds) == len(_NUMBERS):
                yield Match(conditions=conditions)
            else:
                yield from _by_kinds(kinds, conditions, rule.icmp)

    def _spans(
        self, kinds: Iterable[tuple[Protocol, Family]], conditions: Conditions, there: Spans, here: Spans
    ) -> Iterator[Match]:
        for protocol, families in _families(kinds).items():
            ranges = tuple(Ports(protocol, first, last) for first, last in there)
            found = Match(
                ports=(Ports(protocol),) if there == EVERY else ranges,
                conditions=conditions,
                source_ports=None if here == EVERY else here,
            )
            if there and here:
                yield from (replace(found, family=family) for family in families)

    # -- who -----------------------------------------------------------------------------------------

    def _ends(self, rule: CalicoRule) -> Iterator[Conditions]:
        """What a rule says of both ends; nothing where it cannot hold."""
        found = [
            *self._conditions(rule.peer(self._direction), peer=True),
            *self._conditions(rule.own(self._direction), peer=False),
        ]
        if not any(_never(item) for item in found):
            yield tuple(item for item in found if not _always(item))

    def _conditions(self, entity: Entity, *, peer: bool) -> Iterator[Condition]:
        if entity.members is not None:
            yield self._selected(entity.members, inside=True, peer=peer)
        if entity.not_selector is not None:
            yield self._selected(entity.not_selector.expression, inside=False, peer=peer)
        if entity.nets:
            yield Condition(True, networks=tuple(item.network for item in entity.nets), peer=peer)
        if entity.not_nets:
            yield Condition(False, networks=tuple(item.network for item in entity.not_nets), peer=peer)
        if entity.services is not None and self._direction is Direction.INGRESS:
            behind = [pod for pod, _, _ in self._backends(entity.services.id)]
            yield self._addresses(behind, peer=peer)

    def _selected(self, expression: Expression, *, inside: bool, peer: bool) -> Condition:
        _, pods, networks = self._pods.selected(expression)
        return Condition(inside, pods, networks=networks, peer=peer)

    def _addresses(self, pods: Iterable[Pod], *, peer: bool) -> Condition:
        """Where pods are reached: some have their node's address."""
        pods = list(pods)
        nodes = frozenset(pod.node for pod in pods if pod.host_network and pod.node is not None)
        return Condition(True, frozenset(pod.id for pod in pods if not pod.host_network), nodes, peer=peer)

    def _backends(self, service: str) -> Iterator[tuple[Pod, Protocol, int]]:
        topology = self._objects.topology
        found = topology.services.get(service)
        for port in found.ports if found is not None else ():
            for pod, number in topology.backends(found, port) if found is not None else ():
                yield pod, port.protocol, number

    def _served(
        self, rule: CalicoRule, kinds: Iterable[tuple[Protocol, Family]], conditions: Conditions
    ) -> Iterator[Match]:
        """The pods behind a service, each on the ports that it serves."""
        assert rule.destination.services is not None
        spoken = _families(kinds)
        groups: dict[tuple[Protocol, int], list[Pod]] = {}
        for pod, protocol, number in self._backends(rule.destination.services.id):
            groups.setdefault((protocol, number), []).append(pod)
        here = spans.minus(_numbers(rule.source.ports) or EVERY, _numbers(rule.source.not_ports))
        for (protocol, number), pods in groups.items():
            behind = self._addresses(pods, peer=True)
            these = [(protocol, family) for family in spoken.get(protocol, ()) if family is not None]
            if None in spoken.get(protocol, ()):
                these = [(protocol, family) for family in Family]
            yield from self._spans(these, (*conditions, behind), ((number, number),), here)

    # -- ports ---------------------------------------------------------------------------------------

    def _ports(self, rule: CalicoRule) -> list[tuple[Conditions, Spans, Spans]] | None:
        """Ports of the destination and of the source, for ends that call them differently; None = any."""
        said = [rule.source, rule.destination]
        if not any(entity.ports or entity.not_ports for entity in said):
            return None
        assert rule.protocol is not None
        protocol = next(one for (one, _), number in _NUMBERS.items() if number == rule.protocol.number)
        ingress = self._direction is Direction.INGRESS
        return [
            ((*one, *other), there, here)
            for one, there in self._named(rule.destination, protocol, peer=not ingress)
            for other, here in self._named(rule.source, protocol, peer=ingress)
        ]

    def _named(self, entity: Entity, protocol: Protocol, *, peer: bool) -> Iterator[tuple[Conditions, Spans]]:
        """Groups of ends with the same ports; what is no pod has no names for them."""
        plain = _meant(entity, (), protocol)
        groups: dict[Spans, list[str]] = {}
        if not any(port.name for port in (*entity.ports, *entity.not_ports)):
            yield (), plain
            return
        known: dict[tuple[Listener, ...], Spans] = {}
        for pod in self._pods.all if peer else self._subjects:
            found = known.get(pod.listeners)
            if found is None:
                found = known[pod.listeners] = _meant(entity, pod.listeners, protocol)
            if found != plain:
                groups.setdefault(found, []).append(pod.id)
        for found, ids in groups.items():
            yield (Condition(True, frozenset(ids), peer=peer),), found
        others = frozenset(id for ids in groups.values() for id in ids)
        yield ((Condition(False, others, peer=peer),) if others else ()), plain


def _meant(entity: Entity, listeners: Iterable[Listener], protocol: Protocol) -> Spans:
    """The ports that an end of a rule means in a pod that listens so."""

    def named(ports: Iterable[Port]) -> Spans:
        names = {port.name for port in ports if port.name}
        found = {item.port for item in listeners if item.name in names and item.protocol is protocol}
        return tuple((number, number) for number in found)

    wanted = (*_numbers(entity.ports), *named(entity.ports)) if entity.ports else EVERY
    return spans.minus(wanted, (*_numbers(entity.not_ports), *named(entity.not_ports)))


def _numbers(ports: Iterable[Port]) -> Spans:
    return tuple((port.first, port.last) for port in ports if not port.name)


def _spoken(rule: CalicoRule, protocol: Protocol, family: Family) -> bool:
    number = _NUMBERS[protocol, family]
    echo = number in (ICMP, ICMP_V6)
    if rule.family not in (None, family):
        return False
    if rule.protocol is not None and rule.protocol.number != number:
        return False
    if rule.not_protocol is not None and rule.not_protocol.number == number:
        return False
    if rule.icmp is not None and not (echo and _is_echo(rule.icmp, family)):
        return False
    if rule.not_icmp is not None and rule.not_icmp.type is not None and echo:
        return not _is_echo(rule.not_icmp, family)
    return True


def _is_echo(icmp: Icmp, family: Family) -> bool:
    return (icmp.type is None or icmp.type == _ECHO[family]) and not icmp.code


def _families(kinds: Iterable[tuple[Protocol, Family]]) -> dict[Protocol, list[Family | None]]:
    """The families of each protocol; None stands for both."""
    found: dict[Protocol, list[Family | None]] = {}
    for protocol, family in kinds:
        found.setdefault(protocol, []).append(family)
    return {protocol: [None] if len(both) == len(Family) else both for protocol, both in found.items()}


def _by_kinds(
    kinds: Iterable[tuple[Protocol, Family]], conditions: Conditions, icmp: Icmp | None
) -> Iterator[Match]:
    type = icmp.type if icmp is not None else None
    by_family: dict[Family | None, list[Ports]] = {}
    for protocol, families in _families(kinds).items():
        for family in families:
            by_family.setdefault(family, []).append(Ports(protocol, type, type))
    for family, ports in by_family.items():
        yield Match(ports=tuple(ports), conditions=conditions, family=family)


def _never(item: Condition) -> bool:
    return item.inside and not (item.pods or item.nodes or item.networks)


def _always(item: Condition) -> bool:
    return not item.inside and not (item.pods or item.nodes or item.networks)
