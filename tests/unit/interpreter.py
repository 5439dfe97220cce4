"""Neutral stages read as `harness/model/rules.py` describes them: a third opinion beside oracle and nft."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from harness.dialects.connection import Connection, End
from harness.model.probe import SourceKind
from harness.model.rules import Action, Block, Condition, Direction, Match, Ports, Reach, Rule, Stage
from harness.model.topology import Family, Protocol, Topology

ADDRESSES = {
    "m/a": "10.0.0.2 fd00:1::2",
    "m/b": "10.0.1.2 fd00:2::2",
    "n/a": "10.0.0.3 fd00:1::3",
    "n/b": "10.0.1.3 fd00:2::3",
    "a": "10.0.1.254 fd00:1::1",
    "b": "172.18.0.2 fd00:3::1",
}


def is_node(end: End, topology: Topology) -> bool:
    if end.kind is SourceKind.POD:
        return topology.pods[end.name].host_network
    return end.kind is SourceKind.NODE


class Interpreter:
    """Decides by stages alone."""

    def __init__(self, topology: Topology, asked: Connection, *, open_rules: bool) -> None:
        self.topology, self.asked, self.open_rules = topology, asked, open_rules

    def decide(self, stages: Sequence[Stage], direction: Direction) -> Action:
        subject = self.asked.subject(direction).name
        for stage in stages:
            if stage.direction is not direction:
                continue
            blocks = [block for block in stage.blocks if subject in block.subjects]
            rules = [rule for block in blocks for rule in block.rules]
            if not stage.ordered:
                rules.sort(key=lambda rule: rule.open_point is not None)
            deciding = (rule.action for rule in rules if self.applies(rule, subject, direction))
            action = next((one for one in deciding if one is not Action.LOG), None)
            if action is None and any(block.isolates for block in blocks):
                action = stage.default
            if action not in (None, Action.PASS):
                return action
        return Action.ALLOW

    def applies(self, rule: Rule, subject: str, direction: Direction) -> bool:
        if rule.open_point is not None and not self.open_rules:
            return False
        return any(self.match(item, subject, direction) for item in rule.matches)

    def match(self, match: Match, subject: str, direction: Direction) -> bool:
        if match.subjects is not None and subject not in match.subjects:
            return False
        if match.ports is not None and not any(self.port(item) for item in match.ports):
            return False
        if match.family not in (None, self.asked.family):
            return False
        # Connections come from ports from 1024 on.
        if match.source_ports is not None and not any(last >= 1024 for _, last in match.source_ports):
            return False
        if not all(self.condition(item, direction) for item in match.conditions):
            return False
        peer = self.asked.peer(direction)
        if match.any_peer:
            return True
        is_pod = peer.kind is SourceKind.POD and not is_node(peer, self.topology)
        if is_pod and peer.name in (match.pods or ()):
            return True
        if not is_pod and peer.address is None and _node(peer) in (match.nodes or ()):
            return True
        return any(self.block(item, peer, is_pod=is_pod) for item in match.blocks or ())

    def condition(self, condition: Condition, direction: Direction) -> bool:
        end = self.asked.peer(direction) if condition.peer else self.asked.subject(direction)
        is_pod = end.kind is SourceKind.POD and not is_node(end, self.topology)
        among = is_pod and end.name in condition.pods
        if not is_pod and end.address is None:
            among = _node(end) in condition.nodes
        address = self.address(end, is_pod=is_pod)
        return (among or any(address in network for network in condition.networks)) is condition.inside

    def port(self, ports: Ports) -> bool:
        if ports.protocol is not self.asked.protocol:
            return False
        if ports.first is None or ports.last is None:
            return True
        if ports.protocol is Protocol.ICMP:
            return ports.first <= (8 if self.asked.family is Family.IPV4 else 128) <= ports.last
        return ports.first <= self.asked.port <= ports.last

    def block(self, block: Block, peer: End, *, is_pod: bool) -> bool:
        kind = Reach.OUTSIDE if peer.address else Reach.PODS if is_pod else Reach.NODES
        if block.reach not in (kind, Reach.ANY):
            return False
        address = self.address(peer, is_pod=is_pod)
        return address in block.network and not any(address in hole for hole in block.excepts)

    def address(self, end: End, *, is_pod: bool) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
        if end.address is not None:
            return end.address
        v4, v6 = ADDRESSES[end.name if is_pod else _node(end)].split()
        return ipaddress.ip_address(v4 if self.asked.family is Family.IPV4 else v6)


def _node(end: End) -> str:
    """The node behind a node's end, or under a pod with its node's network; one not placed stands on `a`."""
    return end.name if end.kind is SourceKind.NODE else (end.node or "a")


def own_node(asked: Connection, topology: Topology) -> bool:
    ends = (asked.source, asked.destination)
    nodes = [end for end in ends if is_node(end, topology)]
    return bool(nodes) and asked.source.node is not None and asked.source.node == asked.destination.node
