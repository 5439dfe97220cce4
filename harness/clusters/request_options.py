"""What the prober has to know of a request, besides where it goes (see probes/PROTOCOL.md)."""

from __future__ import annotations

from typing import Any

from harness.model.builtin import CLUSTER_DOMAIN
from harness.model.identity import FOREIGN_DOMAIN, elsewhere, trust_domain
from harness.model.probe import (
    EXPIRED,
    NO_CERTIFICATE,
    OTHER_TRUST_DOMAIN,
    OWN,
    DnsQuery,
    HttpRequest,
    Probe,
    SourceKind,
    TlsRequest,
)
from harness.model.serving import identities
from harness.model.topology import Topology

TOO_OLD = "#expired"
"""What the name of a certificate ends in that is too old; before it stands the SPIFFE ID."""


class UnresolvedError(Exception):
    """The probe has no address to go to, or nothing to say there; the text says why."""


def dns_options(request: DnsQuery, probe: Probe) -> dict[str, Any]:
    """Names to ask for, in the order of a pod's search list."""
    names = [request.name]
    if request.search and not request.name.endswith("."):
        namespace = probe.source.name.split("/")[0] if probe.source.kind is SourceKind.POD else "default"
        suffixes = [f"{namespace}.svc.{CLUSTER_DOMAIN}", f"svc.{CLUSTER_DOMAIN}", CLUSTER_DOMAIN]
        expanded = [f"{request.name}.{suffix}" for suffix in suffixes]
        # As a pod's resolver does with ndots:5.
        names = [*names, *expanded] if request.name.count(".") >= 5 else [*expanded, *names]
    options = {"names": names, "type": request.type, "tcp": request.tcp}
    return options if request.rcode == "NOERROR" else {**options, "soa": True}


def http_options(request: HttpRequest) -> dict[str, Any]:
    """The request, with those that the connection carries before it."""
    options = _one_request(request)
    if request.after:
        options["after"] = [_one_request(each) for each in request.after]
    return options


def _one_request(request: HttpRequest) -> dict[str, Any]:
    return {
        "method": request.method,
        "path": request.path,
        "headers": [list(item) for item in request.headers],
        "host": request.host,
        "body": request.body,
    }


def tls_options(request: TlsRequest, probe: Probe, topology: Topology) -> dict[str, Any]:
    """What the prober has to know of a handshake: which certificate to show, and whom to believe.

    Raises:
        UnresolvedError: The source has no identity of its own to show.
    """
    options: dict[str, Any] = {} if request.sni is None else {"sni": request.sni}
    mutual = request.mutual
    if mutual is None:
        return options
    pod = topology.pods.get(probe.source.name) if probe.source.kind is SourceKind.POD else None
    own = None if pod is None else pod.identity
    certificate = mutual.shows
    if mutual.shows in (OWN, EXPIRED, OTHER_TRUST_DOMAIN):
        if own is None:
            raise UnresolvedError(f"{probe.source} has no identity to show")
        certificate = {
            OWN: own,
            EXPIRED: own + TOO_OLD,
            OTHER_TRUST_DOMAIN: elsewhere(own, FOREIGN_DOMAIN),
        }[mutual.shows]
    elif mutual.shows == NO_CERTIFICATE:
        certificate = ""
    theirs = identities(probe.target, topology)
    servers = theirs if mutual.server is None else (mutual.server,)
    found = shown(certificate, servers)
    # A client can only find out that it talks to the wrong workload if it believes its certificate.
    found["trust"] = tuple(sorted({*found["trust"], *map(trust_domain, theirs)}))
    if not theirs:
        raise UnresolvedError(f"nobody behind {probe.target} has an identity")
    return options | found


def at_authority(options: dict[str, Any], authority: str) -> dict[str, Any]:
    """HTTP options whose requests name `authority` as their host where they name none."""
    found = {**options, "host": options["host"] or authority}
    if "after" in options:
        found["after"] = [{**each, "host": each["host"] or authority} for each in options["after"]]
    return found


def shown(certificate: str, servers: tuple[str, ...]) -> dict[str, Any]:
    """Options of a client that shows a certificate, and wants one of `servers`."""
    domains = {trust_domain(identity) for identity in servers}
    return {"certificate": certificate, "servers": servers, "trust": tuple(sorted(domains))}
