"""Cilium's selectors as selectors of namespaces and pods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from harness.dialects.cilium.selectors import (
    ANY,
    CLUSTER,
    HOST,
    K8S,
    NAMESPACE,
    NAMESPACE_LABELS,
    REMOTE_NODE,
    RESERVED,
    SERVICE_ACCOUNT,
    WORLD,
    EndpointSelector,
    Term,
)
from harness.dialects.meaning import NodePeer, Nodes, Outside, Peer, Pods, refuse
from harness.dialects.selectors import LabelSelector, Operator, Requirement
from harness.model.topology import METADATA_NAME
from harness.source.diagnostics import Problems

_RESERVED: Mapping[str, NodePeer | Outside] = {
    HOST: NodePeer(Nodes.OWN),
    REMOTE_NODE: NodePeer(Nodes.OTHER),
    WORLD: Outside(),
}


def pods_of(selector: EndpointSelector, problems: Problems) -> Pods | None:
    """The pods that a selector means; None after an error."""
    before = problems.errors
    namespaces: list[Requirement] = []
    pods: list[Requirement] = []
    accounts: frozenset[str] | None = None
    for term in selector.terms:
        item = term.requirement
        if _foreign(term, selector, problems):
            continue
        if item.key == NAMESPACE:
            if item.operator in (Operator.IN, Operator.NOT_IN):
                namespaces.append(Requirement(METADATA_NAME, item.operator, item.values))
            elif item.operator is Operator.DOES_NOT_EXIST:
                _refuse(selector, problems, "the selector wants no namespace, and every pod has one")
        elif item.key.startswith(NAMESPACE_LABELS):
            namespaces.append(
                Requirement(item.key.removeprefix(NAMESPACE_LABELS), item.operator, item.values)
            )
        elif item.key == SERVICE_ACCOUNT:
            if item.operator is Operator.IN:
                accounts = item.values if accounts is None else accounts & item.values
            elif item.operator is not Operator.EXISTS:
                _refuse(selector, problems, "the selector excludes service accounts")
        else:
            pods.append(item)
    if accounts is not None and not accounts:
        _refuse(selector, problems, "no service account fits the selector")
    if problems.errors > before:
        return None
    return Pods(
        LabelSelector(tuple(dict.fromkeys(namespaces))),
        LabelSelector(tuple(dict.fromkeys(pods))),
        accounts or frozenset(),
    )


def peers_of(selector: EndpointSelector, problems: Problems) -> Iterator[Peer]:
    """Whom a selector means as a peer: one that only excludes labels also means whoever has none."""
    if len(selector.terms) == 1 and selector.reserved:
        item = selector.terms[0].requirement
        wanted = item.operator is Operator.EXISTS or (item.operator is Operator.IN and item.values == {""})
        if wanted and item.key in _RESERVED:
            yield Peer(_RESERVED[item.key], selector.place)
            return
    pods = pods_of(selector, problems)
    if pods is None:
        return
    if selector.matches({}, {}):
        refuse(
            problems,
            selector.place,
            "the selector only excludes labels, so to Cilium it also means addresses outside and nodes, "
            "which have none",
            "for pods only, add `{key: io.kubernetes.pod.namespace, operator: Exists}` to its "
            "matchExpressions",
        )
        return
    yield Peer(pods, selector.place)


def _foreign(term: Term, selector: EndpointSelector, problems: Problems) -> bool:
    """Whether a term is about labels that pods have only in Cilium."""
    if term.source == RESERVED:
        _refuse(selector, problems, f"the selector names the reserved label {term.requirement.key}")
    elif term.source not in (ANY, K8S):
        _refuse(selector, problems, f"the selector names a label of the source {term.source}")
    elif term.requirement.key == CLUSTER:
        _refuse(selector, problems, "the selector names a cluster of a mesh")
    else:
        return False
    return True


def _refuse(selector: EndpointSelector, problems: Problems, what: str) -> None:
    refuse(problems, selector.place, f"{what}, which only Cilium knows", "select by labels of pods")
