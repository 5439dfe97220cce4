"""Untrusted text in Markdown: as code, so that no markup, link or mention in it comes alive."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import Final

from harness.source.render import printable

_BACKTICKS: Final = re.compile("`+")


def code(text: str) -> str:
    """As a code span; in a table, too."""
    text = printable(text)
    fence = _fence([text], 1)
    pad = " " if text.startswith("`") or text.endswith("`") or not text.strip() else ""
    return f"{fence}{pad}{text or ' '}{pad}{fence}".replace("|", "\\|")


def html_code(text: str) -> str:
    """As a code element, inside of a block of HTML; elsewhere Markdown would still read what is in it."""
    return f"<code>{html.escape(printable(text))}</code>"


def block(lines: Iterable[str], language: str = "text") -> list[str]:
    """As a block of code that nothing in it can end."""
    shown = [printable(text).rstrip() for text in lines]
    fence = _fence(shown, 3)
    return [f"{fence}{language}", *shown, fence]


def _fence(texts: Iterable[str], least: int) -> str:
    longest = max((len(run) for text in texts for run in _BACKTICKS.findall(text)), default=0)
    return "`" * max(least, longest + 1)
