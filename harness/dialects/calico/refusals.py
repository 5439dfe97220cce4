"""Words that several readers of Calico's manifests share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harness.dialects.fields import Field
from harness.source.diagnostics import did_you_mean
from harness.source.values import manifest_value


def refuse(field: Field, why: str, help: str = "") -> None:
    """Report what Calico's API server refuses although every field by itself could stand there."""
    field.error("calico-refuses", why, help=help)


def word(
    field: Field, id: str, what: str, known: Iterable[str], others: Mapping[str, str] | None = None
) -> str | None:
    """One of some words, as Calico spells them; None after an error.

    Args:
        field: Where it stands.
        id: Of the diagnostic.
        what: What it is, as in `"x" is not WHAT`.
        known: The words.
        others: What to say of words that people write instead.
    """
    text = field.text()
    known = tuple(known)
    if text is None or text in known:
        return text
    same = next((item for item in known if item.lower() == text.lower()), None)
    help = (others or {}).get(text.lower(), "") or did_you_mean(text, known) or " or ".join(known)
    field.error(id, f'"{text[:80]}" is not {what}', help=f"write {same}" if same else help, fix=same)
    return None


def boolean(field: Field) -> bool:
    """`true` or `false`."""
    value = manifest_value(field.node)
    if isinstance(value, bool):
        return value
    field.error("wrong-type", "must be true or false")
    return False


def number(field: Field) -> float | None:
    """A number, whole or not; None after an error."""
    value = manifest_value(field.node)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    field.error("wrong-type", "must be a number")
    return None
