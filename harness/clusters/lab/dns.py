"""The cluster DNS of a lab: answers as CoreDNS would (Kubernetes DNS specification)."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.clusters.lab.addressing import Addressing
from harness.model.builtin import CLUSTER_DOMAIN
from harness.model.topology import Service, ServiceType, Topology
from probes import dns

TTL = 5
"""Seconds that CoreDNS gives cluster names by default."""

_UDP_LIMIT = 512


@dataclass(frozen=True, slots=True)
class Zone:
    """Names with their records, as `(type, data)`."""

    records: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)

    @classmethod
    def from_wire(cls, zone: Mapping[str, Any]) -> Zone:
        """Read the `zone` message."""
        return cls({name: [(kind, data) for kind, data in items] for name, items in zone.items()})

    def answer(self, message: bytes, peer: str, tcp: bool) -> bytes | None:
        """The answer to one DNS message; None for bytes that are no question."""
        try:
            asked = dns.parse(message)
            dns.encode_name(asked.name)  # every answer repeats the question
        except dns.DnsError:
            return None
        if asked.flags & dns.FLAG_RESPONSE:
            return None
        name = asked.name.lower().rstrip(".")
        limit = 65535 if tcp else _UDP_LIMIT
        found = self.records.get(name) or _pod_record(name)
        if found is None:
            below = "." + name
            exists = any(item.endswith(below) for item in self.records)
            rcode = "NOERROR" if exists else "NXDOMAIN"
            return dns.response(asked, rcode, (), (_soa(name),), limit)
        wanted = [item for item in found if asked.type in (dns.TYPES[item[0]], dns.TYPES["ANY"])]
        if not wanted:
            return dns.response(asked, "NOERROR", (), (_soa(name),), limit)
        answers = tuple(dns.Record(asked.name, dns.TYPES[kind], TTL, data) for kind, data in wanted)
        return dns.response(asked, "NOERROR", answers, (), limit)


def _soa(name: str) -> dns.Record:
    zone = CLUSTER_DOMAIN if name == CLUSTER_DOMAIN or name.endswith("." + CLUSTER_DOMAIN) else "."
    data = f"ns.dns.{CLUSTER_DOMAIN} hostmaster.{CLUSTER_DOMAIN} 1 7200 1800 86400 {TTL}"
    return dns.Record(zone, dns.TYPES["SOA"], TTL, data)


def _pod_record(name: str) -> Sequence[tuple[str, str]] | None:
    """`10-244-0-5.ns.pod.cluster.local` is the address it spells."""
    suffix = f".pod.{CLUSTER_DOMAIN}"
    if not name.endswith(suffix):
        return None
    first, _, namespace = name[: -len(suffix)].partition(".")
    if not namespace or "." in namespace:
        return None
    for text, kind in ((first.replace("-", "."), "A"), (first.replace("-", ":"), "AAAA")):
        try:
            return [(kind, str(ipaddress.ip_address(text)))]
        except ValueError:
            continue
    return None


def _type(address: str) -> str:
    return "AAAA" if ":" in address else "A"


def _reverse(address: str) -> str:
    return ipaddress.ip_address(address).reverse_pointer


def make_zone(topology: Topology, addressing: Addressing) -> dict[str, list[tuple[str, str]]]:
    """Everything that the cluster's DNS knows of a topology."""
    records: dict[str, list[tuple[str, str]]] = {}

    def add(name: str, kind: str, data: str) -> None:
        items = records.setdefault(name.lower().rstrip("."), [])
        if (kind, data) not in items:
            items.append((kind, data))

    add(f"dns-version.{CLUSTER_DOMAIN}", "TXT", "1.1.0")
    for address in addressing.kubernetes:
        add(f"kubernetes.default.svc.{CLUSTER_DOMAIN}", _type(address), address)
    for service in topology.services.values():
        base = f"{service.name}.{service.namespace}.svc.{CLUSTER_DOMAIN}"
        if service.type is ServiceType.HEADLESS:
            _headless(add, base, service, topology, addressing)
            continue
        for address in addressing.service(service.id):
            add(base, _type(address), address)
            add(_reverse(address), "PTR", base)
        for port in service.ports:
            if port.name:
                add(f"_{port.name}._{port.protocol.lower()}.{base}", "SRV", f"0 100 {port.port} {base}")
    for external in topology.externals.values():
        for name in external.names:
            for address in external.addresses.values():
                add(name, _type(address), address)
    return records


def _headless(add: Any, base: str, service: Service, topology: Topology, addressing: Addressing) -> None:
    for port in service.ports:
        for pod, number in topology.backends(service, port):
            for address in addressing.pod(pod.id):
                add(base, _type(address), address)
                host = f"{address.replace('.', '-').replace(':', '-')}.{base}"
                add(host, _type(address), address)
                if port.name:
                    add(f"_{port.name}._{port.protocol.lower()}.{base}", "SRV", f"0 100 {number} {host}")
