"""What arrived at the listeners, as far as their receipts alone do not tell."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from harness.clusters.lab.places import Places
from probes import dns, wire
from probes.server import Receipts

Question = tuple[str, str, str, bool]
"""Who asked (its address), which name, which type, whether over TCP."""

_SNMP = (Path("/proc/self/net/snmp"), Path("/proc/self/net/snmp6"))


class Arrivals(Receipts):
    """Receipts, and which attempts of a flow they belong to.

    A flow's probes leave again and again, so a count of its receipts does not say which of them arrived.
    """

    def __init__(self) -> None:
        super().__init__()
        self._followed: dict[int, set[tuple[int, int]]] = {}

    def follow(self, flow: int) -> None:
        """Keep the attempts of a flow from now on."""
        self._followed[flow] = set()

    def attempts(self, flow: int) -> list[tuple[int, int]]:
        """Probe and attempt of everything of a flow that arrived; forgotten with the answer."""
        return sorted(self._followed.pop(flow, ()))

    def note(self, text: str) -> bool:
        """See `Receipts.note`."""
        known = super().note(text)
        if known and self._followed:
            parts = wire.parse_token(text)
            if parts is not None and parts[1] in self._followed:
                self._followed[parts[1]].add((parts[2], parts[3]))
        return known


class Questions:
    """DNS questions that arrived. They carry no token, so they are known by who asked what."""

    def __init__(self) -> None:
        self._counts: dict[Question, int] = {}

    def note(self, message: bytes, peer: str, tcp: bool) -> None:
        """Count one message; what is no question is left out."""
        try:
            asked = dns.parse(message)
        except dns.DnsError:
            return
        kind = dns.TYPE_NAMES.get(asked.type, str(asked.type))
        key = (peer, asked.name.lower().rstrip("."), kind, tcp)
        self._counts[key] = self._counts.get(key, 0) + 1

    def take(self) -> list[tuple[Question, int]]:
        """Questions since the last call, with how often each came."""
        taken, self._counts = self._counts, {}
        return list(taken.items())


def overflows(places: Places, names: Iterable[str]) -> dict[str, int]:
    """How many datagrams the kernel has thrown away in each place because a socket's buffer was full."""
    found = {}
    for name in names:
        with contextlib.suppress(KeyError):
            places.enter(name)
            found[name] = sum(_receive_errors(file) for file in _SNMP)
    return found


def _receive_errors(file: Path) -> int:
    try:
        lines = [line.split() for line in file.read_text().splitlines()]
    except OSError:
        return 0
    total = 0
    for before, line in zip([[], *lines], lines, strict=False):
        if line[0] == "Udp6RcvbufErrors":
            total += int(line[1])
        if line[0] == "Udp:" and before[:1] == ["Udp:"]:
            total += int(dict(zip(before, line, strict=False)).get("RcvbufErrors", 0))
    return total
