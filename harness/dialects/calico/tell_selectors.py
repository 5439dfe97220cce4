"""Calico's expressions as selectors of namespaces and pods."""

from __future__ import annotations

from harness.dialects.calico.alternatives import Alternative, NoRequirementsError, alternatives
from harness.dialects.calico.selectors import (
    NAME,
    NAMESPACE,
    OF_ACCOUNT,
    OF_NAMESPACE,
    ORCHESTRATOR,
    SERVICE_ACCOUNT,
    Expression,
)
from harness.dialects.meaning import Pods, refuse
from harness.dialects.selectors import LabelSelector, Operator, Requirement
from harness.model.topology import METADATA_NAME
from harness.source import Place
from harness.source.diagnostics import Problems

_OF_KUBERNETES = "k8s"


def pods_of(expression: Expression, place: Place, problems: Problems) -> list[Pods]:
    """The pods that an expression means, one for each of its alternatives; none after an error."""
    try:
        wanted = alternatives(expression)
    except NoRequirementsError as error:
        refuse(problems, place, f"{error}, which no other dialect can", "name the whole values")
        return []
    found = [_pods(item, place, problems) for item in wanted]
    return [pods for pods in dict.fromkeys(found) if pods is not None]


def _pods(wanted: Alternative, place: Place, problems: Problems) -> Pods | None:
    """None where no pod can be meant, and after an error."""
    namespaces: list[Requirement] = []
    pods: list[Requirement] = []
    accounts: frozenset[str] | None = None
    for item in wanted:
        if item.key in (NAMESPACE, OF_NAMESPACE + NAME):
            if item.operator is Operator.DOES_NOT_EXIST:
                return None
            if item.operator is not Operator.EXISTS:
                namespaces.append(Requirement(METADATA_NAME, item.operator, item.values))
        elif item.key.startswith(OF_NAMESPACE):
            key = item.key.removeprefix(OF_NAMESPACE)
            namespaces.append(Requirement(key, item.operator, item.values))
        elif item.key in (SERVICE_ACCOUNT, OF_ACCOUNT + NAME):
            if item.operator is Operator.DOES_NOT_EXIST:
                return None
            if item.operator is Operator.IN:
                accounts = item.values if accounts is None else accounts & item.values
                if not accounts:
                    return None
            elif item.operator is Operator.NOT_IN:
                refuse(problems, place, "the selector excludes service accounts", "name those that are meant")
        elif item.key == ORCHESTRATOR:
            if not Requirement("", item.operator, item.values).matches({"": _OF_KUBERNETES}):
                return None
        elif item.key.startswith(OF_ACCOUNT):
            refuse(
                problems,
                place,
                "the selector goes by labels of service accounts, which only Calico knows",
                "name the accounts",
            )
        else:
            pods.append(item)
    return Pods(
        LabelSelector(tuple(dict.fromkeys(namespaces))),
        LabelSelector(tuple(dict.fromkeys(pods))),
        accounts or frozenset(),
    )
