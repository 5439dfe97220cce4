"""Why a connection is allowed or denied on paper: every policy that was asked, rule by rule."""

from __future__ import annotations

from dataclasses import dataclass

from harness.model.prediction import Answer
from harness.model.rules import Action, Direction, Origin
from harness.source import Place


@dataclass(frozen=True, slots=True)
class Part:
    """One peer or port of a rule.

    Attributes:
        name: Its place in the rule, such as `from[1]` or `ports[0]`.
        matched: True, False, or None where it depends on something that is open.
        why: What matches or does not, in words.
    """

    name: str
    matched: bool | None
    why: str
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class RuleTrace:
    """One rule.

    Attributes:
        reached: Whether it was asked at all; the rules behind one that decides are not.
        matched: As for parts.
        decides: Whether the answer rests on it.
        peers: Its peers; empty = the rule is about every peer.
        ports: Its ports; empty = the rule is about every port and protocol.
    """

    origin: Origin
    action: Action
    reached: bool
    matched: bool | None
    decides: bool
    peers: tuple[Part, ...] = ()
    ports: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicyTrace:
    """One policy that selects the side's pod.

    Attributes:
        place: Its place in the tier: a priority or an order, where the tier has such a thing.
        isolates: Whether it denies what no rule of its tier matches.
        decides: Whether the answer rests on the policy as a whole, because it isolates the pod.
    """

    origin: Origin
    dialect: str
    place: str
    isolates: bool
    decides: bool
    rules: tuple[RuleTrace, ...]


@dataclass(frozen=True, slots=True)
class TierTrace:
    """One tier.

    Attributes:
        outcome: What became of the connection here, in words: `allow`, `deny`, `pass on`, or several.
        reached: Whether it was asked at all.
    """

    name: str
    reached: bool
    outcome: str
    policies: tuple[PolicyTrace, ...]


@dataclass(frozen=True, slots=True)
class Behind:
    """What would be answered if the rules that decide did not match, and what would decide then."""

    answer: Answer
    deciding: tuple[Origin, ...]


@dataclass(frozen=True, slots=True)
class SideTrace:
    """One direction of one connection.

    Attributes:
        leg: Which exchange of the probe: `DNS lookup` or `connection`.
        subject: Whose policies are asked.
        port: Of the destination, after services are translated: `8080/TCP`.
        bystanders: Policies that could have had a say but do not select the subject in this direction.
        behind: What comes out without the rules that decide, then without those that decide next, and so on
            until the answer is another or rests on no rule.
        out_of_reach: Whether no policy can certainly deny this side.
        selectable: Whether the peer is a pod that selectors can mean.
    """

    leg: str
    direction: Direction
    subject: str
    peer: str
    port: str
    answer: Answer
    reason: str
    deciding: tuple[Origin, ...]
    tiers: tuple[TierTrace, ...] = ()
    bystanders: tuple[Origin, ...] = ()
    behind: tuple[Behind, ...] = ()
    out_of_reach: bool = False
    selectable: bool = True
