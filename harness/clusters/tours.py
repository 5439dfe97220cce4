"""Tours: a probe of a service goes to every pod behind it, so that none is met or missed by luck."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.clusters.resolve import Leg, Resolved
from harness.clusters.results import KIND, LOOKUP, SERVED_BY, TOKEN

Results = dict[int, list[Any]]
Gather = Callable[[list[list[Any]], Mapping[int, Resolved]], tuple[Results, dict[int, int], set[int]]]
"""Sends specs with their numbers; gives results and receipts by number, and which are undecided."""

LATE = "what was sent to {} arrived, but its answer came too late: this machine is too busy"
STRAY = "a connection meant for {} behind the service was answered by {}"


@dataclass(frozen=True, slots=True)
class _Sent:
    index: int
    leg: Leg


def tour(
    resolved: Mapping[int, Resolved],
    results: Results,
    receipts: dict[int, int],
    gather: Gather,
    tries: int,
) -> dict[int, str]:
    """Send the probes of services to each pod behind them.

    Args:
        resolved: Probes by index.
        results: What was seen of each, by index. An answer that came on the tour only is put in its place,
            and an error where a leg was neither answered nor denied.
        receipts: How often the destination saw each probe; changed together with `results`.
        gather: Sends the legs.
        tries: How often what is neither an answer nor a denial is sent anew.

    Returns:
        How the answers differ from pod to pod, by index of the probe.
    """
    sent: list[_Sent] = []
    for index, result in results.items():
        unnamed = resolved[index].spec[1] == "host" and not result[LOOKUP]
        if result[KIND] != "error" and not unnamed:
            sent += [_Sent(index, leg) for leg in resolved[index].tour]
    found: Results = {}
    arrived: dict[int, int] = {}
    troubles = dict.fromkeys(range(len(sent)), "")
    for _ in range(tries):
        if not troubles:
            break
        specs = [[number, *sent[number].leg.spec] for number in troubles]
        again, counts, late = gather(specs, {number: resolved[sent[number].index] for number in troubles})
        found.update(again)
        arrived.update({number: counts.get(number, 0) for number in troubles})
        troubles = {
            number: trouble
            for number in troubles
            if (trouble := _trouble(found[number], sent[number].leg, late=number in late))
        }
    answers: dict[int, dict[str, int]] = {}
    for number, item in enumerate(sent):
        result, index = found[number], item.index
        lookup = results[index][LOOKUP]
        here = [index, *result[KIND:LOOKUP], lookup, *result[LOOKUP + 1 :]]
        if number in troubles:
            results[index] = [index, "error", troubles[number], *here[KIND + 2 :]]
        elif result[TOKEN] and not results[index][TOKEN] and results[index][KIND] != "error":
            results[index] = here
            receipts[index] = arrived[number]
        words = f"{result[1]}:{result[2]}" if result[2] else str(result[1])
        seen = answers.setdefault(index, {})
        seen[words] = seen.get(words, 0) + 1
    return {
        index: ", ".join(f"{words} from {count} of {sum(seen.values())}" for words, count in seen.items())
        for index, seen in answers.items()
        if len(seen) > 1 and results[index][KIND] != "error"
    }


def _trouble(result: list[Any], leg: Leg, *, late: bool) -> str:
    """Why a leg is neither an answer of its pod nor a denial; empty when it is one."""
    if late:
        return LATE.format(leg.server)
    if result[TOKEN] and result[SERVED_BY] != leg.server:
        return STRAY.format(leg.server, result[SERVED_BY])
    return ""
