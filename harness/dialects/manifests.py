"""Parts of manifests that several dialects write alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from harness.dialects.selectors import LabelSelector, Operator, Requirement

_Item = TypeVar("_Item")


def label_selector(selector: LabelSelector) -> dict[str, Any]:
    """A selector as `matchLabels` and `matchExpressions`."""
    return requirements((item.key, item) for item in selector.requirements)


def requirements(items: Iterable[tuple[str, Requirement]]) -> dict[str, Any]:
    """Requirements under the keys that a dialect gives them: equality as `matchLabels`, once for each key."""
    labels: dict[str, str] = {}
    expressions: list[dict[str, Any]] = []
    for key, item in items:
        values = sorted(item.values)
        if (
            item.operator is Operator.IN
            and len(values) == 1
            and labels.setdefault(key, values[0]) == values[0]
        ):
            continue
        found: dict[str, Any] = {"key": key, "operator": str(item.operator)}
        expressions.append({**found, "values": values} if values else found)
    selector: dict[str, Any] = {}
    if labels:
        selector["matchLabels"] = labels
    if expressions:
        selector["matchExpressions"] = expressions
    return selector


def in_parts(items: Sequence[_Item], most: int) -> list[Sequence[_Item]]:
    """A list as lists that an API server takes."""
    return [items[at : at + most] for at in range(0, len(items), most)]


def by_kind(items: Iterable[_Item], kind: Callable[[_Item], object]) -> list[list[_Item]]:
    """Items of one kind together, in the order of the first of each."""
    found: dict[object, list[_Item]] = {}
    for item in items:
        found.setdefault(kind(item), []).append(item)
    return list(found.values())
