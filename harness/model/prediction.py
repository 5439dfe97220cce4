"""What the policies say of a cell on paper, and what follows from holding it against the other answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from harness.model.rules import Origin


class Answer(StrEnum):
    """What paper can say; `undefined` = the specification leaves it open, or the files do not tell."""

    ALLOW = "allow"
    DENY = "deny"
    UNDEFINED = "undefined"


@dataclass(frozen=True, slots=True)
class Predicted:
    """The oracle's answer to one cell, as far as reports need it.

    Attributes:
        reason: One sentence without a full stop.
        deciding: Rules that allow, policies that isolate, or rules on which an undefined verdict depends.
    """

    verdict: Answer
    reason: str = ""
    deciding: tuple[Origin, ...] = ()

    @property
    def rules(self) -> str:
        """The deciding rules with their places, or the reason where no rule decides."""
        return ", ".join(str(origin) for origin in self.deciding) or self.reason


class Finding(StrEnum):
    """Which of the three answers (expected, predicted, observed) stands against the other two."""

    EXPECTATION = "expectation"
    CLUSTER = "cluster"
    ORACLE = "oracle"
