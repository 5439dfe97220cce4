"""Probes: source to destination, port, protocol, family, request."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from harness.model.topology import Family, Protocol


class SourceKind(StrEnum):
    """Where a probe starts."""

    POD = "pod"
    NODE = "node"
    EXTERNAL = "external"


class TargetKind(StrEnum):
    """What a probe is sent to."""

    POD = "pod"
    SERVICE = "service"
    NODEPORT = "nodeport"
    NODE = "node"
    EXTERNAL = "external"
    HOST = "host"
    DNS = "dns"


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """Where a probe starts; `name` is `ns/pod`, a node's letter or an external's name."""

    kind: SourceKind
    name: str

    def __str__(self) -> str:
        return self.name if self.kind is SourceKind.POD else f"{self.kind}:{self.name}"


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """What a probe is sent to.

    Attributes:
        name: `ns/pod`, `ns/service`, a node's letter, an external's name, a host name;
            for DNS the cluster's resolver (empty).
        port: 0 for ICMP.
        port_name: Name by which the author called the port, kept for messages.
    """

    kind: TargetKind
    name: str
    port: int
    protocol: Protocol
    port_name: str | None = None

    def __str__(self) -> str:
        head = self.name if self.kind is TargetKind.POD else f"{self.kind}:{self.name}"
        if self.protocol is Protocol.ICMP:
            return f"{head}/ICMP"
        return f"{head}:{self.port}/{self.protocol}"


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """An HTTP/1.1 request.

    Attributes:
        path: Begins with `/` and includes the query.
        host: None = address:port.
        after: Requests that the same connection carries before this one, in order; none of them has an
            `after` of its own.
    """

    method: str = "GET"
    path: str = "/"
    headers: tuple[tuple[str, str], ...] = ()
    host: str | None = None
    body: str | None = None
    after: tuple[HttpRequest, ...] = ()

    def __str__(self) -> str:
        text = self._alone()
        if len(self.after) == 1:
            text += f" after {self.after[0]}"
        elif self.after:
            before = "\n".join(map(str, self.after))
            text += f" after {len(self.after)} requests #{hashlib.sha256(before.encode()).hexdigest()[:6]}"
        return text

    def _alone(self) -> str:
        text = f"{self.method} {self.path}"
        extra = [f"{key}: {value}" for key, value in self.headers]
        if self.host is not None:
            extra.append(f"host: {self.host}")
        if self.body is not None:
            extra.append(f"body: {self.body}")
        if extra:
            digest = hashlib.sha256("\n".join(extra).encode()).hexdigest()[:6]
            text += f" #{digest}"
        return text


@dataclass(frozen=True, slots=True)
class DnsQuery:
    """A DNS question to the cluster's resolver; the name is absolute unless `search`.

    Attributes:
        rcode: What the resolver answers where nothing stands in the way: NOERROR, or NXDOMAIN for a name that
            does not exist.
    """

    name: str
    type: str = "A"
    tcp: bool = False
    search: bool = False
    rcode: str = "NOERROR"

    def __str__(self) -> str:
        text = f"dns:{self.name}/{self.type}"
        text += ("/TCP" if self.tcp else "") + ("/search" if self.search else "")
        return text if self.rcode == "NOERROR" else f"{text}/{self.rcode}"


OWN, EXPIRED, OTHER_TRUST_DOMAIN, NO_CERTIFICATE = "own", "expired", "other-trust-domain", "none"
"""What a client of mutual TLS may show besides the certificate of a SPIFFE ID that is named."""


@dataclass(frozen=True, slots=True)
class MutualTls:
    """Both sides show certificates that name their SPIFFE IDs.

    Attributes:
        shows: What the client shows: `own` (the certificate of its pod), `expired` or `other-trust-domain`
            (one like it that is too old, or that another trust domain has issued), `none`, or the SPIFFE ID
            of another workload.
        server: SPIFFE ID that the client wants of the server; None = what the pods behind the target have.
    """

    shows: str = OWN
    server: str | None = None


@dataclass(frozen=True, slots=True)
class TlsRequest:
    """A TLS handshake, then the token echo inside of it.

    Attributes:
        sni: Server name in the ClientHello; None = it carries none.
        mutual: Certificates on both sides; None = the client shows none, and takes any of the server.
    """

    sni: str | None = None
    mutual: MutualTls | None = None

    def __str__(self) -> str:
        text = "tls" if self.mutual is None else "mtls"
        if self.sni is not None:
            text += f":{self.sni}"
        if self.mutual is not None and self.mutual.shows != OWN:
            text += f" as {self.mutual.shows}"
        if self.mutual is not None and self.mutual.server is not None:
            text += f" of {self.mutual.server}"
        return text


Request = HttpRequest | DnsQuery | TlsRequest


@dataclass(frozen=True, slots=True)
class Probe:
    """One question to the network; `request` None = token echo."""

    source: Source
    target: Target
    family: Family = Family.IPV4
    request: Request | None = None

    @property
    def id(self) -> str:
        """`from->to:port/PROTO`, plus the request; `from->dns:NAME/TYPE` for DNS (design section 3)."""
        if isinstance(self.request, DnsQuery):
            return f"{self.source}->{self.request}"
        if self.request is not None:
            return f"{self.source}->{self.target} {self.request}"
        return f"{self.source}->{self.target}"
