"""Dialects whose manifests are carried to clusters that serve them: known by kind and name, read no further.

Their expectations are the author's alone: paper says nothing, and no lab enforces them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.dialects.fields import Field
from harness.dialects.material import Material
from harness.dialects.objects import metadata
from harness.dialects.parts import PolicyPart
from harness.dialects.standing import Standing
from harness.model.policy import Policy
from harness.model.renaming import Renaming
from harness.model.rules import Direction, Stage
from harness.model.topology import Pod, Topology
from harness.source.diagnostics import Diagnostic, Problems
from harness.source.nodes import MappingNode, ScalarNode
from harness.source.values import manifest_value

Kind = tuple[str, str]


class Carried:
    """See `harness.dialects.base.Dialect`.

    Args:
        name: Name of the dialect.
        title: Whose policies these are, for people.
        kinds: Whether a kind belongs to namespaces, by `(apiVersion, kind)`.
        bodies: The fields beside `metadata` of which a manifest has one at least.
    """

    def __init__(self, name: str, title: str, kinds: Mapping[Kind, bool], bodies: Sequence[str]) -> None:
        self.name = name
        self.kinds = frozenset(kinds)
        self._title = title
        self._namespaced = kinds
        self._bodies = tuple(bodies)

    def parse(self, document: MappingNode, namespace: str, problems: Problems) -> Policy | None:
        """See `harness.dialects.base.Dialect.parse`; the cluster checks the rules."""
        before = problems.errors
        api_version, kind = (_word(document, key) for key in ("apiVersion", "kind"))
        root = Field(document, "", problems)
        top = root.section(("apiVersion", "kind", "metadata", "status", *self._bodies))
        name, named = metadata(root, top.get("metadata"))
        if not any(body in top for body in self._bodies):
            root.error("missing-field", f"`{self._bodies[0]}` is missing")
        namespaced = self._namespaced[api_version, kind]
        if named and not namespaced:
            place = top["metadata"].entries()["namespace"]
            place.warning("ignored-field", f"{kind} belongs to no namespace", help="leave it out")
        if problems.errors > before:
            return None
        return Policy(
            dialect=self.name,
            api_version=api_version,
            kind=kind,
            namespace=(named or namespace) if namespaced else "",
            name=name,
            manifest=manifest_value(document),
            parsed=None,
            place=document.place,
        )

    def compile(self, policies: Sequence[Policy], topology: Topology) -> tuple[Stage, ...]:
        """See `harness.dialects.base.Dialect.compile`; no backend that compiles has the feature."""
        raise ValueError(f"no backend of this version enforces {self._title} policies")

    def standing(
        self, policies: Sequence[Policy], topology: Topology, direction: Direction, pod: Pod
    ) -> Iterator[Standing]:
        """See `harness.dialects.base.Dialect.standing`; the oracle never asks (see `carried`)."""
        raise ValueError(f"this version does not read the rules of {self._title} policies")

    def material(self, policies: Sequence[Policy]) -> Material:
        """See `harness.dialects.base.Dialect.material`; nothing but where they stand is known."""
        return Material(
            namespaces=tuple(dict.fromkeys(item.namespace for item in policies if item.namespace))
        )

    def rename(self, manifest: Mapping[str, Any], renaming: Renaming) -> dict[str, Any]:
        """See `harness.dialects.base.Dialect.rename`; nobody asks for it without reading the rules."""
        raise ValueError(f"this version does not read the rules of {self._title} policies")

    def advice(self, policy: Policy, topology: Topology | None) -> Sequence[Diagnostic]:
        """See `harness.dialects.base.Dialect.advice`; of rules that are not read nothing can be said."""
        return ()

    def parts(self, policy: Policy) -> Iterator[PolicyPart]:
        """See `harness.dialects.base.Dialect.parts`; rules that are not read have none."""
        return iter(())

    def mistakes(
        self, manifest: Mapping[str, Any], beside: Sequence[Mapping[str, Any]]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """See `harness.dialects.base.Dialect.mistakes`; rules that are not read have none."""
        return iter(())


def _word(document: MappingNode, key: str) -> str:
    node = document.get(key)
    return node.text if isinstance(node, ScalarNode) else ""
