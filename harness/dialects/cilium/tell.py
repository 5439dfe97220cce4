"""Cilium's policies in the words of `harness.dialects.meaning`, and what these have no words for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from harness.dialects.cilium import types
from harness.dialects.cilium.peers import members
from harness.dialects.cilium.tell_selectors import peers_of, pods_of
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
    Ports,
    Said,
    refuse,
)
from harness.model.application import DnsRules, HttpRules
from harness.model.policy import Policy
from harness.model.rules import Direction
from harness.source import Place
from harness.source.diagnostics import Problems

_ENTITIES: Mapping[types.Entity, tuple[Pods | Outside | NodePeer, ...]] = MappingProxyType(
    {
        types.Entity.WORLD: (Outside(),),
        types.Entity.CLUSTER: (Pods(), NodePeer(Nodes.OWN), NodePeer(Nodes.OTHER)),
        types.Entity.HOST: (NodePeer(Nodes.OWN),),
        types.Entity.REMOTE_NODE: (NodePeer(Nodes.OTHER),),
    }
)

_WITHOUT_WORDS: Mapping[type, tuple[str, str]] = MappingProxyType(
    {
        types.FqdnPeer: (
            "hosts by their DNS names, whose addresses Cilium learns from answers",
            "name the addresses instead, or keep this rule in a policy of Cilium's",
        ),
        types.ServicePeer: (
            "services, which Cilium resolves to their pods",
            "name the pods behind them by labels",
        ),
        types.CloudPeer: ("groups of a cloud", "name the addresses instead"),
        types.NodePeer: (
            "nodes by labels",
            "name the nodes' addresses, and know that some networks do not match nodes by address",
        ),
    }
)


def tell(policies: Sequence[Policy], problems: Problems) -> Iterator[Meaning]:
    """What policies of Cilium's say; the addresses of CiliumCIDRGroups stand where they are named."""
    groups = [policy.parsed for policy in policies if isinstance(policy.parsed, types.CidrGroup)]
    for policy in policies:
        if not isinstance(policy.parsed, types.CiliumPolicy):
            continue
        for number, spec in enumerate(policy.parsed.specs):
            name = policy.name if len(policy.parsed.specs) == 1 else f"{policy.name}-{number + 1}"
            found = _Teller(policy, groups, problems).spec(spec, name)
            if found is not None:
                yield found


class _Teller:
    """Tells one policy."""

    def __init__(self, policy: Policy, groups: Sequence[types.CidrGroup], problems: Problems) -> None:
        self.policy = policy
        self.groups = groups
        self.problems = problems

    def spec(self, spec: types.CiliumSpec, name: str) -> Meaning | None:
        """One `spec`, or an item of `specs`."""
        if spec.subject is None:
            refuse(
                self.problems,
                spec.place,
                f"{self.policy} selects nodes, which only Cilium's host firewall does",
                "keep it as it is",
            )
            return None
        subject = pods_of(spec.subject, self.problems)
        rules = {
            direction: tuple(said for rule in spec.rules(direction) for said in self._rule(rule))
            for direction in Direction
        }
        if subject is None:
            return None
        return Meaning(self.policy, name, self.policy.namespace, subject, spec.isolates, rules, spec.place)

    def _rule(self, rule: types.CiliumRule) -> Iterator[Said]:
        if rule.idle:
            # It matches nobody; that it is there isolates, which is said elsewhere.
            return
        if rule.authentication not in ("", "disabled"):
            self._refuse(
                rule.place,
                f"{rule.name} asks for mutual authentication, which only Cilium does",
                "keep it in a policy of Cilium's; without it whoever has the labels would be let in",
            )
        for item in rule.ports:
            self._looks_into(rule, item)
        peers = None
        if rule.peers is not None and not self._all(rule.peers):
            peers = tuple(found for peer in rule.peers for found in self._peer(peer, rule))
        ports: tuple[Port, ...] = tuple(
            found for item in rule.ports for port in item.ports for found in self._port(port, rule)
        )
        ports += tuple(Icmp(item.family, item.type) for item in rule.icmps)
        if rule.ports and not ports:
            # An item without ports lets nothing through.
            return
        yield Said(rule.name, rule.action, peers, ports or None, rule.place)

    @staticmethod
    def _all(peers: Sequence[types.Peer]) -> bool:
        return any(isinstance(peer, types.EntityPeer) and peer.entity is types.Entity.ALL for peer in peers)

    def _looks_into(self, rule: types.CiliumRule, item: types.PortRule) -> None:
        if item.application is None and not item.foreign:
            return
        kinds = {HttpRules: "HTTP", DnsRules: "DNS"}
        what = kinds.get(type(item.application), "server names of TLS") if item.application else item.foreign
        self._refuse(
            item.places[0] if item.places else item.place,
            f"{rule.name} looks into requests ({what}), and other dialects decide by address and port",
            "to allow every request on the port, leave the rules about requests out; else keep it as it is",
        )

    def _peer(self, peer: types.Peer, rule: types.CiliumRule) -> Iterator[Peer]:
        if isinstance(peer, types.EndpointPeer):
            yield from peers_of(peer.selector, self.problems)
        elif isinstance(peer, types.CidrPeer):
            yield Peer(Addresses(peer.network, peer.excepts), peer.place)
        elif isinstance(peer, types.GroupPeer):
            yield from self._group(peer)
        elif isinstance(peer, types.EntityPeer) and peer.entity in _ENTITIES:
            for what in _ENTITIES[peer.entity]:
                yield Peer(what, peer.place)
        elif isinstance(peer, types.EntityPeer):
            self._refuse(
                peer.place,
                f"{rule.name} names the entity {peer.entity}, which only Cilium knows",
                "name pods, addresses, or the entities world, cluster, host, remote-node",
            )
        else:
            what_is_named, help = _WITHOUT_WORDS[type(peer)]
            self._refuse(peer.place, f"{rule.name} names {what_is_named}", help)

    def _group(self, peer: types.GroupPeer) -> Iterator[Peer]:
        networks = members(peer, self.groups)
        known = [group for group in self.groups if peer.selector is not None or group.name == peer.name]
        if not known:
            self._refuse(
                peer.place,
                "the CiliumCIDRGroup that is named is not among the files",
                "name its file as well, so that its addresses are known",
            )
        for network in networks:
            holes = tuple(hole for hole in peer.excepts if hole.version == network.version)
            yield Peer(Addresses(network, holes), peer.place)

    def _port(self, port: types.Port, rule: types.CiliumRule) -> Iterator[Port]:
        if not port.protocols:
            self._refuse(
                port.place,
                f"{rule.name} is about a protocol without ports, which only Cilium knows",
                "leave it out, or keep the policy in its own dialect",
            )
        for protocol in port.protocols:
            if isinstance(port.first, str):
                yield NamedPort(port.first, protocol)
            else:
                yield Ports(protocol, port.first or None, port.last)

    def _refuse(self, place: Place, what: str, help: str) -> None:
        refuse(self.problems, place, what, help)
