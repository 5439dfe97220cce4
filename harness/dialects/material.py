"""What the selectors, ports and blocks of policies speak of: material for worlds that exercise them.

A dialect lists one wish per thing that a policy can tell apart. Nothing is decided here: a wish says which
pod would be selected, not what would then happen to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.model.rules import Network
from harness.model.topology import Protocol
from harness.source import Place


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
    """

    pods: tuple[PodWish, ...] = ()
    blocks: tuple[BlockWish, ...] = ()
    anywhere: tuple[PortWish, ...] = ()
    namespaces: tuple[str, ...] = ()
