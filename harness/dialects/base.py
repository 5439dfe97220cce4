"""What a dialect offers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

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


class Dialect(Protocol):
    """One policy language.

    Attributes:
        name: Name of the dialect and of its folder.
        kinds: `(apiVersion, kind)` pairs that it reads.
    """

    name: str
    kinds: frozenset[tuple[str, str]]

    def parse(self, document: MappingNode, namespace: str, problems: Problems) -> Policy | None:
        """Read and validate one manifest.

        Args:
            document: The manifest with its places.
            namespace: Namespace for a manifest that names none (as `kubectl apply -n` would).
            problems: Receives every error and warning; errors are what the API server would refuse.

        Returns:
            The policy, or None when it has errors.
        """
        ...

    def compile(self, policies: Sequence[Policy], topology: Topology) -> tuple[Stage, ...]:
        """Turn this dialect's policies into neutral stages, for the pods and labels of `topology`.

        Stages are independent of verdicts: nothing is evaluated here.
        """
        ...

    def standing(
        self, policies: Sequence[Policy], topology: Topology, direction: Direction, pod: Pod
    ) -> Iterator[Standing]:
        """Bring the policies that select a pod before the oracle, without the compiled stages.

        Args:
            policies: Policies of this dialect only.
            topology: The world with the labels as they are now.
            direction: The side that is asked.
            pod: Whose side it is.
        """
        ...

    def material(self, policies: Sequence[Policy]) -> Material:
        """What the selectors, ports and blocks of this dialect's policies speak of."""
        ...

    def rename(self, manifest: Mapping[str, Any], renaming: Renaming) -> dict[str, Any]:
        """The manifest for a cluster on which the scenario's namespaces have other names.

        What it means there is what it meant in the author's world: `metadata.namespace`, the names of
        cluster-scoped objects (where they are free), selectors on what Kubernetes and the CNI derive from the
        name of a namespace (`kubernetes.io/metadata.name`, namespace labels of pods), and the cluster's DNS
        names. Everything else stays as it is written.

        Args:
            manifest: Plain JSON values that `parse` accepts; it is not changed.
            renaming: The names on the cluster.
        """
        ...

    def advice(self, policy: Policy, topology: Topology | None) -> Sequence[Diagnostic]:
        """What a reviewer would say of a valid policy.

        Args:
            policy: A policy of this dialect.
            topology: A world in which it is in force; None for what can be said without any.
        """
        ...

    def parts(self, policy: Policy) -> Iterator[PolicyPart]:
        """Everything in a policy that a cell can exercise, by the names that traces use."""
        ...

    def mistakes(
        self, manifest: Mapping[str, Any], beside: Sequence[Mapping[str, Any]]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Small mistakes in a valid manifest, each valid too: what is changed, and the changed manifest.

        Args:
            manifest: It is not changed.
            beside: The other policies in force, of every dialect: mistakes that mean nothing beside them are
                left out.
        """
        ...

    def staged(self, policy: Policy) -> Staged | None:
        """What a policy stands for that is told of and not enforced; None for any other."""
        ...
