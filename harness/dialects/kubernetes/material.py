"""Pods, ports and addresses that NetworkPolicies tell apart; see `dialects.material`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from harness.dialects.kubernetes.selectors import LabelSelector, Operator
from harness.dialects.kubernetes.types import BlockPeer, NetworkPolicy, PodPeer, PolicyPort
from harness.dialects.material import BlockWish, Material, NamespaceWish, PodWish, PortWish
from harness.model.policy import Policy
from harness.model.rules import Direction
from harness.model.topology import METADATA_NAME

VALUES = 3
"""How many values of one `In` get a pod of their own; more of them rarely say more."""

LABEL_SETS = 12
"""How many pods one selector gets at most, several `In`s multiplied."""

SOME_VALUE = "any"
"""Value of a label that only has to exist."""


def material(policies: Sequence[Policy]) -> Material:
    """Wishes of NetworkPolicies: the pods that each selects, its peers, its blocks."""
    pods: list[PodWish] = []
    blocks: list[BlockWish] = []
    anywhere: list[PortWish] = []
    for policy in policies:
        parsed: NetworkPolicy = policy.parsed
        own = NamespaceWish(parsed.namespace)
        listen = tuple(port for rule in parsed.ingress for port in _ports(rule.ports))
        pods += [PodWish(own, labels, parsed.place, listen) for labels in examples(parsed.subject)]
        for direction in (Direction.INGRESS, Direction.EGRESS):
            for rule in parsed.rules(direction):
                ports = tuple(_ports(rule.ports)) if direction is Direction.EGRESS else ()
                if not rule.peers:
                    anywhere += ports
                for peer in rule.peers:
                    if isinstance(peer, BlockPeer):
                        block = peer.block
                        blocks.append(BlockWish(block.network, block.excepts, peer.place, ports))
                    else:
                        pods += _peers(peer, own, ports)
    names = dict.fromkeys(policy.parsed.namespace for policy in policies)
    return Material(tuple(pods), tuple(blocks), tuple(dict.fromkeys(anywhere)), tuple(names))


def _peers(peer: PodPeer, own: NamespaceWish, ports: tuple[PortWish, ...]) -> Iterator[PodWish]:
    for namespace in [own] if peer.namespaces is None else namespaces(peer.namespaces):
        for labels in examples(peer.pods):
            yield PodWish(namespace, labels, peer.place, ports)


def namespaces(selector: LabelSelector) -> Iterator[NamespaceWish]:
    """Namespaces that a selector selects; one that asks for `kubernetes.io/metadata.name` names them."""
    lacks = frozenset(
        item.key
        for item in selector.requirements
        if item.operator in (Operator.DOES_NOT_EXIST, Operator.NOT_IN) and item.key != METADATA_NAME
    )
    for labels in examples(selector):
        rest = {key: value for key, value in labels.items() if key != METADATA_NAME}
        yield NamespaceWish(labels.get(METADATA_NAME, ""), rest, lacks)


def examples(selector: LabelSelector) -> Iterator[Mapping[str, str]]:
    """Smallest label sets that a selector selects, one per value of its `In`s; none if nothing fits it."""
    found: list[dict[str, str]] = [{}]
    for item in selector.requirements:
        if item.operator is Operator.IN:
            values = list(islice(sorted(item.values), VALUES))
            found = [{**labels, item.key: value} for value in values for labels in found][:LABEL_SETS]
        elif item.operator is Operator.EXISTS:
            found = [{item.key: SOME_VALUE, **labels} for labels in found]
    seen: list[dict[str, str]] = []
    for labels in found:
        if selector.matches(labels) and labels not in seen:
            seen.append(labels)
    return iter(seen)


def _ports(ports: Sequence[PolicyPort]) -> Iterator[PortWish]:
    for port in ports:
        if isinstance(port.port, str):
            yield PortWish(port.protocol, name=port.port)
        else:
            yield PortWish(port.protocol, port.port, port.end)
