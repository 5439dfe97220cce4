"""Probes in the JSON report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.model.probe import (
    DnsQuery,
    HttpRequest,
    MutualTls,
    Probe,
    Request,
    Source,
    SourceKind,
    Target,
    TargetKind,
    TlsRequest,
)
from harness.model.topology import Family, Protocol

Json = dict[str, Any]
In = Mapping[str, Any]


def probe_out(probe: Probe) -> Json:
    """Source, target, family and request."""
    return {
        "source": {"kind": str(probe.source.kind), "name": probe.source.name},
        "target": {
            "kind": str(probe.target.kind),
            "name": probe.target.name,
            "port": probe.target.port,
            "protocol": str(probe.target.protocol),
            "port_name": probe.target.port_name,
        },
        "family": str(probe.family),
        "request": _request_out(probe.request),
    }


def probe_in(data: In) -> Probe:
    """The inverse of `probe_out`."""
    source, target = data["source"], data["target"]
    return Probe(
        Source(SourceKind(source["kind"]), source["name"]),
        Target(
            TargetKind(target["kind"]),
            target["name"],
            target["port"],
            Protocol(target["protocol"]),
            target["port_name"],
        ),
        Family(data["family"]),
        _request_in(data["request"]),
    )


def _request_out(request: Request | None) -> Json | None:
    if isinstance(request, HttpRequest):
        return {
            "kind": "http",
            "method": request.method,
            "path": request.path,
            "headers": [list(header) for header in request.headers],
            "host": request.host,
            "body": request.body,
            "after": [_request_out(each) for each in request.after],
        }
    if isinstance(request, DnsQuery):
        asked = {
            "kind": "dns",
            "name": request.name,
            "type": request.type,
            "tcp": request.tcp,
            "search": request.search,
        }
        return asked if request.rcode == "NOERROR" else {**asked, "rcode": request.rcode}
    if isinstance(request, TlsRequest):
        mutual = request.mutual
        shown = None if mutual is None else {"shows": mutual.shows, "server": mutual.server}
        return {"kind": "tls", "sni": request.sni, "mutual": shown}
    return None


def _request_in(data: In | None) -> Request | None:
    if data is None:
        return None
    if data["kind"] == "http":
        return _http_in(data)
    if data["kind"] == "dns":
        return DnsQuery(data["name"], data["type"], data["tcp"], data["search"], data.get("rcode", "NOERROR"))
    if data["kind"] == "tls":
        shown = data["mutual"]
        return TlsRequest(data["sni"], None if shown is None else MutualTls(shown["shows"], shown["server"]))
    raise ValueError(f"unknown kind of request {data['kind']!r}")


def _http_in(data: In) -> HttpRequest:
    headers = tuple((name, value) for name, value in data["headers"])
    after = tuple(_http_in(each) for each in data.get("after", ()))
    return HttpRequest(data["method"], data["path"], headers, data["host"], data["body"], after)
