"""What the selectors, ports and blocks of policies speak of: material for worlds that exercise them.

A dialect lists one wish per thing that a policy can tell apart. Nothing is decided here: a wish says which
pod would be selected, not what would then happen to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from harness.dialects.selectors import LabelSelector, Operator
from harness.model.rules import Network
from harness.model.topology import METADATA_NAME, Protocol
from harness.source import Place

VALUES = 3
"""How many values of one `In` get a pod of their own; more of them rarely say more."""

LABEL_SETS = 12
"""How many pods one selector gets at most, several `In`s multiplied."""

SOME_VALUE = "any"
"""Value of a label that only has to exist."""


@dataclass(frozen=True, slots=True)
class PortWish:
    """Ports that a rule names; `number` None = every port of the protocol, unless there is a `name`."""

    protocol: Protocol
    number: int | None = None
    end: int | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class NamespaceWish:
    """A namespace by its name, or any namespace that has the labels and lacks the others.

    Attributes:
        name: Empty when only labels count.
        lacks: Label keys that it must not have.
    """

    name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    lacks: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PodWish:
    """A pod that a selector selects.

    Attributes:
        listen: Ports by which the policy speaks of this pod as a destination.
        place: Of the selector.
    """

    namespace: NamespaceWish
    labels: Mapping[str, str]
    place: Place
    listen: tuple[PortWish, ...] = ()
    service_account: str = ""


@dataclass(frozen=True, slots=True)
class BlockWish:
    """Addresses that a policy tells apart: those inside `network`, and those inside each of `excepts`.

    Attributes:
        listen: Ports by which the policy speaks of the addresses as destinations.
    """

    network: Network
    excepts: tuple[Network, ...]
    place: Place
    listen: tuple[PortWish, ...] = ()


@dataclass(frozen=True, slots=True)
class Material:
    """All wishes of some policies, in the order of their files.

    Attributes:
        anywhere: Ports by which the policies speak of every destination.
        namespaces: Namespaces in which policies stand.
        pod_selectors: Every selector of pods, by their own labels.
        namespace_selectors: Every selector of namespaces.
    """

    pods: tuple[PodWish, ...] = ()
    blocks: tuple[BlockWish, ...] = ()
    anywhere: tuple[PortWish, ...] = ()
    namespaces: tuple[str, ...] = ()
    pod_selectors: tuple[LabelSelector, ...] = ()
    namespace_selectors: tuple[LabelSelector, ...] = ()


def vocabulary(selectors: Iterable[LabelSelector]) -> dict[str, frozenset[str]]:
    """The label keys of which selectors speak, with the values that they name."""
    found: dict[str, frozenset[str]] = {}
    for selector in selectors:
        for item in selector.requirements:
            found[item.key] = found.get(item.key, frozenset()) | item.values
    return found


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
