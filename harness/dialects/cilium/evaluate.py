"""Cilium's policies on paper: whom a policy selects, and which of its rules match (semantics.md 3.3).

Shares the parser and the selectors with the compiler, and nothing else: each checks the other. What a policy
denies comes before what any policy of the tier allows, so a policy stands twice where it has rules of both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from harness.dialects.applications import FIELDS, each, in_words, passes
from harness.dialects.cilium.peers import Ends, means, services
from harness.dialects.cilium.types import (
    CidrGroup,
    CiliumPolicy,
    CiliumRule,
    CiliumSpec,
    IcmpField,
    Peer,
    Port,
    PortRule,
    ServicePeer,
)
from harness.dialects.connection import Connection
from harness.dialects.lookups import questions
from harness.dialects.paper import port_text
from harness.dialects.standing import Match, Standing, depends_on
from harness.model.application import DnsRules
from harness.model.policy import Policy
from harness.model.probe import DnsQuery, SourceKind
from harness.model.rules import NETWORK_POLICY_TIER, Action, Direction, Origin
from harness.model.topology import Family, Pod, Protocol, Topology
from harness.model.trace import Part
from harness.source import Place

DENIES, ALLOWS = 0, 1000
"""Places in the tier: denials before all else; allows where NetworkPolicies are, which may allow as well."""

_ECHO = {Family.IPV4: 8, Family.IPV6: 128}
"""Types of echo requests, the only ICMP that probes send."""

_ALWAYS_FAILS, _REQUIRED = "test-always-fail", "required"

LEAK = "there is no such service, and ports beside none are open to everybody (measured on Cilium 1.19.1)"
"""Why a rule matches that names services of which there is none."""


def standing(
    policies: Sequence[Policy], topology: Topology, direction: Direction, pod: Pod
) -> Iterator[Standing]:
    """The policies that select a pod and have rules for the direction; never a hostNetwork pod."""
    if pod.host_network:
        return
    groups = [policy.parsed for policy in policies if isinstance(policy.parsed, CidrGroup)]
    selecting = [
        (policy, [spec for spec in policy.parsed.specs if _concerns(spec, direction, pod, topology)])
        for policy in policies
        if isinstance(policy.parsed, CiliumPolicy)
    ]
    lookups = [
        rule
        for _, specs in selecting
        for spec in specs
        for rule in spec.rules(direction)
        if any(isinstance(item.application, DnsRules) for item in rule.ports)
    ]
    modes = {
        rule.authentication
        for _, specs in selecting
        for spec in specs
        for rule in spec.rules(direction)
        if rule.authentication
    }
    for policy, specs in selecting:
        rules = [rule for spec in specs for rule in spec.rules(direction)]
        isolates = any(direction in spec.isolates for spec in specs)
        denies = [rule for rule in rules if _denies(rule)]
        allows = [
            rule for rule in rules if rule.action is Action.ALLOW and rule.authentication != _ALWAYS_FAILS
        ]
        if denies:
            found = _Standing(policy, denies, direction, topology, groups, modes, lookups)
            found.order, found.verdict = DENIES, Action.DENY
            found.isolates = isolates and not allows
            yield found
        if allows:
            found = _Standing(policy, allows, direction, topology, groups, modes, lookups)
            found.isolates = isolates
            yield found


def _concerns(spec: CiliumSpec, direction: Direction, pod: Pod, topology: Topology) -> bool:
    found = spec.subject is not None and spec.subject.matches_pod(pod, topology)
    return found and bool(spec.rules(direction))


def _denies(rule: CiliumRule) -> bool:
    """Rules that can deny: what has to be authenticated and is not falls, whatever else allows it."""
    return rule.action is Action.DENY or rule.authentication in (_ALWAYS_FAILS, _REQUIRED)


class _Standing(Standing):
    """The rules of one policy that deny, or those that allow."""

    order = ALLOWS
    ordered = False
    strict = True

    def __init__(
        self,
        policy: Policy,
        rules: Sequence[CiliumRule],
        direction: Direction,
        topology: Topology,
        groups: Sequence[CidrGroup],
        modes: set[str],
        lookups: Sequence[CiliumRule],
    ) -> None:
        super().__init__(policy, NETWORK_POLICY_TIER, rules, direction, topology)
        self.verdict = Action.ALLOW
        self._groups = groups
        self._modes = modes
        self._lookups = lookups

    def rule_origin(self, number: int) -> Origin:
        """See `Standing.rule_origin`."""
        rule: CiliumRule = self.rules[number]
        return Origin(str(self.policy), rule.name, rule.place)

    def action(self, rule: CiliumRule) -> Action:
        """See `Standing.action`."""
        return self.verdict

    def matches(self, rule: CiliumRule, connection: Connection) -> Match:
        """Any peer AND any port; a rule that gives neither matches nothing."""
        if rule.idle:
            return False
        port = self._any_port(rule, connection)
        if port is False:
            return False
        peer = self._any_peer(rule, connection)
        found = port if peer is True else peer
        if found is True and rule.action is Action.ALLOW and not self._authenticated(rule):
            return "authentication"
        return found

    def demands(self, rule: CiliumRule) -> bool:
        """See `Standing.demands`."""
        return rule.looks_into

    def passes(self, rule: CiliumRule, connection: Connection) -> Match:
        """Any item of `toPorts` whose ports match; items that look for nothing let everything pass."""
        if not rule.ports:
            names = isinstance(connection.request, DnsQuery) and self._lookups
            return "dns-any-port" if names else True
        return _any(self._item(item, connection) for item in rule.ports)

    def _item(self, item: PortRule, connection: Connection) -> Match:
        port = _any(self._port(one, connection) for one in item.ports)
        if port is False:
            return False
        found: Match = "application" if item.foreign else True
        if item.application is not None and not item.foreign:
            found = passes(item.application, connection)
        return port if found is True else found

    def near(self, rule: CiliumRule, connection: Connection) -> bool:
        """See `Standing.near`."""
        return not rule.idle and self._any_peer(rule, connection) is not False

    def _authenticated(self, rule: CiliumRule) -> bool:
        """Whether it is known what becomes of authentication: rules that ask for other modes may prevail."""
        if rule.authentication == _ALWAYS_FAILS:
            return len(self._modes) == 1
        return rule.authentication != _REQUIRED

    def parts(self, rule: CiliumRule, connection: Connection) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
        """See `Standing.parts`."""
        ends = self._ends(connection)
        peers = tuple(
            _part(f"{rule.side}[{number}]", means(peer, ends), _against(peer, ends), peer.place)
            for number, peer in enumerate(rule.peers or ())
        )
        if rule.idle:
            why = "an empty list means nobody" if rule.side else "a rule without peers and ports means nobody"
            peers = (Part(rule.side or "peers", False, why, rule.place),)
        if self._leaks(rule) and rule.action is Action.ALLOW:
            peers = (Part(rule.side, True, LEAK, rule.place),)
        ports = tuple(
            _part(
                f"toPorts[{number}].ports[{index}]", self._port(port, connection), _wanted(port), port.place
            )
            for number, item in enumerate(rule.ports)
            for index, port in enumerate(item.ports)
        )
        icmps = tuple(
            _part(
                f"icmps[{number}]",
                _icmp(field, connection),
                f"wants type {field.type} of ICMP over {'IPv4' if field.family is Family.IPV4 else 'IPv6'}",
                field.place,
            )
            for number, field in enumerate(rule.icmps)
        )
        ports += tuple(self._requests(rule, connection))
        if rule.action is Action.ALLOW and not self._authenticated(rule):
            why = f"wants mode {rule.authentication}; {depends_on('authentication')}"
            peers, ports, icmps = (tuple(_doubted(part) for part in each) for each in (peers, ports, icmps))
            ports += (Part("authentication", None, why, rule.place),)
        return peers, ports + icmps

    def _requests(self, rule: CiliumRule, connection: Connection) -> Iterator[Part]:
        """What is looked for, item by item."""
        for number, item in enumerate(rule.ports):
            if item.application is None or not any(self._port(port, connection) for port in item.ports):
                continue
            for index, (place, one) in enumerate(zip(item.places, each(item.application), strict=True)):
                name = f"toPorts[{number}].{FIELDS[type(one)]}[{index}]"
                yield _part(name, passes(one, connection), f"wants {in_words(one)}", place)

    def _ends(self, connection: Connection) -> Ends:
        subject, peer = connection.subject(self.direction), connection.peer(self.direction)
        return Ends(
            subject,
            peer,
            self.topology,
            self._groups,
            self._learned(connection),
            connection.family,
            connection.personality.cidr,
        )

    def _learned(self, connection: Connection) -> str | None:
        """The name that the subject has just looked up, if a DNS proxy saw the answer."""
        if not self._lookups or self.direction is Direction.INGRESS:
            return None
        asked = list(questions(connection, self.topology))
        seen = all(
            any(
                self.matches(rule, question) is True and self.passes(rule, question) is True
                for rule in self._lookups
            )
            for question in asked
        )
        return connection.looked_up if asked and seen else None

    def _any_peer(self, rule: CiliumRule, connection: Connection) -> Match:
        if rule.peers is None:
            return True
        if self._leaks(rule):
            return True if rule.action is Action.ALLOW else "service-ports"
        ends = self._ends(connection)
        return _any(means(peer, ends) for peer in rule.peers)

    def _leaks(self, rule: CiliumRule) -> bool:
        """Whether ports stand beside names of services of which there is none."""
        named = [peer for peer in rule.peers or () if isinstance(peer, ServicePeer)]
        alone = bool(named) and len(named) == len(rule.peers or ())
        return alone and bool(rule.ports) and not any(services(peer, self.topology) for peer in named)

    def _any_port(self, rule: CiliumRule, connection: Connection) -> Match:
        if not rule.ports and not rule.icmps:
            return True
        if connection.protocol is Protocol.ICMP:
            return any(_icmp(field, connection) for field in rule.icmps)
        return _any(self._port(port, connection) for item in rule.ports for port in item.ports)

    def _port(self, port: Port, connection: Connection) -> Match:
        if connection.protocol not in port.protocols:
            return False
        if isinstance(port.first, int):
            return not port.first or port.first <= connection.port <= (port.last or port.first)
        end = connection.destination
        named = end.kind is SourceKind.POD and (connection.protocol, connection.port) in _named(
            self.topology.pods[end.name], port.first
        )
        if self.direction is Direction.INGRESS:
            return named
        everywhere = {
            number
            for pod in self.topology.pods.values()
            for protocol, number in _named(pod, port.first)
            if protocol is connection.protocol
        }
        if connection.port not in everywhere:
            return False
        # One number for a name that pods use differently is no name any more (section 4 no. 16).
        return True if named and len(everywhere) == 1 else "named-port"


def _named(pod: Pod, name: str) -> set[tuple[Protocol, int]]:
    return {(item.protocol, item.port) for item in pod.listeners if item.name == name}


def _icmp(field: IcmpField, connection: Connection) -> bool:
    return (
        connection.protocol is Protocol.ICMP
        and field.family is connection.family
        and field.type == _ECHO[connection.family]
    )


def _against(peer: Peer, ends: Ends) -> str:
    found = means(peer, ends)
    what = ends.peer.address or ends.peer
    if found is True:
        return f"{what} is meant"
    if ends.peer.kind is not SourceKind.EXTERNAL and found is False and type(peer).__name__ in _ADDRESSES:
        return f"{what} is inside of the cluster, where addresses mean nobody"
    return f"{what} is not meant" if found is False else f"{what} may be meant"


_ADDRESSES = ("CidrPeer", "GroupPeer", "FqdnPeer", "CloudPeer")


def _wanted(port: Port) -> str:
    if not port.protocols:
        return "wants a protocol without ports"
    if len(port.protocols) == 1:
        return f"wants {port_text(port.protocols[0], port.first or None, port.last)}"
    span = port.first if port.last in (None, port.first) else f"{port.first}-{port.last}"
    return f"wants {span or 'any port'} of TCP, UDP or SCTP"


def _doubted(part: Part) -> Part:
    """What matches by itself, where it is open whether the whole rule does."""
    return replace(part, matched=None) if part.matched else part


def _part(name: str, match: Match, why: str, place: Place) -> Part:
    if isinstance(match, str):
        return Part(name, None, f"{why}; {depends_on(match)}", place)
    return Part(name, match, why, place)


def _any(matches: Iterable[Match]) -> Match:
    """True if one is, else what it depends on if there is such a thing, else False."""
    found: Match = False
    for match in matches:
        if match is True:
            return True
        found = found or match
    return found
