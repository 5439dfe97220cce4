"""Who answers behind a target, and whom they take: what mutual TLS is expected to come to."""

from __future__ import annotations

from harness.model.builtin import CLUSTER_DOMAIN
from harness.model.probe import Target, TargetKind
from harness.model.topology import Pod, Protocol, Topology


def behind(target: Target, topology: Topology) -> tuple[tuple[Pod, int], ...]:
    """The pods that a target leads to, each with the port it serves; none where it leads elsewhere."""
    if target.kind is TargetKind.POD:
        pod = topology.pods.get(target.name)
        return () if pod is None else ((pod, target.port),)
    found: list[tuple[Pod, int]] = []
    for service in topology.services.values():
        name = f"{service.name}.{service.namespace}.svc.{CLUSTER_DOMAIN}"
        meant = {
            TargetKind.SERVICE: service.id == target.name,
            TargetKind.NODEPORT: True,
            TargetKind.HOST: name == target.name.rstrip(".").lower(),
        }
        if not meant.get(target.kind):
            continue
        for port in service.ports:
            number = port.node_port if target.kind is TargetKind.NODEPORT else port.port
            if number == target.port and port.protocol is target.protocol:
                found += topology.backends(service, port)
    return tuple(found)


def allowed(target: Target, topology: Topology) -> tuple[str, ...] | None:
    """SPIFFE IDs that every pod behind a target takes; None where none of them demands any."""
    if target.protocol is not Protocol.TCP:
        return None
    wanted = [admits(pod, port) for pod, port in behind(target, topology)]
    strict = [ids for ids in wanted if ids]
    if not strict:
        return None
    return tuple(item for item in strict[0] if all(item in ids for ids in strict))


def admits(pod: Pod, port: int) -> tuple[str, ...]:
    """SPIFFE IDs that a pod takes on a port; empty where it demands none."""
    for listener in pod.listeners:
        if listener.port == port and listener.protocol is Protocol.TCP:
            return listener.allow
    return ()


def identities(target: Target, topology: Topology) -> tuple[str, ...]:
    """SPIFFE IDs of the pods behind a target, each once."""
    found = (pod.identity for pod, _ in behind(target, topology))
    return tuple(dict.fromkeys(identity for identity in found if identity is not None))
