"""A first look at a file: may it be a scenario file? Needs no YAML parser, and almost always suffices."""

from __future__ import annotations

import re
from pathlib import Path

from harness.source.limits import MAX_BYTES

YAML = (".yaml", ".yml")
PEEK = 65536
"""How much is looked at of a file that is too large to be read."""

_MENTION = re.compile(rb"scenario[\"']?[ \t]*:")
_KEY = re.compile(rb"^(?:---[ \t]+)?[\"']?scenario[\"']?[ \t]*:", re.MULTILINE)


def mentioning(path: Path) -> bytes | None:
    """The first `MAX_BYTES` + 1 bytes of a YAML file that mentions `scenario:`; None for any other file."""
    if path.suffix not in YAML:
        return None
    try:
        if not path.is_file():
            return None
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError:
        return None
    looked_at = data if len(data) <= MAX_BYTES else data[:PEEK]
    return data if _MENTION.search(looked_at) else None


def declares(data: bytes) -> bool:
    """Whether a line of what `mentioning` read begins with `scenario:`, as it nearly always does."""
    return _KEY.search(data if len(data) <= MAX_BYTES else data[:PEEK]) is not None
