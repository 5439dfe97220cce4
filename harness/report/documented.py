"""What `docs/diagnostics.md` says of each id: the one text that people and code hosts are shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.source.diagnostics import Severity

_HERE = Path(__file__).resolve().parents[1]
_PLACES = (_HERE / "resources" / "diagnostics.md", _HERE.parent / "docs" / "diagnostics.md")
"""In an installed package, and beside its sources."""

_ROW = re.compile(r"^\| `([a-z0-9-]+)` \| (.+?) \| (.+?) \|$", re.M)
_LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")
_SEVERITY = {"Warning": Severity.WARNING, "Info": Severity.INFO}


@dataclass(frozen=True, slots=True)
class Documented:
    """One row of the tables.

    Attributes:
        severity: Of this id; errors are the rule, and the others say what they are.
        cause: Plain text.
        remedy: Plain text.
    """

    severity: Severity
    cause: str
    remedy: str


@cache
def documented() -> Mapping[str, Documented]:
    """Every id of the documentation; nothing where the text is not there."""
    path = next((path for path in _PLACES if path.is_file()), None)
    text = path.read_text(encoding="utf-8") if path is not None else ""
    return {found[1]: _row(found[2], found[3]) for found in _ROW.finditer(text)}


def _row(cause: str, remedy: str) -> Documented:
    word, _, rest = cause.partition(": ")
    severity = _SEVERITY.get(word, Severity.ERROR)
    plain = rest[:1].upper() + rest[1:] if word in _SEVERITY else cause
    return Documented(severity, _LINK.sub(r"\1", plain), _LINK.sub(r"\1", remedy))
