"""Calico's selectors: expressions over labels, and the labels that ends have (semantics.md 3.4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from harness.model.topology import METADATA_NAME, Pod, Topology
from harness.source import Place

NAMESPACE = "projectcalico.org/namespace"
SERVICE_ACCOUNT = "projectcalico.org/serviceaccount"
ORCHESTRATOR = "projectcalico.org/orchestrator"
NAME = "projectcalico.org/name"
"""Labels that Calico gives to pods, and (the last) to namespaces and service accounts."""

OF_NAMESPACE, OF_ACCOUNT = "pcns.", "pcsa."
"""Prefixes of the labels that pods inherit from their namespace and service account."""


class Operator(StrEnum):
    """Operators between a label and a text, or texts in braces."""

    IS = "=="
    IS_NOT = "!="
    IN = "in"
    NOT_IN = "not in"
    CONTAINS = "contains"
    STARTS_WITH = "starts with"
    ENDS_WITH = "ends with"


@dataclass(frozen=True, slots=True)
class All:
    """`all()`."""

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Always."""
        return True

    def __str__(self) -> str:
        return "all()"


@dataclass(frozen=True, slots=True)
class Global:
    """`global()`: what belongs to no namespace."""

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether there is no namespace among the labels."""
        return NAMESPACE not in labels

    def __str__(self) -> str:
        return "global()"


@dataclass(frozen=True, slots=True)
class Has:
    """`has(label)`."""

    label: str

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether the label is there."""
        return self.label in labels

    def __str__(self) -> str:
        return f"has({self.label})"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A label against texts; all operators but `in` and `not in` have one text."""

    label: str
    operator: Operator
    values: tuple[str, ...]

    def matches(self, labels: Mapping[str, str]) -> bool:
        """An absent label meets `!=` and `not in`, and nothing else."""
        value = labels.get(self.label)
        match self.operator:
            case Operator.IS | Operator.IN:
                return value in self.values
            case Operator.IS_NOT | Operator.NOT_IN:
                return value not in self.values
            case Operator.CONTAINS:
                return value is not None and self.values[0] in value
            case Operator.STARTS_WITH:
                return value is not None and value.startswith(self.values[0])
            case Operator.ENDS_WITH:
                return value is not None and value.endswith(self.values[0])

    def __str__(self) -> str:
        words = [quoted(value) for value in self.values]
        if self.operator in (Operator.IN, Operator.NOT_IN):
            return f"{self.label} {self.operator} {{{', '.join(words)}}}"
        return f"{self.label} {self.operator} {words[0]}"


@dataclass(frozen=True, slots=True)
class Not:
    """`!` before an expression."""

    inner: Expression

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether the expression does not match."""
        return not self.inner.matches(labels)

    def __str__(self) -> str:
        return f"!({self.inner})" if isinstance(self.inner, And | Or) else f"!{self.inner}"


@dataclass(frozen=True, slots=True)
class And:
    """Expressions joined by `&&`."""

    terms: tuple[Expression, ...]

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether all of them match."""
        return all(term.matches(labels) for term in self.terms)

    def __str__(self) -> str:
        return " && ".join(f"({term})" if isinstance(term, And | Or) else str(term) for term in self.terms)


@dataclass(frozen=True, slots=True)
class Or:
    """Expressions joined by `||`."""

    terms: tuple[Expression, ...]

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether one of them matches."""
        return any(term.matches(labels) for term in self.terms)

    def __str__(self) -> str:
        return " || ".join(f"({term})" if isinstance(term, Or) else str(term) for term in self.terms)


Expression = All | Global | Has | Comparison | Not | And | Or


@dataclass(frozen=True, slots=True)
class Selector:
    """An expression where it stands in a file.

    Attributes:
        text: As it is written.
    """

    expression: Expression
    text: str
    place: Place

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels of an end meet it."""
        return self.expression.matches(labels)


def quoted(value: str) -> str:
    """A text in the quotes that it does not contain itself."""
    return f'"{value}"' if "'" in value else f"'{value}'"


def terms(expression: Expression) -> Iterator[Expression]:
    """Everything in an expression that is no connective."""
    if isinstance(expression, Not):
        yield from terms(expression.inner)
    elif isinstance(expression, And | Or):
        for term in expression.terms:
            yield from terms(term)
    else:
        yield expression


def of_namespaces(expression: Expression) -> Expression:
    """A namespaceSelector as a selector of what is in such namespaces; `all()` is any namespace."""
    return _within(expression, OF_NAMESPACE, Has(NAMESPACE))


def of_accounts(expression: Expression) -> Expression:
    """A selector of service accounts as one of what runs under them."""
    return _within(expression, OF_ACCOUNT, Has(SERVICE_ACCOUNT))


def _within(expression: Expression, prefix: str, everything: Expression) -> Expression:
    match expression:
        case All():
            return everything
        case Global():
            return expression
        case Has() | Comparison():
            return replace(expression, label=prefix + expression.label)
        case Not():
            return Not(_within(expression.inner, prefix, everything))
        case And():
            return And(tuple(_within(term, prefix, everything) for term in expression.terms))
        case Or():
            return Or(tuple(_within(term, prefix, everything) for term in expression.terms))


def together(*parts: Expression | None) -> Expression | None:
    """What all parts select; None when there is none."""
    given = tuple(part for part in parts if part is not None)
    if len(given) > 1:
        return And(given)
    return given[0] if given else None


class PodLabels(Mapping[str, str]):
    """A pod's labels as Calico sees them; scenarios give service accounts no labels of their own."""

    def __init__(self, pod: Pod, topology: Topology) -> None:
        self._pod = pod
        self._namespace = topology.namespaces[pod.namespace].labels

    def __getitem__(self, key: str) -> str:
        if key == NAMESPACE:
            # Worlds of all label classes have several namespaces of one name, which only the label tells.
            return self._namespace.get(METADATA_NAME, self._pod.namespace)
        if key == SERVICE_ACCOUNT:
            return self._pod.service_account
        if key == ORCHESTRATOR:
            return "k8s"
        if key in self._pod.labels:
            return self._pod.labels[key]
        if key == OF_ACCOUNT + NAME:
            return self._pod.service_account
        return inherited(self._namespace, key)

    def __iter__(self) -> Iterator[str]:
        found = (NAMESPACE, SERVICE_ACCOUNT, ORCHESTRATOR, OF_ACCOUNT + NAME, OF_NAMESPACE + NAME)
        derived = (OF_NAMESPACE + key for key in self._namespace)
        yield from dict.fromkeys((*found, *derived, *self._pod.labels))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class SetLabels(Mapping[str, str]):
    """The labels of a set of networks; those of a namespace inherit its labels as pods do.

    Args:
        own: The labels of its metadata.
        namespace: Where it is; empty for a global one.
        topology: The world.
    """

    def __init__(self, own: Mapping[str, str], namespace: str, topology: Topology) -> None:
        self._own = own
        self._namespace = namespace
        known = topology.namespaces.get(namespace)
        self._inherited = known.labels if known is not None else {METADATA_NAME: namespace}

    def __getitem__(self, key: str) -> str:
        if self._namespace and key == NAMESPACE:
            return self._namespace
        if key in self._own or not self._namespace:
            return self._own[key]
        return inherited(self._inherited, key)

    def __iter__(self) -> Iterator[str]:
        derived = (NAMESPACE, OF_NAMESPACE + NAME, *(OF_NAMESPACE + key for key in self._inherited))
        yield from dict.fromkeys((*self._own, *(derived if self._namespace else ())))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def inherited(namespace: Mapping[str, str], key: str) -> str:
    """A label that comes from a namespace; it has its name as `projectcalico.org/name`, too.

    Raises:
        KeyError: The namespace has no such label.
    """
    if not key.startswith(OF_NAMESPACE):
        raise KeyError(key)
    name = key.removeprefix(OF_NAMESPACE)
    return namespace[METADATA_NAME if name == NAME else name]
