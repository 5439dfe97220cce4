"""What is left of neutral rules, or comes to them, in Cilium's enforcement modes (semantics.md 3.3)."""

from __future__ import annotations

from collections.abc import Sequence

from harness.model.personality import Enforcement, Personality
from harness.model.rules import Direction, Origin, PolicyBlock, Stage, Tier
from harness.model.topology import Topology

LAST = Tier("Enforcement mode", float("inf"))
"""Behind the tiers of all policies."""


def in_mode(stages: Sequence[Stage], topology: Topology, personality: Personality) -> tuple[Stage, ...]:
    """The stages that are enforced.

    In mode `always` one more stands behind all others: what nothing has decided about a pod is denied. What
    passes by without policies (a pod's own node, answers, the pod itself) passes here, too.
    """
    mode = personality.enforcement
    if mode is Enforcement.NEVER:
        return ()
    if mode is Enforcement.DEFAULT:
        return tuple(stages)
    pods = frozenset(pod.id for pod in topology.pods.values() if not pod.host_network)
    block = PolicyBlock(pods, (), Origin(f"enforcement mode `{mode}`", ""), strict=True)
    return (*stages, *(Stage(LAST, direction, (block,)) for direction in Direction))
