"""All policies of a world, tier by tier, over all dialects together: what one side of a connection gets.

A tier asks the policies that select the pod, in their order. A rule that matches allows, denies or passes on
to the next tier; when none does, the connection is denied if one of the policies isolates the pod, and
passed on otherwise. What no tier decides is allowed (semantics.md 3.2 and 9), unless all pods are isolated.

Where something is open, everything that can follow is followed: the answer is `undefined` only when the ends
differ. Policies of different dialects in the same tier are asked together, never one dialect after another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, groupby
from types import MappingProxyType

from harness.dialects.connection import Connection, End, Ruling
from harness.dialects.lookups import questions
from harness.dialects.paper import is_node
from harness.dialects.registry import DIALECTS, of_nodes
from harness.dialects.standing import Muted, Standing, depends_on
from harness.model.personality import GENERIC, Enforcement, Personality
from harness.model.policy import Policy
from harness.model.prediction import Answer, possible
from harness.model.probe import DnsQuery, HttpRequest, SourceKind, TlsRequest
from harness.model.rules import NETWORK_POLICY_TIER, OPEN_POINTS, Action, Direction, Origin, Tier
from harness.model.topology import Protocol, Topology
from harness.model.verdict import Verdict

_DENIALS: Mapping[type, Verdict] = MappingProxyType(
    {HttpRequest: Verdict.DENY_HTTP, TlsRequest: Verdict.TLS_REJECTED}
)
"""How a proxy denies a request; how it denies a question is a setting."""

Reached = tuple[Standing, int, bool | str]
"""A rule that may match: its policy, its number, and whether it does or on what that depends."""


def stand(
    policies: Sequence[Policy], topology: Topology, direction: Direction, subject: End
) -> tuple[Standing, ...]:
    """The policies of all dialects that select a pod, in the order in which they are asked."""
    if subject.kind is not SourceKind.POD:
        return ()
    pod = topology.pods[subject.name]
    by_dialect: dict[str, list[Policy]] = {}
    for policy in policies:
        by_dialect.setdefault(policy.dialect, []).append(policy)
    found = [
        item
        for name, mine in by_dialect.items()
        for item in DIALECTS[name].standing(mine, topology, direction, pod)
    ]
    if len(found) > 1:
        found.sort(key=_place)
    return tuple(found)


def _place(item: Standing) -> tuple[float, str, float, str]:
    return *item.tier.rank, item.order, item.tie


def decide(
    policies: Sequence[Policy],
    topology: Topology,
    direction: Direction,
    connection: Connection,
    muted: frozenset[Origin] = frozenset(),
) -> Ruling | None:
    """Decide one direction of one connection; None when no policy has a say.

    Args:
        policies: All policies in force.
        topology: The world.
        direction: Whose policies are asked.
        connection: The question.
        muted: Rules that are taken not to match.
    """
    subject = connection.subject(direction)
    if is_node(subject, topology):
        host_policy = of_nodes(policies)
        if host_policy is not None:
            origin = Origin(str(host_policy), "", host_policy.place)
            denials = every_denial(connection)
            return Ruling(Answer.UNDEFINED, depends_on("host-firewall"), (origin,), denials=denials)
    standing = stand(policies, topology, direction, subject)
    if muted:
        standing = tuple(Muted(item, muted) for item in standing)
    return rule(standing, topology, direction, connection)


def rule(
    standing: Sequence[Standing], topology: Topology, direction: Direction, connection: Connection
) -> Ruling | None:
    """Decide by the policies that select the subject; None when there are none, and nobody isolates it."""
    personality = connection.personality
    standing = taken(standing, personality)
    if not standing and not _isolated_anyway(connection.subject(direction), topology, personality):
        return None
    if connection.to_itself:
        return Ruling(Answer.ALLOW, "no policy can keep a pod from itself")
    connection = as_learned(standing, topology, connection)
    found = _judge(standing, topology, direction, connection)
    doubts = [item.doubt for item in standing if item.doubt and personality.reads(item.doubt) is not True]
    if doubts and found.answer is not Answer.ALLOW:
        certain = [item for item in standing if item.doubt not in doubts]
        without = _judge(certain, topology, direction, connection) if certain else Ruling(Answer.ALLOW, "")
        if without.answer is not found.answer or found.answer is Answer.UNDEFINED:
            return opened(found, doubts[0], without)
    return found


def as_learned(standing: Sequence[Standing], topology: Topology, connection: Connection) -> Connection:
    """The connection; no proxy has heard the name if a tier before that of DNS rules allows questions."""
    before = [item for item in standing if item.tier.order < NETWORK_POLICY_TIER.order]
    if connection.looked_up is None or not before:
        return connection
    for question in questions(connection, topology):
        if walk(before, question).allowed:
            return replace(connection, looked_up=None)
    return connection


def taken(standing: Sequence[Standing], personality: Personality) -> Sequence[Standing]:
    """Without policies that a personality does not take to select their pod at all."""
    if personality is GENERIC:
        return standing
    return [item for item in standing if not (item.doubt and personality.reads(item.doubt) is False)]


def _isolated_anyway(subject: End, topology: Topology, personality: Personality) -> bool:
    """Whether what no policy decides about a pod is denied."""
    always = personality.enforcement is Enforcement.ALWAYS
    return always and subject.kind is SourceKind.POD and not is_node(subject, topology)


def _judge(
    standing: Sequence[Standing], topology: Topology, direction: Direction, connection: Connection
) -> Ruling:
    ends = walk(standing, connection)
    if ends.through and _isolated_anyway(connection.subject(direction), topology, connection.personality):
        ends.through, ends.shut = False, True
    found = ends.ruling(direction, connection.subject(direction))
    if found.answer is Answer.ALLOW or not is_node(connection.peer(direction), topology):
        return found
    if direction is Direction.EGRESS and any(item.strict for item in standing):
        return found
    return _own_node(found, ends, connection, direction)


def _own_node(found: Ruling, ends: Ends, connection: Connection, direction: Direction) -> Ruling:
    """The node on which a pod runs reaches it, and is reached, in spite of isolation (3.1 no. 11).

    Whether a rule that denies on purpose may stand in the way of that, the specification does not say.
    """
    if direction is Direction.EGRESS and connection.personality.polices_own_node:
        return found
    subject, peer = connection.subject(direction), connection.peer(direction)
    if subject.node is None or peer.node is None:
        return Ruling(
            Answer.UNDEFINED,
            f"{subject} and {peer}: the scenario does not say whether they share a node, "
            "and a pod's own node is always allowed",
            found.deciding,
            denials=found.ways_to_deny,
        )
    if subject.node != peer.node:
        return found
    on_purpose = ends.denied + ends.refused
    if on_purpose and not connection.personality.frees_own_node:
        return replace(opened(found, "own-node"), deciding=_origins(on_purpose))
    return Ruling(Answer.ALLOW, "a pod's own node is always allowed")


@dataclass(slots=True)
class Ends:
    """Where a connection can end, with the rules that lead there.

    Attributes:
        connection: What is asked.
        isolated: Policies that deny it because no rule of their tier matched.
        refused: Rules that allow the connection, but not its request.
        through: Whether it can come out behind the last tier.
        shut: Whether it can come out there, and is denied then.
        points: On what it depends where it ends; empty when it is certain.
        uncertain: Rules that depend on something.
    """

    connection: Connection
    allowed: list[Reached] = field(default_factory=list)
    denied: list[Reached] = field(default_factory=list)
    refused: list[Reached] = field(default_factory=list)
    isolated: list[Standing] = field(default_factory=list)
    through: bool = False
    shut: bool = False
    points: list[str] = field(default_factory=list)
    uncertain: list[Reached] = field(default_factory=list)

    def ruling(self, direction: Direction, subject: End) -> Ruling:
        """The answer, if all ends agree."""
        allows = bool(self.allowed) or self.through
        denied = bool(self.denied or self.isolated or self.shut)
        if (allows and (denied or self.refused)) or (denied and self.refused):
            deciding = _origins(self.uncertain) or tuple(item.origin for item in self.isolated)
            point = self.points[0]
            known = point if point in OPEN_POINTS else None
            denials = self._denials()
            return Ruling(Answer.UNDEFINED, depends_on(point), deciding, known, denials=denials)
        if denied:
            return replace(self._denied(direction), denial=_of_the_connection(self.connection))
        if self.refused:
            certain = [item for item in self.refused if item[2] is True] or self.refused
            reason = f"no {direction} rule lets this request pass"
            denial = _by_a_proxy(self.connection)
            return Ruling(Answer.DENY, reason, _origins(certain), denial=denial)
        if self.allowed:
            certain = [item for item in self.allowed if item[2] is True] or self.allowed
            reason = f"{direction} rule{_of(certain[0][0].tier)} matches"
            return Ruling(Answer.ALLOW, reason, _origins(certain))
        return Ruling(Answer.ALLOW, f"no rule matches, and no policy isolates {subject} for {direction}")

    def _denials(self) -> tuple[Verdict, ...]:
        """How it is denied at those ends that deny it."""
        drop: tuple[Verdict, ...] = ()
        if self.denied or self.isolated or self.shut:
            drop = possible(Answer.DENY, _of_the_connection(self.connection))
        refusal = possible(Answer.DENY, _by_a_proxy(self.connection)) if self.refused else ()
        return together(drop, refusal)

    def _denied(self, direction: Direction) -> Ruling:
        if self.denied:
            certain = [item for item in self.denied if item[2] is True] or self.denied
            reason = f"{direction} rule{_of(certain[0][0].tier)} denies"
            return Ruling(Answer.DENY, reason, _origins(certain))
        origins = tuple(item.origin for item in self.isolated)
        if not origins:
            mode = self.connection.personality.enforcement
            reason = f"no {direction} rule matches, and enforcement mode `{mode}` isolates every pod"
            return Ruling(Answer.DENY, reason)
        return Ruling(Answer.DENY, f"isolated for {direction}, and no rule matches", origins)


def _of(tier: Tier) -> str:
    return "" if tier == NETWORK_POLICY_TIER else f" of the {tier.name} tier"


def _origins(reached: Iterable[Reached]) -> tuple[Origin, ...]:
    return tuple(dict.fromkeys(item.rule_origin(number) for item, number, _ in reached))


def walk(standing: Sequence[Standing], connection: Connection) -> Ends:
    """Follow a connection through the tiers to all ends that it can have."""
    ends = Ends(connection)
    if not standing:
        ends.through = True
        return ends
    if standing[0].tier is standing[-1].tier:
        # They are sorted, so there is but this tier: the usual case.
        ends.through = tier(standing, connection, ends)
        return ends
    for _, members in groupby(standing, key=lambda item: item.tier):
        if not tier(list(members), connection, ends):
            return ends
    ends.through = True
    return ends


def tier(members: Sequence[Standing], connection: Connection, ends: Ends) -> bool:
    """Ask one tier; whether the connection can leave it for the next."""
    leaves = False
    for group in ranks(members, by_name=connection.personality.sorts_by_name):
        reached = [found for item in group for found in reach(item, connection)]
        if not reached:
            continue
        actions = {item.action(item.rules[number]) for item, number, _ in reached}
        certain = any(match is True for _, _, match in reached)
        for found in reached:
            if isinstance(found[2], str):
                ends.points.append(found[2])
                ends.uncertain.append(found)
        if len(actions) > 1 and len({id(item) for item, _, _ in reached}) > 1:
            # Either policy may be asked first, and they differ.
            ends.points.append("equal-priority")
            ends.uncertain.extend(found for found in reached if found not in ends.uncertain)
        allows = [found for found in reached if found[0].action(found[0].rules[found[1]]) is Action.ALLOW]
        _let_pass(allows, connection, ends)
        for found in reached:
            action = found[0].action(found[0].rules[found[1]])
            if action is Action.ALLOW:
                continue
            if action is Action.DENY:
                ends.denied.append(found)
            else:
                leaves = True
        if certain:
            return leaves
    isolating = [item for item in members if item.isolates]
    if not isolating:
        return True
    ends.isolated += isolating
    points = [item.silent(connection) for item in isolating]
    if all(points):
        ends.points += [point for point in points if point]
        return True
    return leaves


def _let_pass(allows: Sequence[Reached], connection: Connection, ends: Ends) -> None:
    """Rules that allow the connection: their demands are alternatives, and a rule without any is enough."""
    passing = [(found, found[0].passes(found[0].rules[found[1]], connection)) for found in allows]
    free = any(found[2] is True and through is True for found, through in passing)
    for found, through in passing:
        if through is True:
            ends.allowed.append(found)
        elif free:
            continue
        elif through is False:
            ends.refused.append(found)
        else:
            # Both may come of it.
            uncertain = (found[0], found[1], through)
            ends.allowed.append(uncertain)
            ends.refused.append(uncertain)
            ends.points.append(through)
            ends.uncertain.append(uncertain)


def ranks(members: Sequence[Standing], *, by_name: bool = False) -> Iterator[Sequence[Standing]]:
    """The policies of a tier by their place in it; those of one place have no order among them.

    Args:
        members: In the order of their places.
        by_name: Names decide between ordered policies of one place.
    """
    if by_name and all(item.ordered and not item.tie for item in members):
        for item in sorted(members, key=lambda item: (item.order, item.policy.name)):
            yield [item]
        return
    first, last = members[0], members[-1]
    if first.order == last.order and first.tie == last.tie:
        yield members
        return
    for _, same in groupby(members, key=lambda item: item.order):
        yield from _by_ties(list(same))


def _by_ties(same: Sequence[Standing]) -> Iterator[Sequence[Standing]]:
    """Policies of one order, as far as all releases sort them alike, and all of them have ties at all."""
    older = sorted(same, key=lambda item: item.older_tie)
    if len({bool(item.tie) for item in same}) > 1 or older != list(same):
        yield same
        return
    for _, equal in groupby(same, key=lambda item: item.tie):
        yield list(equal)


def reach(item: Standing, connection: Connection) -> list[Reached]:
    """The rules of a policy that may match, up to the one behind which no rule is asked."""
    found: list[Reached] = []
    for number, one in enumerate(item.rules):
        match = item.matches(one, connection)
        if match is False or item.action(one) is Action.LOG:
            continue
        found.append((item, number, match))
        if match is True and item.ordered:
            break
    return found


def opened(ruling: Ruling, point: str, other: Ruling | None = None) -> Ruling:
    """The ruling, left open because of a point of the specification.

    Args:
        ruling: What one reading of the point says.
        point: Key of `OPEN_POINTS`.
        other: What another reading says; None = allow.
    """
    denials = together(ruling.ways_to_deny, other.ways_to_deny if other else ())
    return Ruling(Answer.UNDEFINED, depends_on(point), ruling.deciding, point, denials=denials)


def every_denial(connection: Connection) -> tuple[Verdict, ...]:
    """All verdicts that come of rules of which nothing is known, but allow."""
    ways = _of_the_connection(connection), _by_a_proxy(connection)
    return together(*(possible(Answer.DENY, way) for way in ways))


def together(*verdicts: tuple[Verdict, ...]) -> tuple[Verdict, ...]:
    """All of them, each once."""
    return tuple(dict.fromkeys(chain.from_iterable(verdicts)))


def _of_the_connection(connection: Connection) -> Verdict | None:
    """How it is denied as a whole; None where that is not known."""
    told = connection.protocol in (Protocol.TCP, Protocol.UDP)
    return Verdict.REJECT if told and connection.personality.answers_denials else None


def _by_a_proxy(connection: Connection) -> Verdict | None:
    if isinstance(connection.request, DnsQuery):
        return connection.personality.denied_lookup
    return _DENIALS.get(type(connection.request))
