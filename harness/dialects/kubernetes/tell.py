"""NetworkPolicies in the words of `harness.dialects.meaning`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.dialects.kubernetes import types
from harness.dialects.meaning import Addresses, Meaning, NamedPort, Peer, Pods, Port, Ports, Said, namespace
from harness.model.policy import Policy
from harness.model.rules import Action, Direction
from harness.source.diagnostics import Problems


def tell(policies: Sequence[Policy], problems: Problems) -> Iterator[Meaning]:
    """What NetworkPolicies say; nothing of it is without words."""
    for policy in policies:
        parsed: types.NetworkPolicy = policy.parsed
        own = namespace(parsed.namespace)
        rules = {
            direction: tuple(
                said
                for number, rule in enumerate(parsed.rules(direction))
                for said in _rule(rule, f"{direction}[{number}]", direction, parsed.namespace)
            )
            for direction in Direction
            if direction in parsed.directions
        }
        yield Meaning(
            policy,
            policy.name,
            parsed.namespace,
            Pods(own, parsed.subject),
            parsed.directions,
            rules,
            policy.place,
        )


def _rule(rule: types.PolicyRule, name: str, direction: Direction, own: str) -> Iterator[Said]:
    """One rule; what it sends to addresses goes to no port by a name, so that such ports stand apart."""
    blocks = [peer for peer in rule.peers if isinstance(peer, types.BlockPeer)]
    named = [port for port in rule.ports if isinstance(port.port, str)]
    if direction is Direction.INGRESS or not blocks or not named:
        yield _said(rule, name, rule.peers, rule.ports, own)
        return
    pods = [peer for peer in rule.peers if not isinstance(peer, types.BlockPeer)]
    numbers = [port for port in rule.ports if not isinstance(port.port, str)]
    if pods:
        yield _said(rule, name, pods, rule.ports, own)
    if numbers:
        yield _said(rule, name, blocks, numbers, own)


def _said(
    rule: types.PolicyRule,
    name: str,
    peers: Sequence[types.Peer],
    ports: Sequence[types.PolicyPort],
    own: str,
) -> Said:
    return Said(
        name,
        Action.ALLOW,
        tuple(_peer(peer, own) for peer in peers) or None,
        tuple(_port(port) for port in ports) or None,
        rule.place,
    )


def _peer(peer: types.Peer, own: str) -> Peer:
    if isinstance(peer, types.BlockPeer):
        return Peer(Addresses(peer.block.network, peer.block.excepts), peer.place)
    namespaces = namespace(own) if peer.namespaces is None else peer.namespaces
    return Peer(Pods(namespaces, peer.pods), peer.place)


def _port(port: types.PolicyPort) -> Port:
    if isinstance(port.port, str):
        return NamedPort(port.port, port.protocol)
    return Ports(port.protocol, port.port, port.end)
