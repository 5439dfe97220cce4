"""NetworkPolicies out of the words of `harness.dialects.meaning`.

A NetworkPolicy allows and isolates, by labels, addresses and ports, in one namespace. A pod's own node is
always allowed, so that it needs no rule.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Any

from harness.dialects.isolation import as_isolation
from harness.dialects.manifests import label_selector
from harness.dialects.meaning import (
    Addresses,
    Icmp,
    Meaning,
    NamedPort,
    NodePeer,
    Nodes,
    Outside,
    Peer,
    Pods,
    Port,
    Said,
    Written,
    refuse,
)
from harness.model.rules import Action, Direction, Network
from harness.model.topology import Protocol
from harness.source.diagnostics import Problems

_ALL = tuple(ipaddress.ip_network(text) for text in ("0.0.0.0/0", "::/0"))
_SIDES = {Direction.INGRESS: "from", Direction.EGRESS: "to"}


def write(meanings: Sequence[Meaning], problems: Problems) -> Iterator[Written]:
    """NetworkPolicies that say the same; what none can say is an error."""
    for meaning in map(as_isolation, meanings):
        yield from _policies(meaning, problems)


def _policies(meaning: Meaning, problems: Problems) -> Iterator[Written]:
    before = problems.errors
    names = meaning.subject.names
    if names is None:
        refuse(
            problems,
            meaning.place,
            f"{meaning.policy} selects pods by more of their namespace than its name, and a NetworkPolicy "
            "selects in its own namespace only",
            "name the namespaces, one policy for each",
        )
    if meaning.subject.accounts:
        _accounts(problems, meaning.policy.place)
    for direction in Direction:
        _fits(meaning, direction, problems)
    notes: list[str] = []
    spec: dict[str, Any] = {
        "podSelector": label_selector(meaning.subject.pods),
        "policyTypes": [
            direction.value.capitalize() for direction in Direction if direction in meaning.isolates
        ],
    }
    for direction in Direction:
        if direction in meaning.isolates:
            rules = [
                rule
                for said in meaning.rules.get(direction, ())
                for rule in _rule(said, direction, names, notes, problems)
            ]
            if rules:
                spec[direction.value] = rules
    if not meaning.isolates and not any(meaning.rules.values()):
        refuse(
            problems,
            meaning.place,
            f"{meaning.policy} neither allows nor denies anything, and every NetworkPolicy denies something",
            "leave it out",
        )
    if problems.errors > before or names is None:
        return
    for name in sorted(names):
        yield Written(
            {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "NetworkPolicy",
                "metadata": {"name": meaning.name, "namespace": name},
                "spec": spec,
            },
            [meaning.policy],
            notes,
        )


def _fits(meaning: Meaning, direction: Direction, problems: Problems) -> None:
    """Complain about what the rules of a direction do: here they only allow, and all else is denied."""
    said = meaning.rules.get(direction, ())
    others = [rule for rule in said if rule.action is not Action.ALLOW]
    for rule in others:
        refuse(
            problems,
            rule.place,
            f"{rule.name} says {rule.action}, and NetworkPolicies only allow",
            "leave it out where nothing else allows the same; else narrow the rules that do",
        )
    if said and not others and direction not in meaning.isolates:
        refuse(
            problems,
            said[0].place,
            f"{meaning.policy} denies nothing by default for {direction}, and a NetworkPolicy that has "
            f"{direction} rules denies all that they do not allow",
            f"let it deny by default for {direction}, or leave its {direction} rules out",
        )


def _rule(
    said: Said,
    direction: Direction,
    names: frozenset[str] | None,
    notes: list[str],
    problems: Problems,
) -> Iterator[dict[str, Any]]:
    if said.action is not Action.ALLOW:
        # An error already.
        return
    rule: dict[str, Any] = {}
    if said.peers is not None:
        peers = [item for peer in said.peers for item in _peer(peer, said, names, notes, problems)]
        if not peers:
            # An empty list would mean everybody.
            notes.append(f"{said.name} needs no rule here")
            return
        rule[_SIDES[direction]] = peers
    if said.ports is not None:
        rule["ports"] = [item for port in said.ports for item in _port(port, said, problems)]
    yield rule


def _peer(
    peer: Peer, said: Said, names: frozenset[str] | None, notes: list[str], problems: Problems
) -> Iterator[dict[str, Any]]:
    what = peer.what
    if isinstance(what, Pods):
        if what.accounts:
            _accounts(problems, peer.place)
        own = what.names is not None and what.names == names and len(what.names) == 1
        found: dict[str, Any] = {} if own else {"namespaceSelector": label_selector(what.namespaces)}
        if own or what.pods.requirements:
            found["podSelector"] = label_selector(what.pods)
        yield found
    elif isinstance(what, Addresses):
        yield from _block(what.network, what.excepts)
    elif isinstance(what, Outside):
        notes.append(
            f"{said.name} means addresses outside of the cluster: where a network's ipBlocks mean pods as "
            "well, this one does"
        )
        for network in _ALL:
            yield from _block(network, ())
    else:
        _nodes(what, peer, said, notes, problems)


def _nodes(what: NodePeer, peer: Peer, said: Said, notes: list[str], problems: Problems) -> None:
    if what.which is Nodes.OWN:
        notes.append(f"{said.name} names the pod's own node, which NetworkPolicies always allow")
        return
    if said.spared:
        notes.append("other nodes, with which it denied nothing, cannot be named here, and are denied")
        return
    refuse(
        problems,
        peer.place,
        f"{said.name} names nodes, and NetworkPolicies know pods and addresses only",
        "name the nodes' addresses, and know that some networks do not match nodes by address",
    )


def _block(network: Network, excepts: Sequence[Network]) -> Iterator[dict[str, Any]]:
    """The API wants exceptions that are smaller than the block; one from all of it leaves nobody."""
    if network in excepts:
        return
    holes = [str(hole) for hole in excepts if hole.version == network.version]
    yield {"ipBlock": {"cidr": str(network), **({"except": holes} if holes else {})}}


def _port(port: Port, said: Said, problems: Problems) -> Iterator[dict[str, Any]]:
    if isinstance(port, Icmp):
        refuse(
            problems,
            said.place,
            f"{said.name} is about ICMP, which NetworkPolicies do not know",
            "leave it out, or keep the policy in its own dialect",
        )
        return
    if isinstance(port, NamedPort):
        protocols = (port.protocol,) if port.protocol else (Protocol.TCP, Protocol.UDP, Protocol.SCTP)
        for protocol in protocols:
            yield {"protocol": str(protocol), "port": port.name}
        return
    found: dict[str, Any] = {"protocol": str(port.protocol)}
    if port.first is not None:
        found["port"] = port.first
        if port.last is not None and port.last != port.first:
            found["endPort"] = port.last
    yield found


def _accounts(problems: Problems, place: Any) -> None:
    refuse(
        problems,
        place,
        "pods are selected by their service account, and NetworkPolicies go by labels only",
        "give the pods a label of their own, and select them by it",
    )
