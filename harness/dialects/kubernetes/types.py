"""What the parser makes of a NetworkPolicy; defaults are filled in, places are kept."""

from __future__ import annotations

from dataclasses import dataclass

from harness.dialects.selectors import LabelSelector
from harness.model.rules import Direction, Network
from harness.model.topology import Protocol
from harness.source import Place


@dataclass(frozen=True, slots=True)
class IpBlock:
    """Addresses of `network` outside of `excepts`; IPv4 and IPv6 never mix."""

    network: Network
    excepts: tuple[Network, ...] = ()

    def __str__(self) -> str:
        holes = ", ".join(str(item) for item in self.excepts)
        return f"{self.network} except {holes}" if holes else str(self.network)


@dataclass(frozen=True, slots=True)
class PodPeer:
    """Pods by labels; `namespaces` None = the policy's own namespace (semantics.md 3.1 no. 6)."""

    pods: LabelSelector
    namespaces: LabelSelector | None
    place: Place


@dataclass(frozen=True, slots=True)
class BlockPeer:
    """Addresses."""

    block: IpBlock
    place: Place


Peer = PodPeer | BlockPeer


@dataclass(frozen=True, slots=True)
class PolicyPort:
    """Destination ports of one protocol.

    Attributes:
        port: A number, the name of a container port of the destination pod, or None for every port.
        end: Last port of a range that begins at `port`.
    """

    protocol: Protocol
    port: int | str | None
    end: int | None
    place: Place


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """One rule; no peers = every peer, no ports = every port and protocol (semantics.md 3.1 no. 5)."""

    peers: tuple[Peer, ...]
    ports: tuple[PolicyPort, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class NetworkPolicy:
    """The spec of a NetworkPolicy.

    Attributes:
        namespace: Where it stands; it selects pods of this namespace only.
        directions: What it isolates, `policyTypes` or its default (semantics.md 3.1 no. 2).
        place: Of the whole policy.
    """

    namespace: str
    subject: LabelSelector
    directions: frozenset[Direction]
    ingress: tuple[PolicyRule, ...]
    egress: tuple[PolicyRule, ...]
    place: Place

    def rules(self, direction: Direction) -> tuple[PolicyRule, ...]:
        """The rules of one direction, in the order of the file."""
        return self.ingress if direction is Direction.INGRESS else self.egress
