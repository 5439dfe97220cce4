"""Whether the two ends of a connection take each other, once the network lets it through."""

from __future__ import annotations

from harness.model.identity import FOREIGN_DOMAIN, elsewhere
from harness.model.probe import (
    EXPIRED,
    NO_CERTIFICATE,
    OTHER_TRUST_DOMAIN,
    OWN,
    DnsQuery,
    Probe,
    SourceKind,
    TlsRequest,
)
from harness.model.serving import admits, behind
from harness.model.topology import Pod, Protocol, Topology


def objections(probe: Probe, topology: Topology) -> tuple[str, ...]:
    """For each pod behind the target why it and the client do not take each other; empty where they do.

    None at all where nothing of the world answers, or where the probe knows no identities.
    """
    if probe.target.protocol is not Protocol.TCP or isinstance(probe.request, DnsQuery):
        return ()
    return tuple(_objection(probe, topology, pod, port) for pod, port in behind(probe.target, topology))


def _objection(probe: Probe, topology: Topology, pod: Pod, port: int) -> str:
    mutual = probe.request.mutual if isinstance(probe.request, TlsRequest) else None
    takes = admits(pod, port)
    if takes:
        where = f"{pod.id} takes on port {port} only {' or '.join(takes)}"
        if not isinstance(probe.request, TlsRequest):
            return f"{where}, and the client speaks no TLS"
        shown = _shown(probe, topology)
        if not shown:
            return f"{where}, and the client shows no certificate"
        if mutual is not None and mutual.shows == EXPIRED:
            return f"{where}, and the client's certificate has expired"
        if shown not in takes:
            return f"{where}, and the client is {shown}"
    if mutual is not None and mutual.server is not None and mutual.server != pod.identity:
        return f"the client wants {mutual.server}, and {pod.id} is {pod.identity}"
    return ""


def _shown(probe: Probe, topology: Topology) -> str:
    """SPIFFE ID in the client's certificate; empty when it shows none."""
    mutual = probe.request.mutual if isinstance(probe.request, TlsRequest) else None
    if mutual is None or mutual.shows == NO_CERTIFICATE:
        return ""
    pod = topology.pods.get(probe.source.name) if probe.source.kind is SourceKind.POD else None
    own = "" if pod is None or pod.identity is None else pod.identity
    if mutual.shows == OTHER_TRUST_DOMAIN:
        return elsewhere(own, FOREIGN_DOMAIN)
    return own if mutual.shows in (OWN, EXPIRED) else mutual.shows
