"""Pods, ports and addresses that Cilium's policies tell apart; see `dialects.material`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.dialects.cilium.selectors import (
    ANY,
    K8S,
    NAMESPACE,
    NAMESPACE_LABELS,
    RESERVED,
    SERVICE_ACCOUNT,
    EndpointSelector,
)
from harness.dialects.cilium.types import (
    CidrGroup,
    CidrPeer,
    CiliumPolicy,
    CiliumRule,
    EndpointPeer,
    GroupPeer,
    Peer,
)
from harness.dialects.material import BlockWish, Material, NamespaceWish, PodWish, PortWish, examples
from harness.dialects.selectors import LabelSelector, Operator, Requirement
from harness.model.policy import Policy
from harness.model.rules import Direction
from harness.model.topology import METADATA_NAME, Protocol

_DERIVED = (NAMESPACE, SERVICE_ACCOUNT)


def material(policies: Sequence[Policy]) -> Material:
    """Wishes of Cilium's policies: the pods that each selects, its peers, its addresses.

    Nodes are in every world; services and names of hosts lead to what the scenario declares itself.
    """
    pods: list[PodWish] = []
    blocks: list[BlockWish] = []
    anywhere: list[PortWish] = []
    selectors: list[EndpointSelector] = []
    groups = [policy.parsed for policy in policies if isinstance(policy.parsed, CidrGroup)]
    mine = [policy for policy in policies if isinstance(policy.parsed, CiliumPolicy)]
    for policy in mine:
        for spec in policy.parsed.specs:
            if spec.subject is None:
                continue
            listen = tuple(port for rule in spec.ingress for port in _ports(rule))
            pods += _pods(spec.subject, listen)
            selectors.append(spec.subject)
            for direction in Direction:
                for rule in spec.rules(direction):
                    ports = tuple(_ports(rule)) if direction is Direction.EGRESS else ()
                    if rule.peers is None:
                        anywhere += ports
                    for peer in rule.peers or ():
                        blocks += _blocks(peer, groups, ports)
                        if isinstance(peer, EndpointPeer) and not peer.selector.reserved:
                            pods += _pods(peer.selector, ports)
                            selectors.append(peer.selector)
    return Material(
        tuple(pods),
        tuple(blocks),
        tuple(dict.fromkeys(anywhere)),
        tuple(dict.fromkeys(policy.namespace for policy in mine if policy.namespace)),
        tuple(dict.fromkeys(_own(selector) for selector in selectors)),
        tuple(dict.fromkeys(_of_namespace(selector) for selector in selectors)),
    )


def _requirements(selector: EndpointSelector) -> Iterator[Requirement]:
    """Those that a pod can meet."""
    for term in selector.terms:
        if term.source in (ANY, K8S):
            yield term.requirement


def _own(selector: EndpointSelector) -> LabelSelector:
    return LabelSelector(
        tuple(
            item
            for item in _requirements(selector)
            if item.key not in _DERIVED and not item.key.startswith(NAMESPACE_LABELS)
        )
    )


def _of_namespace(selector: EndpointSelector) -> LabelSelector:
    """What it asks of the namespace, as a selector of namespaces."""
    found = []
    for item in _requirements(selector):
        if item.key == NAMESPACE and item.operator in (Operator.IN, Operator.NOT_IN):
            found.append(Requirement(METADATA_NAME, item.operator, item.values))
        elif item.key.startswith(NAMESPACE_LABELS):
            found.append(Requirement(item.key.removeprefix(NAMESPACE_LABELS), item.operator, item.values))
    return LabelSelector(tuple(found))


def _pods(selector: EndpointSelector, listen: tuple[PortWish, ...]) -> Iterator[PodWish]:
    if any(term.source == RESERVED for term in selector.terms):
        return
    of_namespace = _of_namespace(selector)
    lacks = frozenset(
        item.key
        for item in of_namespace.requirements
        if item.operator in (Operator.DOES_NOT_EXIST, Operator.NOT_IN) and item.key != METADATA_NAME
    )
    accounts = sorted(
        {
            value
            for item in _requirements(selector)
            if item.key == SERVICE_ACCOUNT and item.operator is Operator.IN
            for value in item.values
        }
    )
    for wanted in examples(of_namespace):
        rest = {key: value for key, value in wanted.items() if key != METADATA_NAME}
        namespace = NamespaceWish(wanted.get(METADATA_NAME, ""), rest, lacks)
        for labels in examples(_own(selector)):
            for account in accounts or [""]:
                yield PodWish(namespace, labels, selector.place, listen, account)


def _blocks(peer: Peer, groups: Sequence[CidrGroup], ports: tuple[PortWish, ...]) -> Iterator[BlockWish]:
    if isinstance(peer, CidrPeer):
        yield BlockWish(peer.network, peer.excepts, peer.place, ports)
    elif isinstance(peer, GroupPeer):
        for group in groups:
            for network in group.networks if peer.means(group) else ():
                holes = tuple(hole for hole in peer.excepts if hole.version == network.version)
                yield BlockWish(network, holes, peer.place, ports)


def _ports(rule: CiliumRule) -> Iterator[PortWish]:
    for item in rule.ports:
        for port in item.ports:
            protocols = port.protocols if len(port.protocols) == 1 else port.protocols and (Protocol.TCP,)
            for protocol in protocols:
                if isinstance(port.first, str):
                    yield PortWish(protocol, name=port.first)
                else:
                    yield PortWish(protocol, port.first or None, port.last)
