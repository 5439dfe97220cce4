"""Manifests that the API server takes and that rarely mean what their authors think."""

from __future__ import annotations

from collections.abc import Mapping

from harness.dialects.fields import Field
from harness.model.rules import Direction
from harness.model.topology import METADATA_NAME


def namespace_name_label(labels: Mapping[str, Field]) -> None:
    """`name` is no automatic label of namespaces (semantics.md 1.1, trap 1)."""
    field = labels.get("name")
    if field is not None:
        field.problems.warning(
            "namespace-name-label",
            f"{field.path}: Kubernetes sets no label `name` on namespaces, so this matches only those "
            "that were labelled so",
            field.key or field.place,
            help=f"the label that every namespace carries is `{METADATA_NAME}`",
        )


def ignored_sections(
    spec: Mapping[str, Field], directions: frozenset[Direction], rules: Mapping[Direction, bool]
) -> None:
    """Rules of a direction that `policyTypes` leaves out have no effect (semantics.md 3.1 no. 2)."""
    for direction, present in rules.items():
        if present and direction not in directions:
            spec[direction.value].warning(
                "ignored-rules",
                f"these rules have no effect: policyTypes does not list {direction.value.capitalize()}",
                help=f"add {direction.value.capitalize()} to policyTypes, or remove the rules",
            )
