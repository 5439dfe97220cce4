"""Identities of pods, ports that take only some of them, and cells that speak TLS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from harness.model.identity import WORKLOAD_API, SvidSource, by_account, complaint
from harness.model.probe import (
    EXPIRED,
    NO_CERTIFICATE,
    OTHER_TRUST_DOMAIN,
    OWN,
    MutualTls,
    Probe,
    SourceKind,
    TargetKind,
    TlsRequest,
)
from harness.model.serving import identities
from harness.model.topology import Listener, Protocol, Topology
from harness.scenario import names
from harness.scenario.located import Text
from harness.scenario.schema import CellSpec, MutualSpec, TlsSpec
from harness.scenario.world_schema import IdentitySpec, MutualPortSpec
from harness.source import Place
from harness.source.diagnostics import Problems, did_you_mean

SHOWN = (OWN, EXPIRED, OTHER_TRUST_DOMAIN, NO_CERTIFICATE)
EXAMPLE = "spiffe://cluster.local/ns/production/sa/api"


_ISSUER = "netcheck"
_ID_HELP = "; or `true` for the one of its service account"


def identity(
    spec: Text | IdentitySpec | None, namespace: str, account: str, problems: Problems
) -> tuple[str | None, SvidSource | None]:
    """The SPIFFE ID of a pod and who gives it its certificate.

    None of them when it has none, or when what stands there was reported.
    """
    own = by_account(namespace, account)
    if isinstance(spec, IdentitySpec):
        id = own if spec.id in (None, "true") else _spiffe_id(spec.id, problems, extra=_ID_HELP)
        return id, _source(spec, problems)
    if spec is None:
        return None, None
    if spec == "true":
        return own, None
    if spec == WORKLOAD_API:
        return own, SvidSource()
    near = "" if "://" in spec else did_you_mean(spec, (WORKLOAD_API,))
    if near:
        problems.error("bad-identity", f'"{spec}" is no SPIFFE ID', spec.place, help=near)
        return None, None
    return _spiffe_id(spec, problems, extra=_ID_HELP), None


def _source(spec: IdentitySpec, problems: Problems) -> SvidSource | None:
    """Who issues the certificate; None = netcheck, or it was reported."""
    if spec.files is not None:
        if spec.source is not None:
            problems.error(
                "bad-identity",
                "`from:` and `files:` stand side by side",
                spec.source.place,
                help="leave one out: the certificate comes from there",
            )
        elif not spec.files.startswith("/") or ".." in spec.files.split("/"):
            problems.error(
                "bad-identity",
                f'"{spec.files}" is no absolute path of a directory',
                spec.files.place,
                help="such as /run/spiffe; in it are svid.pem, svid_key.pem and svid_bundle.pem",
            )
        return SvidSource(str(spec.files).rstrip("/"))
    if spec.source is None or spec.source == _ISSUER:
        return None
    if spec.source != WORKLOAD_API:
        near = did_you_mean(spec.source, (WORKLOAD_API, _ISSUER))
        problems.error(
            "bad-identity",
            f'"{spec.source}" issues no certificates',
            spec.source.place,
            help=near or f"write {WORKLOAD_API} or {_ISSUER}, or `files:` instead",
        )
    return SvidSource()


def _spiffe_id(text: Text, problems: Problems, extra: str = "") -> str | None:
    wrong = complaint(text)
    if wrong:
        problems.error(
            "bad-identity", f'"{text}" {wrong}', text.place, help=f"write a SPIFFE ID: {EXAMPLE}{extra}"
        )
        return None
    return str(text)


def strict_ports(
    specs: Mapping[Text, MutualPortSpec],
    listeners: tuple[Listener, ...],
    own: str | None,
    problems: Problems,
    owner: str,
) -> tuple[Listener, ...]:
    """The listeners, with those that `mtls:` names taking some identities only."""
    found = {str(item.port): item for item in listeners if item.protocol is Protocol.TCP}
    found |= {item.name: item for item in listeners if item.name and item.protocol is Protocol.TCP}
    taken: dict[int, tuple[str, ...]] = {}
    for port, spec in specs.items():
        listener = found.get(port)
        if listener is None:
            problems.error(
                "bad-mtls-port",
                f'{owner} does not listen on "{port}" over TCP',
                port.place,
                help=did_you_mean(port, list(found)) or "name one of the ports under `listen:`",
            )
        if own is None:
            problems.error(
                "no-identity",
                f"{owner} has no certificate to show on port {port}",
                port.place,
                help=f"give the pod an identity: `identity: true`, or `identity: {EXAMPLE}`",
            )
        ids = [_spiffe_id(text, problems) for text in spec.allow]
        if not spec.allow:
            problems.error(
                "bad-identity",
                f"port {port} takes nobody, so nothing can show that the way to it works",
                spec.place_of("allow", port.place),
                help="name at least one SPIFFE ID under `allow:`",
            )
        if listener is not None:
            taken[listener.port] = tuple(dict.fromkeys(one for one in ids if one is not None))
    return tuple(
        replace(item, allow=taken[item.port])
        if item.port in taken and item.protocol is Protocol.TCP
        else item
        for item in listeners
    )


def tls_request(entry: CellSpec, place: Place, problems: Problems) -> TlsRequest | None:
    """What `tls:` and `mtls:` of an entry ask for; None when neither does, or when it was reported."""
    mutual, tls = entry.mtls, entry.tls
    if mutual is False:
        if tls is False:
            return None
        return TlsRequest(_server_name(tls, problems))
    if tls is not False:
        problems.error(
            "tls-twice",
            "`tls:` and `mtls:` stand side by side",
            entry.place_of("tls", place),
            help="mutual TLS is TLS: leave `tls:` out, and write `sni:` under `mtls:`",
        )
    if mutual is True:
        return TlsRequest(None, MutualTls())
    shows = OWN if mutual.shows is None else str(mutual.shows)
    if mutual.shows is not None and shows not in SHOWN:
        near = did_you_mean(shows, SHOWN)
        if near or "://" not in shows:
            problems.error(
                "bad-identity",
                f'"{shows}" is nothing that a client can show',
                mutual.shows.place,
                help=near or f"write {', '.join(SHOWN)}, or a SPIFFE ID: {EXAMPLE}",
            )
        else:
            _spiffe_id(mutual.shows, problems)
    server = None if mutual.server is None else _spiffe_id(mutual.server, problems)
    return TlsRequest(_server_name(mutual, problems), MutualTls(shows, server))


def _server_name(spec: bool | TlsSpec | MutualSpec, problems: Problems) -> str | None:
    if isinstance(spec, bool) or spec.sni is None:
        return None
    wrong = names.host_name(spec.sni)
    if not wrong and spec.sni.replace(".", "").isdigit():
        wrong = "is an address, and TLS sends no server name for one"
    if wrong:
        problems.error(
            "bad-host", f'"{spec.sni}" {wrong}', spec.sni.place, help="write a name such as www.example.com"
        )
    return spec.sni.removesuffix(".").lower()


def named(request: TlsRequest, probe: Probe) -> TlsRequest:
    """A request with the server name that applications send: the name that they connect to."""
    if request.sni is None and request.mutual is None and probe.target.kind is TargetKind.HOST:
        return replace(request, sni=probe.target.name)
    return request


def fits(probe: Probe, topology: Topology, place: Place, problems: Problems) -> bool:
    """Whether both ends have what the handshake needs; reported when not."""
    if not isinstance(probe.request, TlsRequest):
        return True
    if probe.target.protocol is not Protocol.TCP:
        problems.error(
            "bad-target", f"TLS goes over TCP, and {probe.target} is not", place, help="name a TCP port"
        )
        return False
    mutual = probe.request.mutual
    if mutual is None:
        return True
    pod = topology.pods.get(probe.source.name) if probe.source.kind is SourceKind.POD else None
    if mutual.shows in (OWN, EXPIRED, OTHER_TRUST_DOMAIN) and (pod is None or pod.identity is None):
        problems.error(
            "no-identity",
            f"{probe.source} has no identity that it could show",
            place,
            help="give the pod one (`identity: true`), or say what it shows: `mtls: {as: none}`",
        )
        return False
    if not identities(probe.target, topology):
        problems.error(
            "no-identity",
            f"nobody behind {probe.target} has an identity, so there is nobody to be sure of",
            place,
            help="give the destination's pods an identity (`identity: true`), or write `tls: true`",
        )
        return False
    return True
