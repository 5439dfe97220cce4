"""Where lines go: a terminal with colours, or any stream as plain text."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Protocol, TextIO

from harness.report.streams import silence
from harness.report.text import STYLES, Line, plain

if TYPE_CHECKING:
    from rich.console import Console

_ASCII = str.maketrans({"…": "~", "·": "-", "→": ">"})
_COERCED = "C.UTF-8"
_DEFAULT_COLUMNS = 100


class Printer(Protocol):
    """Something that lines can be printed on."""

    columns: int

    def print(self, lines: Iterable[Line]) -> None:
        """Write the lines and flush."""
        ...


class PlainPrinter:
    """Plain text; never needs rich. What the stream cannot encode is written as ASCII."""

    def __init__(self, stream: TextIO, columns: int) -> None:
        self.columns = columns
        self._stream = stream

    def print(self, lines: Iterable[Line]) -> None:
        """Write the lines and flush; a reader that has gone is no error."""
        try:
            self._stream.write(encodable(plain(lines), self._stream))
            self._stream.flush()
        except BrokenPipeError:
            silence(self._stream)


class ColourPrinter:
    """The same characters with colours, through rich; no markup is ever parsed."""

    def __init__(self, stream: TextIO, columns: int) -> None:
        self.columns = columns
        self._stream = stream

    def print(self, lines: Iterable[Line]) -> None:
        """Write the lines and flush; a reader that has gone is no error."""
        from rich.text import Text

        # Rich writes to a buffer and we to the stream: its own answer to a broken pipe is to exit with 1.
        buffer = io.StringIO()
        colours = console(buffer, self.columns)
        for item in lines:
            spans = [(encodable(text, self._stream), STYLES[style]) for text, style in item]
            colours.print(Text.assemble(*spans), soft_wrap=True, highlight=False, markup=False)
        try:
            self._stream.write(buffer.getvalue())
            self._stream.flush()
        except BrokenPipeError:
            silence(self._stream)


def console(stream: TextIO, columns: int) -> Console:
    """A rich console that always colours and never guesses about what it prints."""
    from rich.console import Console

    return Console(
        file=stream, width=columns, force_terminal=True, highlight=False, markup=False, emoji=False
    )


def encodable(text: str, stream: TextIO, environ: Mapping[str, str] = os.environ) -> str:
    """`text` in characters that the stream's encoding has and its reader can show."""
    if text.isascii():
        return text
    encoding = getattr(stream, "encoding", None) or "utf-8"
    if not speaks_unicode(stream, environ):
        encoding = "ascii" if encoding.lower().replace("-", "").startswith("utf") else encoding
        return text.translate(_ASCII).encode(encoding, "backslashreplace").decode(encoding)
    return text


def speaks_unicode(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether what reads the stream shows Unicode: its encoding, and the locale that the user asked for.

    Python writes UTF-8 in the C locale, too (PEP 538, 540), whatever the terminal makes of it; and it sets
    LC_CTYPE itself then.
    """
    encoding = (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "")
    if not encoding.startswith("utf"):
        return False
    if environ.get("PYTHONIOENCODING") or environ.get("PYTHONUTF8") == "1":
        return True
    asked = environ.get("LC_ALL") or environ.get("LC_CTYPE")
    if not asked or asked == _COERCED:
        asked = environ.get("LC_ALL") or environ.get("LANG") or _COERCED
    return asked not in ("C", "POSIX") and ("." not in asked or "utf" in asked.lower())


def wants_colour(choice: str, stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether to colour: the option decides, then NO_COLOR and FORCE_COLOR, then whether it is a terminal.

    Args:
        choice: `auto`, `always` or `never`.
        stream: Where the text goes.
        environ: The environment.
    """
    if choice != "auto":
        return choice == "always"
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and environ.get("TERM") != "dumb"


def columns_of(stream: TextIO, environ: Mapping[str, str]) -> int:
    """Width to lay out for: `COLUMNS`, else the terminal's; a file or pipe has 100."""
    given = environ.get("COLUMNS", "")
    if given.isdecimal() and int(given) >= 40:
        return int(given)
    if stream.isatty():
        return max(40, shutil.get_terminal_size((_DEFAULT_COLUMNS, 24)).columns)
    return _DEFAULT_COLUMNS


def printer(stream: TextIO, choice: str = "auto", environ: Mapping[str, str] = os.environ) -> Printer:
    """The printer for a stream; `choice` as in `wants_colour`."""
    columns = columns_of(stream, environ)
    if wants_colour(choice, stream, environ):
        return ColourPrinter(stream, columns)
    return PlainPrinter(stream, columns)
