"""Addresses that pods were told for names, and the nft sets in which they are in force (`Match.names`).

An answer's address is allowed until its time to live and a grace are over, as in Cilium, whose garbage
collector comes once a minute. An address that pods or nodes have is let in by no rule, whatever the answers
say: nft looks at that (`clauses.names`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from harness.model.names import NamePattern, parse_pattern

GRACE_SECONDS = 60.0

Change = Callable[[str, str, Sequence[Sequence[str]], bool], None]
"""Place, set, elements, whether they are put in or taken out."""


@dataclass(frozen=True, slots=True)
class NameSet:
    """The sets of one list of patterns, by family."""

    names: Mapping[bool, str]
    patterns: tuple[NamePattern, ...]

    @classmethod
    def from_wire(cls, item: Sequence[Any]) -> NameSet:
        """Read `[set for IPv4, set for IPv6, patterns]`."""
        four, six, patterns = item
        return cls({False: four, True: six}, tuple(parse_pattern(text) for text in patterns))

    def matches(self, name: str) -> bool:
        """Whether the set is about a name."""
        return any(item.matches(name) for item in self.patterns)


@dataclass(slots=True)
class _Pod:
    place: str
    told: dict[str, dict[str, float]] = field(default_factory=dict)  # address, name → until when


class Learned:
    """What all pods of a lab were told.

    Args:
        change: Changes nft's sets.
        later: Calls a function in some seconds.
        clock: Seconds, for tests.
        grace: Seconds that an address outlives its time to live.
    """

    def __init__(
        self,
        change: Change,
        later: Callable[[float, Callable[[], None]], None],
        clock: Callable[[], float] = time.monotonic,
        grace: float = GRACE_SECONDS,
    ) -> None:
        self._change = change
        self._later = later
        self._clock = clock
        self._grace = grace
        self._pods: dict[tuple[str, ...], _Pod] = {}
        self._homes: dict[str, tuple[str, ...]] = {}
        self._sets: tuple[NameSet, ...] = ()

    def describe(self, pods: Iterable[Sequence[str]], sets: Iterable[NameSet]) -> None:
        """Learn which addresses are one pod's and which sets there are; what is known goes into them."""
        self._homes = {address: tuple(pod) for pod in pods for address in pod}
        self._pods = {pod: told for pod, told in self._pods.items() if pod in set(self._homes.values())}
        self._sets = tuple(sets)
        for name, place, elements in self._elements(self._sets):
            self._change(place, name, elements, True)

    def elements(self, sets: Iterable[NameSet]) -> dict[str, list[Sequence[str]]]:
        """What would be in sets, by name, whichever node they are on."""
        found: dict[str, list[Sequence[str]]] = {}
        for name, _, elements in self._elements(sets):
            found.setdefault(name, []).extend(elements)
        return found

    def tell(self, place: str, subject: str, name: str, addresses: Mapping[str, float]) -> None:
        """A pod is about to be told addresses for a name; they are in force when this returns.

        Args:
            place: The node of the pod.
            subject: One of its addresses.
            name: What it asked for.
            addresses: What it is told, with the time to live.
        """
        pod = self._homes.get(subject)
        if pod is None:
            return
        told = self._pods.setdefault(pod, _Pod(place)).told
        name = name.lower()
        for address, seconds in addresses.items():
            until = self._clock() + seconds + self._grace
            names = told.setdefault(address, {})
            names[name] = max(until, names.get(name, 0.0))
            self._later(seconds + self._grace, partial(self._expire, pod, address))
        for item in self._sets:
            if not item.matches(name):
                continue
            for address in addresses:
                for element in _pairs(pod, address):
                    self._change(place, item.names[":" in address], [element], True)

    def knows(self, subject: str, address: str, patterns: Sequence[NamePattern]) -> bool:
        """Whether a pod was told an address for a name that matches."""
        pod = self._pods.get(self._homes.get(subject, ()))
        names = pod.told.get(address, ()) if pod is not None else ()
        return any(item.matches(name) for name in names for item in patterns)

    def _expire(self, pod: tuple[str, ...], address: str) -> None:
        known = self._pods.get(pod)
        if known is None or address not in known.told:
            return
        now = self._clock()
        names = known.told[address]
        gone = [name for name, until in names.items() if until <= now]
        for name in gone:
            del names[name]
        if not names:
            del known.told[address]
        for item in self._sets:
            if any(map(item.matches, gone)) and not any(map(item.matches, names)):
                for element in _pairs(pod, address):
                    self._change(known.place, item.names[":" in address], [element], False)

    def _elements(self, sets: Iterable[NameSet]) -> list[tuple[str, str, list[Sequence[str]]]]:
        """Set, node and elements of everything that is known."""
        found = []
        for item in sets:
            for pod, known in self._pods.items():
                for address, names in known.told.items():
                    if any(map(item.matches, names)) and (pairs := _pairs(pod, address)):
                        found.append((item.names[":" in address], known.place, pairs))
        return found


def _pairs(pod: tuple[str, ...], address: str) -> list[Sequence[str]]:
    """The elements for one address: the pod's own of the same family with it."""
    six = ":" in address
    return [(own, address) for own in pod if (":" in own) is six]
