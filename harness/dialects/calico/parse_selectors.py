"""Selectors of manifests: what is wrong is pointed at inside of the text."""

from __future__ import annotations

from collections.abc import Callable

from harness.dialects.calico.expressions import SelectorError, parse
from harness.dialects.calico.selectors import Expression, Global, Selector, terms
from harness.dialects.fields import Field
from harness.source import Place
from harness.source.nodes import ScalarNode

Use = Callable[[Field, Expression], None]
"""What a field demands of an expression beyond that it is one."""


def selector(field: Field, use: Use | None = None) -> Selector | None:
    """A selector that is a text; None after an error, and for an empty one.

    Args:
        field: Where it stands.
        use: Complains about expressions that may not stand there.
    """
    if not isinstance(field.node, ScalarNode):
        field.error(
            "wrong-type",
            "must be a selector: a text",
            help="write `app == 'web'`; Calico's policies have no matchLabels",
        )
        return None
    text = field.text()
    if text is None:
        return None
    try:
        expression = parse(text)
    except SelectorError as error:
        field.problems.error(
            "invalid-selector",
            f"{field.path}: {error}",
            inside(field.node, error.offset, error.length),
            help=error.help,
        )
        return None
    if not text.strip(" \t"):
        return None
    if use is not None:
        use(field, expression)
    return Selector(expression, text, field.place)


def no_global(field: Field, expression: Expression) -> None:
    """`global()` may stand in the namespaceSelector of a rule only."""
    if any(isinstance(term, Global) for term in terms(expression)):
        field.error(
            "invalid-selector",
            "global() can only be used in the namespaceSelector of a rule",
            help="write `all()`, or select by labels",
        )


def lone_global(field: Field, expression: Expression) -> None:
    """`global()` stands alone."""
    if not isinstance(expression, Global):
        mixed = any(isinstance(term, Global) for term in terms(expression))
        if mixed:
            field.error(
                "invalid-selector",
                "global() cannot be combined with other selectors",
                help="make two rules of it",
            )


def inside(node: ScalarNode, offset: int, length: int) -> Place:
    """A part of a scalar's text, where it stands; all of the scalar where YAML has changed the text.

    Plain and quoted scalars of one line have their characters side by side, unless an escape or a doubled
    quote stands in between.
    """
    place = node.place
    quote = 0 if node.plain else 1
    width = place.end_column - place.column
    if place.end_line != place.line or width != len(node.text) + 2 * quote:
        return place
    start = place.column + quote + min(offset, len(node.text))
    return Place(place.file, place.line, start, place.line, start + length)
