"""What rules demand of application data, held against the request of a probe (semantics.md 1.2, 1.3).

The answer is yes, no, or that the demand is no answer to a probe of this kind: what a proxy does with bytes
that are none of what it expects, only the proxy knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from harness.dialects.connection import Connection
from harness.dialects.regexes import matches
from harness.dialects.standing import Match
from harness.model.application import Application, DnsRules, HeaderMatch, HttpRule, HttpRules, ServerNames
from harness.model.builtin import CLUSTER_DOMAIN
from harness.model.probe import DnsQuery, HttpRequest, SourceKind, TlsRequest

_UNKNOWN = "application"

FIELDS: Mapping[type, str] = MappingProxyType(
    {HttpRules: "rules.http", DnsRules: "rules.dns", ServerNames: "serverNames"}
)
"""The field in which a demand stands in `toPorts`."""

_PROBERS = frozenset({"connection", "content-length", "transfer-encoding"})
"""Headers that the prober sends as it sees fit, besides those of netcheck's own."""


def passes(application: Application, connection: Connection) -> Match:
    """Whether the demand lets the request of a connection pass."""
    request = connection.request
    if isinstance(application, HttpRules) and isinstance(request, HttpRequest):
        return _any(_http(rule, request, connection) for rule in application.rules)
    if isinstance(application, DnsRules) and isinstance(request, DnsQuery):
        return _dns(application, request, connection)
    if isinstance(application, ServerNames) and isinstance(request, TlsRequest):
        return request.sni is not None and any(name.matches(request.sni) for name in application.names)
    return _UNKNOWN


def each(application: Application) -> Iterator[Application]:
    """The alternatives of a demand, each by itself."""
    if isinstance(application, HttpRules):
        yield from (HttpRules((rule,)) for rule in application.rules)
    else:
        yield from (replace(application, names=(name,)) for name in application.names)


def in_words(application: Application) -> str:
    """What a demand asks for."""
    if isinstance(application, HttpRules):
        return " or ".join(_rule_in_words(rule) for rule in application.rules)
    names = " or ".join(str(name) for name in application.names)
    return f"a question about {names}" if isinstance(application, DnsRules) else f"the server name {names}"


def _rule_in_words(rule: HttpRule) -> str:
    words = [
        f"{what} {value}"
        for what, value in (("method", rule.method), ("path", rule.path), ("host", rule.host))
        if value is not None
    ]
    words += [
        f"header {header.name}" + ("" if header.value is None else f": {header.value}")
        for header in rule.headers
        if header.mismatch is None
    ]
    return " and ".join(words) or "any request"


def _http(rule: HttpRule, request: HttpRequest, connection: Connection) -> Match:
    if rule.path is not None and not matches(rule.path, request.path):
        return False
    if rule.method is not None and not matches(rule.method, request.method):
        return False
    found = [_header(header, request, connection) for header in rule.headers]
    if rule.host is not None:
        host = _host(request, connection)
        found.append(_UNKNOWN if host is None else matches(rule.host, host))
    if False in found:
        return False
    return next((item for item in found if item is not True), True)


def _header(header: HeaderMatch, request: HttpRequest, connection: Connection) -> Match:
    """Exactly the value, or any; headers of the same name are one, with commas between."""
    if header.mismatch is not None:
        return True
    name = header.name.lower()
    if name in ("host", ":authority"):
        host = _host(request, connection)
        if host is None:
            return _UNKNOWN if header.value is not None else True
        return header.value in (None, host)
    values = [value.strip() for key, value in request.headers if key.lower() == name]
    if not values and (name in _PROBERS or name.startswith(("x-netcheck", ":"))):
        return _UNKNOWN
    return bool(values) and header.value in (None, ",".join(values))


def _host(request: HttpRequest, connection: Connection) -> str | None:
    """The Host header; None where it is an address that the cluster chooses."""
    return request.host if request.host is not None else connection.authority


def _dns(rules: DnsRules, request: DnsQuery, connection: Connection) -> Match:
    """The names that are asked for, one after the other; where only some pass, more than rules decides."""
    names = [request.name]
    if request.search and not request.name.endswith("."):
        source = connection.source
        namespace = source.name.split("/")[0] if source.kind is SourceKind.POD else "default"
        domains = (f"{namespace}.svc.{CLUSTER_DOMAIN}", f"svc.{CLUSTER_DOMAIN}", CLUSTER_DOMAIN)
        names += [f"{request.name}.{domain}" for domain in domains]
    found = {any(pattern.matches(name) for pattern in rules.names) for name in names}
    return found.pop() if len(found) == 1 else _UNKNOWN


def _any(found: Iterable[Match]) -> Match:
    result: Match = False
    for item in found:
        if item is True:
            return True
        result = result or item
    return result
