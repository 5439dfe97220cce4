"""Whether two sets of policies mean the same: every kind of connection, asked of both on paper.

A connection is held against both sets under each reading that the network of the second may have. What comes
out the same under every reading is proved; what comes out the same under some depends on the network.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from harness.author.kinds_of_flows import Asked, Asking
from harness.dialects.connection import Ruling
from harness.model.personality import CALICO, CILIUM, GENERIC, Personality, asked_for
from harness.model.policy import Policy
from harness.model.prediction import Answer
from harness.oracle import Prediction

MOST_KEPT = 20_000
"""Flows of which the reasons are kept; nobody reads more."""


class Agreement(StrEnum):
    """What is known of one flow: the same, another answer, or neither."""

    SAME = "same"
    DIFFERENT = "different"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Told:
    """What one set of policies says of a flow.

    Attributes:
        rules: The deciding rules with their places; empty where no rule decides.
    """

    answer: str
    reason: str
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Flow:
    """A flow of which the two sets do not say the same under every reading.

    Attributes:
        text: From whom to whom and on which port.
        before: Under the first reading that leaves it open, else the first that changes it; as `after` is.
        readings: What is known under each reading, by its name.
        count: How many connections share it: the same rules match them.
    """

    text: str
    before: Told
    after: Told
    readings: Mapping[str, Agreement]
    count: int = 1

    @property
    def different(self) -> bool:
        """Whether it differs however the network reads the policies."""
        return all(item is Agreement.DIFFERENT for item in self.readings.values())


@dataclass(slots=True)
class Proof:
    """What came out.

    Attributes:
        compared: How many connections were asked.
        flows: Those that are not the same under every reading, of each kind one.
        readings: The names of the readings.
        gaps: What was not compared; sentences without a full stop.
    """

    readings: tuple[str, ...]
    compared: int = 0
    flows: list[Flow] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)

    @property
    def differing(self) -> list[Flow]:
        """Flows that differ however the network reads the policies."""
        return [flow for flow in self.flows if flow.different]

    @property
    def depending(self) -> list[Flow]:
        """Flows that are kept under some readings only, or of which paper says nothing."""
        return [flow for flow in self.flows if not flow.different]


Reading = tuple[Personality, Personality]
"""How the network of the first set reads, and how that of the second does."""


def readings(before: Sequence[Policy], to: str) -> dict[str, Reading]:
    """The readings under which policies are compared with others in the dialect `to`.

    Cilium and Calico have one each. Policies of the API's own kinds are read in all ways that are known.
    """
    own = asked_for(before)
    known = {item.name: item for item in (GENERIC, CILIUM, CALICO)}
    after = {to: known[to]} if to in known else known
    return {name: (item if own is GENERIC else own, item) for name, item in after.items()}


def agreement(askings: Iterable[Asking], wanted: Mapping[str, Reading]) -> Proof:
    """Compare two sets of policies.

    Args:
        askings: Worlds with the connections that are asked there.
        wanted: As `readings` gave them.
    """
    proof = Proof(tuple(wanted))
    for asking in askings:
        for asked in asking(list(wanted.values())):
            proof.compared += asked.count
            flow = _flow(asked, proof.readings)
            if flow is not None and len(proof.flows) < MOST_KEPT:
                proof.flows.append(flow)
    return proof


def _flow(asked: Asked, names: Sequence[str]) -> Flow | None:
    found = {name: _agree(*pair) for name, pair in zip(names, asked.answers, strict=True)}
    if all(item is Agreement.SAME for item in found.values()):
        return None
    # What is open says on which point it depends.
    states = [Agreement.OPEN, Agreement.DIFFERENT]
    shown = next(name for state in states for name in names if found[name] is state)
    before, after = asked.answers[names.index(shown)]
    return Flow(asked.text, _told(before), _told(after), found, asked.count)


Answered = Ruling | Prediction | None
"""None = no policy has a say."""


def _agree(before: Answered, after: Answered) -> Agreement:
    first, second = answer_of(before), answer_of(after)
    if Answer.UNDEFINED not in (first, second):
        return Agreement.SAME if first is second else Agreement.DIFFERENT
    alike = first is second and before is not None and after is not None and before.reason == after.reason
    return Agreement.SAME if alike else Agreement.OPEN


def answer_of(found: Answered) -> Answer:
    """The answer; what no policy decides is allowed."""
    if found is None:
        return Answer.ALLOW
    return found.answer if isinstance(found, Ruling) else found.verdict


def _told(found: Answered) -> Told:
    if found is None:
        return Told(str(Answer.ALLOW), "no policy has a say", ())
    return Told(str(answer_of(found)), found.reason, tuple(str(origin).strip() for origin in found.deciding))


def examples(flows: Sequence[Flow], most: int) -> Iterator[Flow]:
    """Some flows, such with other rules first."""
    seen: set[object] = set()
    rest = []
    for flow in flows:
        key = (flow.before.answer, flow.before.rules, flow.after.answer, flow.after.rules)
        if key in seen:
            rest.append(flow)
            continue
        seen.add(key)
        if most:
            most -= 1
            yield flow
    yield from rest[:most]
