"""Whether values have the types that the model's dataclasses promise.

What was read from a file that anybody may have written is looked at once, as a whole, so that no report has
to fear a list where a text belongs.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, Final, Union, get_args, get_origin

from harness.report.text import shorten

_LARGEST: Final = 1e15
"""Of numbers; what counts seconds, lines or cells is far below, and arithmetic with it cannot overflow."""
Check = Callable[[Any], str]
_KNOWN: Final[dict[Any, Check]] = {}


def misfit(value: Any) -> str:
    """What is wrong with a dataclass and everything in it, as a sentence; empty when nothing is."""
    return _dataclass(type(value))(value)


def _dataclass(cls: Any) -> Check:
    if cls not in _KNOWN:
        _KNOWN[cls] = _made(cls)
    return _KNOWN[cls]


def _made(cls: Any) -> Check:
    checks: list[tuple[str, Check]] = []

    def check(value: Any) -> str:
        if type(value) is not cls:
            return f"{_shown(value)} stands where a {cls.__name__} belongs"
        for name, fits in checks:
            wrong = fits(getattr(value, name))
            if wrong:
                return wrong
        return ""

    hints = typing.get_type_hints(cls)
    checks += [(field.name, _check(hints[field.name])) for field in fields(cls)]
    return check


def _check(hint: Any) -> Check:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _any_of([_check(item) for item in args])
    if origin is tuple and args[1:] != (Ellipsis,):
        return _fixed([_check(item) for item in args])
    if origin in (tuple, frozenset):
        return _each(origin, _check(args[0]))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping(*map(_check, args))
    if hint is Any:
        return lambda value: ""
    return _plain(hint)


def _plain(hint: Any) -> Check:
    if is_dataclass(hint):
        # Looked up late: dataclasses may name each other.
        return lambda value: _dataclass(hint)(value)
    if hint is float:
        return lambda value: "" if _number(value, (int, float)) else _wrong(value, "a number")
    if hint is int:
        return lambda value: "" if _number(value, (int,)) else _wrong(value, "a whole number")
    if hint is type(None):
        return lambda value: "" if value is None else _wrong(value, "null")
    if issubclass(hint, Enum):
        return lambda value: "" if isinstance(value, hint) else _wrong(value, hint.__name__)
    words = {str: "a text", bool: "true or false"}
    return lambda value: "" if isinstance(value, hint) else _wrong(value, words.get(hint, hint.__name__))


def _number(value: Any, kinds: tuple[type, ...]) -> bool:
    # False for what is not a number, too.
    return type(value) in kinds and abs(value) < _LARGEST


def _any_of(checks: Collection[Check]) -> Check:
    def check(value: Any) -> str:
        wrong = ""
        for one in checks:
            found = one(value)
            if not found:
                return ""
            wrong = wrong or found
        return wrong

    return check


def _fixed(checks: Collection[Check]) -> Check:
    def check(value: Any) -> str:
        if type(value) is not tuple or len(value) != len(checks):
            return _wrong(value, f"a list of {len(checks)}")
        return next((wrong for one, item in zip(checks, value, strict=True) if (wrong := one(item))), "")

    return check


def _each(kind: type[Any], one: Check) -> Check:
    def check(value: Any) -> str:
        if type(value) is not kind:
            return _wrong(value, "a list")
        return next((wrong for item in value if (wrong := one(item))), "")

    return check


def _mapping(key: Check, item: Check) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, Mapping):
            return _wrong(value, "an object")
        return next((wrong for pair in value.items() if (wrong := key(pair[0]) or item(pair[1]))), "")

    return check


def _wrong(value: Any, wanted: str) -> str:
    return f"{_shown(value)} stands where {wanted} belongs"


def _shown(value: Any) -> str:
    return shorten(repr(value), 40)
