"""Rules in an order that end with a denial of everybody, as the isolation that other dialects have instead.

Where denials come first or do not exist, `allow some, then deny all` can only be said so: what is allowed,
and that all else is denied.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import replace

from harness.dialects.meaning import Addresses, Meaning, NodePeer, Nodes, Outside, Peer, Pods, Said
from harness.model.rules import Action, Direction

_ALL = tuple(ipaddress.ip_network(text) for text in ("0.0.0.0/0", "::/0"))


def as_isolation(meaning: Meaning) -> Meaning:
    """The same where it can be said by isolation; as it is in other directions."""
    if not meaning.ordered:
        return meaning
    rules = dict(meaning.rules)
    isolates = set(meaning.isolates)
    for direction in Direction:
        said = rules.get(direction, ())
        if said and _denies_the_rest(said):
            last = said[-1]
            rules[direction] = (*said[:-1], *_spared(last))
            isolates.add(direction)
    return replace(meaning, rules=rules, isolates=frozenset(isolates))


def _denies_the_rest(said: Sequence[Said]) -> bool:
    """Whether the last rule denies all pods on all ports, and those before it that deny come first."""
    *before, last = said
    everybody = last.peers is None or any(
        isinstance(peer.what, Pods) and peer.what == Pods() for peer in last.peers
    )
    everybody = everybody or (last.peers is not None and _everywhere(last.peers))
    actions = [rule.action for rule in before]
    in_order = actions == sorted(actions, key=lambda action: action is Action.ALLOW)
    known = {Action.ALLOW, Action.DENY}.issuperset(actions)
    return last.action is Action.DENY and last.ports is None and everybody and in_order and known


def _everywhere(peers: Sequence[Peer]) -> bool:
    return set(_ALL) <= {peer.what.network for peer in peers if isinstance(peer.what, Addresses)}


def _spared(last: Said) -> tuple[Said, ...]:
    """Whom the last rule does not deny, since it does not name them."""
    if last.peers is None or _everywhere(last.peers):
        return ()
    named = {peer.what for peer in last.peers}
    rest: list[Outside | NodePeer] = [Outside(), NodePeer(Nodes.OWN), NodePeer(Nodes.OTHER)]
    peers = tuple(Peer(what, last.place) for what in rest if what not in named)
    return (Said(f"what {last.name} does not deny", Action.ALLOW, peers, None, last.place, spared=True),)
