"""What would have to change for a connection to get the other answer; every claim holds by the oracle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from harness.model.prediction import Answer
from harness.model.rules import Action, Direction, Origin
from harness.model.topology import Protocol
from harness.model.trace import RuleTrace, SideTrace


@dataclass(frozen=True, slots=True)
class Way:
    """One way to change an answer: everything in it has to be done.

    Attributes:
        without: Rules that no longer match.
        isolates: A NetworkPolicy is added that isolates the subject and has no rule for the connection.
        allows: A NetworkPolicy is added that has a rule for it.
        before: A rule is asked before that one, with the other action.
        covers: A rule that has to match, too.
    """

    text: str
    without: tuple[Origin, ...] = ()
    isolates: bool = False
    allows: bool = False
    before: Origin | None = None
    covers: Origin | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What would have to change: any of the alternatives, which are sentences without a full stop."""

    what: str
    alternatives: tuple[str, ...]


def flips(sides: Sequence[SideTrace]) -> tuple[Change, ...]:
    """What would have to change for the answer to be the other one.

    A connection that is allowed needs one change on either side; one that is denied needs a change on every
    side that denies it; where the answer is open, what would settle it. Every pod behind a service counts.
    """
    several = len({item.peer for item in sides if item.direction is Direction.EGRESS}) > len(
        {item.leg for item in sides}
    )

    def tail(item: SideTrace) -> str:
        return f" {_word(item)} {item.peer}" if several else ""

    found = [
        Change(f"to allow the {item.direction} of {item.subject}{tail(item)}", _texts(to_allow(item)))
        for item in sides
        if item.answer is Answer.DENY
    ] + [
        Change(f"to settle the {item.direction} of {item.subject}{tail(item)}", tuple(_to_settle(item)))
        for item in sides
        if item.answer is Answer.UNDEFINED
    ]
    if found:
        return tuple(found)
    for peer, group in groupby(_paths(sides), key=lambda pair: pair[0].peer if several else ""):
        ways = tuple(text for pair in group for item in pair for text in _texts(to_deny(item)))
        if ways:
            found.append(Change(f"to deny the way to {peer}" if several else "to deny it", ways))
    return tuple(found)


def _paths(sides: Sequence[SideTrace]) -> Iterator[tuple[SideTrace, SideTrace]]:
    """Egress and ingress of each connection stand beside each other."""
    return zip(sides[::2], sides[1::2], strict=True)


def _texts(ways: Iterator[Way]) -> tuple[str, ...]:
    return tuple(way.text for way in ways)


def to_allow(found: SideTrace) -> Iterator[Way]:
    """Ways by which a side that denies would allow."""
    here = f"{found.port} {_word(found)} {found.peer}"
    policies = [policy for each in found.tiers for policy in each.policies]
    rules = [rule for policy in policies for rule in policy.rules]
    denying = [rule for rule in rules if rule.decides and rule.action is Action.DENY]
    if denying:
        without, last = _chain(found)
        if last is Answer.ALLOW:
            yield Way(_no_longer(without), without)
        elif last is Answer.DENY:
            text = f"{_no_longer(without)}, and a rule of a NetworkPolicy allows {here}"
            yield Way(text, without, allows=True)
        first = denying[0].origin
        if not _shared(found, first):
            yield Way(f"a rule before {first} allows {here}", before=first)
        return
    # Peers of ingress rules that allow on purpose, as admin policies do, are pods and nothing else.
    foreign = not found.selectable and found.direction is Direction.INGRESS
    for rule, isolates in ((rule, policy.isolates) for policy in policies for rule in policy.rules):
        misses = _misses(rule, found) if rule.reached and rule.action is Action.ALLOW else ""
        possible = isolates or (not _shared(found, rule.origin) and not (foreign and misses == "this peer"))
        if misses and possible:
            yield Way(f"{rule.origin} also covers {misses}", covers=rule.origin)
    names = ", ".join(str(origin).strip() for origin in found.deciding)
    who = f"a rule of {names}, or of another policy," if names else f"a policy that selects {found.subject}"
    yield Way(f"{who} allows {here}", allows=True)


def to_deny(found: SideTrace) -> Iterator[Way]:
    """Ways by which a side that allows would deny; none where no policy can."""
    if found.out_of_reach:
        return
    here = f"{found.port} {_word(found)} {found.peer}"
    isolated = f"a policy isolates {found.subject} for {found.direction} and has no rule for {here}"
    deciding = [
        (rule, policy.isolates)
        for each in found.tiers
        for policy in each.policies
        for rule in policy.rules
        if rule.decides and rule.action is Action.ALLOW
    ]
    if not deciding:
        yield Way(isolated, isolates=True)
        return
    without, last = _chain(found)
    if last is Answer.DENY:
        yield Way(_no_longer(without), without)
    elif last is Answer.ALLOW:
        yield Way(f"{_no_longer(without)}, and {isolated}", without, isolates=True)
    first, union = deciding[0]
    if not union and not _shared(found, first.origin):
        yield Way(f"a rule before {first.origin} denies {here}", before=first.origin)


def _shared(found: SideTrace, first: Origin) -> bool:
    """Whether the policy shares its place with another: then nothing in it comes before the other's rules."""
    for each in found.tiers:
        mine = [policy.place for policy in each.policies if policy.origin.policy == first.policy]
        if mine and not mine[0]:
            # In a tier without an order nothing comes before anything, but denials before the rest.
            return True
        if mine:
            return [policy.place for policy in each.policies].count(mine[0]) > 1
    return False


def _chain(found: SideTrace) -> tuple[tuple[Origin, ...], Answer]:
    """The rules that decide one after the other, and the answer without all of them."""
    origins = dict.fromkeys(found.deciding)
    for item in found.behind[:-1]:
        origins.update(dict.fromkeys(item.deciding))
    return tuple(origins), found.behind[-1].answer if found.behind else Answer.UNDEFINED


def _no_longer(origins: Sequence[Origin]) -> str:
    names = [str(origin) for origin in origins]
    return f"{' and '.join(names)} no longer match{'es' if len(names) == 1 else ''}"


def _to_settle(found: SideTrace) -> Iterator[str]:
    if "whether they share a node" in found.reason:
        pod = found.subject if ":" not in found.subject else found.peer
        yield f"`node:` of {pod} says on which node it runs"
    elif found.deciding:
        names = " and ".join(str(origin).strip() for origin in found.deciding)
        yield f"{names} no longer concern{'s' if len(found.deciding) == 1 else ''} this connection"
    yield "the cell expects one of the answers on purpose"


def _misses(rule: RuleTrace, found: SideTrace) -> str:
    """What keeps a rule from matching, when it is its peers alone, or its ports alone."""
    demands = [part for part in rule.ports if ".rules." in part.name or ".serverNames[" in part.name]
    if demands and not any(part.matched for part in demands):
        # Peers and ports may match, and the request still does not pass.
        return ""
    peers = not rule.peers or any(part.matched for part in rule.peers)
    ports = not rule.ports or any(part.matched for part in rule.ports)
    if peers == ports:
        return ""
    if not peers:
        return "this peer"
    if found.port == Protocol.ICMP:
        # No port stands for ICMP, and beside ports a rule cannot name kinds of it.
        return "echo requests" if any(part.name.startswith("icmps[") for part in rule.ports) else ""
    return "this port"


def _word(found: SideTrace) -> str:
    return "from" if found.direction is Direction.INGRESS else "to"
