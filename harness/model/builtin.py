"""What every cluster brings along: the namespaces `default` and `kube-system`, and the cluster's DNS."""

from __future__ import annotations

from harness.model.topology import (
    METADATA_NAME,
    Listener,
    Namespace,
    Pod,
    Protocol,
    Service,
    ServicePort,
    Topology,
)

CLUSTER_DOMAIN = "cluster.local"
BUILTIN_NAMESPACES = ("default", "kube-system")
DNS_POD = "kube-system/kube-dns"
"""Id of the cluster's DNS, as pod and as service; patterns such as `*` never include it."""

_DNS_LABELS = {"k8s-app": "kube-dns"}


def with_builtins(topology: Topology) -> Topology:
    """The topology with the namespaces and the DNS that every cluster has; what it declares itself wins."""
    namespaces = dict(topology.namespaces)
    for name in BUILTIN_NAMESPACES:
        namespaces.setdefault(name, Namespace(name, {METADATA_NAME: name}))
    pods = dict(topology.pods)
    pods.setdefault(
        DNS_POD,
        Pod(
            "kube-system",
            "kube-dns",
            labels=_DNS_LABELS,
            listeners=(Listener(53, Protocol.UDP, "dns"), Listener(53, Protocol.TCP, "dns-tcp")),
        ),
    )
    services = dict(topology.services)
    services.setdefault(
        DNS_POD,
        Service(
            "kube-system",
            "kube-dns",
            selector=_DNS_LABELS,
            ports=(
                ServicePort(53, 53, Protocol.UDP, "dns"),
                ServicePort(53, 53, Protocol.TCP, "dns-tcp"),
            ),
            labels=_DNS_LABELS,
        ),
    )
    return Topology(namespaces, pods, services, dict(topology.externals))
