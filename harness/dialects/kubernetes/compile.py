"""NetworkPolicies to neutral stages: for the pods and labels of a world, without any verdict.

One stage per direction with default DENY (semantics.md 3.1 no. 3). Rules on which the specification is silent
(section 4 no. 1, 2 and 10) stand in blocks of their own after all others, so that a connection meets them
only when no definite rule decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from harness.dialects.kubernetes.types import BlockPeer, NetworkPolicy, PodPeer, PolicyPort, PolicyRule
from harness.model.policy import Policy
from harness.model.rules import (
    NETWORK_POLICY_TIER,
    Action,
    Block,
    Condition,
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

_TRANSPORTS = (Ports(Protocol.TCP), Ports(Protocol.UDP), Ports(Protocol.SCTP))
_ICMP = (Ports(Protocol.ICMP),)

_CALICO_ORDER = 1000
"""Where Calico puts NetworkPolicies in their tier (semantics.md 3.4); alone they have no order."""


def compile_policies(policies: Sequence[Policy], topology: Topology) -> tuple[Stage, ...]:
    """A stage for each direction that some policy isolates."""
    stages = []
    for direction in (Direction.EGRESS, Direction.INGRESS):
        definite, open_ended = [], []
        for policy in policies:
            if direction not in policy.parsed.directions:
                continue
            compiler = _Compiler(policy.parsed, str(policy), direction, topology)
            origin = Origin(str(policy), "", policy.place)
            block = PolicyBlock(frozenset(compiler.subjects), (), origin, order=_CALICO_ORDER)
            rules = [
                rule for item in enumerate(policy.parsed.rules(direction)) for rule in compiler.rule(*item)
            ]
            definite.append(replace(block, rules=tuple(rule for rule in rules if not rule.open_point)))
            if any(rule.open_point for rule in rules):
                open_ended.append(replace(block, rules=tuple(rule for rule in rules if rule.open_point)))
        if definite:
            stages.append(Stage(NETWORK_POLICY_TIER, direction, (*definite, *open_ended)))
    return tuple(stages)


@dataclass(frozen=True, slots=True)
class _Peers:
    """Peers of one rule that lead to the same kind of match; both None = every peer."""

    pods: frozenset[str] | None = None
    blocks: tuple[Block, ...] | None = None


class _Compiler:
    """Compiles the rules of one policy in one direction."""

    def __init__(self, policy: NetworkPolicy, name: str, direction: Direction, topology: Topology) -> None:
        self._policy = policy
        self._name = name
        self._direction = direction
        self._topology = topology
        # hostNetwork pods have their node's address and are neither subjects nor peers (section 4 no. 3, 4).
        self._pods = [pod for pod in topology.pods.values() if not pod.host_network]
        self.subjects = {
            pod.id: pod
            for pod in self._pods
            if pod.namespace == policy.namespace and policy.subject.matches(pod.labels)
        }

    def rule(self, number: int, rule: PolicyRule) -> Iterator[Rule]:
        """The definite rule first, then those that rest on an open point."""
        origin = Origin(self._name, f"{self._direction}[{number}]", rule.place)
        definite = self._peers(rule, Reach.OUTSIDE)
        yield Rule(Action.ALLOW, tuple(self._matches(definite, rule.ports, _TRANSPORTS)), origin)
        if not rule.ports:
            yield Rule(Action.ALLOW, tuple(self._matches(definite, (), _ICMP)), origin, "icmp")
        if not any(isinstance(peer, BlockPeer) for peer in rule.peers):
            return
        for reach, point in ((Reach.PODS, "ipblock-pod"), (Reach.NODES, "ipblock-node")):
            blocks = _Peers(pods=None, blocks=self._blocks(rule, reach))
            matches = tuple(self._matches(blocks, rule.ports, (*_TRANSPORTS, *_ICMP)))
            if matches:
                yield Rule(Action.ALLOW, matches, origin, point)

    def _peers(self, rule: PolicyRule, reach: Reach) -> _Peers:
        if not rule.peers:
            return _Peers()
        selectors = [peer for peer in rule.peers if isinstance(peer, PodPeer)]
        blocks = self._blocks(rule, reach)
        pods = frozenset(pod.id for pod in self._pods for peer in selectors if self._selects(peer, pod))
        return _Peers(pods if selectors else None, blocks or None)

    def _blocks(self, rule: PolicyRule, reach: Reach) -> tuple[Block, ...]:
        blocks = [peer.block for peer in rule.peers if isinstance(peer, BlockPeer)]
        return tuple(Block(block.network, block.excepts, reach) for block in blocks)

    def _selects(self, peer: PodPeer, pod: Pod) -> bool:
        if peer.namespaces is None:
            here = pod.namespace == self._policy.namespace
        else:
            here = peer.namespaces.matches(self._topology.namespaces[pod.namespace].labels)
        return here and peer.pods.matches(pod.labels)

    def _matches(
        self, peers: _Peers, ports: tuple[PolicyPort, ...], every: tuple[Ports, ...]
    ) -> Iterator[Match]:
        """Alternatives for one rule; `every` stands for the ports of a rule that lists none."""
        if not ports:
            yield Match(pods=peers.pods, blocks=peers.blocks, ports=every)
            return
        numbers = tuple(
            Ports(port.protocol, port.port, port.port if port.end is None else port.end)
            for port in ports
            if not isinstance(port.port, str)
        )
        if numbers:
            yield Match(pods=peers.pods, blocks=peers.blocks, ports=numbers)
        named = [port for port in ports if isinstance(port.port, str)]
        if not named:
            return
        if self._direction is Direction.INGRESS:
            for group, found in _by_ports(self.subjects.values(), named):
                yield Match(subjects=group, pods=peers.pods, blocks=peers.blocks, ports=found)
        elif peers.pods is not None or peers.blocks is None:
            # A name means nothing outside of pods, so the blocks of the rule take no part (3.1 no. 8).
            reached = [pod for pod in self._pods if peers.pods is None or pod.id in peers.pods]
            for group, found in _by_ports(reached, named):
                yield Match(pods=group, ports=found)
        else:
            # Where a block stands for pods, too, the name is looked up in those that have an address in it.
            for block in peers.blocks:
                within = _within(block) if block.reach is Reach.PODS else ()
                for group, found in _by_ports(self._pods, named) if within else ():
                    yield Match(pods=group, ports=found, conditions=within)


def _within(block: Block) -> tuple[Condition, ...]:
    """That the peer has one of the addresses of a block."""
    holes = (Condition(False, networks=block.excepts),) if block.excepts else ()
    return (Condition(True, networks=(block.network,)), *holes)


def _by_ports(
    pods: Iterable[Pod], named: Sequence[PolicyPort]
) -> Iterator[tuple[frozenset[str], tuple[Ports, ...]]]:
    """Pods grouped by what the port names mean in them; pods that have none of the names are left out."""
    groups: dict[tuple[Ports, ...], list[str]] = {}
    for pod in pods:
        found = tuple(
            Ports(item.protocol, item.port, item.port)
            for port in named
            for item in pod.listeners
            if item.name == port.port and item.protocol is port.protocol
        )
        if found:
            groups.setdefault(found, []).append(pod.id)
    for ports, names in groups.items():
        yield frozenset(names), ports
