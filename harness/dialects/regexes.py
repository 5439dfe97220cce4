"""Regular expressions of HTTP rules: RE2, as Envoy uses it, for whole values (semantics.md 1.2)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> Any:
    import re2

    options = re2.Options()
    options.log_errors = False
    return re2.compile(pattern, options)


def fault(pattern: str) -> str:
    """What is wrong with a pattern; empty when it is one."""
    import re2

    try:
        _compiled(pattern)
    except re2.error as error:
        found = error.args[0] if error.args else ""
        return found.decode("utf-8", "replace") if isinstance(found, bytes) else str(found)
    return ""


def matches(pattern: str, value: str) -> bool:
    """Whether the whole of `value` matches."""
    return _compiled(pattern).fullmatch(value) is not None
