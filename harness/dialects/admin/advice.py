"""What a reviewer would say of an admin policy that is valid, among the pods of a world."""

from __future__ import annotations

from collections.abc import Iterator

from harness.dialects.admin.types import AdminPolicy, PodSet
from harness.model.policy import Policy
from harness.model.rules import Direction
from harness.model.topology import Topology
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
    """Subjects and peers that are nobody here."""
    parsed: AdminPolicy = policy.parsed
    if not _anybody(parsed.subject, topology):
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
                if isinstance(peer, PodSet) and not _anybody(peer, topology):
                    yield Diagnostic(
                        "peer-matches-nothing",
                        Severity.WARNING,
                        "no pod is in such a namespace and has such labels",
                        peer.place,
                        "correct the labels, or remove the peer",
                    )


def _anybody(chosen: PodSet, topology: Topology) -> bool:
    return any(
        chosen.namespaces.matches(topology.namespaces[pod.namespace].labels)
        and chosen.pods.matches(pod.labels)
        for pod in topology.pods.values()
        if not pod.host_network
    )
