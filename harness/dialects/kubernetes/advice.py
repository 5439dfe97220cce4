"""What a reviewer would say of a valid NetworkPolicy: about the policy alone, and about it in a world.

Nothing here stops a run. What is said of a world is said of this world only: whoever lints several keeps what
holds in all of them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence

from harness.dialects.kubernetes.types import BlockPeer, NetworkPolicy, PodPeer, PolicyRule
from harness.dialects.unheard import WHO, unheard
from harness.model.policy import Policy
from harness.model.rules import Direction, Network
from harness.model.topology import METADATA_NAME, Pod, Topology
from harness.source import Place
from harness.source.diagnostics import Diagnostic, Related, Severity

_PRIVATE = tuple(
    ipaddress.ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
)
"""Where pods of practically every cluster have their addresses (RFC 1918, RFC 4193)."""

_HOST_SIZES = {4: 30, 6: 126}
"""Blocks at least this long name single machines, not ranges that could hold pods by accident."""

_SIDES = {Direction.INGRESS: "from", Direction.EGRESS: "to"}


def of_policy(policy: Policy) -> Iterator[Diagnostic]:
    """What can be said of the policy without any world."""
    parsed: NetworkPolicy = policy.parsed
    for direction in (Direction.INGRESS, Direction.EGRESS):
        if direction not in parsed.directions:
            continue
        for rule in parsed.rules(direction):
            yield from _two_peers(rule, direction)
            for peer in rule.peers:
                if isinstance(peer, BlockPeer):
                    yield from _covers_pods(peer)


def in_world(policy: Policy, topology: Topology) -> Iterator[Diagnostic]:
    """What can be said of the policy among these namespaces and pods."""
    parsed: NetworkPolicy = policy.parsed
    pods = [pod for pod in topology.pods.values() if not pod.host_network]
    subjects = [
        pod for pod in pods if pod.namespace == parsed.namespace and parsed.subject.matches(pod.labels)
    ]
    if not subjects:
        yield _warning(
            "selects-no-pod",
            f"{policy} selects none of the pods in namespace {parsed.namespace}",
            parsed.place,
            help=_near_miss(parsed, pods),
        )
    for direction in (Direction.INGRESS, Direction.EGRESS):
        if direction not in parsed.directions:
            continue
        for rule in parsed.rules(direction):
            for peer in rule.peers:
                if isinstance(peer, PodPeer):
                    yield from _nobody(peer, parsed.namespace, topology, pods)
            reached = subjects if direction is Direction.INGRESS else _reached(rule, parsed, topology, pods)
            if reached:
                for port in rule.ports:
                    who = WHO[direction]
                    yield from unheard(port.protocol, port.port, port.end, reached, who, port.place)


def _two_peers(rule: PolicyRule, direction: Direction) -> Iterator[Diagnostic]:
    """A namespace alone, then pods alone: often one peer was meant (semantics.md 1.1)."""
    for first, second in zip(rule.peers, rule.peers[1:], strict=False):
        if not (isinstance(first, PodPeer) and isinstance(second, PodPeer)):
            continue
        if first.namespaces is not None and not first.pods.requirements and second.namespaces is None:
            yield Diagnostic(
                "peers-are-alternatives",
                Severity.INFO,
                f"two items of `{_SIDES[direction]}` are alternatives: every pod of those namespaces, "
                "or these pods of the policy's own namespace",
                second.place,
                help="for these pods in those namespaces make one item of it: leave out the `- ` before "
                "podSelector",
                related=(Related(first.place, "the other alternative"),),
            )


def _covers_pods(peer: BlockPeer) -> Iterator[Diagnostic]:
    network, holes = peer.block.network, peer.block.excepts
    if network.prefixlen >= _HOST_SIZES[network.version]:
        return
    covered = [
        item for item in _PRIVATE if item.version == network.version and _open_part(network, holes, item)
    ]
    if covered:
        yield Diagnostic(
            "ipblock-may-cover-pods",
            Severity.INFO,
            f"{network} reaches into {covered[0]}, where pods may have their addresses; whether an ipBlock "
            "matches pods differs from CNI to CNI",
            peer.place,
            help="except the cluster's own ranges, and select pods by their labels",
        )


def _open_part(network: Network, holes: Sequence[Network], private: Network) -> bool:
    """Whether a part of `private` is inside `network` and in none of the holes."""
    if not network.overlaps(private):
        return False
    common = network if network.prefixlen >= private.prefixlen else private
    return not any(
        hole.version == common.version and hole.prefixlen <= common.prefixlen and hole.overlaps(common)
        for hole in holes
    )


def _near_miss(parsed: NetworkPolicy, pods: Sequence[Pod]) -> str:
    elsewhere = sorted(
        {
            pod.namespace
            for pod in pods
            if pod.namespace != parsed.namespace and parsed.subject.matches(pod.labels)
        }
    )
    if elsewhere:
        where = ", ".join(elsewhere)
        return f"pods with these labels are in {where}; a policy selects pods of its own namespace"
    known = sorted(
        {
            f"{key}={value}"
            for pod in pods
            if pod.namespace == parsed.namespace
            for key, value in pod.labels.items()
        }
    )
    return f"labels there: {', '.join(known[:8])}" if known else "no pod there has labels"


def _nobody(peer: PodPeer, own: str, topology: Topology, pods: Sequence[Pod]) -> Iterator[Diagnostic]:
    if peer.namespaces is None:
        names = {own}
    else:
        names = {name for name, item in topology.namespaces.items() if peer.namespaces.matches(item.labels)}
        if not names:
            asked = {item.key for item in peer.namespaces.requirements}
            help = f"labels of namespaces here: {_labels_of_namespaces(topology)}"
            if "name" in asked:
                help = f"the label that every namespace carries is `{METADATA_NAME}`"
            yield _warning("peer-matches-nothing", "no namespace has these labels", peer.place, help=help)
            return
    if not any(pod.namespace in names and peer.pods.matches(pod.labels) for pod in pods):
        where = ", ".join(sorted(names)[:5]) + (" and others" if len(names) > 5 else "")
        yield _warning(
            "peer-matches-nothing",
            f"no pod in {where} has these labels",
            peer.place,
            help="correct the labels, or remove the peer",
        )


def _labels_of_namespaces(topology: Topology) -> str:
    known = sorted(
        {
            f"{key}={value}"
            for item in topology.namespaces.values()
            for key, value in item.labels.items()
            if key != METADATA_NAME
        }
    )
    return ", ".join(known[:8]) if known else "none besides their names"


def _reached(rule: PolicyRule, parsed: NetworkPolicy, topology: Topology, pods: Sequence[Pod]) -> list[Pod]:
    """Pods to which an egress rule leads; none where it leads to addresses as well."""
    if not rule.peers or any(isinstance(peer, BlockPeer) for peer in rule.peers):
        return []
    found = []
    for pod in pods:
        for peer in rule.peers:
            assert isinstance(peer, PodPeer)
            labels = topology.namespaces[pod.namespace].labels
            here = (
                pod.namespace == parsed.namespace
                if peer.namespaces is None
                else peer.namespaces.matches(labels)
            )
            if here and peer.pods.matches(pod.labels):
                found.append(pod)
                break
    return found


def _warning(id: str, message: str, place: Place, *, help: str = "") -> Diagnostic:
    return Diagnostic(id, Severity.WARNING, message, place, help)
