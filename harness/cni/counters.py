"""Counters of packet filter rules, of `iptables-save -c` and of `nft list`: which rules counted a probe."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

_SAVED = re.compile(r"\[(?P<packets>\d+):\d+\] -A (?P<chain>\S+)(?P<rest>.*)")
_COMMENT = re.compile(r'--comment (?:"((?:[^"\\]|\\.)*)"|(\S+))')
_TARGET = re.compile(r" -(?:j|g) (\S+)")
_NFT_COUNTER = re.compile(r"\bcounter packets (\d+) bytes \d+")
_NFT_COMMENT = re.compile(r'comment "((?:[^"\\]|\\.)*)"')
_NFT_TARGET = re.compile(r"\b(?:jump|goto) (\S+)|\b(drop|reject|accept|return)\b")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        text: All of it but its counters: what makes it the same rule in another listing.
        target: Where packets go that match: a chain, or `DROP`, `REJECT`, …; empty when they go on.
        comments: What its maker wrote beside it.
    """

    chain: str
    text: str
    target: str
    comments: tuple[str, ...]


Counters = dict[Rule, int]
"""Packets by rule."""


def read(text: str) -> Counters:
    """All rules of a listing, be it of `iptables-save -c` or of `nft list`, or one after the other."""
    found: Counters = {}
    chain = ""
    for line in text.splitlines():
        saved = _SAVED.match(line)
        if saved:
            rest = saved["rest"]
            target = _TARGET.search(rest)
            comments = tuple(quoted or bare for quoted, bare in _COMMENT.findall(rest))
            rule = Rule(saved["chain"], rest, target[1] if target else "", comments)
            found[rule] = found.get(rule, 0) + int(saved["packets"])
            continue
        words = line.split()
        if len(words) >= 3 and words[0] == "chain" and words[-1] == "{":
            chain = words[1]
            continue
        counter = _NFT_COUNTER.search(line)
        if counter and chain:
            bare = _NFT_COMMENT.sub("", line)
            target = _NFT_TARGET.search(bare)
            end = (target[1] or target[2].upper()) if target else ""
            rule = Rule(
                chain, _NFT_COUNTER.sub("counter", line).strip(), end, tuple(_NFT_COMMENT.findall(line))
            )
            found[rule] = found.get(rule, 0) + int(counter[1])
    return found


def moved(before: Counters, after: Counters) -> Iterator[tuple[Rule, int]]:
    """Rules that counted packets in between; a rule that was written anew begins at zero."""
    for rule, packets in after.items():
        old = before.get(rule, 0)
        gained = packets - old if packets >= old else packets
        if gained > 0:
            yield rule, gained


def reachable(rules: Mapping[Rule, int], starts: Sequence[str]) -> set[str]:
    """The chains that packets can come to from some chains, these included."""
    targets: dict[str, set[str]] = {}
    for rule in rules:
        targets.setdefault(rule.chain, set()).add(rule.target)
    found: set[str] = set()
    left = [chain for chain in starts if chain in targets]
    while left:
        chain = left.pop()
        if chain not in found:
            found.add(chain)
            left += [target for target in targets[chain] if target in targets]
    return found


def rounds(places: Sequence[frozenset[str]], most: Callable[[], bool]) -> Iterator[list[int]]:
    """Indices in groups without a place in common, so that what counted in a group belongs to one of them.

    Args:
        places: For each index what it shares with others, such as nodes.
        most: Asked before each group; False = no time is left.
    """
    left = list(range(len(places)))
    while left and most():
        taken: set[str] = set()
        chosen = []
        for index in left:
            if not taken & places[index]:
                taken |= places[index]
                chosen.append(index)
        left = [index for index in left if index not in chosen]
        yield chosen
