"""Rules and policies without which nothing changes: proved with the oracle over all label classes.

A rule that matches nothing at all is another matter (`peer-matches-nothing`); one that rests on what only a
cluster knows is never called redundant.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence

from harness.author.classes import Classes, classes
from harness.dialects.connection import End
from harness.dialects.registry import carried
from harness.dialects.standing import Standing
from harness.model.policy import Policy
from harness.model.probe import SourceKind
from harness.model.rules import Direction, Origin
from harness.oracle.tiers import rule as decide
from harness.oracle.tiers import stand
from harness.source.diagnostics import Diagnostic, Related, Severity

MOST_POLICIES = 60
"""Larger sets are not looked at: the classes that they tell apart are too many."""


def redundant(policies: Sequence[Policy]) -> Iterator[tuple[Policy, Diagnostic]]:
    """Rules and policies of a set in force together without which every connection keeps its answer."""
    refs = {policy.ref for policy in policies}
    if carried(policies) or len(policies) > MOST_POLICIES or len(refs) < len(policies):
        return
    spaces = list(dict.fromkeys(policy.namespace for policy in policies))
    settings = {name: _settings(name, policies) for name in (*spaces, "")}
    for policy in policies:
        # A policy of the whole cluster stands beside those of every namespace.
        asked = [settings[policy.namespace]] if policy.namespace else list(settings.values())
        if all(asked):
            yield from (
                (policy, item) for item in _of_policy(policy, [one for each in asked for one in each])
            )


_Setting = tuple[Sequence[Policy], Classes]
"""Policies that can select the pods of one namespace, and a world of everything that they tell apart."""


def _settings(namespace: str, policies: Sequence[Policy]) -> list[_Setting]:
    """Nothing where there are too many classes."""
    beside = [policy for policy in policies if policy.namespace in ("", namespace)]
    return [(beside, world) for world in classes(beside, namespace)]


def _of_policy(policy: Policy, settings: Sequence[_Setting]) -> Iterator[Diagnostic]:
    whole, selects = True, False
    rules: dict[tuple[Direction, int], _Rule] = {}
    for beside, world in settings:
        for direction in (Direction.INGRESS, Direction.EGRESS):
            asked: set[tuple[int, ...]] = set()
            for subject in world.topology.pods:
                standing = stand(beside, world.topology, direction, End(SourceKind.POD, subject, node="a"))
                number = next((at for at, item in enumerate(standing) if item.policy is policy), None)
                # Pods that the same policies select get the same answers.
                alike = tuple(id(item.policy) for item in standing)
                if number is None or alike in asked:
                    continue
                asked.add(alike)
                selects = True
                whole = _compare(standing, number, direction, subject, world, rules) and whole
    if not selects:
        return
    if whole:
        yield Diagnostic(
            "policy-without-effect",
            Severity.WARNING,
            f"without {policy} every connection would be decided as it is",
            policy.place,
            help="remove it, or correct what makes it say nothing new",
        )
        return
    for item in rules.values():
        if item.matched and item.idle:
            related = tuple(
                Related(origin.place, f"{origin} decides the same")
                for origin in list(dict.fromkeys(item.instead))[:3]
                if origin.place is not None
            )
            yield Diagnostic(
                "redundant-rule",
                Severity.WARNING,
                f"{item.origin.rule} of {policy} changes nothing: others decide all of its connections so",
                item.origin.place or policy.place,
                help="remove it, or correct what makes it say nothing new",
                related=related,
            )


class _Rule:
    """What is known of a rule so far: whether it ever matches, and whether it was ever needed."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.matched = False
        self.idle = True
        self.instead: list[Origin] = []


def _compare(
    standing: Sequence[Standing],
    number: int,
    direction: Direction,
    subject: str,
    world: Classes,
    rules: dict[tuple[Direction, int], _Rule],
) -> bool:
    """Decide with and without one policy, and without each of its rules; whether it is never needed."""
    mine = standing[number]
    others = [item for at, item in enumerate(standing) if at != number]
    shorter = []
    for index in range(len(mine.rules)):
        rules.setdefault((direction, index), _Rule(mine.rule_origin(index)))
        twin = copy.copy(mine)
        twin.rules = [one for at, one in enumerate(mine.rules) if at != index]
        shorter.append([*standing[:number], twin, *standing[number + 1 :]])
    never = True
    seen: set[tuple[object, ...]] = set()
    for connection in world.connections(direction, subject):
        # What the rules say of it is all that an answer rests on, and that a node is told apart.
        said = tuple(item.matches(one, connection) for item in standing for one in item.rules)
        key = (connection.peer(direction).kind is SourceKind.NODE, connection.protocol, *said)
        if key in seen:
            continue
        seen.add(key)
        found = decide(standing, world.topology, direction, connection)
        without = decide(others, world.topology, direction, connection)
        answer = found.answer if found else None
        if never and (without.answer if without else "allow") != (answer or "allow"):
            never = False
        for index, one in enumerate(mine.rules):
            known = rules[direction, index]
            if not known.idle or mine.matches(one, connection) is False:
                continue
            known.matched = True
            again = decide(shorter[index], world.topology, direction, connection)
            if again is None or again.answer != answer:
                known.idle = False
            elif len(known.instead) < 8:
                known.instead += _rules(again.deciding)
    return never


def _rules(origins: Iterable[Origin]) -> list[Origin]:
    return [origin for origin in origins if origin.rule]
