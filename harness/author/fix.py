"""Writing corrections that are certain."""

from __future__ import annotations

from collections.abc import Iterable

from harness.source.diagnostics import Diagnostic, Fix
from harness.source.sources import LINE_BREAK


def fixes(diagnostics: Iterable[Diagnostic]) -> dict[str, list[Fix]]:
    """The corrections by file, in the order of the text; where two overlap, the first."""
    found: dict[str, list[Fix]] = {}
    for fix in sorted({item.fix for item in diagnostics if item.fix is not None}, key=lambda fix: fix.place):
        place = fix.place
        if place.end_line != place.line or place.end_column <= place.column:
            # A correction replaces a word; a place without an end names no word.
            continue
        here = found.setdefault(place.file, [])
        last = here[-1].place if here else None
        if last is None or last.line < place.line or last.end_column <= place.column:
            here.append(fix)
    return found


def fixed(text: str, wanted: Iterable[Fix]) -> str:
    """The text with every correction made.

    Args:
        text: As it was when the diagnostics were made.
        wanted: Corrections of this text that do not overlap.
    """
    starts = [0, *(found.end() for found in LINE_BREAK.finditer(text))]
    for fix in sorted(wanted, key=lambda fix: fix.place, reverse=True):
        start = starts[fix.place.line - 1]
        before, after = start + fix.place.column - 1, start + fix.place.end_column - 1
        text = text[:before] + fix.text + text[after:]
    return text
