"""Mistakes in Calico's selectors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from harness.dialects.calico.expressions import parse
from harness.dialects.calico.selectors import And, Comparison, Expression, Has, Not, Operator, Or

_OPPOSITE = {
    Operator.IS: Operator.IS_NOT,
    Operator.IS_NOT: Operator.IS,
    Operator.IN: Operator.NOT_IN,
    Operator.NOT_IN: Operator.IN,
}


def changed_selectors(text: str, *, inverted: bool) -> Iterator[tuple[str, str]]:
    """`(what, selector)` for every mistake in a selector.

    Args:
        text: The selector.
        inverted: Whether terms are also turned round, or get other values.
    """
    expression = parse(text)
    for what, found in _changed(expression, inverted=inverted):
        yield what, str(found)


def _changed(expression: Expression, *, inverted: bool) -> Iterator[tuple[str, Expression]]:
    match expression:
        case And() | Or():
            terms = expression.terms
            join = "&&" if isinstance(expression, And) else "||"
            other = Or(terms) if isinstance(expression, And) else And(terms)
            yield f"{'||' if join == '&&' else '&&'} instead of {join}", other
            for number, term in enumerate(terms):
                rest = tuple(one for index, one in enumerate(terms) if index != number)
                yield f"no {term}", rest[0] if len(rest) == 1 else replace(expression, terms=rest)
                for what, found in _changed(term, inverted=inverted):
                    changed = tuple(found if index == number else one for index, one in enumerate(terms))
                    yield what, replace(expression, terms=changed)
        case Not():
            if inverted:
                yield f"no ! before {expression.inner}", expression.inner
            for what, found in _changed(expression.inner, inverted=inverted):
                yield what, Not(found)
        case Comparison():
            if len(expression.values) > 1:
                for value in expression.values:
                    fewer = tuple(one for one in expression.values if one != value)
                    yield f"{expression.label} without {value}", replace(expression, values=fewer)
            if inverted:
                yield from _turned(expression)
        case Has():
            if inverted:
                yield f"!has({expression.label})", Not(expression)


def _turned(expression: Comparison) -> Iterator[tuple[str, Expression]]:
    values = expression.values
    if values:
        other = (f"{values[0]}-mutant", *values[1:])
        yield f"another {expression.label}", replace(expression, values=other)
    if expression.operator in _OPPOSITE:
        opposite = _OPPOSITE[expression.operator]
        yield f"{expression.label} {opposite}", replace(expression, operator=opposite)
