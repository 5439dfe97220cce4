"""Policies that are told of and not enforced: what would be if they were."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.model.policy import Policy, PolicyRef


@dataclass(frozen=True, slots=True)
class Staged:
    """What a staged policy stands for.

    Attributes:
        dialect: Of the policy that it would make, change or delete.
        target: That policy.
        policy: That policy as it would be; None where it would be deleted.
        counts: Whether it would change anything at all.
    """

    dialect: str
    target: PolicyRef
    policy: Policy | None
    counts: bool = True


def enforced(policies: Sequence[Policy], staged: Callable[[Policy], Staged | None]) -> tuple[Policy, ...]:
    """The policies as they would be with all staged ones enforced; what they replace keeps its place.

    Args:
        policies: All policies in force, of every dialect, staged ones among them.
        staged: What a policy stands for that is staged.
    """
    found: dict[tuple[str, PolicyRef], Policy] = {}
    changes = []
    for policy in policies:
        change = staged(policy)
        if change is None:
            found[policy.dialect, policy.ref] = policy
        elif change.counts:
            changes.append(change)
    for change in changes:
        if change.policy is None:
            found.pop((change.dialect, change.target), None)
        else:
            found[change.dialect, change.target] = change.policy
    return tuple(found.values())
