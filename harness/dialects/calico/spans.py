"""Sets of ports as ranges."""

from __future__ import annotations

from collections.abc import Iterable

Spans = tuple[tuple[int, int], ...]
"""Ranges with both ends; sorted, and apart from each other, where this module made them."""

EVERY: Spans = ((0, 65535),)


def minus(wanted: Iterable[tuple[int, int]], without: Iterable[tuple[int, int]]) -> Spans:
    """The ports that are in one set and not in another."""
    left = _merged(wanted)
    for low, high in without:
        kept = []
        for first, last in left:
            kept += [(first, min(last, low - 1)), (max(first, high + 1), last)]
        left = [(first, last) for first, last in kept if first <= last]
        left = _merged(left)
    return tuple(left)


def _merged(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found
