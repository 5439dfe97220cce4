"""Bytes of a file → text that a YAML parser may see, with clear words about what is wrong."""

from __future__ import annotations

import re
import stat
from pathlib import Path

from harness.source.diagnostics import Problems
from harness.source.limits import MAX_BYTES
from harness.source.place import Place
from harness.source.sources import LINE_BREAK

# What YAML 1.1 section 5.1 does not let through, and lone surrogates.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")


def read_bytes(path: Path, problems: Problems, name: str, limit: int = MAX_BYTES) -> bytes | None:
    """The content of a regular file, or None with the reason in `problems`.

    A file larger than `limit` bytes is refused by its size, before it is read.
    """
    place = Place(name)
    try:
        about = path.stat()
        if stat.S_ISDIR(about.st_mode):
            problems.error(
                "file-unreadable", "this is a directory, not a file", place, help="name a file in it"
            )
            return None
        if not stat.S_ISREG(about.st_mode):
            problems.error("file-unreadable", "this is no regular file", place, help="name a YAML file")
            return None
        size = about.st_size
        data = b""
        if size <= limit:
            with path.open("rb") as stream:
                data = stream.read(limit + 1)
            size = max(size, len(data))
    except FileNotFoundError:
        problems.error("file-not-found", "there is no such file", place, help="check the path")
        return None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "the path is not valid"
        problems.error(
            "file-unreadable", f"cannot be read: {reason}", place, help="check the path and its permissions"
        )
        return None
    if size > limit:
        problems.error(
            "file-too-large",
            f"the file has {size / 1e6:.1f} MB; at most {limit / 1e6:.1f} MB are read",
            place,
            help="split it into several files",
        )
        return None
    return data


def decode(data: bytes, name: str, problems: Problems) -> str | None:
    """UTF-8 bytes as text without byte order mark, or None with the reason in `problems`."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        if b"\0" in data[:4096]:
            problems.error(
                "binary-file", "this is a binary file, no YAML", Place(name), help="name a YAML text file"
            )
        else:
            problems.error(
                "not-utf8",
                f"byte 0x{data[error.start]:02x} is not UTF-8",
                position(before, len(before), name),
                help="save the file in the UTF-8 encoding",
            )
        return None
    return text


def allowed(text: str, name: str, problems: Problems) -> bool:
    """Whether `text` has only characters that YAML allows; if not, `problems` says which and where."""
    found = _FORBIDDEN.search(text)
    if found is None:
        return True
    place = position(text, found.start(), name)
    if found.group() == "\0":
        problems.error(
            "binary-file", "the file has NUL bytes, so it is no text", place, help="name a YAML text file"
        )
    else:
        problems.error(
            "control-character",
            f"the control character U+{ord(found.group()):04X} is not allowed in YAML",
            place,
            help='remove it, or write it as an escape in double quotes, such as "\\x1b"',
        )
    return False


def position(text: str, offset: int, name: str) -> Place:
    """The place of character `offset` (from 0) of `text`."""
    line, start = 1, 0
    for found in LINE_BREAK.finditer(text, 0, offset):
        line, start = line + 1, found.end()
    return Place(name, line, offset - start + 1)
