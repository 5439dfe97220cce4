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
    """An HTTP/1.1 request; `path` begins with `/` and includes the query; `host` None = address:port."""

    method: str = "GET"
    path: str = "/"
    headers: tuple[tuple[str, str], ...] = ()
    host: str | None = None
    body: str | None = None

    def __str__(self) -> str:
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
    """A DNS question to the cluster's resolver; the name is absolute unless `search`."""

    name: str
    type: str = "A"
    tcp: bool = False
    search: bool = False

    def __str__(self) -> str:
        text = f"dns:{self.name}/{self.type}"
        return text + ("/TCP" if self.tcp else "") + ("/search" if self.search else "")


Request = HttpRequest | DnsQuery


@dataclass(frozen=True, slots=True)
class Probe:
    """One question to the network; `request` None = token echo."""

    source: Source
    target: Target
    family: Family = Family.IPV4
    request: Request | None = None

    @property
    def id(self) -> str:
        """`from->to:port/PROTO`, plus `METHOD path` for HTTP, `dns:NAME/TYPE` for DNS (design section 3)."""
        if isinstance(self.request, DnsQuery):
            return f"{self.source}->{self.request}"
        if isinstance(self.request, HttpRequest):
            return f"{self.source}->{self.target} {self.request}"
        return f"{self.source}->{self.target}"
