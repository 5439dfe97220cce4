"""Whether labels, namespaces and numbers are all that a policy of Cilium's tells apart."""

from __future__ import annotations

from collections.abc import Iterator

from harness.dialects.cilium.selectors import CLUSTER, SERVICE_ACCOUNT, EndpointSelector
from harness.dialects.cilium.types import CidrPeer, CiliumPolicy, EndpointPeer, EntityPeer, NodePeer
from harness.model.policy import Policy
from harness.model.rules import Direction


def plain(policy: Policy) -> bool:
    """Whether two pods with the same labels, ports and kind of namespace are the same to a policy.

    They are not to one that names service accounts, services or groups, nor are two connections to the same
    port to one that looks into them or tells ICMP by its type.
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
    return not any(
        term.requirement.key in (SERVICE_ACCOUNT, CLUSTER)
        for selector in _selectors(parsed)
        for term in selector.terms
    )


def _selectors(parsed: CiliumPolicy) -> Iterator[EndpointSelector]:
    for spec in parsed.specs:
        if spec.subject is not None:
            yield spec.subject
        for direction in Direction:
            for rule in spec.rules(direction):
                for peer in rule.peers or ():
                    if isinstance(peer, EndpointPeer):
                        yield peer.selector
