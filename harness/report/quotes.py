"""The lines of policies that decide a cell, with marks on the rules that do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.model.result import CellResult, Excerpt
from harness.report import excerpts

Numbered = tuple[int, str, bool]
"""Number, text, and whether the line decides."""


@dataclass(frozen=True, slots=True)
class Quote:
    """A policy, quoted for one cell.

    Attributes:
        number: Which of the run's excerpts it is.
        rules: The deciding rules, such as `ingress[0]`; empty where the policy decides by isolating the pod.
        marked: Numbers of the lines that decide.
    """

    number: int
    excerpt: Excerpt
    rules: tuple[str, ...]
    marked: frozenset[int]

    @property
    def title(self) -> str:
        """`NetworkPolicy shop/web ingress[0] at shop.yaml:7`."""
        rules = f" {', '.join(self.rules)}" if self.rules else ""
        return f"{self.excerpt.policy}{rules} at {self.excerpt.place.short}"

    def parts(self, around: int) -> Iterator[list[Numbered]]:
        """The deciding lines with so many lines around them; what lies between is left out."""
        part: list[Numbered] = []
        for first, lines in self.excerpt.parts:
            for number, text in enumerate(lines, first):
                if not any(other in self.marked for other in range(number - around, number + around + 1)):
                    continue
                if part and part[-1][0] != number - 1:
                    yield part
                    part = []
                part.append((number, text, number in self.marked))
        if part:
            yield part


def quotes(cell: CellResult, found: Sequence[Excerpt]) -> list[Quote]:
    """What is to be quoted for a cell, policy by policy, in the order in which they decide."""
    if cell.predicted is None:
        return []
    rules: dict[int, list[str]] = {}
    marks: dict[int, set[int]] = {}
    by_identity: Mapping[int, int] = {id(item): number for number, item in enumerate(found)}
    for origin in cell.predicted.deciding:
        excerpt = excerpts.find(found, origin)
        if excerpt is None:
            continue
        number = by_identity[id(excerpt)]
        rules.setdefault(number, [])
        if origin.rule and origin.rule not in rules[number]:
            rules[number].append(origin.rule)
        lines = excerpts.marked(excerpt, origin)
        marks.setdefault(number, set()).update(*_ranges(lines, excerpt))
    return [Quote(number, found[number], tuple(rules[number]), frozenset(marks[number])) for number in rules]


def _ranges(lines: range | None, excerpt: Excerpt) -> Iterable[range]:
    return excerpts.subject(excerpt) if lines is None else [lines]
