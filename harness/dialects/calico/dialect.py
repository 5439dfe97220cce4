"""The dialect's door."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.dialects.calico import advice as advisor
from harness.dialects.calico import compile as compiler
from harness.dialects.calico import evaluate as evaluator
from harness.dialects.calico import material as collector
from harness.dialects.calico import mistakes as mistaken
from harness.dialects.calico import parse as parser
from harness.dialects.calico import parts, staging
from harness.dialects.calico import rename as renamer
from harness.dialects.calico.parse_objects import Reader
from harness.dialects.material import Material
from harness.dialects.parts import PolicyPart
from harness.dialects.staged import Staged
from harness.dialects.standing import Standing
from harness.model.policy import Policy
from harness.model.renaming import Renaming
from harness.model.rules import Direction, Stage
from harness.model.topology import Pod, Topology
from harness.source.diagnostics import Diagnostic, Problems
from harness.source.nodes import MappingNode


class Calico:
    """Calico's policies, staged ones too, with tiers, sets of networks and host endpoints (semantics.md 3.4).

    Args:
        networkpolicy: Reads the NetworkPolicy that a staged one would become.
    """

    name = "calico"
    kinds = parser.KINDS

    def __init__(self, networkpolicy: Reader) -> None:
        self._networkpolicy = networkpolicy

    def parse(self, document: MappingNode, namespace: str, problems: Problems) -> Policy | None:
        """See `harness.dialects.base.Dialect.parse`."""
        return parser.parse(document, namespace, problems, self._networkpolicy)

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
        """See `harness.dialects.base.Dialect.staged`."""
        return staging.staged(policy)
