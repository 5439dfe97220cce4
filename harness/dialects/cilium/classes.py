"""Whether labels, namespaces and numbers are all that a policy of Cilium's tells apart."""

from __future__ import annotations

from collections.abc import Iterator

from harness.dialects.cilium.selectors import (
    CLUSTER,
    NAMESPACE,
    NAMESPACE_LABELS,
    SERVICE_ACCOUNT,
    EndpointSelector,
)
from harness.dialects.cilium.types import CidrPeer, CiliumPolicy, EndpointPeer, EntityPeer, NodePeer
from harness.dialects.selectors import Operator
from harness.model.policy import Policy
from harness.model.rules import Direction


def plain(policy: Policy) -> bool:
    """Whether two pods with the same labels, ports and kind of namespace are the same to a policy.

    They are not to one that names service accounts, services, groups or other namespaces, nor are two
    connections to the same port to one that looks into them or tells ICMP by its type.
    """
    parsed = policy.parsed
    if not isinstance(parsed, CiliumPolicy):
        return False
    for spec in parsed.specs:
        for direction in Direction:
            for rule in spec.rules(direction):
                kinds = (EndpointPeer, EntityPeer, CidrPeer, NodePeer)
                if rule.icmps or rule.looks_into or rule.authentication:
                    return False
                if not all(isinstance(peer, kinds) for peer in rule.peers or ()):
                    return False
    return all(_plain(selector, policy.namespace) for selector in _selectors(parsed))


def _selectors(parsed: CiliumPolicy) -> Iterator[EndpointSelector]:
    for spec in parsed.specs:
        if spec.subject is not None:
            yield spec.subject
        for direction in Direction:
            for rule in spec.rules(direction):
                for peer in rule.peers or ():
                    if isinstance(peer, EndpointPeer):
                        yield peer.selector


def _plain(selector: EndpointSelector, own: str) -> bool:
    for term in selector.terms:
        item = term.requirement
        if item.key in (SERVICE_ACCOUNT, CLUSTER) or item.key.startswith(NAMESPACE_LABELS):
            return False
        own_only = item.operator is Operator.IN and item.values == {own}
        if item.key == NAMESPACE and item.operator is not Operator.EXISTS and not own_only:
            return False
    return True
