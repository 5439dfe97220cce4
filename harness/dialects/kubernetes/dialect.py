"""The dialect's door."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.dialects.kubernetes import advice as advisor
from harness.dialects.kubernetes import compile as compiler
from harness.dialects.kubernetes import evaluate as evaluator
from harness.dialects.kubernetes import material as collector
from harness.dialects.kubernetes import mistakes as mistaken
from harness.dialects.kubernetes import parse as parser
from harness.dialects.kubernetes import rename as renamer
from harness.dialects.material import Material
from harness.dialects.parts import PolicyPart, of_rules
from harness.dialects.staged import Staged
from harness.dialects.standing import Standing
from harness.model.policy import Policy
from harness.model.renaming import Renaming
from harness.model.rules import Direction, Stage
from harness.model.topology import Pod, Topology
from harness.source.diagnostics import Diagnostic, Problems
from harness.source.nodes import MappingNode


class Kubernetes:
    """NetworkPolicy of `networking.k8s.io/v1` (semantics.md 3.1)."""

    name = "kubernetes"
    kinds = frozenset({("networking.k8s.io/v1", "NetworkPolicy")})

    def parse(self, document: MappingNode, namespace: str, problems: Problems) -> Policy | None:
        """See `harness.dialects.base.Dialect.parse`."""
        return parser.parse(document, namespace, problems)

    def compile(self, policies: Sequence[Policy], topology: Topology) -> tuple[Stage, ...]:
        """See `harness.dialects.base.Dialect.compile`."""
        return compiler.compile_policies(policies, topology)

    def standing(
        self, policies: Sequence[Policy], topology: Topology, direction: Direction, pod: Pod
    ) -> Iterator[Standing]:
        """See `harness.dialects.base.Dialect.standing`."""
        return evaluator.standing(policies, topology, direction, pod)

    def material(self, policies: Sequence[Policy]) -> Material:
        """See `harness.dialects.base.Dialect.material`."""
        return collector.material(policies)

    def rename(self, manifest: Mapping[str, Any], renaming: Renaming) -> dict[str, Any]:
        """See `harness.dialects.base.Dialect.rename`."""
        return renamer.rename(manifest, renaming)

    def advice(self, policy: Policy, topology: Topology | None) -> Sequence[Diagnostic]:
        """See `harness.dialects.base.Dialect.advice`."""
        return tuple(advisor.of_policy(policy) if topology is None else advisor.in_world(policy, topology))

    def parts(self, policy: Policy) -> Iterator[PolicyPart]:
        """See `harness.dialects.base.Dialect.parts`."""
        for direction in (Direction.INGRESS, Direction.EGRESS):
            if direction not in policy.parsed.directions:
                continue
            rules = policy.parsed.rules(direction)
            if all(rule.peers or rule.ports for rule in rules):
                # Beside a rule that allows everything, nothing is denied by isolation.
                yield PolicyPart(str(direction), policy.place)
            yield from of_rules(direction, rules)

    def mistakes(
        self, manifest: Mapping[str, Any], beside: Sequence[Mapping[str, Any]]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """See `harness.dialects.base.Dialect.mistakes`."""
        return mistaken.mistakes(manifest)

    def staged(self, policy: Policy) -> Staged | None:
        """See `harness.dialects.base.Dialect.staged`; nothing of this dialect is."""
        return None
