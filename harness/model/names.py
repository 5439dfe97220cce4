"""Patterns of DNS names: the grammar of Cilium's `matchName` and `matchPattern` since 1.19.

`*` alone is every name. Elsewhere `*` stands for any number of letters, digits, `-` and `_`, never for a dot,
so `*.x.com` has exactly one label before `x.com`; `**.x.com` has at least one. Case and a dot at the end do
not matter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_LENGTH = 255

_NAME = re.compile(r"[-a-z0-9_]+([.][-a-z0-9_]+)*[.]?")
_PATTERN = re.compile(r"[-a-z0-9_*]+([.][-a-z0-9_*]+)*[.]?")
_STAR = frozenset("-_abcdefghijklmnopqrstuvwxyz0123456789")


class BadNameError(ValueError):
    """A text that is no name or no pattern; the message says why."""


@dataclass(frozen=True, slots=True)
class NamePattern:
    """A set of DNS names.

    Attributes:
        text: As it was written, in lower case and without a dot at the end. It is enough to make the pattern
            anew (`parse_pattern`), for exact names too.
        everything: Whether every name is meant.
        below: Whether at least one label more must stand before `labels`.
        labels: Of which `*` stands for what the module says.
    """

    text: str
    everything: bool = False
    below: bool = False
    labels: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.text

    def matches(self, name: str) -> bool:
        """Whether a name, absolute or not, belongs to the set."""
        name = name.lower().removesuffix(".")
        labels = name.split(".") if name else []
        if self.everything:
            return all(label and _STAR.issuperset(label) for label in labels)
        more = len(labels) - len(self.labels)
        if more < 0 or (more > 0) is not self.below:
            return False
        if not all(label and _STAR.issuperset(label) for label in labels[:more]):
            return False
        return all(_glob(*pair) for pair in zip(self.labels, labels[more:], strict=True))


def parse_name(text: str) -> NamePattern:
    """The pattern of a `matchName`.

    Raises:
        BadNameError: It is no DNS name.
    """
    name = _trimmed(text)
    if not _NAME.fullmatch(name):
        raise BadNameError("a name has only letters, digits, '-', '_' and dots between its labels")
    return _made(name)


def parse_pattern(text: str) -> NamePattern:
    """The pattern of a `matchPattern`.

    Raises:
        BadNameError: It has characters that no pattern has.
    """
    pattern = _trimmed(text)
    if pattern == "*":
        return NamePattern("*", everything=True)
    if not _PATTERN.fullmatch(pattern):
        raise BadNameError("a pattern has only letters, digits, '-', '_', '*' and dots between its labels")
    return _made(pattern)


def _trimmed(text: str) -> str:
    trimmed = text.strip().lower()
    if len(trimmed) > MAX_LENGTH:
        raise BadNameError(f"more than {MAX_LENGTH} characters")
    return trimmed


def _made(text: str) -> NamePattern:
    text = text.removesuffix(".")
    if text.startswith("**."):
        return NamePattern(text, below=True, labels=tuple(text[3:].split(".")))
    return NamePattern(text, labels=tuple(text.split(".")))


def _glob(pattern: str, label: str) -> bool:
    """Whether one label matches; looks at every character of it once per star at most."""
    first, *rest = re.split(r"\*+", pattern)
    if not rest:
        return label == first
    last = rest.pop()
    if not (label.startswith(first) and label.endswith(last)) or len(label) < len(first) + len(last):
        return False
    filled = []
    at, end = len(first), len(label) - len(last)
    for part in rest:
        found = label.find(part, at, end)
        if found < 0:
            return False
        filled.append(label[at:found])
        at = found + len(part)
    filled.append(label[at:end])
    return _STAR.issuperset("".join(filled))
