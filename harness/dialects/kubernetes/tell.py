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
                Said(
                    f"{direction}[{number}]",
                    Action.ALLOW,
                    tuple(_peer(peer, parsed.namespace) for peer in rule.peers) or None,
                    tuple(_port(port) for port in rule.ports) or None,
                    rule.place,
                )
                for number, rule in enumerate(parsed.rules(direction))
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


def _peer(peer: types.Peer, own: str) -> Peer:
    if isinstance(peer, types.BlockPeer):
        return Peer(Addresses(peer.block.network, peer.block.excepts), peer.place)
    namespaces = namespace(own) if peer.namespaces is None else peer.namespaces
    return Peer(Pods(namespaces, peer.pods), peer.place)


def _port(port: types.PolicyPort) -> Port:
    if isinstance(port.port, str):
        return NamedPort(port.port, port.protocol)
    return Ports(port.protocol, port.port, port.end)
