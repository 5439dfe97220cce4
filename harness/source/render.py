"""Diagnostics → text: `file:line:col: error[id]: text`, the excerpt with carets, related places, help."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from harness.source.diagnostics import Diagnostic, Severity
from harness.source.place import Place
from harness.source.sources import Sources

_WIDTH = 140
"""Columns of an excerpt; longer lines are cut around the carets."""

_RESET, _BOLD, _BLUE = "\x1b[0m", "\x1b[1m", "\x1b[1;34m"
_COLOURS = {Severity.ERROR: "\x1b[1;31m", Severity.WARNING: "\x1b[1;33m", Severity.INFO: "\x1b[1;36m"}


def printable(text: str) -> str:
    r"""Untrusted text without anything that a terminal obeys.

    Control and format characters (escape sequences, bidirectional overrides, line breaks) become escapes
    such as `\x1b`; a tab becomes a space.
    """
    if text.isprintable():
        return text
    return "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    if character == "\t" or unicodedata.category(character) == "Zs":
        return " "
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def render(diagnostics: Iterable[Diagnostic], sources: Sources | None = None, *, color: bool = False) -> str:
    """Several diagnostics as text, an empty line between them; ends with a line break unless empty.

    Args:
        diagnostics: In the order to print.
        sources: Texts for the excerpts; a file that is not in there gets none.
        color: With ANSI colours.
    """
    texts = [render_one(item, sources, color=color) for item in diagnostics]
    return "\n".join(texts)


def render_one(diagnostic: Diagnostic, sources: Sources | None = None, *, color: bool = False) -> str:
    """One diagnostic as lines, each ended by a line break."""
    paint = _Paint(color)
    shade = _COLOURS[diagnostic.severity]
    sources = sources if sources is not None else Sources()
    places = [diagnostic.place, *(item.place for item in diagnostic.related)]
    gutter = max(len(str(place.line)) for place in places)
    head = paint(f"{diagnostic.severity}[{diagnostic.id}]", shade)
    message = paint(printable(diagnostic.message), _BOLD)
    lines = [f"{printable(str(diagnostic.place))}: {head}: {message}"]
    lines += _excerpt(diagnostic.place, sources, gutter, paint, shade, "^")
    for item in diagnostic.related:
        lines.append(f"{printable(str(item.place))}: {printable(item.label)}")
        lines += _excerpt(item.place, sources, gutter, paint, _BLUE, "-")
    if diagnostic.help:
        lines.append(f"{' ' * gutter} {paint('help:', _BOLD)} {printable(diagnostic.help)}")
    lines += [f"{' ' * gutter}   {printable(text)}".rstrip() for text in diagnostic.instead.splitlines()]
    return "\n".join(lines) + "\n"


class _Paint:
    def __init__(self, on: bool) -> None:
        self.on = on

    def __call__(self, text: str, shade: str) -> str:
        return f"{shade}{text}{_RESET}" if self.on else text


def _excerpt(place: Place, sources: Sources, gutter: int, paint: _Paint, shade: str, caret: str) -> list[str]:
    line = sources.line(place.file, place.line)
    if line is None:
        return []
    start = min(place.column - 1, len(line))
    if place.end_line == place.line and place.end_column > place.column:
        end = min(place.end_column - 1, len(line))
    elif place.end_line > place.line:
        end = len(line.rstrip())
    else:
        end = start + 1
    before, marked, after = line[:start], line[start:end], line[end:]
    shown = [printable(part) for part in (before, marked, after)]
    shown = _cut(*shown)
    pad = " " * _cells(shown[0])
    carets = caret * max(1, _cells(shown[1]))
    bar = paint("|", _BLUE)
    return [
        f"{paint(str(place.line).rjust(gutter), _BLUE)} {bar} {''.join(shown).rstrip()}",
        f"{' ' * gutter} {bar} {pad}{paint(carets, shade)}",
    ]


def _cut(before: str, marked: str, after: str) -> list[str]:
    """Shorten a long line so that the marked part stays in sight."""
    if len(before) + len(marked) + len(after) <= _WIDTH:
        return [before, marked, after]
    if len(marked) > _WIDTH // 2:
        marked = marked[: _WIDTH // 2 - 1] + "…"
        after = ""
    room = _WIDTH - len(marked)
    if len(before) > room // 2:
        before = "…" + before[len(before) - room // 2 + 1 :]
    room -= len(before)
    if len(after) > room:
        after = after[: max(0, room - 1)] + "…"
    return [before, marked, after]


def _cells(text: str) -> int:
    """Columns that a terminal uses for `text`."""
    width = 0
    for character in text:
        if unicodedata.combining(character):
            continue
        width += 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1
    return width
