"""Selectors of Cilium's policies: label keys with sources, namespaces added as the agents do (3.3)."""

from __future__ import annotations

from harness.dialects import validate
from harness.dialects.cilium.selectors import (
    ANY,
    K8S,
    NAMESPACE,
    NAMESPACE_LABELS,
    RESERVED,
    EndpointSelector,
    Term,
)
from harness.dialects.fields import Field
from harness.dialects.objects import requirement
from harness.dialects.selectors import Operator, Requirement
from harness.source.place import Place

_INIT = "init"


def subject(field: Field, namespace: str) -> EndpointSelector:
    """`endpointSelector`; a policy with a namespace selects there only, whatever it says itself."""
    terms = _terms(field)
    if not namespace:
        return EndpointSelector(terms, field.place)
    own = Term(K8S, Requirement(NAMESPACE, Operator.IN, frozenset({namespace})))
    for key, item in _match_labels(field).items():
        if key == f"{K8S}:{NAMESPACE}" and item.text() != namespace:
            item.warning(
                "ignored-field",
                f"the policy selects pods of {namespace} all the same: its own namespace takes the place of "
                "this one",
                help="leave it out",
            )
    # The agent writes its own value over that key of `matchLabels`, and over no other.
    overwritten = f"{K8S}:{NAMESPACE}" in _match_labels(field)
    kept = tuple(term for term in terms if not (overwritten and _plain(term)))
    return EndpointSelector((*kept, own), field.place)


def peer(field: Field, namespace: str, selected: EndpointSelector | None) -> EndpointSelector:
    """An item of `fromEndpoints` or `toEndpoints`.

    Args:
        field: Where it stands.
        namespace: Of the policy; empty for the policies of all of the cluster.
        selected: Whom the policy selects.
    """
    terms = _terms(field)
    found = EndpointSelector(terms, field.place)
    if found.reserved:
        return found
    keys = {term.requirement.key for term in terms if term.source in (ANY, K8S)}
    if NAMESPACE in keys:
        return found
    if not namespace:
        initialising = selected is not None and any(
            term.source == RESERVED and term.requirement.key == _INIT for term in selected.terms
        )
        some = Term(K8S, Requirement(NAMESPACE, Operator.EXISTS))
        return found if initialising else EndpointSelector((*terms, some), field.place)
    if any(key.startswith(NAMESPACE_LABELS) for key in keys):
        return found
    own = Term(K8S, Requirement(NAMESPACE, Operator.IN, frozenset({namespace})))
    return EndpointSelector((*terms, own), field.place)


def plain(field: Field) -> EndpointSelector:
    """A selector to which nothing is added, as of nodes."""
    return EndpointSelector(_terms(field), field.place)


def _terms(field: Field) -> tuple[Term, ...]:
    section = field.section(("matchLabels", "matchExpressions"), other="labels stand under `matchLabels:`")
    found: list[Term] = []
    if "matchLabels" in section:
        for key, item in section["matchLabels"].entries().items():
            source, name = _key(item, key, item.key)
            value = "" if item.null else item.text()
            if value is not None and validate.label_value(item, value) and name:
                found.append(Term(source, Requirement(name, Operator.IN, frozenset({value}))))
    for item in section["matchExpressions"].items() if "matchExpressions" in section else ():
        parsed = requirement(item, lambda field, key: bool(_key(field, key, field.place)[1]))
        if parsed is not None:
            source, name = _split(parsed.key)
            found.append(Term(source, Requirement(name, parsed.operator, parsed.values)))
    return tuple(found)


def _match_labels(field: Field) -> dict[str, Field]:
    inner = field.entries().get("matchLabels")
    return inner.entries() if inner is not None else {}


def _plain(term: Term) -> bool:
    return (
        term.source == K8S and term.requirement.key == NAMESPACE and term.requirement.operator is Operator.IN
    )


def _split(key: str) -> tuple[str, str]:
    source, colon, name = key.partition(":")
    return (source, name) if colon else (ANY, key)


def _key(field: Field, key: str, place: Place | None) -> tuple[str, str]:
    """Source and name of a label; the name is empty after an error."""
    source, name = _split(key)
    if not source or ":" in name:
        field.problems.error(
            "invalid-label",
            f'{field.path}: "{key[:80]}" is not a valid label key',
            place or field.place,
            help="write `k8s:KEY` for a label of Kubernetes, or the key alone for a label of any source",
        )
        return source, ""
    if source in (ANY, K8S) and not validate.label_key(field, name):
        return source, ""
    return source, name
