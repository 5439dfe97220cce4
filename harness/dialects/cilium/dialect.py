"""The dialect's door."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.dialects.cilium import advice as advisor
from harness.dialects.cilium import compile as compiler
from harness.dialects.cilium import evaluate as evaluator
from harness.dialects.cilium import groups, parts
from harness.dialects.cilium import material as collector
from harness.dialects.cilium import mistakes as mistaken
from harness.dialects.cilium import parse as parser
from harness.dialects.cilium import rename as renamer
from harness.dialects.material import Material
from harness.dialects.parts import PolicyPart
from harness.dialects.staged import Staged
from harness.dialects.standing import Standing
from harness.model.policy import Policy
from harness.model.renaming import Renaming
from harness.model.rules import Direction, Stage
from harness.model.topology import Pod, Topology
from harness.source.diagnostics import Diagnostic, Problems
from harness.source.nodes import MappingNode, ScalarNode


class Cilium:
    """CiliumNetworkPolicy, CiliumClusterwideNetworkPolicy and CiliumCIDRGroup (semantics.md 3.3)."""

    name = "cilium"
    kinds = frozenset(
        {
            (parser.API, parser.NAMESPACED),
            (parser.API, parser.CLUSTERWIDE),
            (parser.API, groups.KIND),
            ("cilium.io/v2alpha1", groups.KIND),
        }
    )

    def parse(self, document: MappingNode, namespace: str, problems: Problems) -> Policy | None:
        """See `harness.dialects.base.Dialect.parse`; errors are what the agents refuse, too."""
        kind = document.get("kind")
        if isinstance(kind, ScalarNode) and kind.text == groups.KIND:
            return groups.parse(document, problems)
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
        return parts.parts(policy)

    def mistakes(
        self, manifest: Mapping[str, Any], beside: Sequence[Mapping[str, Any]]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """See `harness.dialects.base.Dialect.mistakes`."""
        return mistaken.mistakes(manifest)

    def staged(self, policy: Policy) -> Staged | None:
        """See `harness.dialects.base.Dialect.staged`; nothing of this dialect is."""
        return None
