"""Matrices: tables of one-letter verdicts, with the place of every letter."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.model.verdict import Expected
from harness.scenario.located import Text
from harness.source import Place
from harness.source.diagnostics import Problems, Related
from harness.source.nodes import ScalarNode

SYMBOLS = {
    ".": Expected.ALLOW,
    "X": Expected.DENY,
    "D": Expected.DROP,
    "R": Expected.REJECT,
    "?": Expected.OBSERVE,
}
NOT_PROBED = "-"

_WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class Entry:
    """One letter: who sends, who is meant, what is expected (None = not probed), and where it stands."""

    source: Text
    column: Text
    expected: Expected | None
    place: Place


def entries(matrix: Text, problems: Problems) -> list[Entry]:
    """All letters of a matrix, row by row.

    Rows are split at white space. The first line names the columns; it may begin with a corner word, which
    is recognised by a backslash in it or by the line being as long as the rows. Lines that begin with `#`
    are comments.
    """
    lines = [line for line in _lines(matrix) if line and not line[0].startswith("#")]
    if len(lines) < 2 or len(lines[1]) < 2:
        problems.error(
            "empty-matrix",
            "the matrix has no cells",
            matrix.place,
            help="write a line with the destinations, then a line per source with its verdicts",
        )
        return []
    columns, rows = _columns(lines[0], lines[1]), lines[1:]
    found: list[Entry] = []
    for row in rows:
        source, letters = row[0], row[1:]
        if len(letters) != len(columns):
            _ragged(source, letters, columns, problems)
        for column, letter in zip(columns, letters, strict=False):
            if letter == NOT_PROBED:
                found.append(Entry(source, column, None, letter.place))
            elif letter in SYMBOLS:
                found.append(Entry(source, column, SYMBOLS[letter], letter.place))
            else:
                _unknown(letter, problems)
    return found


def _lines(matrix: Text) -> list[list[Text]]:
    """The words of every line, each with its place."""
    node = matrix.node
    result = []
    for number, line in enumerate(matrix.split("\n")):
        words = []
        for found in _WORD.finditer(line):
            place = node.place
            if node.block_indent is not None:
                row = node.place.line + 1 + number
                start = node.block_indent + found.start() + 1
                place = Place(node.place.file, row, start, row, start + len(found[0]))
            words.append(Text.of(ScalarNode(found[0], node.block_indent is not None, place)))
        result.append(words)
    return result


def _columns(header: list[Text], row: list[Text]) -> list[Text]:
    corner = "\\" in header[0] or len(header) == len(row)
    return header[1:] if corner else header


def _ragged(source: Text, letters: list[Text], columns: list[Text], problems: Problems) -> None:
    surplus = letters[len(columns)] if len(letters) > len(columns) else source
    missing = ", ".join(columns[len(letters) :])
    related = (Related(columns[0].place, f"the columns: {', '.join(columns)}"),) if columns else ()
    problems.error(
        "ragged-matrix",
        f"the row of {source} has {len(letters)} cells, the header {len(columns)} columns",
        surplus.place,
        help=f"write `-` for pairs that are not probed; nothing stands for {missing}"
        if missing
        else "remove what is too much, or add the column's name",
        related=related,
    )


def _unknown(letter: Text, problems: Problems) -> None:
    likely = {expected.value: symbol for symbol, expected in SYMBOLS.items()}
    likely |= {symbol.lower(): symbol for symbol in SYMBOLS} | {
        "": NOT_PROBED,
        "–": NOT_PROBED,
        "—": NOT_PROBED,
    }
    meant = likely.get(letter.lower(), "")
    if not meant and len(letter) > 1 and all(part in SYMBOLS or part == NOT_PROBED for part in letter):
        help = "put white space between the letters"
    elif meant:
        help = f'did you mean "{meant}"?'
    else:
        help = ". allow, X deny, D drop, R reject, ? observe, - not probed"
    problems.error("unknown-symbol", f'"{letter}" is no cell of a matrix', letter.place, help=help)
