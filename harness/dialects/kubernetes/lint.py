"""Manifests that the API server takes and that rarely mean what their authors think."""

from __future__ import annotations

from collections.abc import Mapping

from harness.dialects.fields import Field
from harness.model.rules import Direction


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
