"""The answer on paper: egress of the source AND ingress of the destination (semantics.md 3.1 no. 10)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from harness.dialects.connection import Connection, End, Ruling
from harness.dialects.registry import carried
from harness.model.builtin import DNS_POD, with_builtins
from harness.model.personality import Enforcement, Personality, asked_for
from harness.model.policy import Policy
from harness.model.prediction import Answer, possible
from harness.model.probe import Probe, SourceKind
from harness.model.rules import Direction, Origin
from harness.model.topology import Topology
from harness.model.verdict import Expected, Verdict
from harness.oracle.identity import objections
from harness.oracle.paths import Leg, Path, UndecidedError, legs
from harness.oracle.tiers import decide, every_denial, opened, together


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the oracle says of one probe.

    Attributes:
        verdict: `allow`, `deny` (`denial` says how, as far as paper knows) or `undefined`.
        denial: How a request is denied that a proxy looks into, or a connection where the network answers
            denials; None = the connection is, in whichever way.
        reason: One sentence without a full stop.
        deciding: Rules that allow, policies that isolate, or rules on which an undefined verdict depends.
        direction: The side that denies or leaves it open; None when both allow.
        open_point: Key of `OPEN_POINTS` when the specification leaves the verdict open.
        trace: What was asked and answered, one line each.
        denials: Where it is open how it is denied, or whether: all verdicts that may come of it, but allow.
    """

    verdict: Answer
    reason: str
    deciding: tuple[Origin, ...] = ()
    direction: Direction | None = None
    open_point: str | None = None
    trace: tuple[str, ...] = ()
    denial: Verdict | None = None
    denials: tuple[Verdict, ...] = ()

    @property
    def word(self) -> str:
        """The verdict in the words of the scenario language."""
        return str(self.denial or self.verdict)

    def fits(self, expected: Expected) -> bool:
        """Whether what an author expects is what paper says; an undefined verdict fits nothing."""
        return any(expected.accepts(verdict) for verdict in self.possible)

    @property
    def possible(self) -> tuple[Verdict, ...]:
        """What the network may do; nothing follows from an undefined verdict."""
        return possible(self.verdict, self.denial, self.denials)

    @property
    def ways_to_deny(self) -> tuple[Verdict, ...]:
        """What the network may do other than allow."""
        return self.possible if self.verdict is Answer.DENY else self.denials


def predict(
    step_topology: Topology,
    policies: Sequence[Policy],
    probe: Probe,
    personality: Personality | None = None,
) -> Prediction:
    """Decide one probe on paper.

    Args:
        step_topology: The world as it is in the step.
        policies: All policies in force, of any dialect.
        probe: The question.
        personality: How the network reads what specifications leave open; None = as the policies ask for.
    """
    topology = step_topology if DNS_POD in step_topology.services else with_builtins(step_topology)
    try:
        found = legs(probe, topology, personality or asked_for(policies))
    except UndecidedError as error:
        return Prediction(Answer.UNDEFINED, str(error))
    decided = [_leg(leg, policies, topology, named=len(found) > 1) for leg in found]
    if len(decided) == 1:
        return _between_ends(decided[0], probe, topology)
    trace = tuple(line for item in decided for line in item.trace)
    return _between_ends(replace(_worst(decided), trace=trace), probe, topology)


def _between_ends(network: Prediction, probe: Probe, topology: Topology) -> Prediction:
    """What the network lets through, the ends may still refuse: by the identities in their certificates."""
    found = objections(probe, topology)
    if network.verdict is not Answer.ALLOW or not any(found):
        return network
    reason = next(filter(None, found))
    if not all(found):
        return Prediction(
            Answer.UNDEFINED,
            f"of the pods behind the target some take the client: {reason}",
            trace=network.trace,
        )
    trace = (*network.trace, f"identities: {Verdict.TLS_REJECTED}: {reason}")
    return Prediction(Answer.DENY, reason, trace=trace, denial=Verdict.TLS_REJECTED)


def _worst(predictions: Sequence[Prediction]) -> Prediction:
    """Everything must be allowed, in the order of the packets: the first that denies says how it is denied.

    A deny outranks an undefined, which outranks an allow.
    """
    doubtful: list[Prediction] = []
    for item in predictions:
        if item.verdict is Answer.DENY:
            return _not_before(item, doubtful)
        if item.verdict is Answer.UNDEFINED:
            doubtful.append(item)
    if doubtful:
        return replace(doubtful[0], denials=together(*(item.denials for item in doubtful)))
    reasons = tuple(dict.fromkeys(item.reason for item in predictions if item.deciding))
    deciding = _unique(origin for item in predictions for origin in item.deciding)
    reason = "; ".join(reasons or dict.fromkeys(item.reason for item in predictions))
    return Prediction(Answer.ALLOW, reason, deciding)


def _not_before(denied: Prediction, doubtful: Sequence[Prediction]) -> Prediction:
    """What denies for certain, unless something before it does, and perhaps in another way."""
    certain = denied.possible
    denials = together(*(item.denials for item in doubtful), certain)
    if {*denials} == {*certain}:
        return denied
    others = [item for item in doubtful if not {*item.denials} <= {*certain}]
    reason = f"{denied.reason}; whether it is denied in another way before is open: {others[0].reason}"
    return replace(denied, reason=reason, denial=None, denials=denials)


def _leg(leg: Leg, policies: Sequence[Policy], topology: Topology, *, named: bool) -> Prediction:
    """All alternatives of a leg must agree; otherwise it depends on which backend is chosen."""
    decided = [_path(path, policies, topology) for path in leg.paths]
    if len(decided) == 1 and not named:
        return decided[0]
    trace = tuple(line for item in decided for line in item.trace)
    verdicts = {item.word for item in decided}
    denials = together(*(item.ways_to_deny for item in decided))
    if len(verdicts) > 1:
        open_item = next((item for item in decided if item.verdict is Answer.UNDEFINED), None)
        if open_item is not None:
            return replace(open_item, denials=denials)
        return Prediction(
            Answer.UNDEFINED,
            "the backends of the service get different answers",
            _unique(origin for item in decided for origin in item.deciding),
            trace=trace,
            denials=denials,
        )
    vague = next((item for item in decided if item.verdict is Answer.DENY and item.denials), None)
    if vague is not None and len(decided) > 1:
        # Each backend by itself is denied in one of these ways, so together they may differ.
        return replace(vague, verdict=Answer.UNDEFINED, denials=denials, trace=trace)
    first = decided[0]
    reason = f"{leg.name}: {first.reason}" if named and first.verdict is not Answer.ALLOW else first.reason
    deciding = _unique(origin for item in decided for origin in item.deciding)
    return replace(first, reason=reason, deciding=deciding, trace=trace)


def _path(path: Path, policies: Sequence[Policy], topology: Topology) -> Prediction:
    connection = path.connection
    sides = []
    for direction in (Direction.EGRESS, Direction.INGRESS):
        ruling = side(path, policies, topology, direction)
        subject, peer = connection.subject(direction), connection.peer(direction)
        words = {Direction.EGRESS: "to", Direction.INGRESS: "from"}
        line = f"{direction} of {subject} {words[direction]} {peer}"
        port = f"{connection.port}/{connection.protocol}" if connection.port else str(connection.protocol)
        by = f" ({', '.join(str(origin).strip() for origin in ruling.deciding)})" if ruling.deciding else ""
        decisive = direction if ruling.answer is not Answer.ALLOW else None
        sides.append(
            Prediction(
                ruling.answer,
                ruling.reason,
                ruling.deciding,
                decisive,
                ruling.open_point,
                (f"{line}, port {port}: {ruling.denial or ruling.answer}: {ruling.reason}{by}",),
                ruling.denial,
                ruling.denials,
            )
        )
    return replace(_worst(sides), trace=tuple(line for side in sides for line in side.trace))


def side(
    path: Path,
    policies: Sequence[Policy],
    topology: Topology,
    direction: Direction,
    muted: frozenset[Origin] = frozenset(),
) -> Ruling:
    """One direction, with the detours of services that the specification leaves open.

    Args:
        path: The connection.
        policies: All policies in force.
        topology: The world.
        direction: Whose policies are asked.
        muted: Rules that are taken not to match.
    """
    connection = path.connection
    ruling = _ask(policies, topology, direction, connection, muted)
    if connection.looped and ruling.answer is not Answer.ALLOW:
        if connection.personality.frees_own_service and not path.entries:
            return Ruling(
                Answer.ALLOW, "no policy can keep a pod from itself, through its own Service either"
            )
        if ruling.answer is Answer.DENY:
            return opened(ruling, "own-service")
    if direction is Direction.EGRESS:
        return ruling
    # A node may put its own address in place of the source's (semantics.md 4 no. 9).
    for entry in path.entries:
        translated = _ask(policies, topology, direction, replace(connection, source=entry), muted)
        if (translated.answer, translated.denial) != (ruling.answer, ruling.denial):
            first, other = ruling, translated
            if first.answer is Answer.ALLOW:
                first, other = other, first
            return opened(first, "nodeport-source", other)
    return ruling


def _ask(
    policies: Sequence[Policy],
    topology: Topology,
    direction: Direction,
    connection: Connection,
    muted: frozenset[Origin],
) -> Ruling:
    """All dialects together; when no policy has a say, nothing stands in the way."""
    subject = connection.subject(direction)
    if connection.personality.enforcement is Enforcement.NEVER and subject.kind is SourceKind.POD:
        return Ruling(Answer.ALLOW, "in enforcement mode `never` no policy has any effect")
    unread = carried(policies)
    if unread is not None:
        reason = f"only the cluster knows what comes of {unread}"
        origin = Origin(str(unread), "", unread.place)
        return Ruling(Answer.UNDEFINED, reason, (origin,), denials=every_denial(connection))
    ruling = decide(policies, topology, direction, connection, muted)
    return ruling or Ruling(Answer.ALLOW, _no_policy(subject, direction))


def _no_policy(subject: End, direction: Direction) -> str:
    if subject.kind is not SourceKind.POD:
        return f"{subject} is no pod, policies have no say"
    return f"no policy isolates {subject} for {direction}"


def _unique(origins: Iterable[Origin]) -> tuple[Origin, ...]:
    return tuple(dict.fromkeys(origins))
