"""Everything that policies can tell apart: a pod per answer of all selectors, an address per interval.

What holds for these pods, addresses and ports holds for all: two pods that no selector tells apart get the
same answers. Worlds with too many classes are not made.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

from harness.dialects.calico.classes import plain as plain_calico
from harness.dialects.cilium.classes import plain as plain_cilium
from harness.dialects.connection import Connection, End
from harness.dialects.material import Material, PortWish, vocabulary
from harness.dialects.registry import material
from harness.model.builtin import with_builtins
from harness.model.policy import Policy
from harness.model.probe import SourceKind
from harness.model.rules import Direction, Network
from harness.model.topology import METADATA_NAME, Family, Listener, Namespace, Pod, Protocol, Topology

MOST_NAMESPACES = 512
MOST_LABEL_SETS = 4096
"""How many combinations of labels are looked at; more are given up, since nothing could be proved in time."""

OTHER = "netcheck-other"
"""A value of labels that no selector names, and the beginning of the names of other namespaces."""

_SYSTEM = "kube-system"
_FIRST_NAMED = 20_000


@dataclass(frozen=True, slots=True)
class Classes:
    """One of each kind.

    Attributes:
        topology: A pod per class, each listening on every port that is named by name.
        addresses: Addresses outside of the cluster, one per interval that some block begins or ends.
        ports: Destination ports, one per interval of the numbers that rules name, for each protocol.
    """

    topology: Topology
    addresses: tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, ...]
    ports: tuple[tuple[Protocol, int], ...]

    def connections(self, direction: Direction, subject: str) -> Iterator[Connection]:
        """Every kind of connection that a pod can have in one direction."""
        own = End(SourceKind.POD, subject, node="a")
        for peer, family in self._peers(subject):
            for protocol, port in self.ports:
                source, destination = (peer, own) if direction is Direction.INGRESS else (own, peer)
                yield Connection(source, destination, protocol, port, family)

    def _peers(self, subject: str) -> Iterator[tuple[End, Family]]:
        for identity in self.topology.pods:
            if identity != subject:
                yield End(SourceKind.POD, identity, node="a"), Family.IPV4
        # To Cilium the pod's own node is another peer than the rest of them.
        for node in ("a", "b"):
            yield End(SourceKind.NODE, node, node=node), Family.IPV4
        for address in self.addresses:
            family = Family.IPV4 if address.version == 4 else Family.IPV6
            yield End(SourceKind.EXTERNAL, str(address), address=address), family


def classes(policies: Sequence[Policy], own: str) -> Iterator[Classes]:
    """The classes that some policies tell apart, once for each set of labels that one namespace may have.

    Args:
        policies: Of any dialects.
        own: The namespace whose pods are asked; empty for policies of the whole cluster.

    Returns:
        Nothing where there are too many, or where policies tell apart what no class does.
    """
    if _beyond(policies):
        return
    found = material(policies)
    labels_of_pods = _label_sets(vocabulary(found.pod_selectors))
    words = vocabulary(found.namespace_selectors)
    names = {*found.namespaces, *words.pop(METADATA_NAME, frozenset()), own} - {""}
    labels_of_namespaces = _label_sets(words)
    if labels_of_pods is None or labels_of_namespaces is None:
        return
    if (len(names) + 1) * len(labels_of_namespaces) > MOST_NAMESPACES:
        return
    listeners, ports = _ports(found)
    addresses = tuple(_addresses(found))
    for labels in labels_of_namespaces if own else [{}]:
        namespaces = _namespaces(names, labels_of_namespaces)
        if own:
            namespaces = {name: item for name, item in namespaces.items() if not _same(item, own)}
            namespaces[own] = Namespace(own, {**labels, METADATA_NAME: own})
        pods = _pods(found, namespaces, [own], labels_of_pods, listeners)
        yield Classes(with_builtins(Topology(namespaces, pods)), addresses, ports)


def classes_among(policies: Sequence[Policy], known: Mapping[str, Namespace]) -> Classes | None:
    """The classes that some policies tell apart among namespaces that are given, and others without a name.

    Args:
        policies: Of any dialects.
        known: Namespaces by name, those of the policies among them; scenarios put no pods into kube-system.

    Returns:
        None where there are too many, or where policies tell apart what no class does.
    """
    if _beyond(policies):
        return None
    found = material(policies)
    labels_of_pods = _label_sets(vocabulary(found.pod_selectors))
    words = vocabulary(found.namespace_selectors)
    words.pop(METADATA_NAME, None)
    labels_of_namespaces = _label_sets(words)
    if labels_of_pods is None or labels_of_namespaces is None or len(labels_of_namespaces) > MOST_NAMESPACES:
        return None
    listeners, ports = _ports(found)
    namespaces = {name: item for name, item in known.items() if name != _SYSTEM}
    namespaces |= _namespaces((), labels_of_namespaces)
    pods = _pods(found, namespaces, found.namespaces, labels_of_pods, listeners)
    given = {name: item for name, item in known.items() if name == _SYSTEM}
    topology = with_builtins(Topology({**namespaces, **given}, pods))
    return Classes(topology, tuple(_addresses(found)), ports)


def _beyond(policies: Sequence[Policy]) -> bool:
    """Whether some policy may tell apart what is all alike here, such as service accounts or requests."""
    plain = {"cilium": plain_cilium, "calico": plain_calico}
    return any(policy.dialect in plain and not plain[policy.dialect](policy) for policy in policies)


def _same(item: Namespace, own: str) -> bool:
    return item.labels[METADATA_NAME] == own


def _pods(
    found: Material,
    namespaces: Mapping[str, Namespace],
    own: Sequence[str],
    sets: Sequence[Mapping[str, str]],
    listeners: tuple[Listener, ...],
) -> dict[str, Pod]:
    pods: dict[str, Pod] = {}
    seen: set[tuple[object, ...]] = set()
    for namespace in namespaces.values():
        for labels in sets:
            answers = (
                namespace.name if namespace.name in own else "",
                *(item.matches(namespace.labels) for item in found.namespace_selectors),
                *(item.matches(labels) for item in found.pod_selectors),
            )
            if answers in seen:
                continue
            seen.add(answers)
            # Two of each: among a pod's peers are some of its own class.
            for twin in ("a", "b"):
                pod = Pod(namespace.name, f"class-{len(seen)}{twin}", labels, listeners=listeners, node="a")
                pods[pod.id] = pod
    return pods


def _namespaces(names: Iterable[str], sets: Sequence[Mapping[str, str]]) -> dict[str, Namespace]:
    """Namespaces of every name and every set of labels; which labels a name has, the policies do not say."""
    made: dict[str, Namespace] = {}
    for number, labels in enumerate(sets):
        for name in sorted(names):
            identity = f"{name}.{number}"
            made[identity] = Namespace(identity, {**labels, METADATA_NAME: name})
        identity = f"{OTHER}.{number}"
        made[identity] = Namespace(identity, {**labels, METADATA_NAME: identity})
    return made


def _label_sets(vocabulary: Mapping[str, frozenset[str]]) -> list[dict[str, str]] | None:
    """Every combination of the values that selectors name, another value, and none."""
    if prod(len(values) + 2 for values in vocabulary.values()) > MOST_LABEL_SETS:
        return None
    keys = sorted(vocabulary)
    choices = [(None, OTHER, *sorted(vocabulary[key])) for key in keys]
    return [
        {key: value for key, value in zip(keys, values, strict=True) if value is not None}
        for values in product(*choices)
    ]


def _ports(found: Material) -> tuple[tuple[Listener, ...], tuple[tuple[Protocol, int], ...]]:
    wishes = {*found.anywhere}
    for pod in found.pods:
        wishes.update(pod.listen)
    for block in found.blocks:
        wishes.update(block.listen)
    named: dict[tuple[Protocol, str], Listener] = {}
    numbers: dict[Protocol, set[int]] = {Protocol.TCP: {1}, Protocol.UDP: {1}}
    for wish in sorted(wishes, key=str):
        here = numbers.setdefault(wish.protocol, {1})
        if wish.name is not None:
            number = _FIRST_NAMED + len(named)
            named.setdefault((wish.protocol, wish.name), Listener(number, wish.protocol, wish.name))
            here.add(number)
        elif wish.number is not None:
            here.update(_edges(wish))
    # A rule about any protocol is one wish, and a number means something to each of them.
    every = sorted(set().union(*numbers.values()))
    ports = tuple((protocol, number) for protocol in numbers for number in every)
    return tuple(named.values()), ports


def _edges(wish: PortWish) -> set[int]:
    assert wish.number is not None
    last = wish.end or wish.number
    return {wish.number, last, *([last + 1] if last < 65535 else [])}


def _addresses(found: Material) -> Iterator[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """The first address of every block and exception, and the one behind each.

    One is always there: Cilium's entities tell the outside from nodes and pods without any block.
    """
    seen: set[ipaddress.IPv4Address | ipaddress.IPv6Address] = {ipaddress.ip_address("0.0.0.0")}
    networks: list[Network] = [item for block in found.blocks for item in (block.network, *block.excepts)]
    if any(network.version == 6 for network in networks):
        seen.add(ipaddress.ip_address("::"))
    for network in networks:
        seen.add(network.network_address)
        last = network.broadcast_address
        if int(last) + 1 < 2**network.max_prefixlen:
            seen.add(last + 1)
    return iter(sorted(seen, key=lambda item: (item.version, int(item))))
