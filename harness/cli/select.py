"""`-k` and `--tag`: which scenarios and cells a run measures."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.cli.exits import CliError

if TYPE_CHECKING:
    from harness.model.scenario import Cell, Scenario, Step

Predicate = Callable[[str], bool]
_TOKEN = re.compile(r"""\s*([()]|"[^"]*"|'[^']*'|[^\s()]+)""")
_OPERATORS = frozenset({"and", "or", "not", "(", ")"})


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    start: int
    end: int
    quoted: bool = False

    @property
    def is_operator(self) -> bool:
        return not self.quoted and self.text in _OPERATORS


def select(scenarios: Sequence[Scenario], expression: str, tags: Sequence[str]) -> tuple[Scenario, ...]:
    """The scenarios that are left, each with the cells that are left.

    A step whose cells are all left out still carries out its changes, since later steps stand on them; the
    steps after the last one with cells fall away.

    Args:
        scenarios: All that were read.
        expression: What `-k` says; empty = everything.
        tags: What `--tag` says: one of the plain ones, and none of those with `!`.

    Raises:
        CliError: The expression cannot be understood.
    """
    tagged = [item for item in scenarios if has_tags(item.tags, tags)]
    if not expression:
        return tuple(tagged)
    exact = _exact(scenarios, expression)
    matches = compile_expression(expression) if exact is None else exact.__eq__
    narrowed = (narrow(item, matches) for item in tagged)
    return tuple(item for item in narrowed if item is not None)


def count_cells(scenarios: Iterable[Scenario]) -> int:
    """How many cells there are, those of transitions included."""
    return sum(1 for scenario in scenarios for step in scenario.steps for _ in _all_cells(step))


def has_tags(has: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether a scenario with the tags `has` is meant by what `--tag` says."""
    plain = [tag for tag in wanted if not tag.startswith("!")]
    excluded = [tag[1:] for tag in wanted if tag.startswith("!")]
    return (not plain or any(tag in has for tag in plain)) and not any(tag in has for tag in excluded)


def _all_cells(step: Step) -> Iterator[Cell]:
    yield from step.cells
    yield from step.transition_cells()


def _full(scenario: Scenario, step: Step, cell: Cell) -> str:
    return f"{scenario.name}::{step.name}::{cell.id}"


def _exact(scenarios: Sequence[Scenario], text: str) -> str | None:
    """The full id that `text` is, or None; `~established` results belong to the `~cut` cell."""
    wanted = {text}
    if text.endswith("~established"):
        wanted.add(text.removesuffix("~established") + "~cut")
    ids = (
        _full(scenario, step, cell)
        for scenario in scenarios
        for step in scenario.steps
        for cell in _all_cells(step)
    )
    return next((found for found in ids if found in wanted), None)


def narrow(scenario: Scenario, matches: Predicate) -> Scenario | None:
    """A scenario with the cells whose full id matches, and the steps that they need; None without any."""
    steps = [_narrow_step(scenario, step, matches) for step in scenario.steps]
    last = max((number for number, step in enumerate(steps) if any(_all_cells(step))), default=None)
    return None if last is None else replace(scenario, steps=tuple(steps[: last + 1]))


def _narrow_step(scenario: Scenario, step: Step, matches: Predicate) -> Step:
    def keep(cells: Iterable[Cell]) -> tuple[Cell, ...]:
        return tuple(cell for cell in cells if matches(_full(scenario, step, cell)))

    transition = step.transition
    if transition:
        transition = replace(transition, steady=keep(transition.steady), cut=keep(transition.cut))
        if not transition.steady and not transition.cut:
            transition = None
    return replace(step, cells=keep(step.cells), transition=transition)


def compile_expression(text: str) -> Predicate:
    """A predicate over `scenario::step::cell-id`: substrings with `and`, `or`, `not` and parentheses.

    Substrings ignore case; words in a row are one substring, as written; quotes take anything literally.

    Raises:
        CliError: With the column of what is not understood.
    """
    parser = _Parser(text)
    predicate = parser.either()
    if parser.current is not None:
        raise parser.error("expected `and`, `or` or the end")
    return predicate


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _tokens(text)
        self.at = 0

    @property
    def current(self) -> _Token | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def error(self, what: str) -> CliError:
        column = (self.current.start if self.current else len(self.text)) + 1
        return CliError(
            f"-k: {what} at column {column} of {self.text!r}",
            "write substrings with and, or, not and parentheses, or the full id of a cell",
        )

    def take(self, operator: str) -> bool:
        token = self.current
        if token is not None and token.is_operator and token.text == operator:
            self.at += 1
            return True
        return False

    def either(self) -> Predicate:
        parts = [self.both()]
        while self.take("or"):
            parts.append(self.both())
        return lambda id: any(part(id) for part in parts)

    def both(self) -> Predicate:
        parts = [self.one()]
        while self.take("and"):
            parts.append(self.one())
        return lambda id: all(part(id) for part in parts)

    def one(self) -> Predicate:
        if self.take("not"):
            inner = self.one()
            return lambda id: not inner(id)
        if self.take("("):
            inner = self.either()
            if not self.take(")"):
                raise self.error("expected `)`")
            return inner
        token = self.current
        if token is None or token.is_operator:
            raise self.error("expected a substring")
        self.at += 1
        wanted = token.text.casefold()
        return lambda id: wanted in id.casefold()


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    for found in _TOKEN.finditer(text):
        word, start, end = found.group(1), found.start(1), found.end(1)
        if len(word) > 1 and word[0] in "\"'" and word[-1] == word[0]:
            tokens.append(_Token(word[1:-1], start, end, quoted=True))
            continue
        last = tokens[-1] if tokens else None
        if last and not last.quoted and not last.is_operator and word not in _OPERATORS:
            tokens[-1] = _Token(text[last.start : end], last.start, end)
        else:
            tokens.append(_Token(word, start, end))
    return tokens
