"""What the policies say of a cell on paper, and what follows from holding it against the other answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from harness.model.rules import Origin
from harness.model.verdict import Verdict


class Answer(StrEnum):
    """What paper can say; `undefined` = the specification leaves it open, or the files do not tell."""

    ALLOW = "allow"
    DENY = "deny"
    UNDEFINED = "undefined"


def possible(
    answer: Answer, denial: Verdict | None, denials: tuple[Verdict, ...] = ()
) -> tuple[Verdict, ...]:
    """What the network may do where paper gives this answer; nothing follows from an undefined one."""
    if answer is Answer.UNDEFINED:
        return ()
    if denials:
        return denials
    if answer is Answer.ALLOW:
        return (Verdict.ALLOW,)
    if denial is Verdict.DNS_REFUSED:
        return (denial, Verdict.DNS_NXDOMAIN)
    return (Verdict.DROP, Verdict.REJECT) if denial is None else (denial,)


@dataclass(frozen=True, slots=True)
class Predicted:
    """The oracle's answer to one cell, as far as reports need it.

    Attributes:
        reason: One sentence without a full stop.
        deciding: Rules that allow, policies that isolate, or rules on which an undefined verdict depends.
        denial: How a request is denied that a proxy looks into, or a connection where the network answers
            denials; None = the connection is, in whichever way.
        denials: Where it is open how it is denied, or whether: all verdicts that may come of it, but allow.
    """

    verdict: Answer
    reason: str = ""
    deciding: tuple[Origin, ...] = ()
    denial: Verdict | None = None
    denials: tuple[Verdict, ...] = ()

    @property
    def word(self) -> str:
        """The verdict in the words of the scenario language."""
        return str(self.denial or self.verdict)

    def agrees(self, verdict: Verdict) -> bool:
        """Whether the network gave the predicted verdict; silence and refusal are one denial on paper.

        Whether a DNS proxy refuses or denies that there is such a name, is a setting of it.
        """
        return verdict in self.possible

    @property
    def possible(self) -> tuple[Verdict, ...]:
        """What the network may do; see `possible`."""
        return possible(self.verdict, self.denial, self.denials)

    @property
    def rules(self) -> str:
        """The deciding rules with their places, or the reason where no rule decides."""
        return ", ".join(str(origin) for origin in self.deciding) or self.reason


class Finding(StrEnum):
    """Which of the three answers (expected, predicted, observed) stands against the other two."""

    EXPECTATION = "expectation"
    CLUSTER = "cluster"
    ORACLE = "oracle"
