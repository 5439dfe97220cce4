"""What the parser makes of an admin policy: three kinds in one shape, places kept."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from harness.dialects.selectors import LabelSelector
from harness.model.rules import Action, Direction, Network
from harness.model.topology import Protocol
from harness.source import Place


class AdminTier(StrEnum):
    """Before NetworkPolicies, or after them (semantics.md 3.2)."""

    ADMIN = "Admin"
    BASELINE = "Baseline"


@dataclass(frozen=True, slots=True)
class PodSet:
    """Pods by the labels of their namespace and their own; hostNetwork pods are never among them."""

    namespaces: LabelSelector
    pods: LabelSelector
    place: Place


@dataclass(frozen=True, slots=True)
class NodeSet:
    """Addresses of nodes by the nodes' labels."""

    nodes: LabelSelector
    place: Place


@dataclass(frozen=True, slots=True)
class NetworkSet:
    """Addresses, those of pods and nodes included."""

    networks: tuple[Network, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class NameSet:
    """Addresses by DNS names: lower case, without the last dot; `*.` in front = one or more labels."""

    names: tuple[str, ...]
    place: Place


Peer = PodSet | NodeSet | NetworkSet | NameSet


@dataclass(frozen=True, slots=True)
class PortNumbers:
    """Destination ports `first` to `last` of one protocol."""

    protocol: Protocol
    first: int
    last: int
    place: Place


@dataclass(frozen=True, slots=True)
class PortName:
    """The container port of this name in the destination pod, with that port's own protocol."""

    name: str
    place: Place


Port = PortNumbers | PortName


@dataclass(frozen=True, slots=True)
class AdminRule:
    """One rule: any of `peers` and, if there are `ports`, any of them; no ports = all traffic, ICMP included.

    Attributes:
        name: What the author calls it; may be empty.
        action: `ALLOW` (which the kinds spell Accept or Allow), `DENY` or `PASS`.
    """

    name: str
    action: Action
    peers: tuple[Peer, ...]
    ports: tuple[Port, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class AdminPolicy:
    """The spec of a ClusterNetworkPolicy, AdminNetworkPolicy or BaselineAdminNetworkPolicy.

    Attributes:
        priority: 0 to 1000, the lowest first; 0 for BaselineAdminNetworkPolicy, of which there is one.
        place: Of the whole policy.
    """

    tier: AdminTier
    priority: int
    subject: PodSet
    ingress: tuple[AdminRule, ...]
    egress: tuple[AdminRule, ...]
    place: Place

    def rules(self, direction: Direction) -> tuple[AdminRule, ...]:
        """The rules of one direction, in order."""
        return self.ingress if direction is Direction.INGRESS else self.egress
