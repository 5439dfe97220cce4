"""What a reviewer would say of an admin policy that is valid, among the pods of a world."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.dialects.admin.types import AdminPolicy, AdminRule, PodSet, PortName
from harness.dialects.unheard import WHO, unheard
from harness.model.policy import Policy
from harness.model.rules import Action, Direction
from harness.model.topology import Pod, Topology
from harness.source.diagnostics import Diagnostic, Severity


def of_policy(policy: Policy) -> Iterator[Diagnostic]:
    """What can be said of the policy without any world."""
    if policy.api_version.endswith("/v1alpha1"):
        yield Diagnostic(
            "deprecated-api-version",
            Severity.WARNING,
            f"{policy.kind} of {policy.api_version} has been replaced by ClusterNetworkPolicy",
            policy.place,
            "write a ClusterNetworkPolicy (v1alpha2): `tier:` says where it stands, Allow is called Accept",
        )


def in_world(policy: Policy, topology: Topology) -> Iterator[Diagnostic]:
    """Subjects and peers that are nobody here, and open ports on which nobody listens."""
    parsed: AdminPolicy = policy.parsed
    subjects = _chosen(parsed.subject, topology)
    if not subjects:
        yield Diagnostic(
            "selects-no-pod",
            Severity.WARNING,
            f"{policy} selects no pod",
            parsed.subject.place,
            "correct the labels of the namespaces or of the pods",
        )
    for direction in (Direction.INGRESS, Direction.EGRESS):
        for rule in parsed.rules(direction):
            for peer in rule.peers:
                if isinstance(peer, PodSet) and not _chosen(peer, topology):
                    yield Diagnostic(
                        "peer-matches-nothing",
                        Severity.WARNING,
                        "no pod is in such a namespace and has such labels",
                        peer.place,
                        "correct the labels, or remove the peer",
                    )
            yield from _unheard(rule, direction, subjects, topology)


def _unheard(
    rule: AdminRule, direction: Direction, subjects: Sequence[Pod], topology: Topology
) -> Iterator[Diagnostic]:
    """Only of rules that accept: to deny a port on which nobody listens yet is no mistake."""
    if rule.action is not Action.ALLOW:
        return
    pods = subjects
    if direction is Direction.EGRESS:
        if not all(isinstance(peer, PodSet) for peer in rule.peers):
            return
        sets = [peer for peer in rule.peers if isinstance(peer, PodSet)]
        pods = list({pod.id: pod for peer in sets for pod in _chosen(peer, topology)}.values())
    for port in rule.ports:
        who = WHO[direction]
        if isinstance(port, PortName):
            yield from unheard(None, port.name, None, pods, who, port.place)
        else:
            yield from unheard(port.protocol, port.first, port.last, pods, who, port.place)


def _chosen(chosen: PodSet, topology: Topology) -> list[Pod]:
    return [
        pod
        for pod in topology.pods.values()
        if not pod.host_network
        and chosen.namespaces.matches(topology.namespaces[pod.namespace].labels)
        and chosen.pods.matches(pod.labels)
    ]
