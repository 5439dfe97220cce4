"""The neutral enforcement rules that every dialect compiles to and the lab enforces.

Per direction an ordered list of stages. A connection meets the stages in order. In a stage, the blocks whose
subjects contain the pod count; if none does, the stage is passed over. The rules of those blocks are read in
order; the first that matches decides: ``ALLOW`` ends the direction with allow, ``DENY`` with deny, ``PASS``
leaves for the next stage, ``LOG`` and ``REDIRECT`` act and go on. When no rule matches, the ``default`` of
the stage decides. After the last stage: allow.

NetworkPolicy is one stage per direction with default ``DENY`` and allow rules only (semantics.md 3.1);
Calico is a stage per tier (3.4); ClusterNetworkPolicy a stage with default ``PASS`` before and after (3.2);
Cilium a stage whose deny rules come first (3.3). Stages of the same tier and direction are one, whichever
dialects they come from: their blocks are read by `order`.

Two demands that an ``ALLOW`` rule may make are not decided by the first rule that matches:

- `application`: the rule is remembered, and the reading goes on. A later ``ALLOW`` rule of the same stage
  that matches and has no `application` allows the connection as a whole. A later ``DENY`` or ``PASS``, or
  the default, counts no more; the connection then ends the direction with allow, and the proxy judges each
  of its requests by the union of the applications of all rules of the stage that match the connection. So
  denials must stand before, as Cilium's do. Rules of different kinds for the same connection: HTTP rules
  judge what begins as HTTP, server names what begins as TLS; DNS rules go with no other kind.
- `authentication`: the strictest demand of all matching ``ALLOW`` rules of the stage counts, wherever they
  stand, also beside a rule without any. ``ALWAYS_FAIL`` drops the connection; ``REQUIRED`` drops it unless
  the peer is a pod, because only pods have an identity; ``DISABLED`` and None demand nothing.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from harness.model.application import Application, Authentication
from harness.model.names import NamePattern
from harness.model.topology import Family, Protocol
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
    """Which addresses an IP block is meant to match (semantics.md 4, rows 1 and 2).

    `CIDR` is outside, and inside of the cluster whatever the personality's `policyCIDRMatchMode` names.
    """

    OUTSIDE = "outside"
    PODS = "pods"
    NODES = "nodes"
    CIDR = "cidr"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Tier:
    """Policies that are evaluated together, whatever their dialect.

    Attributes:
        order: Tiers are asked from the lowest to the highest; the numbers are those of Calico's own tiers,
            so that tiers of Calico's users find their places between these (semantics.md 3.4).
        calico: What it is called by users of Calico, by which tiers of the same order are sorted.
    """

    name: str
    order: float
    calico: str = ""

    @property
    def rank(self) -> tuple[float, str]:
        """Tiers with a lower one are asked before."""
        return self.order, self.calico or self.name


ADMIN_TIER = Tier("Admin", 1_000, "kube-admin")
NETWORK_POLICY_TIER = Tier("NetworkPolicy", 1_000_000, "default")
BASELINE_TIER = Tier("Baseline", 10_000_000, "kube-baseline")


@dataclass(frozen=True, slots=True)
class Block:
    """Addresses of `network` outside of `excepts`, as far as `reach` says."""

    network: Network
    excepts: tuple[Network, ...] = ()
    reach: Reach = Reach.OUTSIDE


@dataclass(frozen=True, slots=True)
class Ports:
    """An inclusive range of destination ports of one protocol; None = every port.

    For ICMP they are types, each of the family in which it is asked for: 8 is an echo request of IPv4 only.
    """

    protocol: Protocol
    first: int | None = None
    last: int | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """What must hold of an end's address besides: that it is among some, or that it is not.

    Attributes:
        inside: Whether it has to be among them.
        pods: Ids of pods with an address of their own.
        nodes: Letters of nodes.
        networks: Wherever the address belongs: in the cluster or outside of it.
        peer: Whether it is about the peer; otherwise about the pod that the policy selects.
    """

    inside: bool
    pods: frozenset[str] = frozenset()
    nodes: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()
    peer: bool = True


@dataclass(frozen=True, slots=True)
class Match:
    """A conjunction; every part that is None matches anything.

    Attributes:
        subjects: Ids of the selected pods that this match is about (named ports differ from pod to pod).
        pods: Ids of peer pods; hostNetwork pods have no address of their own and never stand here.
        blocks: Peer addresses; with `pods`, `nodes` and `names` the union of all.
        nodes: Letters of peer nodes.
        names: Egress only: addresses that the subject itself was told for such a name, in an answer to a
            question that `DnsRules` let pass; never those of the cluster's pods and nodes.
        ports: Destination ports; None = every protocol and port, ICMP included; empty = nothing matches.
        conditions: All of them must hold as well.
        family: The only one that matches.
        source_ports: Ranges of ports from which it comes; only beside `ports` of protocols that have some.
    """

    subjects: frozenset[str] | None = None
    pods: frozenset[str] | None = None
    blocks: tuple[Block, ...] | None = None
    ports: tuple[Ports, ...] | None = None
    nodes: frozenset[str] | None = None
    names: tuple[NamePattern, ...] | None = None
    conditions: tuple[Condition, ...] = ()
    family: Family | None = None
    source_ports: tuple[tuple[int, int], ...] | None = None

    @property
    def any_peer(self) -> bool:
        """Whether the match takes every peer, as far as `conditions` let it."""
        return self.pods is None and self.blocks is None and self.nodes is None and self.names is None


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
        application: ``ALLOW`` only: what the proxy demands of each request; None = the rule allows the
            connection as a whole.
        authentication: ``ALLOW`` only.
    """

    action: Action
    matches: tuple[Match, ...]
    origin: Origin
    open_point: str | None = None
    application: Application | None = None
    authentication: Authentication | None = None

    def __post_init__(self) -> None:
        """A demand of a rule that allows nothing would be read as an allowance by whoever enforces it."""
        if self.action is not Action.ALLOW and (self.application or self.authentication):
            raise ValueError(f"{self.origin} demands something of what it does not allow")


@dataclass(frozen=True, slots=True)
class PolicyBlock:
    """The rules of one policy in one direction and the pods that it selects.

    Attributes:
        order: Place among the blocks of its tier, the lowest first; equal ones stay as they come.
        isolates: Whether it brings the default of the stage to the pods that it selects.
        strict: Whether it also concerns ICMP and what the pods send to their own node, on which
            NetworkPolicy is silent.
    """

    subjects: frozenset[str]
    rules: tuple[Rule, ...]
    origin: Origin
    order: float = 0
    isolates: bool = True
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Stage:
    """Blocks that are evaluated together, in order, and what happens when none of their rules matches.

    Attributes:
        default: For pods that some block isolates; other pods are passed on.
        ordered: Whether the first rule that matches decides. Otherwise all rules allow, and those on open
            points are asked last.
    """

    tier: Tier
    direction: Direction
    blocks: tuple[PolicyBlock, ...]
    default: Action = Action.DENY
    ordered: bool = False

    @property
    def name(self) -> str:
        """The tier's name."""
        return self.tier.name


def merged(stages: Iterable[Stage]) -> tuple[Stage, ...]:
    """Stages by tier, those of the same tier and direction as one with its blocks in order."""
    found: dict[tuple[float, str, Direction], list[Stage]] = {}
    for stage in stages:
        found.setdefault((*stage.tier.rank, stage.direction), []).append(stage)
    result = []
    for key in sorted(found):
        same = found[key]
        blocks = sorted((block for stage in same for block in stage.blocks), key=lambda item: item.order)
        denies = any(stage.default is Action.DENY for stage in same)
        default = Action.DENY if denies else same[0].default
        ordered = any(stage.ordered for stage in same)
        result.append(Stage(same[0].tier, same[0].direction, tuple(blocks), default, ordered))
    return tuple(result)


OPEN_POINTS = {
    # docs/semantics.md, section 4
    "ipblock-pod": "an ipBlock that covers pod addresses",
    "ipblock-node": "an ipBlock that covers node addresses",
    "own-service": "a pod that reaches itself through its own Service",
    "icmp": "ICMP, which NetworkPolicy does not define",
    "nodeport-source": "the source address of NodePort traffic",
    "established": "connections opened before the change",
    "host-network": "a hostNetwork pod as subject or peer of a policy",
    "equal-priority": "which of two policies of the same priority comes first",
    "own-node": "a policy that denies what a pod sends to its own node",
    "domain-name": "for which addresses a domain name stands",
}
"""What the specification leaves open, by name; the text completes `undefined by the specification: …`."""
