"""Calico's expressions as alternatives, each a list of requirements on single labels that hold at once."""

from __future__ import annotations

from itertools import product

from harness.dialects.calico.selectors import NAMESPACE as NAMESPACE_LABEL
from harness.dialects.calico.selectors import (
    All,
    And,
    Comparison,
    Expression,
    Global,
    Has,
    Not,
    Operator,
    Or,
)
from harness.dialects.selectors import Operator as Simple
from harness.dialects.selectors import Requirement

MOST = 16
"""More alternatives of one expression are given up: nobody would read what comes of them."""

Alternative = tuple[Requirement, ...]

_TURNED = {
    Simple.IN: Simple.NOT_IN,
    Simple.NOT_IN: Simple.IN,
    Simple.EXISTS: Simple.DOES_NOT_EXIST,
    Simple.DOES_NOT_EXIST: Simple.EXISTS,
}
_COMPARED = {
    Operator.IS: Simple.IN,
    Operator.IN: Simple.IN,
    Operator.IS_NOT: Simple.NOT_IN,
    Operator.NOT_IN: Simple.NOT_IN,
}


class NoRequirementsError(Exception):
    """An expression that is no such list; the message says why, as a sentence without a full stop."""


def alternatives(expression: Expression, *, negated: bool = False) -> list[Alternative]:
    """The alternatives of an expression, or of its contrary; none = it matches nobody.

    Raises:
        NoRequirementsError: It compares parts of values, or has too many alternatives.
    """
    found: list[Alternative]
    match expression:
        case All():
            found = [] if negated else [()]
        case Global():
            found = [_one(NAMESPACE_LABEL, Simple.DOES_NOT_EXIST, (), negated=negated)]
        case Has():
            found = [_one(expression.label, Simple.EXISTS, (), negated=negated)]
        case Comparison():
            if expression.operator not in _COMPARED:
                raise NoRequirementsError(f"the selector compares parts of values ({expression})")
            operator = _COMPARED[expression.operator]
            found = [_one(expression.label, operator, expression.values, negated=negated)]
        case Not():
            found = alternatives(expression.inner, negated=not negated)
        case And() | Or():
            parts = [alternatives(term, negated=negated) for term in expression.terms]
            if isinstance(expression, And) is not negated:
                found = [sum(some, ()) for some in product(*parts)]
            else:
                found = [one for some in parts for one in some]
    if len(found) > MOST:
        raise NoRequirementsError(f"the selector has more than {MOST} alternatives")
    return list(dict.fromkeys(found))


def _one(label: str, operator: Simple, values: tuple[str, ...], *, negated: bool) -> Alternative:
    return (Requirement(label, _TURNED[operator] if negated else operator, frozenset(values)),)
