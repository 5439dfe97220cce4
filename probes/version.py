"""Which agent this is: a digest of its own text, so that two that differ do not talk past each other."""

from __future__ import annotations

import functools
import hashlib
from importlib import resources

import probes


@functools.lru_cache(maxsize=None)
def sources() -> dict[str, str]:
    """The modules of this package, by name; where the package was sent as text there are none."""
    found = {}
    for item in resources.files("probes").iterdir():
        if item.name.endswith(".py"):
            found["probes" if item.name == "__init__.py" else f"probes.{item.name[:-3]}"] = item.read_text(
                "utf-8"
            )
    return dict(sorted(found.items()))


def digest() -> str:
    """The same for the same text of all modules, however they came here."""
    sent = getattr(probes, "DIGEST", "")
    if sent:
        return str(sent)
    whole = hashlib.sha256()
    for name, text in sources().items():
        whole.update(f"{name} {len(text)} {text}".encode())
    return whole.hexdigest()[:12]
