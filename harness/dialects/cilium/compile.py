"""Cilium's policies to neutral stages: for the pods, labels and nodes of a world, without any verdict.

A policy becomes a block of denials, which comes before all else in the tier, and a block of what it allows
(semantics.md 3.3). Points that the lab has to settle: API servers and cloud groups there are none, every pod
authenticates.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from harness.dialects.cilium.selectors import HOST, REMOTE_NODE, WORLD, EndpointSelector
from harness.dialects.cilium.types import (
    CidrGroup,
    CidrPeer,
    CiliumPolicy,
    CiliumRule,
    CiliumSpec,
    EndpointPeer,
    Entity,
    EntityPeer,
    FqdnPeer,
    GroupPeer,
    NodePeer,
    Peer,
    Port,
    ServicePeer,
)
from harness.model.application import Authentication
from harness.model.names import NamePattern
from harness.model.policy import Policy
from harness.model.rules import (
    NETWORK_POLICY_TIER,
    Action,
    Block,
    Direction,
    Match,
    Network,
    Origin,
    PolicyBlock,
    Ports,
    Reach,
    Rule,
    Stage,
)
from harness.model.topology import Family, Pod, Protocol, Topology

_DENIES, _ALLOWS = 0, 1000
_EVERYWHERE = (Block(ipaddress.ip_network("0.0.0.0/0")), Block(ipaddress.ip_network("::/0")))
_ECHO = {Family.IPV4: 8, Family.IPV6: 128}
_OS, _HOSTNAME = "kubernetes.io/os", "kubernetes.io/hostname"


def compile_policies(policies: Sequence[Policy], topology: Topology) -> tuple[Stage, ...]:
    """A stage for each direction in which some policy has rules."""
    groups = [policy.parsed for policy in policies if isinstance(policy.parsed, CidrGroup)]
    stages = []
    for direction in (Direction.EGRESS, Direction.INGRESS):
        blocks = [
            block
            for policy in policies
            if isinstance(policy.parsed, CiliumPolicy)
            for spec in policy.parsed.specs
            if spec.subject is not None and spec.rules(direction)
            for block in _Compiler(policy, spec, direction, topology, groups).blocks()
        ]
        if blocks:
            stages.append(Stage(NETWORK_POLICY_TIER, direction, tuple(blocks)))
    return tuple(stages)


class _Compiler:
    """Compiles the rules of one spec in one direction."""

    def __init__(
        self,
        policy: Policy,
        spec: CiliumSpec,
        direction: Direction,
        topology: Topology,
        groups: Sequence[CidrGroup],
    ) -> None:
        self._policy = policy
        self._spec = spec
        self._direction = direction
        self._topology = topology
        self._groups = groups
        self._pods = [pod for pod in topology.pods.values() if not pod.host_network]
        assert spec.subject is not None
        self._subjects = self._select(spec.subject)

    def blocks(self) -> Iterator[PolicyBlock]:
        """What it denies, and what it allows; either may be missing."""
        rules = self._spec.rules(self._direction)
        denies = [rule for rule in rules if _fails(rule)]
        allows = [rule for rule in rules if not _fails(rule)]
        isolates = self._direction in self._spec.isolates
        origin = Origin(str(self._policy), "", self._policy.place)
        subjects = frozenset(pod.id for pod in self._subjects)
        block = PolicyBlock(subjects, (), origin, strict=True)
        if denies:
            found = tuple(one for rule in denies for one in self._rules(rule, Action.DENY))
            yield replace(block, rules=found, order=_DENIES, isolates=isolates and not allows)
        if allows:
            found = tuple(one for rule in allows for one in self._rules(rule, Action.ALLOW))
            yield replace(block, rules=found, order=_ALLOWS, isolates=isolates)

    def _select(self, selector: EndpointSelector) -> list[Pod]:
        return [pod for pod in self._pods if selector.matches_pod(pod, self._topology)]

    def _rules(self, rule: CiliumRule, action: Action) -> Iterator[Rule]:
        """One for each item of `toPorts` that looks for something, and one for everything else."""
        origin = Origin(str(self._policy), rule.name, rule.place)
        mode = None
        if action is Action.ALLOW and rule.authentication:
            mode = Authentication(rule.authentication)
        if rule.idle:
            yield Rule(action, (), origin)
            return
        peers = [Match()] if rule.peers is None else list(self._peers(rule, rule.peers))
        if not rule.ports and not rule.icmps:
            yield Rule(action, tuple(peers), origin, authentication=mode)
            return
        plain = tuple(port for item in rule.ports if item.application is None for port in item.ports)
        icmps = tuple(
            Ports(Protocol.ICMP, field.type, field.type)
            for field in rule.icmps
            if field.type == _ECHO[field.family]
        )
        if plain or icmps or not rule.looks_into:
            yield Rule(action, tuple(self._matches(plain, icmps, peers)), origin, authentication=mode)
        for item in rule.ports:
            if item.application is not None:
                matches = tuple(self._matches(item.ports, (), peers))
                # Nothing of what falls anyway comes before a proxy.
                application = item.application if action is Action.ALLOW else None
                yield Rule(action, matches, origin, None, application, mode)

    def _matches(
        self, ports: Sequence[Port], icmps: tuple[Ports, ...], peers: Sequence[Match]
    ) -> Iterator[Match]:
        numbers = tuple(
            Ports(protocol, port.first or None, port.last)
            for port in ports
            if isinstance(port.first, int)
            for protocol in port.protocols
        )
        if numbers or icmps:
            yield from (replace(peer, ports=numbers + icmps) for peer in peers)
        names = [port for port in ports if isinstance(port.first, str)]
        if names:
            yield from self._named(names, peers)

    def _named(self, names: Sequence[Port], peers: Sequence[Match]) -> Iterator[Match]:
        """A name is looked up in the destination pod."""
        ingress = self._direction is Direction.INGRESS
        for group, found in _by_ports(self._subjects if ingress else self._pods, names):
            for peer in peers:
                if ingress:
                    subjects = group if peer.subjects is None else group & peer.subjects
                    yield replace(peer, subjects=subjects, ports=found)
                elif peer.pods is not None or peer.any_peer:
                    pods = group if peer.pods is None else group & peer.pods
                    yield Match(subjects=peer.subjects, pods=pods, ports=found)

    # -- peers ---------------------------------------------------------------------------------------

    def _peers(self, rule: CiliumRule, peers: Sequence[Peer]) -> Iterator[Match]:
        """Alternatives; peers that are the same for every subject are one."""
        pods: set[str] = set()
        blocks: list[Block] = []
        names: list[NamePattern] = []
        for peer in peers:
            if isinstance(peer, EndpointPeer):
                pods.update(pod.id for pod in self._select(peer.selector))
                yield from self._no_pods(peer.selector)
            elif isinstance(peer, ServicePeer):
                pods.update(self._behind(peer))
            elif isinstance(peer, CidrPeer):
                blocks.append(Block(peer.network, _holes(peer.network, peer.excepts), Reach.CIDR))
            elif isinstance(peer, GroupPeer):
                blocks += self._group(peer)
            elif isinstance(peer, FqdnPeer):
                names.append(peer.name)
            elif isinstance(peer, EntityPeer):
                yield from self._entity(peer.entity)
            elif isinstance(peer, NodePeer):
                yield from self._other_nodes(peer.selector)
        if rule.ports and not self._has_services(peers):
            yield Match()
        if pods or blocks or names:
            yield Match(pods=frozenset(pods), blocks=tuple(blocks) or None, names=tuple(names) or None)

    def _has_services(self, peers: Sequence[Peer]) -> bool:
        """Whether names of services say anything; ports beside names of none are open towards everybody."""
        named = [peer for peer in peers if isinstance(peer, ServicePeer)]
        return len(named) < len(peers) or not peers or any(self._chosen(peer) for peer in named)

    def _chosen(self, peer: ServicePeer) -> list[dict[str, str]]:
        """Labels that pods behind the services have, with their namespace under an empty key."""
        found = []
        for service in self._topology.services.values():
            by_name = peer.selector is None and service.name == peer.name
            meant = by_name or (peer.selector is not None and peer.selector.matches(service.labels))
            if meant and peer.namespace in ("", service.namespace):
                found.append({**service.selector, "": service.namespace})
        return found

    def _behind(self, peer: ServicePeer) -> Iterator[str]:
        for wanted in self._chosen(peer):
            labels = {key: value for key, value in wanted.items() if key}
            for pod in self._pods:
                if labels and pod.namespace == wanted[""] and labels.items() <= pod.labels.items():
                    yield pod.id

    def _entity(self, entity: Entity) -> Iterator[Match]:
        everyone = frozenset(pod.id for pod in self._pods)
        if entity is Entity.ALL:
            yield Match()
        elif entity is Entity.WORLD:
            yield Match(blocks=_EVERYWHERE)
        elif entity in (Entity.CLUSTER, Entity.CLUSTER_MESH):
            yield Match(pods=everyone, nodes=frozenset(self._topology.nodes))
        elif entity is Entity.HOST:
            yield from self._nodes(here=True, there=False)
        elif entity is Entity.REMOTE_NODE:
            yield from self._nodes(here=False, there=True)

    def _no_pods(self, selector: EndpointSelector) -> Iterator[Match]:
        """Nodes and addresses outside that are meant; without labels they meet what excludes labels."""
        here, there, outside = (selector.matches({}, {name: ""}) for name in (HOST, REMOTE_NODE, WORLD))
        yield from self._nodes(here=here, there=there)
        if outside:
            yield Match(blocks=_EVERYWHERE)

    def _other_nodes(self, selector: EndpointSelector) -> Iterator[Match]:
        meant = frozenset(
            node
            for node in self._topology.nodes
            if selector.matches({_OS: "linux", _HOSTNAME: node}, {REMOTE_NODE: ""})
        )
        yield from self._nodes(here=False, there=True, among=meant)

    def _nodes(self, *, here: bool, there: bool, among: frozenset[str] | None = None) -> Iterator[Match]:
        """Nodes as the subjects see them: their own, and the others."""
        every = frozenset(self._topology.nodes)
        homes: dict[str | None, list[str]] = {}
        for pod in self._subjects:
            homes.setdefault(pod.node, []).append(pod.id)
        for home, subjects in homes.items():
            own = frozenset({home} if home is not None else ())
            nodes = (own if here else frozenset()) | (every - own if there else frozenset())
            nodes = nodes if among is None else nodes & among
            if nodes:
                yield Match(subjects=frozenset(subjects), nodes=nodes)

    def _group(self, peer: GroupPeer) -> Iterator[Block]:
        for group in self._groups:
            labels = dict(group.labels)
            if peer.selector.matches(labels) if peer.selector is not None else peer.name == group.name:
                for network in group.networks:
                    yield Block(network, _holes(network, peer.excepts), Reach.CIDR)


def _fails(rule: CiliumRule) -> bool:
    """Whether what matches falls: denied on purpose, or by an authentication that cannot succeed."""
    return rule.action is Action.DENY or rule.authentication == "test-always-fail"


def _holes(network: Network, excepts: Sequence[Network]) -> tuple[Network, ...]:
    return tuple(hole for hole in excepts if hole.version == network.version)


def _by_ports(
    pods: Iterable[Pod], names: Sequence[Port]
) -> Iterator[tuple[frozenset[str], tuple[Ports, ...]]]:
    """Pods grouped by what the names mean in them; pods that have none of them are left out."""
    groups: dict[tuple[Ports, ...], list[str]] = {}
    for pod in pods:
        found = tuple(
            Ports(item.protocol, item.port, item.port)
            for port in names
            for item in pod.listeners
            if item.name == port.first and item.protocol in port.protocols
        )
        if found:
            groups.setdefault(found, []).append(pod.id)
    for ports, ids in groups.items():
        yield frozenset(ids), ports
