"""Admin policies to neutral stages: for the pods and labels of a world, without any verdict.

A stage per tier and direction whose default is PASS: selecting pods isolates nobody (semantics.md 3.2).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence

from harness.dialects.admin.types import (
    AdminRule,
    AdminTier,
    NameSet,
    NetworkSet,
    NodeSet,
    PodSet,
    Port,
    PortName,
)
from harness.model.policy import Policy
from harness.model.rules import (
    ADMIN_TIER,
    BASELINE_TIER,
    Action,
    Block,
    Direction,
    Match,
    Origin,
    PolicyBlock,
    Ports,
    Reach,
    Rule,
    Stage,
)
from harness.model.topology import Pod, Protocol, Topology

_TIERS = {AdminTier.ADMIN: ADMIN_TIER, AdminTier.BASELINE: BASELINE_TIER}

_EVERY = tuple(Ports(protocol) for protocol in Protocol)
_OS = "kubernetes.io/os"
_HOSTNAME = "kubernetes.io/hostname"


def compile_policies(policies: Sequence[Policy], topology: Topology) -> tuple[Stage, ...]:
    """A stage for each tier and direction in which some policy has rules.

    Policies of the same priority stand in the order of their names; the oracle calls that undefined.
    """
    stages = []
    for tier in AdminTier:
        mine = sorted(
            (policy for policy in policies if policy.parsed.tier is tier),
            key=lambda policy: (policy.parsed.priority, policy.name),
        )
        for direction in (Direction.EGRESS, Direction.INGRESS):
            blocks = tuple(
                _Compiler(policy, direction, topology).block()
                for policy in mine
                if policy.parsed.rules(direction)
            )
            if blocks:
                stages.append(Stage(_TIERS[tier], direction, blocks, Action.PASS, ordered=True))
    return tuple(stages)


class _Compiler:
    """Compiles the rules of one policy in one direction."""

    def __init__(self, policy: Policy, direction: Direction, topology: Topology) -> None:
        self._policy = policy
        self._direction = direction
        self._topology = topology
        # The API never selects pods that have their node's network, neither as subjects nor as peers.
        self._pods = [pod for pod in topology.pods.values() if not pod.host_network]
        self._subjects = self._select(policy.parsed.subject)

    def block(self) -> PolicyBlock:
        """The policy with all its rules of the direction."""
        rules = tuple(
            rule
            for number, item in enumerate(self._policy.parsed.rules(self._direction))
            for rule in self._rules(number, item)
        )
        origin = Origin(str(self._policy), "", self._policy.place)
        subjects = frozenset(pod.id for pod in self._subjects)
        return PolicyBlock(subjects, rules, origin, order=self._policy.parsed.priority, isolates=False)

    def _select(self, peer: PodSet) -> list[Pod]:
        return [
            pod
            for pod in self._pods
            if peer.pods.matches(pod.labels)
            and peer.namespaces.matches(self._topology.namespaces[pod.namespace].labels)
        ]

    def _rules(self, number: int, rule: AdminRule) -> Iterator[Rule]:
        """The definite rule, and beside it one for domain names, which open only what they accept."""
        origin = Origin(str(self._policy), f"{self._direction}[{number}]", rule.place)
        matches = tuple(self._matches(rule))
        if matches:
            yield Rule(rule.action, matches, origin)
        named = self._names(rule)
        if named and rule.action is Action.ALLOW:
            ports = _numbers(rule.ports) if rule.ports else _EVERY
            yield Rule(rule.action, (Match(blocks=named, ports=ports),), origin, "domain-name")

    def _matches(self, rule: AdminRule) -> Iterator[Match]:
        pods: dict[str, Pod] = {}
        blocks: list[Block] = []
        nodes: set[str] = set()
        for peer in rule.peers:
            if isinstance(peer, PodSet):
                pods.update((pod.id, pod) for pod in self._select(peer))
            elif isinstance(peer, NodeSet):
                nodes.update(
                    node
                    for node in self._topology.nodes
                    if peer.nodes.matches({_OS: "linux", _HOSTNAME: node})
                )
            elif isinstance(peer, NetworkSet):
                blocks += [Block(network, reach=Reach.ANY) for network in peer.networks]
        if not (pods or blocks or nodes):
            return
        peers = Match(pods=frozenset(pods), blocks=tuple(blocks), nodes=frozenset(nodes))
        if not rule.ports:
            yield peers
            return
        numbers = _numbers(rule.ports)
        if numbers:
            yield Match(pods=peers.pods, blocks=peers.blocks, nodes=peers.nodes, ports=numbers)
        names = [port.name for port in rule.ports if isinstance(port, PortName)]
        if not names:
            return
        if self._direction is Direction.INGRESS:
            for group, ports in _by_ports(self._subjects, names):
                yield Match(subjects=group, pods=peers.pods, ports=ports)
        else:
            for group, ports in _by_ports(pods.values(), names):
                yield Match(pods=group, ports=ports)

    def _names(self, rule: AdminRule) -> tuple[Block, ...]:
        """The addresses of externals whose names a rule names."""
        patterns = [name for peer in rule.peers if isinstance(peer, NameSet) for name in peer.names]
        return tuple(
            Block(ipaddress.ip_network(address))
            for external in self._topology.externals.values()
            if any(_stands_for(pattern, name) for pattern in patterns for name in external.names)
            for address in external.addresses.values()
        )


def _stands_for(pattern: str, name: str) -> bool:
    """A leading `*` is one label or more."""
    labels = name.lower().rstrip(".").split(".")
    wanted = pattern.split(".")
    if wanted[0] != "*":
        return labels == wanted
    return len(labels) >= len(wanted) and labels[-len(wanted) + 1 :] == wanted[1:]


def _numbers(ports: Iterable[Port]) -> tuple[Ports, ...]:
    return tuple(
        Ports(port.protocol, port.first, port.last) for port in ports if not isinstance(port, PortName)
    )


def _by_ports(
    pods: Iterable[Pod], names: Sequence[str]
) -> Iterator[tuple[frozenset[str], tuple[Ports, ...]]]:
    """Pods grouped by what the port names mean in them; pods that have none of the names are left out."""
    groups: dict[tuple[Ports, ...], list[str]] = {}
    for pod in pods:
        found = tuple(
            Ports(item.protocol, item.port, item.port) for item in pod.listeners if item.name in names
        )
        if found:
            groups.setdefault(found, []).append(pod.id)
    for ports, ids in groups.items():
        yield frozenset(ids), ports
