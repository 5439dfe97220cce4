"""Lines of styled text, and the words in which reports speak of numbers and times.

A report is a list of lines; a line is a tuple of spans; a span is text with the name of a style. Plain and
coloured output are two printers of the same lines, so they never differ by a character.
"""

from __future__ import annotations

import datetime
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

from harness.source.render import printable

Span = tuple[str, str]
Line = tuple[Span, ...]

STYLES: Final = {
    "": "",
    "good": "green",
    "bad": "bold red",
    "error": "bold yellow",
    "skip": "cyan",
    "dim": "dim",
    "bold": "bold",
    "place": "underline",
    "known": "magenta",
}
"""What each style is for rich; plain output ignores it."""

EMPTY: Final[Line] = ()


def line(*parts: str | Span) -> Line:
    """A line of spans; bare strings have no style.

    The only door to a report: whatever in untrusted text could steer a terminal is written out here, line
    breaks too.
    """
    spans = ((part, "") if isinstance(part, str) else part for part in parts)
    return tuple((printable(text), style) for text, style in spans if text)


def plain(lines: Iterable[Line]) -> str:
    """The lines as text without any style."""
    return "".join("".join(text for text, _ in item).rstrip() + "\n" for item in lines)


def width(text: str) -> int:
    """Columns that `text` takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def pad(text: str, columns: int) -> str:
    """`text` followed by spaces up to `columns`."""
    return text + " " * max(0, columns - width(text))


def shorten(text: str, columns: int) -> str:
    """`text` with its middle left out when it takes more than `columns`."""
    if width(text) <= columns:
        return text
    keep = max(columns - 1, 2)
    head = (keep + 1) // 2
    return f"{text[:head]}…{text[len(text) - (keep - head) :]}"


def indent(lines: Sequence[Line], columns: int) -> list[Line]:
    """The lines, moved to the right; empty lines stay empty."""
    return [((" " * columns, ""), *item) if item else item for item in lines]


def count(number: int, noun: str) -> str:
    """`1 cell`, `2 cells`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def duration(seconds: float) -> str:
    """A time as people say it: `12 ms`, `2.31 s`, `1 min 12 s`."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.995:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def moment(text: str) -> str:
    """An ISO 8601 time as people read it: `2026-03-01 12:00:00 UTC`; what is none stays as it is."""
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        return text
    if found.tzinfo is None:
        return text
    return f"{found.astimezone(datetime.UTC):%Y-%m-%d %H:%M:%S} UTC"
