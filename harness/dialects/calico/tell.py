"""Calico's policies in the words of `harness.dialects.meaning`, and what these have no words for."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence

from harness.dialects.calico import types
from harness.dialects.calico.selectors import Expression, SetLabels
from harness.dialects.calico.tell_selectors import pods_of
from harness.dialects.meaning import (
    Addresses,
    Icmp,
    Meaning,
    NamedPort,
    Peer,
    Pods,
    Port,
    Ports,
    Said,
    namespace,
    refuse,
)
from harness.dialects.selectors import LabelSelector
from harness.model.policy import Policy
from harness.model.rules import Action, Direction, Network
from harness.model.topology import Family, Protocol, Topology
from harness.source import Place
from harness.source.diagnostics import Problems

_PROTOCOLS = {types.TCP: Protocol.TCP, types.UDP: Protocol.UDP, types.SCTP: Protocol.SCTP}
_ICMP = {types.ICMP: Family.IPV4, types.ICMP_V6: Family.IPV6}
_LAST = 65535
EVERYWHERE = tuple(ipaddress.ip_network(text) for text in ("0.0.0.0/0", "::/0"))


def tell(policies: Sequence[Policy], problems: Problems) -> Iterator[Meaning]:
    """What Calico's policies say, in their order; the addresses of sets stand where they are selected."""
    sets = [policy.parsed for policy in policies if isinstance(policy.parsed, types.NetworkSet)]
    found = []
    for policy in policies:
        parsed = policy.parsed
        if isinstance(parsed, types.NetworkSet):
            continue
        if not isinstance(parsed, types.CalicoPolicy) or parsed.staged:
            refuse(
                problems,
                policy.place,
                f"{policy} is no policy that is enforced on pods, and no other dialect has such an object",
                "leave it out of what is converted",
            )
            continue
        found.append((policy, parsed))
    # Where all of them only allow, their order says nothing.
    ordered = any(
        rule.action is not Action.ALLOW
        for _, parsed in found
        for direction in parsed.directions
        for rule in parsed.rules(direction)
    )
    for policy, parsed in sorted(found, key=lambda item: (item[1].order, item[0].name)):
        yield from _Teller(policy, parsed, sets, problems).meanings(ordered=ordered)


class _Teller:
    """Tells one policy."""

    def __init__(
        self, policy: Policy, parsed: types.CalicoPolicy, sets: Sequence[types.NetworkSet], problems: Problems
    ) -> None:
        self.policy = policy
        self.parsed = parsed
        self.sets = sets
        self.problems = problems

    def meanings(self, *, ordered: bool) -> Iterator[Meaning]:
        """One for each alternative of the policy's selector."""
        parsed = self.parsed
        if parsed.tier != types.DEFAULT_TIER:
            self._refuse(parsed.tier_place, f"{self.policy} stands in the tier {parsed.tier}")
        if parsed.hosts_only or parsed.forwarded:
            self._refuse(parsed.place, f"{self.policy} is about hosts")
        rules = {
            direction: tuple(
                said
                for rule in parsed.rules(direction)
                for said in self._rule(rule, direction)
                if direction in parsed.directions
            )
            for direction in Direction
        }
        subjects = self._pods(parsed.subject, parsed.subject_place)
        for number, subject in enumerate(subjects, 1):
            name = self.policy.name if len(subjects) == 1 else f"{self.policy.name}-{number}"
            yield Meaning(
                self.policy,
                name,
                parsed.namespace,
                self._at_home(subject),
                parsed.directions,
                rules,
                self.policy.place,
                order=parsed.order,
                ordered=ordered,
            )

    def _at_home(self, subject: Pods) -> Pods:
        """Of a policy with a namespace, its own namespace is named once."""
        own = namespace(self.parsed.namespace).requirements
        rest = tuple(item for item in subject.namespaces.requirements if item not in own)
        if not self.parsed.namespace or rest:
            return subject
        return Pods(LabelSelector(own), subject.pods, subject.accounts)

    def _rule(self, rule: types.CalicoRule, direction: Direction) -> Iterator[Said]:
        if rule.action is Action.LOG:
            self._refuse(rule.place, f"{rule.name} logs, and decides nothing", "leave it out")
            return
        own, peer = rule.own(direction), rule.peer(direction)
        if not own.anybody:
            self._refuse(own.place, f"{rule.name} is about some of the pods that the policy selects")
        if rule.source.ports or rule.source.not_ports:
            self._refuse(rule.source.place, f"{rule.name} goes by the port from which is sent")
        if rule.http is not None:
            self._refuse(rule.http.place, f"{rule.name} looks into requests")
        ports = self._ports(rule)
        peers = self._peers(rule, peer)
        icmp = bool(ports) and all(isinstance(port, Icmp) for port in ports or ())
        both = peers is None or any(isinstance(one.what, Pods) for one in peers)
        if rule.version is not None and both and not icmp:
            self._refuse(rule.place, f"{rule.name} is about IPv{rule.version} only")
        yield Said(rule.name, rule.action, peers, ports, rule.place)

    # -- peers -----------------------------------------------------------------------------------------

    def _peers(self, rule: types.CalicoRule, peer: types.Entity) -> tuple[Peer, ...] | None:
        if peer.anybody:
            return None
        if peer.not_selector is not None:
            self._refuse(peer.not_selector.place, f"{rule.name} means everybody but some by a notSelector")
        if peer.services is not None:
            self._refuse(
                peer.services.place, f"{rule.name} names a service", "name the pods behind it by labels"
            )
        if peer.members is not None and (peer.nets or peer.not_nets):
            self._refuse(peer.place, f"{rule.name} wants labels and addresses at once")
        found = [Peer(what, peer.place) for what in self._addresses(peer)]
        if peer.members is not None:
            found += [Peer(pods, peer.place) for pods in self._pods(peer.members, peer.place)]
            found += [Peer(Addresses(net), peer.place) for net in self._of_sets(peer.members)]
        return tuple(found)

    @staticmethod
    def _addresses(peer: types.Entity) -> Iterator[Addresses]:
        nets = [item.network for item in peer.nets]
        if peer.not_nets and not nets:
            nets = list(EVERYWHERE)
        for net in nets:
            holes = tuple(
                item.network
                for item in peer.not_nets
                if item.network.version == net.version and item.network.overlaps(net)
            )
            if not any(_covers(hole, net) for hole in holes):
                yield Addresses(net, holes)

    def _of_sets(self, members: Expression) -> Iterator[Network]:
        for item in self.sets:
            if members.matches(SetLabels(dict(item.labels), item.namespace, Topology())):
                yield from item.nets

    def _pods(self, expression: Expression, place: Place) -> list[Pods]:
        return pods_of(expression, place, self.problems)

    # -- ports -----------------------------------------------------------------------------------------

    def _ports(self, rule: types.CalicoRule) -> tuple[Port, ...] | None:
        if rule.not_protocol is not None:
            self._refuse(rule.not_protocol.place, f"{rule.name} excludes a protocol")
        if rule.not_icmp is not None:
            self._refuse(rule.not_icmp.place, f"{rule.name} excludes a type of ICMP")
        if rule.protocol is None:
            return None
        if rule.protocol.number in _ICMP:
            return self._icmp(rule, _ICMP[rule.protocol.number])
        if rule.protocol.number not in _PROTOCOLS:
            self._refuse(rule.protocol.place, f"{rule.name} is about the protocol {rule.protocol.text}")
            return ()
        protocol = _PROTOCOLS[rule.protocol.number]
        wanted, not_wanted = rule.destination.ports, rule.destination.not_ports
        if not_wanted and (wanted or any(port.name for port in not_wanted)):
            self._refuse(not_wanted[0].place, f"{rule.name} excludes ports by name, or of others")
        if not_wanted:
            return tuple(Ports(protocol, first, last) for first, last in _between(not_wanted))
        if not wanted:
            return (Ports(protocol),)
        return tuple(
            NamedPort(port.name, protocol) if port.name else Ports(protocol, port.first, port.last)
            for port in wanted
        )

    def _icmp(self, rule: types.CalicoRule, family: Family) -> tuple[Port, ...]:
        icmp = rule.icmp
        if icmp is None or icmp.type is None or icmp.code is not None:
            place = icmp.place if icmp is not None else rule.place
            self._refuse(place, f"{rule.name} means all of ICMP, or a code of it", "name one type of ICMP")
            return ()
        return (Icmp(family, icmp.type),)

    def _refuse(self, place: Place, what: str, help: str = "") -> None:
        refuse(
            self.problems,
            place,
            f"{what}, which has no form in other dialects" if not help else what,
            help or "say it without, or keep the policy in its own dialect",
        )


def _covers(hole: Network, net: Network) -> bool:
    return hole.version == net.version and hole.prefixlen <= net.prefixlen and net.network_address in hole


def _between(ports: Sequence[types.Port]) -> Iterator[tuple[int, int]]:
    """The ports that are none of these."""
    first = 1
    for port in sorted(ports, key=lambda item: item.first):
        if port.first > first:
            yield first, port.first - 1
        first = max(first, port.last + 1)
    if first <= _LAST:
        yield first, _LAST
