"""A document against its schema: every structural error at once, each at its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from harness.scenario.located import Items, Table, Text, kind_of, located
from harness.scenario.world_schema import Part
from harness.source.diagnostics import Problems, did_you_mean
from harness.source.nodes import MappingNode, Node
from harness.source.place import Place

_Part = TypeVar("_Part", bound=Part)
_Path = tuple[str | int, ...]
_Repair = tuple[_Path, str | None]
"""A path and the right name of its last key, or None when the part has to go."""

_DROP_KEY = ""
_ROUNDS = 5
"""Repairs may bring further errors to light, such as the type of a value under a misspelt key."""

_SHAPES = {
    "a list": "write it as a list: [one, two], or a line with `- ` for each",
    "a mapping": "write `key: value` pairs",
    "a text": "write a single word or number",
    "a path or a manifest": "write a path, or a mapping with apiVersion, kind, …",
}
_EXPECTED = {
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


@dataclass(frozen=True, slots=True)
class Checked(Generic[_Part]):
    """What is left of a document.

    Attributes:
        part: The document as a model; None when nothing can be said about the rest of it.
        broken: Names of pods, services, … that were left out, so that nobody calls them unknown.
    """

    part: _Part | None
    broken: frozenset[str] = frozenset()


def validate(root: MappingNode, model: type[_Part], problems: Problems) -> Checked[_Part]:
    """Check `root` against `model`.

    What is wrong is reported and then repaired (a misspelt key) or left out, so that the rest of the file
    is still checked.
    """
    data = located(root)
    allowed: dict[int, list[str]] = {}
    broken: set[str] = set()
    for _ in range(_ROUNDS):
        try:
            return Checked(model.model_validate(data, context=allowed), frozenset(broken))
        except ValidationError as error:
            # The other half of `X | None` says what was wanted.
            details = [item for item in error.errors(include_url=False) if item["type"] != "none_required"]
        repairs = [_report(item, data, root, allowed, problems) for item in details]
        for path, better in sorted(set(repairs), key=_order, reverse=True):
            if better is not None:
                _rename(data, path, better)
            elif len(path) < 2 or (path[0] == "steps" and len(path) == 2):
                return Checked(None)
            else:
                broken.update(str(step) for step in path[1:2] if len(path) == 2 and path[0] != "expect")
                _remove(data, path)
    return Checked(None)


def _order(repair: _Repair) -> tuple[tuple[int, str], ...]:
    return tuple((step, "") if isinstance(step, int) else (-1, step) for step in repair[0])


def _report(
    item: ErrorDetails, data: object, root: Node, allowed: dict[int, list[str]], problems: Problems
) -> _Repair:
    """Report an error; returns what to leave out or how to name it."""
    path, value = _follow(data, item["loc"])
    context: dict[str, Any] = item.get("ctx") or {}
    place = _value_place(path, value, data, root)
    if item["type"] == "extra_forbidden":
        return _unknown_key(path, data, root, allowed, problems)
    if item["type"] == "missing":
        problems.error(
            "missing-key",
            f"`{item['loc'][-1]}` is missing",
            place,
            help=f"add `{item['loc'][-1]}:`",
        )
    elif item["type"] in _EXPECTED:
        wanted = _EXPECTED[item["type"]]
        problems.error(
            "wrong-type", f"expected {wanted}, found {kind_of(value)}", place, help=_SHAPES[wanted]
        )
    else:
        problems.found.append(_custom(item["type"], item["msg"], place, context))
    return _entry(path), None


def _custom(id: str, message: str, place: Place, context: dict[str, Any]) -> Any:
    """A problem that a field type found; it brings its own id."""
    collected = Problems()
    wanted = str(context.get("expected", ""))
    help = str(context.get("help", "")) or _SHAPES.get(wanted, f"write {wanted}" if wanted else "")
    collected.error(id, message, place, help=help)
    return collected.found[0]


def _follow(data: object, loc: Sequence[int | str]) -> tuple[_Path, object]:
    """The value that pydantic means, leniently: names of union members and models are passed over."""
    path: list[str | int] = []
    value = data
    for step in loc:
        if (isinstance(value, Items) and isinstance(step, int) and step < len(value)) or (
            isinstance(value, Table) and step in value
        ):
            value = cast("Any", value)[step]
            path.append(step)
    return tuple(path), value


def _place(value: object, root: Node) -> Place:
    return value.node.place if isinstance(value, Text | Items | Table) else root.place


def _value_place(path: _Path, value: object, data: object, root: Node) -> Place:
    """Where a value stands; an empty one is shown at its key."""
    if value is None and path:
        _, parent = _follow(data, path[:-1])
        if isinstance(parent, Table):
            key = parent.node.key(str(path[-1]))
            if key is not None:
                return key.place
        return _place(parent, root)
    return _place(value, root)


def _unknown_key(
    path: _Path, data: object, root: Node, allowed: dict[int, list[str]], problems: Problems
) -> _Repair:
    """Report an unknown key; returns the key that was probably meant, if any."""
    _, parent = _follow(data, path[:-1])
    known = allowed.get(id(parent), [])
    given = str(path[-1]) if path else ""
    key = parent.node.key(given) if isinstance(parent, Table) else None
    near = did_you_mean(given, known)
    problems.error(
        "unknown-key",
        f'unknown key "{given}"',
        key.place if key is not None else root.place,
        help=near or f"keys here are {', '.join(known)}",
    )
    meant = next((name for name in known if near == f'did you mean "{name}"?'), None)
    return path, meant or _DROP_KEY


def _entry(path: _Path) -> _Path:
    """The whole entry when `path` stands in an `expect` list, for half a cell is none; else the path."""
    for number, step in enumerate(path[:-1]):
        if step == "expect" and isinstance(path[number + 1], int):
            return path[: number + 2]
    return path


def _remove(data: object, path: _Path) -> None:
    _, parent = _follow(data, path[:-1])
    last = path[-1]
    if isinstance(parent, Items) and isinstance(last, int):
        del parent[last]
    elif isinstance(parent, Table):
        for key in [key for key in parent if key == last]:
            del parent[key]


def _rename(data: object, path: _Path, better: str) -> None:
    """Give a misspelt key its right name, unless that is taken; without one the key goes."""
    _, parent = _follow(data, path[:-1])
    if not isinstance(parent, Table):
        return
    for key in [key for key in parent if key == path[-1]]:
        value = parent.pop(key)
        if better != _DROP_KEY and better not in parent:
            renamed = Text(better)
            renamed.node = key.node
            parent[renamed] = value
