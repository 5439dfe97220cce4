"""Policies between which no order is defined, although they would need one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from harness.dialects.connection import End
from harness.dialects.registry import carried
from harness.dialects.standing import Standing
from harness.model.policy import Policy
from harness.model.probe import SourceKind
from harness.model.rules import Direction
from harness.model.topology import Topology
from harness.oracle.tiers import ranks, stand
from harness.source import Place
from harness.source.diagnostics import Diagnostic, Severity


def same_place(policies: Sequence[Policy], topology: Topology) -> Mapping[Place, Sequence[Diagnostic]]:
    """Ordered policies that select a pod together and stand in the same place of a tier.

    Where their rules disagree, the specification leaves open which one decides (semantics.md 3.2).

    Returns:
        What is said of each policy, by its place.
    """
    rivals: dict[Place, dict[Place, tuple[Policy, str]]] = {}
    if carried(policies):
        return {}  # what their rules say, and to whom, only a cluster knows
    for pod in topology.pods.values():
        end = End(SourceKind.POD, pod.id)
        for direction in Direction:
            found = stand(policies, topology, direction, end)
            for _, members in groupby(found, key=lambda item: (item.tier.order, item.tier.name)):
                for same in ranks(list(members)):
                    _note(rivals, [item for item in same if item.ordered and item.rules], pod.id)
    return {
        place: [_say(other, pod, place) for other, pod in others.values()] for place, others in rivals.items()
    }


def _note(rivals: dict[Place, dict[Place, tuple[Policy, str]]], same: Sequence[Standing], pod: str) -> None:
    for one in same:
        for other in same:
            if other.policy.place != one.policy.place:
                known = rivals.setdefault(one.policy.place, {})
                known.setdefault(other.policy.place, (other.policy, pod))


def _say(other: Policy, pod: str, place: Place) -> Diagnostic:
    return Diagnostic(
        "same-priority",
        Severity.WARNING,
        f"{other} has the same priority and selects {pod}, too: where their rules disagree, "
        "nothing says which one decides",
        place,
        help="give each of them a priority of its own",
    )
