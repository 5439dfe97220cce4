"""A policy object of any dialect, as read from a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.source import Place
from harness.source.nodes import MappingNode


@dataclass(frozen=True, slots=True)
class PolicyRef:
    """`kind/namespace/name`; `namespace` is empty for cluster-scoped kinds; `kind` is lower case."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return "/".join(part for part in (self.kind, self.namespace, self.name) if part)


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy.

    Attributes:
        dialect: Room that parsed it: `kubernetes`, `admin`, `cilium`, `calico`.
        manifest: The object as plain JSON values, for clusters that want it back.
        parsed: What the dialect's parser made of it; only that dialect looks inside.
        place: Where the document begins.
        needs: Features that a cluster must have for it, beyond the one of its dialect.
        document: The manifest with its places; None when it did not come from a file.
        lines: The lines of its file from `place.line` to its end, as they were when it was read; empty when
            it did not come from a file.
    """

    dialect: str
    api_version: str
    kind: str
    namespace: str
    name: str
    manifest: Mapping[str, Any]
    parsed: Any
    place: Place
    needs: tuple[str, ...] = ()
    document: MappingNode | None = field(default=None, repr=False, compare=False)
    lines: tuple[str, ...] = field(default=(), repr=False, compare=False)

    @property
    def ref(self) -> PolicyRef:
        """How steps name it for deletion, and what makes two manifests the same object."""
        return PolicyRef(self.kind.lower(), self.namespace, self.name)

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"
