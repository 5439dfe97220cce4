"""What reports quote of policies: the lines of those that decide cells, each policy once.

Nothing else of the files that a run read goes into a report. Values that are no part of what a policy decides
but may be somebody's secret (annotations, HTTP headers) are left out, and long policies are cut to their
heads and the deciding rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from harness.model.policy import Policy
from harness.model.result import Excerpt, RunResult
from harness.model.rules import Origin
from harness.source import Place
from harness.source.nodes import MappingNode, Node, SequenceNode

WHOLE: Final = 120
"""Lines up to which a policy is quoted as a whole."""
HEAD: Final = 12
"""Lines of a longer one that are quoted in any case: its name, and whom it selects."""
RULE: Final = 40
"""Lines of a deciding rule that are quoted then."""
WIDTH: Final = 1000
"""Characters of a line; manifests on a single line can be very long."""
HIDDEN: Final = "…"

_HIDDEN_IN: Final = frozenset({"annotations", "headers", "headerMatches"})
_SUBJECT: Final = frozenset(
    {"podSelector", "policyTypes", "subject", "selector", "types", "endpointSelector", "nodeSelector"}
)
_FLOW_SPEC: Final = re.compile(r"(?:^|[\s{,-])[\"']?spec[\"']?:\s*\{")


def of(result: RunResult) -> tuple[Excerpt, ...]:
    """The excerpts of a run, in the order in which the policies first stand in it."""
    if result.excerpts:
        return result.excerpts
    deciding: dict[tuple[str, str], list[Origin]] = {}
    for item in result.scenarios:
        for cell in item.cells:
            for origin in cell.predicted.deciding if cell.predicted is not None else ():
                if origin.place is not None:
                    deciding.setdefault((origin.policy, origin.place.file), []).append(origin)
    if not deciding:
        return ()
    found: dict[tuple[str, str, int], Excerpt] = {}
    for policy in _policies(result):
        origins = deciding.get((str(policy), policy.place.file), ())
        mine = [origin for origin in origins if origin.place and _within(origin.place, policy)]
        key = (str(policy), policy.place.file, policy.place.line)
        if mine and key not in found:
            found[key] = Excerpt(str(policy), _start(policy.place), _parts(policy, mine))
    return tuple(found.values())


def find(excerpts: Iterable[Excerpt], origin: Origin) -> Excerpt | None:
    """The excerpt that quotes a deciding rule, or None."""
    place = origin.place
    if place is None:
        return None
    for excerpt in excerpts:
        if excerpt.policy == origin.policy and excerpt.place.file == place.file:
            for first, lines in excerpt.parts:
                if first <= place.line < first + len(lines):
                    return excerpt
    return None


def marked(excerpt: Excerpt, origin: Origin) -> range | None:
    """The quoted lines of a deciding rule; None where the policy as a whole decides (see `subject`)."""
    place = origin.place
    if place is None or not origin.rule:
        return None
    for first, lines in excerpt.parts:
        if first <= place.line < first + len(lines):
            return _extent(lines, first, place.line, place.column, place.end_line)
    return None


def subject(excerpt: Excerpt) -> list[range]:
    """The lines that say whom the policy selects, in which directions."""
    found = []
    for first, lines in excerpt.parts:
        inside = -1
        depth = -1
        for number, text in enumerate(lines, start=first):
            bare = text.lstrip(" -")
            indent = len(text) - len(bare)
            key = bare.partition(":")[0]
            if not bare or bare.startswith("#"):
                continue
            if inside >= 0 and indent <= inside:
                inside = depth = -1
            if _FLOW_SPEC.search(text):
                found.append(range(number, number + 1))
            elif key == "spec":
                inside = indent
            elif inside >= 0:
                depth = indent if depth < 0 else depth
                if indent == depth and key in _SUBJECT:
                    found.append(_extent(lines, first, number, indent + 2, 0))
    return found


def _extent(lines: Sequence[str], first: int, start: int, column: int, end: int) -> range:
    """Lines from `start` on that belong to what stands there: those that are indented as far as `column`."""
    if end > start:
        return range(start, min(end, first + len(lines) - 1) + 1)
    last = start
    if not end:
        for number in range(start + 1, first + len(lines)):
            text = lines[number - first]
            if not text.strip():
                continue
            if len(text) - len(text.lstrip(" ")) < column - 1:
                break
            last = number
    return range(start, last + 1)


def _policies(result: RunResult) -> Iterator[Policy]:
    for item in result.scenarios:
        for step in item.scenario.steps:
            yield from step.policies


def _within(place: Place, policy: Policy) -> bool:
    return policy.place.line <= place.line < policy.place.line + len(policy.lines)


def _start(place: Place) -> Place:
    return Place(place.file, place.line, place.column)


def _parts(policy: Policy, origins: Iterable[Origin]) -> tuple[tuple[int, tuple[str, ...]], ...]:
    first = policy.place.line
    lines = [text if len(text) <= WIDTH else text[:WIDTH] + HIDDEN for text in _shown(policy)]
    if len(lines) <= WHOLE:
        return ((first, tuple(lines)),)
    wanted = set(range(first, first + HEAD))
    for origin in origins:
        if origin.place is not None and origin.rule:
            place = origin.place
            wanted.update(_extent(lines, first, place.line, place.column, place.end_line)[:RULE])
    parts: list[tuple[int, list[str]]] = []
    for number in sorted(wanted):
        if not parts or parts[-1][0] + len(parts[-1][1]) != number:
            parts.append((number, []))
        parts[-1][1].append(lines[number - first])
    return tuple((number, tuple(texts)) for number, texts in parts)


def _shown(policy: Policy) -> list[str]:
    """The lines of a policy without what may be a secret."""
    lines = list(policy.lines)
    if policy.document is None:
        return lines
    spans = sorted(_hidden(policy.document), key=lambda place: (place.line, place.column), reverse=True)
    for place in spans:
        start, end = place.line - policy.place.line, place.end_line - policy.place.line
        if start < 0 or end < start or start >= len(lines):
            continue
        end = min(end, len(lines) - 1)
        rest = lines[end][place.end_column - 1 :]
        if place.end_column == 1 and end > start:
            # A block ends where the next line begins.
            end, rest = end - 1, ""
        lines[start] = lines[start][: place.column - 1] + HIDDEN + (rest if end == start else "")
        for number in range(start + 1, end + 1):
            lines[number] = rest if number == end else ""
    return lines


def _hidden(document: MappingNode) -> Iterator[Place]:
    pending: list[tuple[Node, bool]] = [(document, False)]
    seen: set[Place] = set()
    while pending:
        node, inside = pending.pop()
        if isinstance(node, MappingNode):
            for key, value in node.items:
                # The name of a header says what is decided; its value may be a key to something.
                named = inside and key.text in ("name", "mismatch")
                pending.append((value, (inside and not named) or key.text in _HIDDEN_IN))
        elif isinstance(node, SequenceNode):
            pending += [(item, inside) for item in node.items]
        elif inside and node.place.end_line and node.place not in seen:
            seen.add(node.place)
            yield node.place
