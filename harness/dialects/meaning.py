"""What a policy says, in words that no dialect owns: the form between two of them when one is converted.

A dialect tells its policies in these words, and writes in its own what others told. Nothing is decided here,
and nothing is left out: what a dialect cannot tell or write is an error at the place where it stands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from harness.dialects.selectors import LabelSelector, Operator, Requirement
from harness.model.policy import Policy
from harness.model.rules import NETWORK_POLICY_TIER, Action, Direction, Network, Tier
from harness.model.topology import METADATA_NAME, Family, Protocol
from harness.source import Place
from harness.source.diagnostics import Problems

EVERY = LabelSelector()
"""Selects everything."""


class Nodes(StrEnum):
    """Which nodes are meant, seen from the pod that the policy selects."""

    OWN = "own"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Pods:
    """Pods by the labels of their namespaces and their own, and by service accounts where some are named.

    A namespace by its name is one whose label `kubernetes.io/metadata.name` is the name.
    """

    namespaces: LabelSelector = EVERY
    pods: LabelSelector = EVERY
    accounts: frozenset[str] = frozenset()

    @property
    def names(self) -> frozenset[str] | None:
        """The only namespaces in which they can be; None where labels decide that as well."""
        if len(self.namespaces.requirements) != 1:
            return None
        only = self.namespaces.requirements[0]
        return only.values if only.key == METADATA_NAME and only.operator is Operator.IN else None


def namespace(*names: str) -> LabelSelector:
    """Namespaces by their names."""
    return LabelSelector((Requirement(METADATA_NAME, Operator.IN, frozenset(names)),))


@dataclass(frozen=True, slots=True)
class Addresses:
    """Addresses of `network` outside of `excepts`; whether they can be those of pods, networks read apart."""

    network: Network
    excepts: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class Outside:
    """Whoever is outside of the cluster."""


@dataclass(frozen=True, slots=True)
class NodePeer:
    """Nodes of the cluster."""

    which: Nodes


@dataclass(frozen=True, slots=True)
class Peer:
    """One peer, and where it stands."""

    what: Pods | Addresses | Outside | NodePeer
    place: Place


@dataclass(frozen=True, slots=True)
class Ports:
    """Destination ports of one protocol, all of them where `first` is None."""

    protocol: Protocol
    first: int | None = None
    last: int | None = None


@dataclass(frozen=True, slots=True)
class NamedPort:
    """The port of the destination pod that has this name; `protocol` None = whichever it has."""

    name: str
    protocol: Protocol | None = None


@dataclass(frozen=True, slots=True)
class Icmp:
    """One type of ICMP."""

    family: Family
    type: int


Port = Ports | NamedPort | Icmp


@dataclass(frozen=True, slots=True)
class Said:
    """One rule.

    Attributes:
        peers: None = everybody, nodes and addresses outside included; empty = nobody.
        ports: None = every port of every protocol, ICMP included.
        spared: It stands for what a denial of all pods leaves alone, and no author wrote it.
    """

    name: str
    action: Action
    peers: tuple[Peer, ...] | None
    ports: tuple[Port, ...] | None
    place: Place
    spared: bool = False


@dataclass(frozen=True, slots=True)
class Meaning:
    """One policy, or a part of one that selects pods of its own.

    Attributes:
        policy: Where it comes from.
        name: Of the object; parts of one policy have different ones.
        namespace: Where it stands; empty = it is one of the whole cluster.
        isolates: Directions in which it denies what no rule allows.
        rules: By direction.
        tier: Where it is evaluated, the lower `order` of a tier first.
        ordered: Whether the first rule that matches decides; otherwise denials come first.
    """

    policy: Policy
    name: str
    namespace: str
    subject: Pods
    isolates: frozenset[Direction]
    rules: Mapping[Direction, tuple[Said, ...]]
    place: Place
    tier: Tier = NETWORK_POLICY_TIER
    order: float = 0
    ordered: bool = False


@dataclass(slots=True)
class Written:
    """One object of a dialect.

    Attributes:
        manifest: It as plain JSON values.
        policies: Where it comes from.
        notes: What a reader should know of it; sentences without a full stop.
    """

    manifest: dict[str, Any]
    policies: Sequence[Policy]
    notes: list[str] = field(default_factory=list)


def refuse(problems: Problems, place: Place, what: str, help: str) -> None:
    """Complain about what has no form in another dialect.

    Args:
        problems: Receives the error.
        place: Where it stands.
        what: One sentence without a full stop.
        help: What to do.
    """
    problems.error("cannot-convert", what, place, help=help)
