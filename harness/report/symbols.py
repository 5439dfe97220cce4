"""The symbols of matrices, the same that scenario files use, and what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from harness.model.prediction import Answer
from harness.model.result import CellResult
from harness.model.scenario import Cell
from harness.model.verdict import Expected, Status, Verdict

NOT_PROBED: Final = "-"
ERROR: Final = "!"
NOT_MEASURED: Final = "s"
RIGHT: Final = "+"
WRONG: Final = "#"

_EXPECTED: Final = {
    Expected.ALLOW: ".",
    Expected.DENY: "X",
    Expected.DROP: "D",
    Expected.REJECT: "R",
    Expected.DENY_HTTP: "H",
    Expected.DNS_REFUSED: "Q",
    Expected.DNS_NXDOMAIN: "N",
    Expected.TLS_REJECTED: "T",
    Expected.OBSERVE: "?",
    Expected.ORACLE: "O",
}

_MEANING: Final = {
    ".": "allow",
    "X": "deny",
    "D": "drop",
    "R": "reject",
    "H": "deny-http",
    "Q": "dns-refused",
    "N": "dns-nxdomain",
    "T": "tls-rejected",
    "?": "observe",
    "O": "oracle decides",
    "+": "as expected",
    "#": "not as expected",
    "!": "error",
    "s": "skipped",
    "-": "not probed",
    "u": "undefined by the specification",
    "[]": "observed[expected]",
    "<>": "predicted[expected]",
    "~": "known deviation",
    "*": "differs by backend",
}


@dataclass(frozen=True, slots=True)
class Mark:
    """What stands in one field of a matrix.

    Attributes:
        text: A symbol, for a failure followed by the expected one in brackets: `.[X]`.
        legend: Keys of `_MEANING` that a reader needs to understand it.
    """

    text: str
    style: str
    legend: tuple[str, ...]


def of_expectation(cell: Cell) -> Mark:
    """What the author expects of a cell; `*` follows where backends differ or a deviation is known."""
    expectation = cell.expectation
    symbol = _EXPECTED[expectation.default]
    style = "good" if symbol == "." else "dim" if symbol in "?O" else "bad"
    if expectation.backends or expectation.known:
        return Mark(f"{symbol}*", style, (symbol, "*"))
    return Mark(symbol, style, (symbol,))


def of_result(result: CellResult) -> Mark:
    """What was observed; a plain `deny` that came true stays `X`, as the author wrote it."""
    if result.status is Status.ERROR:
        return Mark(ERROR, "error", (ERROR,))
    if result.status is Status.SKIPPED:
        return Mark(NOT_MEASURED, "skip", (NOT_MEASURED,))
    if result.verdict is None:
        # What becomes of a connection while a change is made has no verdict, only right or wrong.
        wrong = result.status is Status.FAILED
        return Mark(WRONG, "bad", (WRONG,)) if wrong else Mark(RIGHT, "good", (RIGHT,))
    seen = _EXPECTED[Expected(result.verdict.value)]
    if result.status is Status.FAILED:
        wanted = _EXPECTED[result.expected]
        return Mark(f"{seen}[{wanted}]", "bad", (seen, wanted, "[]"))
    if result.status is Status.XFAILED:
        return Mark(f"{seen}~", "known", (seen, "~"))
    if result.expected is Expected.OBSERVE:
        return Mark(f"{seen}?", "skip", (seen, "?"))
    if result.expected is Expected.DENY:
        return Mark("X", "dim", ("X",))
    return Mark(seen, "good" if result.verdict is Verdict.ALLOW else "dim", (seen,))


def of_prediction(predicted: str, expected: str, *, right: bool) -> Mark:
    """What paper says; followed by what the author expects, in brackets, where that does not fit."""
    symbol = "u" if predicted == Answer.UNDEFINED else _EXPECTED[Expected(predicted)]
    style = {".": "good", "u": "skip"}.get(symbol, "bad")
    if right:
        return Mark(symbol, style, (symbol,))
    wanted = _EXPECTED[Expected(expected)]
    return Mark(f"{symbol}[{wanted}]", "bad", (symbol, wanted, "<>"))


def shown(text: str) -> str:
    """A mark where there is room for a better dot."""
    return text.replace(".", "•")


def meanings(keys: set[str]) -> list[tuple[str, str]]:
    """The symbols in use with what they mean, always in the same order."""
    return [(key, meaning) for key, meaning in _MEANING.items() if key in keys]


def legend(keys: set[str]) -> str:
    """One line that explains the symbols in use, always in the same order."""
    pairs = meanings(keys)
    return "   ".join(meaning if key in ("[]", "<>") else f"{key} {meaning}" for key, meaning in pairs)
