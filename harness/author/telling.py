"""Connections that tell two sets of policies apart, looked for among everything that they can tell apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.author.classes import OTHER, Classes, classes_among
from harness.dialects.connection import Connection, End, Ruling
from harness.model.builtin import DNS_POD
from harness.model.policy import Policy
from harness.model.prediction import Answer
from harness.model.probe import SourceKind
from harness.model.rules import Direction
from harness.model.topology import METADATA_NAME, Namespace
from harness.oracle.tiers import decide, rule, stand


class TooManyClassesError(Exception):
    """The policies tell so much apart that not everything can be looked at."""


def telling(before: Sequence[Policy], after: Sequence[Policy], known: Mapping[str, Namespace]) -> str:
    """A connection that gets another answer, in words; empty when there is none.

    Args:
        before: Policies in force together.
        after: The same with one of them changed.
        known: The namespaces of the world, by name; any others may be there as well.

    Raises:
        TooManyClassesError: Not everything can be looked at.
    """
    kept = {id(policy) for policy in before}
    world = classes_among([*before, *(policy for policy in after if id(policy) not in kept)], known)
    if world is None:
        raise TooManyClassesError
    for direction in Direction:
        found = _difference(before, after, world, direction)
        if found is not None:
            ends = (_end(end, world) for end in (found.source, found.destination))
            return f"{' to '.join(ends)}, {_port(found, world)}"
    return ""


def _difference(
    before: Sequence[Policy], after: Sequence[Policy], world: Classes, direction: Direction
) -> Connection | None:
    asked: set[tuple[int, ...]] = set()
    for subject in world.topology.pods:
        end = End(SourceKind.POD, subject, node="a")
        sides = [stand(policies, world.topology, direction, end) for policies in (before, after)]
        # Pods that the same policies select get the same answers.
        alike = (len(sides[0]), *(id(item.policy) for side in sides for item in side))
        if alike in asked:
            continue
        asked.add(alike)
        same: set[tuple[object, ...]] = set()
        for connection in world.connections(direction, subject):
            # What the rules say of it is all that an answer rests on, and that a node is told apart.
            said = (item.matches(one, connection) for side in sides for item in side for one in item.rules)
            key = (connection.peer(direction).kind is SourceKind.NODE, connection.protocol, *said)
            if key in same or not _heard(connection):
                continue
            first, second = (_answer(rule(side, world.topology, direction, connection)) for side in sides)
            if first is second:
                same.add(key)
                continue
            answers = {_both_sides(policies, connection, world) for policies in (before, after)}
            if answers == {Answer.ALLOW, Answer.DENY}:
                return connection
    return None


def _heard(connection: Connection) -> bool:
    """The cluster's DNS listens on its own port only; nothing can be seen of its others."""
    return connection.destination.name != DNS_POD or connection.port == 53


def _answer(ruling: Ruling | None) -> Answer:
    return Answer.ALLOW if ruling is None else ruling.answer


def _both_sides(policies: Sequence[Policy], connection: Connection, world: Classes) -> Answer:
    answers = {_answer(decide(policies, world.topology, each, connection)) for each in Direction}
    return next((each for each in (Answer.DENY, Answer.UNDEFINED) if each in answers), Answer.ALLOW)


def _port(connection: Connection, world: Classes) -> str:
    """Numbers that stand for a name are made up."""
    pod = world.topology.pods.get(connection.destination.name)
    for item in pod.listeners if pod is not None and pod.id != DNS_POD else ():
        if (item.port, item.protocol) == (connection.port, connection.protocol):
            return f"the {item.protocol} port {item.name}"
    return f"{connection.port}/{connection.protocol}"


def _end(end: End, world: Classes) -> str:
    if end.kind is SourceKind.NODE:
        return "another node"
    if end.kind is SourceKind.EXTERNAL:
        return f"address {end.address}"
    pod = world.topology.pods[end.name]
    labels = dict(world.topology.namespaces[pod.namespace].labels)
    made_up = labels.pop(METADATA_NAME, "") == pod.namespace and pod.namespace.startswith(OTHER)
    where = f"another namespace{_labels(labels)}" if made_up else f"namespace {pod.namespace}"
    return f"a pod{_labels(pod.labels) or ' without labels'} in {where}"


def _labels(labels: Mapping[str, str]) -> str:
    text = ", ".join(f"{key}={'another' if value == OTHER else value}" for key, value in labels.items())
    return f" with {text}" if text else ""
