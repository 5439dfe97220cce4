"""A trace as lines: who was asked, what each rule said, who decided."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from harness.model.prediction import Answer
from harness.model.rules import Direction
from harness.model.trace import Part, PolicyTrace, RuleTrace, SideTrace
from harness.report.text import EMPTY, Line, line

_STYLES: Final = {Answer.ALLOW: "good", Answer.DENY: "bad", Answer.UNDEFINED: "skip"}
_MARKS: Final = {True: "yes", False: "no", None: "open"}
_LISTED: Final = 6


def side_lines(side: SideTrace, number: int) -> Iterator[Line]:
    """One side of a connection: egress of its source, or ingress of its destination."""
    if side.direction is Direction.EGRESS:
        text = f"{side.subject} sends to {side.peer}, {side.port}"
    else:
        text = f"{side.subject} receives from {side.peer}, {side.port}"
    yield line((f"{number}. ", "dim"), (f"{side.direction}  ", "bold"), text, ("  ", ""))
    for tier in side.tiers:
        if len(side.tiers) > 1:
            yield line(("   tier ", "dim"), tier.name, (f": {tier.outcome}", "dim"))
        for policy in tier.policies:
            yield from _policy(policy, side.answer)
    if side.bystanders:
        names = ", ".join(str(item).strip() for item in side.bystanders[:_LISTED])
        more = f" and {len(side.bystanders) - _LISTED} more" if len(side.bystanders) > _LISTED else ""
        yield line((f"   does not concern {side.subject} here: {names}{more}", "dim"))
    yield line("   ", (f"→ {side.answer}", _STYLES[side.answer]), f", {side.reason}")
    yield EMPTY


def _policy(policy: PolicyTrace, answer: Answer) -> Iterator[Line]:
    notes = []
    if policy.place:
        # Calico has orders; beside its policies, a NetworkPolicy has one, too.
        word = "priority" if policy.dialect == "admin" else "order"
        notes.append(f"{word} {policy.place}")
    if policy.isolates:
        notes.append("denies what no rule allows")
    text = f"  ({', '.join(notes)})" if notes else ""
    yield line("   ", (str(policy.origin).strip(), "bold" if policy.decides else ""), (text, "dim"))
    for rule in policy.rules:
        yield from _rule(rule, answer)
    if not policy.rules:
        yield line(("     no rules for this direction", "dim"))


def _rule(rule: RuleTrace, answer: Answer) -> Iterator[Line]:
    if not rule.reached:
        yield line((f"     {rule.origin.rule}: not asked, a rule before it decides", "dim"))
        return
    said = {True: "matches", False: "does not match", None: "depends"}[rule.matched]
    where = f" at {rule.origin.place.short}" if rule.origin.place else ""
    style = "bold" if rule.decides else ""
    tail = ""
    if rule.decides and answer is Answer.UNDEFINED:
        tail = ", and the answer rests on it"
    elif rule.decides:
        tail = f", and decides: {rule.action}" if rule.matched else f"; it is {answer} either way"
    yield line("     ", (f"{rule.origin.rule} ({rule.action}){where}: {said}{tail}", style))
    for part in (*rule.peers, *rule.ports):
        yield _part(part)


def _part(part: Part) -> Line:
    style = {True: "good", False: "dim", None: "skip"}[part.matched]
    return line("       ", (f"{_MARKS[part.matched]:<4}", style), f" {part.name}: {part.why}")


def change_lines(what: str, alternatives: Sequence[str]) -> Iterator[Line]:
    """What would have to change, and the ways to change it."""
    yield line((f"{what}:", "bold"))
    for number, text in enumerate(alternatives):
        yield line(("  or " if number else "     ", "dim"), text)
