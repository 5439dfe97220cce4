"""What a conversion keeps and what it does not, as text and as JSON values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.author.agreement import Agreement, Flow, Proof, Told, examples
from harness.author.observing import Observed
from harness.report.text import Line, count, line

MOST_LISTED = 20
"""Flows in the text; the JSON document has more."""

_WORDS = {Agreement.SAME: "kept", Agreement.DIFFERENT: "changed", Agreement.OPEN: "open"}


def lines(proof: Proof, to: str, *, everything: bool = False) -> list[Line]:
    """The proof for a person.

    Args:
        proof: What came out.
        to: The dialect that was asked for.
        everything: List every flow that is known.
    """
    found = [_summary(proof, to)]
    found += [line(("not compared  ", "skip"), gap) for gap in proof.gaps]
    differing = proof.differing
    if differing:
        found.append(line((f"{_many(differing)} after the conversion:", "bad")))
        found += _listed(differing, None if everything else MOST_LISTED)
    for flows in _alike(proof.depending):
        head = f"{_many(flows, 'on the network')}: {_spoken(flows[0].readings)}"
        found += [line((head, "skip")), *_listed(flows, None if everything else 1)]
    return found


def _summary(proof: Proof, to: str) -> Line:
    asked = count(proof.compared, "flow")
    how = f"read as {proof.readings[0]} does" if len(proof.readings) == 1 else "in every reading"
    if not proof.compared:
        return line((f"the policies for {to} are not proved", "skip"))
    if not proof.flows:
        return line((f"proved: {asked} compared, all agree", "good"), f" ({how})")
    return line(f"{asked} compared with the policies for {to} ({how})")


def _many(flows: Sequence[Flow], on: str = "") -> str:
    number = sum(flow.count for flow in flows)
    verb = "depends" if number == 1 else "depend"
    if on:
        return f"{count(number, 'flow')} {verb} {on}"
    return f"{count(number, 'flow')} {'differs' if number == 1 else 'differ'}"


def _spoken(readings: Mapping[str, Agreement]) -> str:
    """`kept as cilium and calico read it, open as generic reads it`."""
    parts = []
    for state in (Agreement.SAME, Agreement.DIFFERENT, Agreement.OPEN):
        names = [name for name, item in readings.items() if item is state]
        if names:
            parts.append(f"{_WORDS[state]} as {' and '.join(names)} read{'s' if len(names) == 1 else ''} it")
    return ", ".join(parts)


def _alike(flows: Sequence[Flow]) -> list[list[Flow]]:
    """Flows that rest on the same point together."""
    found: dict[object, list[Flow]] = {}
    for flow in flows:
        reason = flow.after.reason if flow.after.answer == "undefined" else flow.before.reason
        found.setdefault((tuple(flow.readings.items()), flow.after.answer, reason), []).append(flow)
    return list(found.values())


def _listed(flows: Sequence[Flow], most: int | None) -> Iterator[Line]:
    shown = list(examples(flows, len(flows) if most is None else most))
    for flow in shown:
        more = f"  (and {count(flow.count - 1, 'flow')} like it)" if flow.count > 1 else ""
        yield line(f"  {flow.text}", (more, "dim"))
        yield _told("before", flow.before)
        yield _told("after", flow.after)
    rest = sum(flow.count for flow in flows) - sum(flow.count for flow in shown)
    if rest:
        yield line((f"  … and {rest} more", "dim"))


def _told(when: str, told: Told) -> Line:
    style = {"allow": "good", "deny": "bad"}.get(told.answer, "skip")
    rules = f" [{', '.join(told.rules)}]" if told.rules else ""
    return line(f"    {when:6} ", (told.answer, style), (f"  {told.reason}{rules}", "dim"))


def document(proof: Proof) -> dict[str, Any]:
    """The proof for a program."""
    return {
        "compared": proof.compared,
        "readings": list(proof.readings),
        "notCompared": list(proof.gaps),
        "differing": [_flow(flow) for flow in proof.differing],
        "depending": [_flow(flow) for flow in proof.depending],
    }


def _flow(flow: Flow) -> dict[str, Any]:
    return {
        "flow": flow.text,
        "flows": flow.count,
        "readings": {name: _WORDS[item] for name, item in flow.readings.items()},
        "before": _side(flow.before),
        "after": _side(flow.after),
    }


def _side(told: Told) -> dict[str, Any]:
    return {"answer": told.answer, "reason": told.reason, "rules": list(told.rules)}


def observed_lines(observed: Observed, *, everything: bool = False) -> list[Line]:
    """What the packets did, for a person."""
    probes = count(observed.compared, "probe")
    found = []
    if observed.differing:
        found.append(
            line((f"observed on {observed.where}: {len(observed.differing)} of {probes} differ", "bad"))
        )
        shown = observed.differing if everything else observed.differing[:MOST_LISTED]
        found += [line(f"  {text}  {before} before, {after} after") for text, before, after in shown]
        if len(shown) < len(observed.differing):
            found.append(line((f"  … and {len(observed.differing) - len(shown)} more", "dim")))
    elif observed.compared:
        found.append(line((f"observed on {observed.where}: {probes} sent, all agree", "good")))
    for why in observed.unmeasured[:MOST_LISTED]:
        found.append(line(("not observed  ", "error"), why))
    return found


def observed_document(observed: Observed) -> dict[str, Any]:
    """What the packets did, for a program."""
    return {
        "where": observed.where,
        "compared": observed.compared,
        "differing": [
            {"flow": text, "before": before, "after": after} for text, before, after in observed.differing
        ],
        "notObserved": list(observed.unmeasured),
    }
