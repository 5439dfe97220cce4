"""Whether labels, namespaces and numbers are all that an object of Calico's tells apart."""

from __future__ import annotations

from collections.abc import Iterator

from harness.dialects.calico.material import namespace_key
from harness.dialects.calico.selectors import Comparison, Expression, Has, Operator, terms
from harness.dialects.calico.types import CalicoPolicy, CalicoTier, HostEndpoint, NetworkSet
from harness.model.policy import Policy
from harness.model.topology import METADATA_NAME

_PARTS_OF_VALUES = (Operator.CONTAINS, Operator.STARTS_WITH, Operator.ENDS_WITH)


def plain(policy: Policy) -> bool:
    """Whether two pods with the same labels, ports and kind of namespace are the same to an object.

    They are not to one that names service accounts, services or parts of values, nor are two connections to
    the same port to one that looks into them, tells them by where they come from, or knows types of ICMP.
    Tiers and sets of networks have a say only through policies; policies with selectors of sets are beyond
    what addresses alone can show.
    """
    spec = policy.parsed
    if isinstance(spec, CalicoTier):
        return True
    if not isinstance(spec, CalicoPolicy):
        return not isinstance(spec, HostEndpoint | NetworkSet)
    for _, rule, entity in spec.entities:
        if rule.icmp or rule.not_icmp or rule.http or rule.version or entity.services or entity.accounts:
            return False
        if entity is rule.source and (entity.ports or entity.not_ports):
            return False
    return all(_plain(term) for term in _terms(spec))


def _terms(spec: CalicoPolicy) -> Iterator[Expression]:
    yield from terms(spec.subject)
    for _, _, entity in spec.entities:
        if entity.members is not None:
            yield from terms(entity.members)
        if entity.not_selector is not None:
            yield from terms(entity.not_selector.expression)


def _plain(term: Expression) -> bool:
    if isinstance(term, Comparison) and term.operator in _PARTS_OF_VALUES:
        return False
    if not isinstance(term, Has | Comparison):
        return True
    if namespace_key(term.label) == METADATA_NAME:
        return True
    return not term.label.startswith(("projectcalico.org/", "pcsa."))
