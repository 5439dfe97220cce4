"""Draws: connections to a service's address until every pod behind it was met.

Which pod a connection meets is drawn by the cluster (kube-proxy, or what stands in for it), anew for each
source port. So fresh connections are made, side by side, until each pod has answered; where some do not
answer at all, as many as leave no doubt that each pod was drawn. A connection is given up before the kernel
sends its first packet again: what was dropped on its way is no connection yet, and would be drawn anew.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.clusters.resolve import Resolved
from harness.clusters.results import KIND, LOOKUP, SERVED_BY, TOKEN
from harness.clusters.tours import Gather, Results

SECONDS = 0.8
"""How long a drawn connection may take to be accepted: the first SYN is repeated after one second."""

MISSED = 1e-6
"""How likely it may be that a pod behind a service was not drawn once."""

CONFIRMED = 2
"""How many drawn connections must be denied before a pod that was never met counts as one that denies."""

ROUNDS = 12
"""How often connections are sent that are still missing, because earlier ones say neither yes nor no."""

LATE = "what was sent to one of the pods behind the service arrived, but its answer came too late"
STRAY = "{} answered instead of {}"
NEVER_MET = "{} behind the service was not met in {} connections, and none of them was denied"
UNSTEADY = "every pod behind the service answered, yet {} of {} connections did not: {}"


def draws(pods: int) -> int:
    """How many connections leave no doubt that each of `pods` pods was drawn."""
    return math.ceil(math.log(MISSED / pods) / math.log(1 - 1 / pods)) if pods > 1 else 1


@dataclass(slots=True)
class _Tally:
    """What is known of one probe.

    Attributes:
        met: What the client sees of each pod that answered.
        denied: How often a connection was not answered, by what the client saw.
        sent: How many connections say something.
        trouble: Why another one says nothing.
        answer: The first answer with its receipts.
        again: How often everything was begun anew.
    """

    servers: frozenset[str]
    met: dict[str, str] = field(default_factory=dict)
    denied: dict[str, int] = field(default_factory=dict)
    sent: int = 0
    trouble: str = ""
    answer: tuple[list[Any], int] | None = None
    again: int = 0

    @property
    def wanted(self) -> int:
        """How many connections the next round has: few at first where all is well, else all that it takes."""
        enough = draws(len(self.servers))
        if not self.denied and self.servers <= self.met.keys():
            return 0
        left = max(0, enough - self.sent)
        if self.denied:
            return left
        return min(left, max(self.sent, 2 * len(self.servers) - self.sent))

    def add(self, result: list[Any], receipts: int, *, late: bool) -> None:
        """Count one connection."""
        words = f"{result[KIND]}:{result[KIND + 1]}" if result[KIND + 1] else str(result[KIND])
        if late:
            self.trouble = LATE
        elif result[KIND] == "error":
            self.trouble = str(result[KIND + 1])
        elif result[TOKEN] and result[SERVED_BY] not in self.servers:
            self.trouble = STRAY.format(result[SERVED_BY], " or ".join(sorted(self.servers)))
        else:
            self.sent += 1
            if result[TOKEN]:
                self.met.setdefault(result[SERVED_BY], words)
                self.answer = self.answer or (result, receipts)
            else:
                self.denied[words] = self.denied.get(words, 0) + 1

    def begin_anew(self) -> None:
        """Forget everything: a lost packet may have looked like a denial."""
        self.met, self.denied, self.sent, self.trouble = {}, {}, 0, ""
        self.again += 1

    @property
    def contradictory(self) -> bool:
        """Every pod has answered, but not every connection was."""
        return bool(self.denied) and self.servers <= self.met.keys()

    def error(self) -> str:
        """Why nothing can be said; empty when it can."""
        unmet = sorted(self.servers - self.met.keys())
        denials = sum(self.denied.values())
        if self.wanted:
            return self.trouble or NEVER_MET.format(", ".join(unmet), self.sent)
        if self.contradictory:
            return UNSTEADY.format(denials, self.sent, ", ".join(self.denied))
        if unmet and denials < CONFIRMED:
            return NEVER_MET.format(", ".join(unmet), self.sent)
        return ""

    def split(self) -> str:
        """How the pods differ, in the words of a tour; empty when they agree."""
        seen: dict[str, int] = {}
        for words in self.met.values():
            seen[words] = seen.get(words, 0) + 1
        unmet = len(self.servers - self.met.keys())
        if unmet:
            silent = " or ".join(sorted(self.denied))
            seen[silent] = seen.get(silent, 0) + unmet
        if len(seen) < 2 and len(self.denied) < 2:
            return ""
        return ", ".join(f"{words} from {count} of {len(self.servers)}" for words, count in seen.items())


def draw(
    resolved: Mapping[int, Resolved], results: Results, receipts: dict[int, int], gather: Gather
) -> dict[int, str]:
    """Make connections to services until each pod behind them was met.

    Args:
        resolved: Probes whose service stands before several pods, by index.
        results: What was seen of each, by index. An answer that was only drawn is put in its place, and an
            error where a pod was neither met nor denied.
        receipts: How often the destination saw each probe; changed together with `results`.
        gather: Sends connections, each once.

    Returns:
        How the answers differ from pod to pod, by index of the probe.
    """
    tallies: dict[int, _Tally] = {}
    for index, item in resolved.items():
        unnamed = item.spec[1] == "host" and not results[index][LOOKUP]
        if item.tour and results[index][KIND] != "error" and not unnamed:
            tallies[index] = _Tally(frozenset(item.servers))
            if results[index][TOKEN]:
                tallies[index].add(results[index], receipts.get(index, 0), late=False)
    for _ in range(ROUNDS):
        owners = [index for index, tally in tallies.items() for _ in range(tally.wanted)]
        if not owners:
            break
        specs = [[number, *_drawn(resolved[index])] for number, index in enumerate(owners)]
        found, counts, late = gather(specs, {number: resolved[index] for number, index in enumerate(owners)})
        for number, index in enumerate(owners):
            tallies[index].add(found[number], counts.get(number, 0), late=number in late)
        for tally in tallies.values():
            if tally.contradictory and not tally.wanted and tally.again < 2:
                tally.begin_anew()
    splits = {}
    for index, tally in tallies.items():
        old = results[index]
        trouble = tally.error()
        if trouble:
            results[index] = [index, "error", trouble, "", False, "", *old[LOOKUP:]]
            continue
        if tally.answer is not None and not old[TOKEN]:
            answer, count = tally.answer
            results[index] = [index, *answer[KIND:LOOKUP], old[LOOKUP], *answer[LOOKUP + 1 :]]
            receipts[index] = count
        split = tally.split()
        if split:
            splits[index] = split
    return splits


def _drawn(resolved: Resolved) -> list[Any]:
    """One connection to the service's address, without what leads it to a certain pod in the lab."""
    source, kind, address, port, options = resolved.tour[0].spec
    plain = {key: value for key, value in options.items() if key not in ("dscp", "hops")}
    return [source, kind, address, port, {**plain, "once": True}]
