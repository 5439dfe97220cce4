"""Problems found in files: what, where, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from harness.source.place import Place


class Severity(StrEnum):
    """How bad it is; only errors stop a run."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Related:
    """Another place that explains a problem, such as the first of two duplicates."""

    place: Place
    label: str


@dataclass(frozen=True, slots=True)
class Fix:
    """A correction that is certain: `text` in place of what stands at `place`."""

    place: Place
    text: str


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One problem.

    Attributes:
        fix: What `netcheck lint --fix` writes; None where a person has to decide.
        id: Stable id, kebab-case, documented in `docs/diagnostics.md`.
        message: One sentence without a full stop, in the user's words.
        help: What to do; may be empty.
        instead: What to write instead, as lines of a file; may be empty.
    """

    id: str
    severity: Severity
    message: str
    place: Place
    help: str = ""
    related: tuple[Related, ...] = ()
    fix: Fix | None = None
    instead: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.severity}[{self.id}]: {self.message}"


@dataclass(slots=True)
class Problems:
    """Collects the problems of one reading, so that all of them are reported together."""

    found: list[Diagnostic] = field(default_factory=list)

    def error(
        self,
        id: str,
        message: str,
        place: Place,
        *,
        help: str = "",
        related: tuple[Related, ...] = (),
        fix: Fix | None = None,
        instead: str = "",
    ) -> None:
        """Add an error."""
        self.found.append(Diagnostic(id, Severity.ERROR, message, place, help, related, fix, instead))

    def warning(
        self,
        id: str,
        message: str,
        place: Place,
        *,
        help: str = "",
        related: tuple[Related, ...] = (),
        fix: Fix | None = None,
    ) -> None:
        """Add a warning."""
        self.found.append(Diagnostic(id, Severity.WARNING, message, place, help, related, fix))

    @property
    def errors(self) -> int:
        """How many errors were found so far."""
        return sum(item.severity is Severity.ERROR for item in self.found)

    def sorted(self) -> list[Diagnostic]:
        """By place, without repetitions."""
        return sorted(dict.fromkeys(self.found), key=lambda item: (item.place, item.id))


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """`did you mean "x"?` for the nearest known word, or an empty string."""
    near = difflib.get_close_matches(given, list(known), n=1, cutoff=0.6)
    return f'did you mean "{near[0]}"?' if near else ""
