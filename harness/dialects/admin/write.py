"""ClusterNetworkPolicies out of the words of `harness.dialects.meaning`.

They isolate nothing, and the first rule that matches decides. So what other policies deny, allow and isolate
stands in three policies, one behind the other. Their ingress rules know pods only: nothing that comes from
outside or from nodes can be denied.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Any

from harness.dialects.admin.versions import GROUP
from harness.dialects.manifests import in_parts, label_selector
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
from harness.source import Place
from harness.source.diagnostics import Problems

_MOST = 25
"""Rules, peers, ports and networks in one list."""

_DENIES, _ORDERED, _ALLOWS, _DEFAULTS = 100, 101, 200, 300
"""Priorities, in which policies that were asked together are asked one after the other.

Those that have an order among them begin at `_ORDERED`.
"""

_ALL = [str(ipaddress.ip_network(text)) for text in ("0.0.0.0/0", "::/0")]
_ACTIONS = {Action.ALLOW: "Accept", Action.DENY: "Deny", Action.PASS: "Pass"}
_SIDES = {Direction.INGRESS: "from", Direction.EGRESS: "to"}


def write(meanings: Sequence[Meaning], problems: Problems) -> Iterator[Written]:
    """ClusterNetworkPolicies that say the same; what none can say is an error."""
    ordered = [meaning for meaning in meanings if meaning.ordered]
    for meaning in meanings:
        before = problems.errors
        place = ordered.index(meaning) if meaning.ordered else 0
        if place >= _ALLOWS - _ORDERED:
            refuse(problems, meaning.place, "there are too many policies with an order", "convert fewer")
        found = list(_Writer(meaning, problems).policies(_ORDERED + place))
        if problems.errors == before:
            yield from found


class _Writer:
    """Writes one meaning."""

    def __init__(self, meaning: Meaning, problems: Problems) -> None:
        self.meaning = meaning
        self.problems = problems
        self.notes = [
            "it is of the tier Admin: it also counts before policies of namespaces that were not converted"
        ]

    def policies(self, place: int) -> Iterator[Written]:
        """What is denied, what is allowed, and that all else is denied, each with its priority.

        Args:
            place: Priority of rules that have an order, which stay together.
        """
        if self.meaning.subject.accounts:
            self._accounts(self.meaning.place)
        if self.meaning.ordered:
            parts = [("", place, self._rules(*_ACTIONS))]
        else:
            parts = [
                ("deny", _DENIES, self._rules(Action.DENY)),
                ("allow", _ALLOWS, self._rules(Action.ALLOW)),
            ]
        for suffix, priority, rules in [*parts, ("default", _DEFAULTS, self._defaults())]:
            sides = {direction: in_parts(found, _MOST) for direction, found in rules.items()}
            for number in range(max((len(lists) for lists in sides.values()), default=0)):
                spec: dict[str, Any] = {
                    "tier": "Admin",
                    "priority": priority,
                    "subject": self._pods(self.meaning.subject, self.meaning.place),
                }
                for direction, lists in sides.items():
                    if number < len(lists):
                        spec[direction.value] = list(lists[number])
                yield Written(
                    {
                        "apiVersion": f"{GROUP}/v1alpha2",
                        "kind": "ClusterNetworkPolicy",
                        "metadata": {"name": self._name(suffix, number)},
                        "spec": spec,
                    },
                    [self.meaning.policy],
                    self.notes,
                )

    def _name(self, suffix: str, number: int) -> str:
        parts = [self.meaning.namespace, self.meaning.name, suffix, str(number + 1) if number else ""]
        return "-".join(part for part in parts if part)

    def _defaults(self) -> dict[Direction, list[dict[str, Any]]]:
        found = {}
        for direction in Direction:
            if direction in self.meaning.isolates:
                found[direction] = [{"action": "Deny", _SIDES[direction]: self._everybody(direction)}]
        if Direction.INGRESS in found:
            self._note("what comes from nodes and from outside of the cluster, it cannot deny")
        return found

    def _rules(self, *actions: Action) -> dict[Direction, list[dict[str, Any]]]:
        found: dict[Direction, list[dict[str, Any]]] = {}
        for direction in Direction:
            for said in self.meaning.rules.get(direction, ()):
                if said.action in actions:
                    found.setdefault(direction, []).extend(self._rule(said, direction))
        return {direction: rules for direction, rules in found.items() if rules}

    def _rule(self, said: Said, direction: Direction) -> Iterator[dict[str, Any]]:
        named = [port for port in said.ports or () if isinstance(port, NamedPort)]
        numbers = [port for port in said.ports or () if not isinstance(port, NamedPort)]
        if said.ports is None or numbers:
            if said.peers is None:
                peers = self._everybody(direction)
            else:
                peers = [item for peer in said.peers for item in self._peer(peer, said, direction)]
                nodes = {peer.what.which for peer in said.peers if isinstance(peer.what, NodePeer)}
                if nodes and direction is Direction.EGRESS:
                    peers += self._nodes(nodes, said)
            yield from self._listed(said, direction, peers, numbers)
        if named:
            # Addresses and nodes call no port by a name.
            yield from self._listed(said, direction, self._named(said), named)

    def _named(self, said: Said) -> list[dict[str, Any]]:
        if said.peers is None:
            return [{"namespaces": {}}]
        return [self._pods(peer.what, peer.place) for peer in said.peers if isinstance(peer.what, Pods)]

    def _listed(
        self, said: Said, direction: Direction, peers: Sequence[dict[str, Any]], ports: Sequence[Port]
    ) -> Iterator[dict[str, Any]]:
        """Peers and ports as rules, whose lists must not be too long."""
        protocols = [item for port in ports for item in self._port(port, said)]
        for some in in_parts(peers, _MOST):
            for listed in in_parts(protocols, _MOST) or [[]]:
                yield {
                    "action": _ACTIONS[said.action],
                    _SIDES[direction]: list(some),
                    **({"protocols": list(listed)} if listed else {}),
                }

    @staticmethod
    def _everybody(direction: Direction) -> list[dict[str, Any]]:
        return [{"namespaces": {}}] if direction is Direction.INGRESS else [{"networks": _ALL}]

    def _peer(self, peer: Peer, said: Said, direction: Direction) -> Iterator[dict[str, Any]]:
        what = peer.what
        if isinstance(what, Pods):
            yield self._pods(what, peer.place)
        elif direction is Direction.INGRESS:
            self._from_elsewhere(peer, said)
        elif isinstance(what, Addresses):
            for networks in in_parts([str(item) for item in _without(what.network, what.excepts)], _MOST):
                yield {"networks": list(networks)}
        elif isinstance(what, Outside):
            self._note(f"{said.name} means addresses outside of the cluster; networks mean pods as well")
            yield {"networks": _ALL}

    def _from_elsewhere(self, peer: Peer, said: Said) -> None:
        """Nobody but pods can be denied, so that nobody else needs to be allowed."""
        if said.action is Action.ALLOW:
            self._note(f"{said.name} also allows others than pods, who need no rule here")
            return
        refuse(
            self.problems,
            peer.place,
            f"{said.name} denies what comes from others than pods, which no ClusterNetworkPolicy can",
            "keep it in its own dialect",
        )

    def _nodes(self, nodes: set[Nodes], said: Said) -> list[dict[str, Any]]:
        if nodes == set(Nodes):
            return [{"nodes": {}}]
        refuse(
            self.problems,
            said.place,
            f"{said.name} tells the pod's own node from others, and a ClusterNetworkPolicy does not",
            "name all nodes, or none",
        )
        return []

    def _pods(self, pods: Pods, place: Place) -> dict[str, Any]:
        if pods.accounts:
            self._accounts(place)
        if not pods.pods.requirements:
            return {"namespaces": label_selector(pods.namespaces)}
        return {
            "pods": {
                "namespaceSelector": label_selector(pods.namespaces),
                "podSelector": label_selector(pods.pods),
            }
        }

    def _port(self, port: Port, said: Said) -> Iterator[dict[str, Any]]:
        if isinstance(port, Icmp):
            refuse(
                self.problems,
                said.place,
                f"{said.name} is about ICMP, which ClusterNetworkPolicies do not know",
                "leave it out, or keep the policy in its own dialect",
            )
        elif isinstance(port, NamedPort):
            yield {"destinationNamedPort": port.name}
        else:
            first, last = port.first or 1, port.last or port.first or 65535
            number: dict[str, Any] = (
                {"number": first} if first == last else {"range": {"start": first, "end": last}}
            )
            yield {str(port.protocol).lower(): {"destinationPort": number}}

    def _accounts(self, place: Place) -> None:
        refuse(
            self.problems,
            place,
            "pods are selected by their service account, and ClusterNetworkPolicies go by labels only",
            "give the pods a label of their own, and select them by it",
        )

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def _without(network: Network, excepts: Sequence[Network]) -> list[Network]:
    """The networks that are left when some are taken out."""
    left: list[Any] = [network]
    for hole in excepts:
        if hole.version != network.version:
            continue
        cut: list[Any] = []
        for item in left:
            if item.subnet_of(hole):
                continue
            cut += item.address_exclude(hole) if hole.subnet_of(item) else [item]
        left = cut
    return sorted(left)
