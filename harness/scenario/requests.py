"""HTTP requests and DNS questions of cells."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from harness.model.probe import DnsQuery, HttpRequest, Target, TargetKind
from harness.model.topology import Protocol
from harness.scenario import names
from harness.scenario.located import Text
from harness.scenario.schema import DnsSpec, RequestSpec, SequenceSpec
from harness.scenario.targets import Targets, To
from harness.source import Place
from harness.source.diagnostics import Problems, did_you_mean
from harness.source.nodes import ScalarNode

RCODES = ("NOERROR", "NXDOMAIN")
RECORD_TYPES = ("A", "AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT")

_URL = re.compile(
    r"http://(?P<authority>(?:(?:service|nodeport|node|external|host):)?[^:?#]+(?::[^/?#]*)?)(?P<path>[/?#].*)?",
    re.DOTALL,
)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_METHOD = re.compile(r"[A-Z][A-Z-]{0,30}")
_VISIBLE = re.compile(r"[\t\x20-\x7e]*")
_PATH = re.compile(r"[\x21-\x7e]*")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request with the targets that it goes to."""

    targets: list[To]
    request: HttpRequest | DnsQuery


def http(
    spec: RequestSpec, place: Place, targets: Targets, problems: Problems, url: Text | None = None
) -> Asked | None:
    """The request and its targets; None when it was reported.

    Args:
        spec: As it was written.
        place: Where it stands.
        targets: Reads the authority.
        problems: Receives what is wrong.
        url: What to read in place of the request's own URL.
    """
    url = url or spec.url
    before = problems.errors
    found = _URL.fullmatch(url)
    if found is None:
        advice = "write http:// and a target: http://production/api:8080/path"
        if url.startswith("https://"):
            advice = "requests are plain HTTP/1.1; probe the port itself with `to:`"
        problems.error("bad-url", f'"{url}" is no URL of the scenario language', url.place, help=advice)
        return None
    authority = _slice(url, *found.span("authority"))
    path = found["path"] or "/"
    if "#" in path or not _PATH.fullmatch(path):
        problems.error(
            "bad-url",
            "the path has characters that a request cannot carry",
            url.place,
            help="percent-encode them; a fragment (#…) is never sent",
        )
    method = spec.method or Text("GET")
    if not _METHOD.fullmatch(method):
        problems.error(
            "bad-method",
            f'"{method}" is no HTTP method',
            spec.place_of("method", place),
            help=f"write {method.upper()}" if _METHOD.fullmatch(method.upper()) else "write GET, POST, …",
        )
    headers = tuple(
        (str(key), str(value)) for key, value in spec.headers.items() if _header(key, value, problems)
    )
    if spec.host is not None and (not _VISIBLE.fullmatch(spec.host) or not spec.host.strip()):
        problems.error("bad-header", "the host cannot be sent", spec.host.place, help="write a host name")
    to = targets.read(authority)
    if any(item.target.protocol is not Protocol.TCP for item in to):
        problems.error(
            "bad-url",
            "HTTP goes over TCP, and this is another protocol",
            authority.place,
            help="name a TCP port",
        )
        return None
    if problems.errors > before:
        return None
    if path.startswith("?"):
        path = "/" + path
    host = None if spec.host is None else str(spec.host)
    body = None if spec.body is None else str(spec.body)
    return Asked(to, HttpRequest(str(method), path, headers, host, body))


def sequence(spec: SequenceSpec, place: Place, targets: Targets, problems: Problems) -> list[Asked] | None:
    """Requests on one connection, each with those before it; None when something was reported.

    All go to the targets of the first; the others may name the same, or the path alone.
    """
    if not spec.http:
        problems.error(
            "empty-sequence", "`http:` has no requests", spec.place_of("http", place), help="write one"
        )
        return None
    found: list[Asked] = []
    earlier: list[HttpRequest] = []
    first = spec.http[0]
    head = _URL.fullmatch(first.url)
    authority = "" if head is None else f"http://{head['authority']}"
    before = problems.errors
    for each in spec.http:
        written = each.url
        if each is not first and written.startswith("/"):
            whole = Text(authority + written)
            whole.node = written.node
            written = whole
        elif each is not first and head is not None and not _same_target(written, head["authority"]):
            problems.error(
                "sequence-target",
                "the requests of a sequence share a connection, and this one goes elsewhere",
                written.place,
                help=f"write the path alone, or {authority}/…",
            )
            continue
        asked = http(each, each.place(place), targets, problems, written)
        if asked is not None and isinstance(asked.request, HttpRequest):
            found.append(Asked(asked.targets, replace(asked.request, after=tuple(earlier))))
            earlier.append(asked.request)
        elif each is first:
            # Its target is that of the others, too.
            return None
    return found if problems.errors == before else None


def _same_target(url: Text, authority: str) -> bool:
    found = _URL.fullmatch(url)
    # What is no URL at all is reported as such.
    return found is None or found["authority"] == authority


def _slice(text: Text, start: int, end: int) -> Text:
    return Text.of(ScalarNode(text[start:end], True, text.span(start, end)))


def _header(key: Text, value: Text, problems: Problems) -> bool:
    if not _TOKEN.fullmatch(key):
        problems.error(
            "bad-header", f'"{key}" is no header name', key.place, help="write a name such as X-Version"
        )
        return False
    if key.lower() in ("host", "content-length", "transfer-encoding", "connection"):
        advice = "write `host:` beside `url:`" if key.lower() == "host" else "leave it out"
        problems.error("bad-header", f"the prober sets the header {key} itself", key.place, help=advice)
        return False
    if not _VISIBLE.fullmatch(value):
        problems.error(
            "bad-header",
            f"the value of {key} cannot be sent",
            value.place,
            help="use visible ASCII characters",
        )
        return False
    return True


def dns(spec: DnsSpec, problems: Problems) -> list[tuple[Text, Asked]]:
    """The questions; broken ones are reported and left out."""
    kind = spec.type or Text("A")
    if kind not in RECORD_TYPES:
        problems.error(
            "bad-record-type",
            f'"{kind}" is no record type',
            kind.place,
            help=did_you_mean(kind.upper(), RECORD_TYPES) or f"write {', '.join(RECORD_TYPES)}",
        )
        return []
    rcode = spec.rcode or Text("NOERROR")
    if rcode not in RCODES:
        problems.error(
            "bad-rcode",
            f'"{rcode}" is no answer that can be expected of a resolver',
            rcode.place,
            help=did_you_mean(rcode.upper(), RCODES)
            or f"write {' or '.join(RCODES)}; what a policy answers is a verdict",
        )
        return []
    result = []
    protocol = Protocol.TCP if spec.tcp else Protocol.UDP
    for name in spec.dns:
        complaint = names.host_name(name)
        if complaint:
            problems.error(
                "bad-host", f'"{name}" {complaint}', name.place, help="write a name such as api.example.com"
            )
            continue
        query = DnsQuery(name.removesuffix(".").lower(), str(kind), spec.tcp, spec.search, str(rcode))
        target = To(Target(TargetKind.DNS, "", 53, protocol))
        result.append((name, Asked([target], query)))
    return result
