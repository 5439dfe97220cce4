"""The neutral enforcement rules that every dialect compiles to and the lab enforces.

Per direction an ordered list of stages. A connection meets the stages in order. In a stage, the blocks whose
subjects contain the pod count; if none does, the stage is passed over. The rules of those blocks are read in
order; the first that matches decides: ``ALLOW`` ends the direction with allow, ``DENY`` with deny, ``PASS``
leaves for the next stage, ``LOG`` and ``REDIRECT`` act and go on. When no rule matches, the ``default`` of
the stage decides. After the last stage: allow.

NetworkPolicy is one stage per direction with default ``DENY`` and allow rules only (semantics.md 3.1);
Calico is a stage per tier (3.4); ClusterNetworkPolicy a stage with default ``PASS`` before and after (3.2);
Cilium a stage whose deny rules come first (3.3).
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import StrEnum

from harness.model.topology import Protocol
from harness.source import Place

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Direction(StrEnum):
    """Seen from the pod that a policy selects."""

    INGRESS = "ingress"
    EGRESS = "egress"


class Action(StrEnum):
    """What a rule does with a connection that it matches."""

    ALLOW = "allow"
    DENY = "deny"
    PASS = "pass"  # noqa: S105 - an action, no password
    LOG = "log"
    REDIRECT = "redirect"


class Reach(StrEnum):
    """Which addresses an IP block is meant to match (semantics.md 4, rows 1 and 2)."""

    OUTSIDE = "outside"
    PODS = "pods"
    NODES = "nodes"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Block:
    """Addresses of `network` outside of `excepts`, as far as `reach` says."""

    network: Network
    excepts: tuple[Network, ...] = ()
    reach: Reach = Reach.OUTSIDE


@dataclass(frozen=True, slots=True)
class Ports:
    """An inclusive range of destination ports of one protocol; None = every port (and for ICMP all types)."""

    protocol: Protocol
    first: int | None = None
    last: int | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """A conjunction; every part that is None matches anything.

    Attributes:
        subjects: Ids of the selected pods that this match is about (named ports differ from pod to pod).
        pods: Ids of peer pods; hostNetwork pods have no address of their own and never stand here.
        blocks: Peer addresses; with `pods` the union of both.
        ports: Destination ports; None = every protocol and port, ICMP included; empty = nothing matches.
    """

    subjects: frozenset[str] | None = None
    pods: frozenset[str] | None = None
    blocks: tuple[Block, ...] | None = None
    ports: tuple[Ports, ...] | None = None

    @property
    def any_peer(self) -> bool:
        """Whether the match takes every peer: pods, nodes and addresses outside."""
        return self.pods is None and self.blocks is None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a rule comes from: `policy` as `kind ns/name`, `rule` such as `ingress[0]`, and its place."""

    policy: str
    rule: str
    place: Place | None = None

    def __str__(self) -> str:
        where = f" at {self.place.short}" if self.place else ""
        return f"{self.policy} {self.rule}{where}".replace("  ", " ")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; the matches are alternatives.

    Attributes:
        open_point: Name of the point that the specification leaves open and on which this rule rests
            (a key of `OPEN_POINTS`); None for rules that the specification defines. A personality keeps,
            drops or marks such rules.
    """

    action: Action
    matches: tuple[Match, ...]
    origin: Origin
    open_point: str | None = None


@dataclass(frozen=True, slots=True)
class PolicyBlock:
    """The rules of one policy in one direction and the pods that it selects."""

    subjects: frozenset[str]
    rules: tuple[Rule, ...]
    origin: Origin


@dataclass(frozen=True, slots=True)
class Stage:
    """Blocks that are evaluated together, in order, and what happens when none of their rules matches."""

    name: str
    direction: Direction
    blocks: tuple[PolicyBlock, ...]
    default: Action = Action.DENY


OPEN_POINTS = {
    "ipblock-pod": "an ipBlock that covers pod addresses (semantics.md 4 no. 1)",
    "ipblock-node": "an ipBlock that covers node addresses (semantics.md 4 no. 2)",
    "own-service": "a pod that reaches itself through its own Service (semantics.md 4 no. 8)",
    "icmp": "ICMP, which NetworkPolicy does not define (semantics.md 4 no. 10 and 11)",
    "nodeport-source": "the source address of NodePort traffic (semantics.md 4 no. 9)",
    "established": "connections opened before the change (semantics.md 4 no. 13)",
    "host-network": "a hostNetwork pod as subject or peer of a policy (semantics.md 4 no. 3 and 4)",
}
"""What the specification leaves open, by name; the text completes `undefined by the specification: …`."""
