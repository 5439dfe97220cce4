"""Admin policies in the words of `harness.dialects.meaning`, and what these have no words for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.dialects.admin import types
from harness.dialects.meaning import (
    Addresses,
    Meaning,
    NamedPort,
    NodePeer,
    Nodes,
    Peer,
    Pods,
    Port,
    Ports,
    Said,
    refuse,
)
from harness.model.policy import Policy
from harness.model.rules import ADMIN_TIER, BASELINE_TIER, Direction
from harness.source.diagnostics import Problems

_TIERS = {types.AdminTier.ADMIN: ADMIN_TIER, types.AdminTier.BASELINE: BASELINE_TIER}


def tell(policies: Sequence[Policy], problems: Problems) -> Iterator[Meaning]:
    """What admin policies say, the first in its tier first."""
    for policy in sorted(policies, key=lambda item: item.parsed.priority):
        parsed: types.AdminPolicy = policy.parsed
        rules = {
            direction: tuple(
                _rule(rule, f"{direction}[{number}]", problems)
                for number, rule in enumerate(parsed.rules(direction))
            )
            for direction in Direction
        }
        yield Meaning(
            policy,
            policy.name,
            "",
            Pods(parsed.subject.namespaces, parsed.subject.pods),
            frozenset(),
            rules,
            policy.place,
            _TIERS[parsed.tier],
            parsed.priority,
            ordered=True,
        )


def _rule(rule: types.AdminRule, name: str, problems: Problems) -> Said:
    peers = tuple(found for peer in rule.peers for found in _peer(peer, name, problems))
    ports = tuple(_port(port) for port in rule.ports) or None
    return Said(name, rule.action, peers, ports, rule.place)


def _peer(peer: types.Peer, name: str, problems: Problems) -> Iterator[Peer]:
    if isinstance(peer, types.PodSet):
        yield Peer(Pods(peer.namespaces, peer.pods), peer.place)
    elif isinstance(peer, types.NetworkSet):
        for network in peer.networks:
            yield Peer(Addresses(network), peer.place)
    elif isinstance(peer, types.NodeSet) and not peer.nodes.requirements:
        for which in Nodes:
            yield Peer(NodePeer(which), peer.place)
    else:
        what = "nodes by labels" if isinstance(peer, types.NodeSet) else "hosts by their DNS names"
        refuse(problems, peer.place, f"{name} names {what}", "name the addresses instead")


def _port(port: types.Port) -> Port:
    if isinstance(port, types.PortName):
        return NamedPort(port.name)
    return Ports(port.protocol, port.first, port.last)
