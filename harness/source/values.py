"""Scalars → values, under two readings.

The scenario language reads a scalar from its text (`boolean`, `integer`, `duration`, …): nothing is guessed.
Manifests are read as Kubernetes reads them (`manifest_value`): sigs.k8s.io/yaml, that is go-yaml v2, with
YAML 1.1 booleans, octal integers and no sexagesimals.
"""

from __future__ import annotations

import re
from typing import Any

from harness.source.nodes import MappingNode, Node, ScalarNode


class BadValueError(ValueError):
    """A text is no value of its type.

    Attributes:
        id: Id of the diagnostic.
        help: What to write instead.
    """

    def __init__(self, id: str, message: str, help: str = "") -> None:
        super().__init__(message)
        self.id = id
        self.help = help


_INTEGER = re.compile(r"0|[1-9][0-9]*")
_DURATION = re.compile(r"(0|[1-9][0-9]*)(\.[0-9]+)?(ms|s|m)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0}
_LONGEST = 3600.0


def boolean(text: str) -> bool:
    """`true` or `false`, nothing else."""
    if text in ("true", "false"):
        return text == "true"
    advice = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}
    word = advice.get(text.lower(), text.lower())
    raise BadValueError(
        "bad-boolean",
        f'"{text}" is no boolean',
        f"write {word}" if word in ("true", "false") else "write true or false",
    )


def integer(text: str, lowest: int, highest: int) -> int:
    """A decimal integer without sign, leading zeros or separators, from `lowest` to `highest`."""
    if not _INTEGER.fullmatch(text) or len(text) > 9:
        advice = f"write a number from {lowest} to {highest}"
        digits = text.replace("_", "").lstrip("0")
        if _INTEGER.fullmatch(digits) and len(digits) <= 9 and digits != text:
            advice = f"write {digits}"
        raise BadValueError("bad-number", f'"{text}" is no whole number', advice)
    value = int(text)
    if not lowest <= value <= highest:
        raise BadValueError(
            "bad-number", f"{value} is out of range", f"write a number from {lowest} to {highest}"
        )
    return value


def port(text: str) -> int:
    """A port number, 1 to 65535."""
    if _INTEGER.fullmatch(text) and not (len(text) <= 5 and 1 <= int(text) <= 65535):
        raise BadValueError("bad-port", f"{text[:20]} is no port", "ports go from 1 to 65535")
    try:
        return integer(text, 1, 65535)
    except BadValueError as error:
        raise BadValueError("bad-port", f'"{text}" is no port', error.help) from None


def duration(text: str) -> float:
    """Seconds from `500ms`, `1s`, `1.5s` or `2m`; at most an hour, more than nothing."""
    found = _DURATION.fullmatch(text)
    if found is None or len(text) > 20:
        number = _INTEGER.fullmatch(text)
        raise BadValueError(
            "bad-duration",
            f'"{text}" is no duration' + (": the unit is missing" if number else ""),
            f"write {text}ms or {text}s" if number else "write a number with its unit: 500ms, 1s, 2m",
        )
    seconds = float(found[1] + (found[2] or "")) * _UNITS[found[3]]
    if not 0 < seconds <= _LONGEST:
        raise BadValueError("bad-duration", f"{text} is out of range", "durations go from 1ms to 60m")
    return seconds


_TRUE = frozenset(("y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE"))
_FALSE = frozenset(("n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE"))
_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_NUMBER_START = frozenset("+-.0123456789")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_LOWEST, _HIGHEST = -(2**63), 2**64 - 1


def manifest_value(node: Node) -> Any:
    """Plain JSON values as the Kubernetes API server would see them.

    Source of the rules: go-yaml v2 `resolve.go`, which sigs.k8s.io/yaml builds on. Infinities and NaN, which
    JSON does not have, stay texts.
    """
    if isinstance(node, ScalarNode):
        return manifest_scalar(node)
    if isinstance(node, MappingNode):
        return {manifest_key(key): manifest_value(value) for key, value in node.items}
    return [manifest_value(item) for item in node.items]


def manifest_key(key: ScalarNode) -> str:
    """A key as Kubernetes sees it: sigs.k8s.io/yaml turns booleans and numbers back into texts.

    So an unquoted `on` as a label's key is the label `true`.
    """
    value = manifest_scalar(key)
    if isinstance(value, bool):
        return "true" if value else "false"
    return key.text if value is None else str(value)


def manifest_scalar(node: ScalarNode) -> str | int | float | bool | None:
    """One scalar under go-yaml v2's reading; quoted and block scalars are texts."""
    text = node.text
    if not node.plain:
        return text
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    if text in _NULL:
        return None
    return _number(text) if text[0] in _NUMBER_START else text


def _number(text: str) -> str | int | float:
    plain = text.replace("_", "")
    whole = _whole(plain)
    if whole is not None and _LOWEST <= whole <= _HIGHEST:
        return whole
    if len(plain) < 400 and _FLOAT.fullmatch(plain):
        value = float(plain)
        if abs(value) == float("inf"):
            return text
        # Encoded as JSON, 1e3 is 1000 and goes into an integer field.
        return int(value) if value.is_integer() and abs(value) < 1e21 else value
    return text


def _whole(text: str) -> int | None:
    """Go's ParseInt with base 0: prefixes 0x, 0o, 0b, and a bare leading 0 for octal."""
    sign = -1 if text.startswith("-") else 1
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not digits.isascii() or not digits.isalnum() or len(digits) > 70:
        return None
    base, body = 10, digits
    prefix = digits[:2].lower()
    if prefix in ("0x", "0o", "0b"):
        base, body = {"0x": 16, "0o": 8, "0b": 2}[prefix], digits[2:]
    elif len(digits) > 1 and digits[0] == "0":
        base, body = 8, digits[1:]
    try:
        return sign * int(body, base)
    except ValueError:
        return None
