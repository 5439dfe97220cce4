"""The texts of the files that were read, kept for the excerpts in diagnostics."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
"""What YAML 1.1 counts as the end of a line; places count lines the same way."""


@dataclass(slots=True)
class Sources:
    """Texts by the name that their places carry."""

    texts: dict[str, str] = field(default_factory=dict)
    _lines: dict[str, list[str]] = field(default_factory=dict, repr=False, compare=False)

    def add(self, name: str, text: str) -> None:
        """Keep `text` under `name`; a later text replaces an earlier one."""
        self.texts[name] = text
        self._lines.pop(name, None)

    def line(self, name: str, number: int) -> str | None:
        """Line `number` (from 1) of `name`, or None when it is not known."""
        lines = self._split(name)
        return lines[number - 1] if 1 <= number <= len(lines) else None

    def lines(self, name: str, first: int, last: int) -> tuple[str, ...]:
        """Lines `first` to `last` (from 1, both included) of `name`, as far as they are known."""
        return tuple(self._split(name)[max(0, first - 1) : last])

    def _split(self, name: str) -> list[str]:
        if name not in self.texts:
            return []
        if name not in self._lines:
            self._lines[name] = LINE_BREAK.split(self.texts[name])
        return self._lines[name]
