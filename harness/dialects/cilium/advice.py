"""What a reviewer would say of a valid policy of Cilium's: about it alone, and about it in a world."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence

from harness.dialects.cilium.peers import services
from harness.dialects.cilium.types import (
    CidrPeer,
    CiliumPolicy,
    CiliumRule,
    CiliumSpec,
    EndpointPeer,
    Entity,
    EntityPeer,
    FqdnPeer,
    NodePeer,
    Peer,
    PortRule,
    ServicePeer,
)
from harness.dialects.unheard import WHO, unheard
from harness.model.application import DnsRules
from harness.model.policy import Policy
from harness.model.rules import Action, Direction
from harness.model.topology import Pod, Protocol, Topology
from harness.source import Place
from harness.source.diagnostics import Diagnostic, Related, Severity

_PRIVATE = tuple(
    ipaddress.ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
)
"""Where pods of practically every cluster have their addresses (RFC 1918, RFC 4193)."""


def of_policy(policy: Policy) -> Iterator[Diagnostic]:
    """What can be said of the policy without any world."""
    if not isinstance(policy.parsed, CiliumPolicy):
        return
    for spec in policy.parsed.specs:
        if spec.nodes is not None:
            yield _info(
                "needs-setting",
                "a policy that selects nodes counts only where Cilium's host firewall is on",
                spec.place,
                "set hostFirewall.enabled=true",
            )
        for direction in Direction:
            rules = spec.rules(direction)
            yield from _empty(rules, direction)
            for rule in rules:
                yield from _of_rule(rule)
            yield from _opened(rules)
        yield from _names_only(spec)


def _empty(rules: Sequence[CiliumRule], direction: Direction) -> Iterator[Diagnostic]:
    """`{}` means nobody, which is the opposite of what it means in a NetworkPolicy (semantics.md 3.3)."""
    for rule in rules:
        if not rule.idle or rule.side:
            continue
        if len(rules) == 1 and rule.action is Action.ALLOW:
            yield _info(
                "empty-rule",
                f"`{direction}: [{{}}]` denies all {direction}; in a NetworkPolicy it would allow all",
                rule.place,
                f"to allow all write `- {_SIDES[direction]}Entities: [all]`",
            )
        else:
            yield _warning(
                "empty-rule",
                f"{rule.name} names neither peers nor ports, so it matches nothing",
                rule.place,
                f"for everybody write `{_SIDES[direction]}Entities: [all]`, or remove the rule",
            )


_SIDES = {Direction.INGRESS: "from", Direction.EGRESS: "to"}


def _of_rule(rule: CiliumRule) -> Iterator[Diagnostic]:
    for peer in rule.peers or ():
        yield from _of_peer(peer)
    if rule.ports and any(isinstance(peer, ServicePeer) for peer in rule.peers or ()):
        yield _warning(
            "services-with-ports",
            "toServices beside toPorts: while there is no such service, the ports are open to everybody; "
            "older releases than 1.19 refuse the policy or open them always",
            rule.place,
            "select the pods behind the service with toEndpoints",
        )
    if rule.authentication in ("required", "test-always-fail"):
        yield _info(
            "needs-setting",
            "authentication needs SPIRE beside Cilium; it is deprecated since 1.20",
            rule.place,
            "set authentication.mutual.spire.enabled=true, or let the workloads speak mutual TLS",
        )
    for item in rule.ports:
        spoken = {protocol for port in item.ports for protocol in port.protocols}
        if isinstance(item.application, DnsRules) and Protocol.TCP not in spoken:
            yield _info(
                "dns-without-tcp",
                "names may be asked for over UDP only: answers that are cut short cannot be asked for again "
                "over TCP",
                item.place,
                'write `{port: "53", protocol: ANY}`',
            )


def _of_peer(peer: Peer) -> Iterator[Diagnostic]:
    if isinstance(peer, NodePeer):
        yield _info(
            "needs-setting",
            "rules about nodes by their labels need a setting; without it agents mark the policy Valid=False",
            peer.place,
            "set nodeSelectorLabels=true, or write the entity remote-node",
        )
    elif isinstance(peer, CidrPeer) and any(_inside(peer, private) for private in _PRIVATE):
        yield _info(
            "cidr-means-no-pods",
            f"{peer.network} lies where pods and nodes may have their addresses, but CIDRs mean neither",
            peer.place,
            "select pods by labels, nodes by the entities host and remote-node",
        )
    elif isinstance(peer, EndpointPeer) and not peer.selector.reserved and peer.selector.matches({}, {}):
        yield _warning(
            "selector-means-outside",
            "this selector means nodes and addresses outside as well: who has none of the labels meets what "
            "excludes labels",
            peer.place,
            "add `{key: io.kubernetes.pod.namespace, operator: Exists}`",
        )


def _inside(peer: CidrPeer, private: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    return (
        peer.network.version == private.version
        and peer.network.prefixlen >= private.prefixlen
        and peer.network.network_address in private
    )


def _opened(rules: Sequence[CiliumRule]) -> Iterator[Diagnostic]:
    """A rule that looks for nothing, for the same peers and ports, makes the other one's demands void."""
    allows = [rule for rule in rules if rule.action is Action.ALLOW and not rule.idle]
    for rule in allows:
        for item in rule.ports:
            if item.application is None:
                continue
            opening = next((other for other in allows if _covers(other, rule, item)), None)
            if opening is not None:
                yield Diagnostic(
                    "demands-without-effect",
                    Severity.WARNING,
                    f"what {rule.name} looks for does not count: {opening.name} allows the same peers "
                    "everything on this port",
                    item.place,
                    "remove one of the two rules",
                    related=(Related(opening.place, "the rule that allows everything"),),
                )


def _covers(other: CiliumRule, rule: CiliumRule, demanding: PortRule) -> bool:
    """Whether a rule allows the peers of another one everything on the ports on which that one demands."""
    if other.icmps:
        return False
    free = {
        (protocol, port.first, port.last)
        for item in other.ports
        if item.application is None and not item.foreign
        for port in item.ports
        for protocol in port.protocols
    }
    wanted = {(protocol, port.first, port.last) for port in demanding.ports for protocol in port.protocols}
    if other.ports and not all(one in free or (one[0], 0, None) in free for one in wanted):
        return False
    if other.peers is None or any(_everybody(peer) for peer in other.peers):
        return True
    return rule.peers is not None and {_key(peer) for peer in rule.peers} <= {
        _key(peer) for peer in other.peers
    }


def _everybody(peer: Peer) -> bool:
    return isinstance(peer, EntityPeer) and peer.entity is Entity.ALL


def _key(peer: Peer) -> object:
    """What a peer means, wherever it stands."""
    if isinstance(peer, EndpointPeer | NodePeer):
        return type(peer), frozenset(peer.selector.terms)
    fields = [getattr(peer, name) for name in type(peer).__slots__ if name != "place"]
    return type(peer), tuple(fields)


def _names_only(spec: CiliumSpec) -> Iterator[Diagnostic]:
    """Names that resolve are of no use to who may not connect (semantics.md 1.3)."""
    if Direction.EGRESS not in spec.isolates:
        return
    allows = [rule for rule in spec.egress if rule.action is Action.ALLOW and not rule.idle]
    asking = [
        rule for rule in allows if rule.ports and all(_is_dns(rule, number) for number in _numbers(rule))
    ]
    with_names = [
        rule for rule in asking if any(isinstance(item.application, DnsRules) for item in rule.ports)
    ]
    if with_names and len(asking) == len(allows):
        yield _warning(
            "names-without-connections",
            "the policy lets pods ask for names and connect to nothing else: unless another policy allows "
            "it, no connection to what they are told comes about",
            with_names[0].place,
            "add a rule with toFQDNs, or with the peers that they are meant to reach",
        )


def _numbers(rule: CiliumRule) -> list[int | str]:
    return [port.first for item in rule.ports for port in item.ports]


def _is_dns(rule: CiliumRule, number: int | str) -> bool:
    return number in (53, "dns", "dns-tcp") and not any(
        isinstance(peer, FqdnPeer) for peer in rule.peers or ()
    )


def in_world(policy: Policy, topology: Topology) -> Iterator[Diagnostic]:
    """What can be said of the policy among these namespaces and pods."""
    if not isinstance(policy.parsed, CiliumPolicy):
        return
    pods = [pod for pod in topology.pods.values() if not pod.host_network]
    for spec in policy.parsed.specs:
        if spec.subject is None:
            continue
        subjects = [pod for pod in pods if spec.subject.matches_pod(pod, topology)]
        if not subjects:
            yield _warning(
                "selects-no-pod", f"{policy} selects no pod", spec.subject.place, "correct the labels of one"
            )
        for direction in Direction:
            for rule in spec.rules(direction):
                for peer in rule.peers or ():
                    yield from _nobody(peer, topology, pods)
                if rule.action is Action.ALLOW:
                    reached = subjects if direction is Direction.INGRESS else _reached(rule, topology, pods)
                    yield from _unheard(rule, direction, reached)


def _nobody(peer: Peer, topology: Topology, pods: Sequence[Pod]) -> Iterator[Diagnostic]:
    if isinstance(peer, EndpointPeer):
        if peer.selector.reserved or peer.selector.matches({}, {}):
            return
        if not any(peer.selector.matches_pod(pod, topology) for pod in pods):
            yield _warning(
                "peer-matches-nothing",
                "no pod has these labels in the namespaces that are meant",
                peer.place,
                "correct the labels; without io.kubernetes.pod.namespace the policy's own namespace is meant",
            )
    elif isinstance(peer, ServicePeer) and not services(peer, topology):
        yield _warning(
            "peer-matches-nothing",
            "there is no such service",
            peer.place,
            "correct the name of the service or of its namespace",
        )


def _reached(rule: CiliumRule, topology: Topology, pods: Sequence[Pod]) -> list[Pod]:
    """Pods to which an egress rule leads; none where it leads elsewhere as well."""
    peers = rule.peers or ()
    if not all(isinstance(peer, EndpointPeer) and not peer.selector.matches({}, {}) for peer in peers):
        return []
    return [
        pod
        for pod in pods
        if any(isinstance(peer, EndpointPeer) and peer.selector.matches_pod(pod, topology) for peer in peers)
    ]


def _unheard(rule: CiliumRule, direction: Direction, pods: Sequence[Pod]) -> Iterator[Diagnostic]:
    if not pods:
        return
    for item in rule.ports:
        for port in item.ports:
            if port.protocols:
                protocol = port.protocols[0] if len(port.protocols) == 1 else None
                number = port.first or None
                if number is not None:
                    yield from unheard(protocol, number, port.last, pods, WHO[direction], port.place)


def _warning(id: str, message: str, place: Place, help: str = "") -> Diagnostic:
    return Diagnostic(id, Severity.WARNING, message, place, help)


def _info(id: str, message: str, place: Place, help: str = "") -> Diagnostic:
    return Diagnostic(id, Severity.INFO, message, place, help)
