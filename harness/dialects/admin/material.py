"""Pods, ports and addresses that admin policies tell apart; see `dialects.material`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.dialects.admin.types import AdminPolicy, NetworkSet, PodSet, Port, PortNumbers
from harness.dialects.material import BlockWish, Material, PodWish, PortWish, examples, namespaces
from harness.model.policy import Policy
from harness.model.rules import Direction
from harness.model.topology import Protocol


def material(policies: Sequence[Policy]) -> Material:
    """Wishes of admin policies: the pods that each selects, its peers, its networks.

    Nodes are in every world, and names lead to addresses that only a cluster's DNS knows.
    """
    pods: list[PodWish] = []
    blocks: list[BlockWish] = []
    sets: list[PodSet] = []
    for policy in policies:
        parsed: AdminPolicy = policy.parsed
        listen = tuple(port for rule in parsed.ingress for port in _ports(rule.ports))
        pods += _pods(parsed.subject, listen)
        sets.append(parsed.subject)
        for direction in (Direction.INGRESS, Direction.EGRESS):
            for rule in parsed.rules(direction):
                ports = tuple(_ports(rule.ports)) if direction is Direction.EGRESS else ()
                for peer in rule.peers:
                    if isinstance(peer, PodSet):
                        pods += _pods(peer, ports)
                        sets.append(peer)
                    elif isinstance(peer, NetworkSet):
                        blocks += [BlockWish(network, (), peer.place, ports) for network in peer.networks]
    return Material(
        tuple(pods),
        tuple(blocks),
        pod_selectors=tuple(dict.fromkeys(item.pods for item in sets)),
        namespace_selectors=tuple(dict.fromkeys(item.namespaces for item in sets)),
    )


def _pods(chosen: PodSet, listen: tuple[PortWish, ...]) -> Iterator[PodWish]:
    for namespace in namespaces(chosen.namespaces):
        for labels in examples(chosen.pods):
            yield PodWish(namespace, labels, chosen.place, listen)


def _ports(ports: Sequence[Port]) -> Iterator[PortWish]:
    for port in ports:
        if isinstance(port, PortNumbers):
            yield PortWish(port.protocol, port.first, port.last)
        else:
            yield PortWish(Protocol.TCP, name=port.name)
