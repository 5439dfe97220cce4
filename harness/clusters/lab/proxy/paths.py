"""Paths as Envoy understands them before a rule sees them, with the options that Cilium sets.

Cilium's `http-normalize-path` (on by default): dots are resolved, characters that need no escape lose it, and
slashes in a row become one. A path with an escaped slash is not answered but redirected to the plain one.
"""

from __future__ import annotations

import re

_ESCAPED_SLASH = re.compile(rb"%(?:2[fF]|5[cC])")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~")
_ODD = re.compile(rb"[%\\]|//|/\.")
_SLASHES = re.compile(rb"//+")


def normalized(target: bytes) -> tuple[bytes, bool]:
    """The path with its query, and whether the client is to be redirected to it."""
    path, question, query = target.partition(b"?")
    if not _ODD.search(path):
        return target, False
    plain, slashes = _ESCAPED_SLASH.subn(_slash, path)
    plain = _ESCAPE.sub(_unescape, plain).replace(b"\\", b"/")
    return _SLASHES.sub(b"/", _without_dots(plain)) + question + query, slashes > 0


def _slash(found: re.Match[bytes]) -> bytes:
    return b"/" if found[0].lower() == b"%2f" else b"\\"


def _unescape(found: re.Match[bytes]) -> bytes:
    value = int(found[1], 16)
    return bytes([value]) if value in _PLAIN else found[0]


def _without_dots(path: bytes) -> bytes:
    """The path without `.` and `..` (RFC 3986, 5.2.4)."""
    kept: list[bytes] = []
    segments = path.split(b"/")[1:]
    for number, segment in enumerate(segments):
        last = number == len(segments) - 1
        if segment == b"..":
            if kept:
                kept.pop()
            if last:
                kept.append(b"")
        elif segment == b".":
            if last:
                kept.append(b"")
        else:
            kept.append(segment)
    return b"/" + b"/".join(kept)
