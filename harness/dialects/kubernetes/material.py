"""Pods, ports and addresses that NetworkPolicies tell apart; see `dialects.material`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.dialects.kubernetes.types import BlockPeer, NetworkPolicy, PodPeer, PolicyPort
from harness.dialects.material import (
    BlockWish,
    Material,
    NamespaceWish,
    PodWish,
    PortWish,
    examples,
    namespaces,
)
from harness.dialects.selectors import LabelSelector
from harness.model.policy import Policy
from harness.model.rules import Direction


def material(policies: Sequence[Policy]) -> Material:
    """Wishes of NetworkPolicies: the pods that each selects, its peers, its blocks."""
    pods: list[PodWish] = []
    blocks: list[BlockWish] = []
    anywhere: list[PortWish] = []
    of_pods: list[LabelSelector] = []
    of_namespaces: list[LabelSelector] = []
    for policy in policies:
        parsed: NetworkPolicy = policy.parsed
        own = NamespaceWish(parsed.namespace)
        listen = tuple(port for rule in parsed.ingress for port in _ports(rule.ports))
        pods += [PodWish(own, labels, parsed.place, listen) for labels in examples(parsed.subject)]
        of_pods.append(parsed.subject)
        for direction in (Direction.INGRESS, Direction.EGRESS):
            for rule in parsed.rules(direction):
                ports = tuple(_ports(rule.ports)) if direction is Direction.EGRESS else ()
                if not rule.peers:
                    anywhere += ports
                for peer in rule.peers:
                    if isinstance(peer, BlockPeer):
                        block = peer.block
                        blocks.append(BlockWish(block.network, block.excepts, peer.place, ports))
                        continue
                    pods += _peers(peer, own, ports)
                    of_pods.append(peer.pods)
                    if peer.namespaces is not None:
                        of_namespaces.append(peer.namespaces)
    names = dict.fromkeys(policy.parsed.namespace for policy in policies)
    return Material(
        tuple(pods),
        tuple(blocks),
        tuple(dict.fromkeys(anywhere)),
        tuple(names),
        tuple(dict.fromkeys(of_pods)),
        tuple(dict.fromkeys(of_namespaces)),
    )


def _peers(peer: PodPeer, own: NamespaceWish, ports: tuple[PortWish, ...]) -> Iterator[PodWish]:
    for namespace in [own] if peer.namespaces is None else namespaces(peer.namespaces):
        for labels in examples(peer.pods):
            yield PodWish(namespace, labels, peer.place, ports)


def _ports(ports: Sequence[PolicyPort]) -> Iterator[PortWish]:
    for port in ports:
        if isinstance(port.port, str):
            yield PortWish(port.protocol, name=port.port)
        else:
            yield PortWish(port.protocol, port.port, port.end)
