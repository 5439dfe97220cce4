"""Where something stands in a file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A span of text in a file; lines and columns count from 1, the end is exclusive.

    Attributes:
        file: Path as the user wrote it (or `<stdin>`).
        line: Line of the first character.
        column: Column of the first character, in code points.
        end_line: Line of the position after the last character; 0 when unknown.
        end_column: Column of the position after the last character; 0 when unknown.
    """

    file: str
    line: int = 1
    column: int = 1
    end_line: int = 0
    end_column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    @property
    def short(self) -> str:
        """`file:line`, the form that editors and pytest jump to."""
        return f"{self.file}:{self.line}"
