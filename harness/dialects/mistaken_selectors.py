"""Mistakes in label selectors, and what all mutants need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Json = dict[str, Any]

_OTHER_OPERATOR = {"In": "NotIn", "NotIn": "In", "Exists": "DoesNotExist", "DoesNotExist": "Exists"}


def nobody() -> Json:
    """A selector that matches nothing."""
    return {"matchLabels": {"netcheck-mutant": "nobody"}}


def narrower(selector: Mapping[str, Any]) -> Iterator[tuple[str, Json]]:
    """The selector without one of its terms, when it has several, and without one of several values."""
    labels = selector.get("matchLabels") or {}
    expressions = selector.get("matchExpressions") or []
    if len(labels) + len(expressions) > 1:
        for key in labels:
            rest = {name: value for name, value in labels.items() if name != key}
            yield f"no label {key}", {**selector, "matchLabels": rest}
        for number, item in enumerate(expressions):
            rest_of = without(expressions, number)
            yield f"no expression about {item['key']}", {**selector, "matchExpressions": rest_of}
    for number, item in enumerate(expressions):
        values = item.get("values") or []
        for index, value in enumerate(values if len(values) > 1 else []):
            shorter = {**item, "values": without(values, index)}
            mutated = {**selector, "matchExpressions": replaced(expressions, number, shorter)}
            yield f"{item['key']} {item['operator']} without {value}", mutated


def inverted(selector: Mapping[str, Any]) -> Iterator[tuple[str, Json]]:
    """The selector with another value or the opposite operator in one of its terms."""
    labels = selector.get("matchLabels") or {}
    for key, value in labels.items():
        yield f"another {key}", {**selector, "matchLabels": {**labels, key: f"{value}-mutant"}}
    expressions = selector.get("matchExpressions") or []
    for number, item in enumerate(expressions):
        operator = _OTHER_OPERATOR[item["operator"]]
        mutated = replaced(expressions, number, {**item, "operator": operator})
        yield f"{item['key']} {operator}", {**selector, "matchExpressions": mutated}


def without(items: Sequence[Any], number: int) -> list[Any]:
    """The items but one."""
    return [item for index, item in enumerate(items) if index != number]


def replaced(items: Sequence[Any], number: int, item: Any) -> list[Any]:
    """The items with another one in one place."""
    return [item if index == number else other for index, other in enumerate(items)]
