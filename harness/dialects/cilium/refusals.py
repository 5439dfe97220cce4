"""The words for what agents refuse although the API server takes it."""

from __future__ import annotations

from harness.dialects.fields import Field

REFUSED = "the API server takes the object, but Cilium's agents mark it Valid=False and enforce nothing of it"


def refuse(field: Field, why: str, help: str = "") -> None:
    """Report a field on account of which agents refuse the whole object."""
    field.error("agent-refuses", f"{why}: {REFUSED}", help=help)
