"""The lab's DNS answers as CoreDNS would, read by dnslib."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import dnslib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.clusters.lab.addressing import Addressing
from harness.clusters.lab.dns import TTL, Zone, make_zone
from harness.model.builtin import DNS_POD, with_builtins
from harness.model.topology import Protocol, Service, ServicePort, ServiceType, Topology
from probes import dns
from tests.unit.kubernetes_worlds import pod, world

BASE = "svc.cluster.local"


def topology() -> Topology:
    services = (
        Service(
            "n",
            "web",
            {"app": "web"},
            (ServicePort(80, 8080, name="http"), ServicePort(53, 53, Protocol.UDP)),
        ),
        Service("n", "db", {"app": "db"}, (ServicePort(80, 5432, name="sql"),), ServiceType.HEADLESS),
        Service("n", "none", {"app": "none"}, (ServicePort(80, 80),), ServiceType.HEADLESS),
    )
    return with_builtins(
        world(
            pod("n/web", node="a", app="web"),
            pod("n/db-0", node="a", app="db"),
            pod("n/db-1", node="b", app="db"),
            services=services,
            externals={"bank": "203.0.113.10 2001:db8::10", "old": "203.0.113.11"},
        )
    )


WORLD = topology()
ADDRESSING = Addressing()
ADDRESSING.learn(WORLD, DNS_POD)
# Through JSON shapes, as it travels to the listener.
ZONE = Zone.from_wire(
    {name: [list(item) for item in items] for name, items in make_zone(WORLD, ADDRESSING).items()}
)
WEB = ADDRESSING.service("n/web")
DB_0, DB_1 = ADDRESSING.pod("n/db-0"), ADDRESSING.pod("n/db-1")


def ask(name: str, kind: str = "A", *, tcp: bool = False, zone: Zone = ZONE) -> dnslib.DNSRecord:
    question = dnslib.DNSRecord.question(name, kind)
    raw = zone.answer(bytes(question.pack()), "10.244.0.9", tcp)
    assert raw is not None
    found = dnslib.DNSRecord.parse(raw)
    assert found.header.id == question.header.id
    assert (found.header.qr, found.header.rd) == (1, 1)
    assert found.q.qname == question.q.qname
    return found


def records(found: dnslib.DNSRecord) -> list[tuple[str, str, str]]:
    assert all(item.ttl == TTL for item in found.rr)
    return [(str(item.rname), dnslib.QTYPE[item.rtype], str(item.rdata)) for item in found.rr]


def dashed(address: str) -> str:
    return address.replace(".", "-").replace(":", "-")


ANSWERS = [
    (f"web.n.{BASE}", "A", [WEB[0]]),
    (f"web.n.{BASE}", "AAAA", [WEB[1]]),
    (f"WEB.N.{BASE.upper()}", "A", [WEB[0]]),
    (f"kube-dns.kube-system.{BASE}", "A", ["10.96.0.10"]),
    (f"kubernetes.default.{BASE}", "A", ["10.96.0.1"]),
    (f"kubernetes.default.{BASE}", "AAAA", ["fd00:10:96::1"]),
    (f"db.n.{BASE}", "A", [DB_0[0], DB_1[0]]),
    (f"db.n.{BASE}", "AAAA", [DB_0[1], DB_1[1]]),
    (f"{dashed(DB_0[0])}.db.n.{BASE}", "A", [DB_0[0]]),
    (f"{dashed(DB_1[1])}.db.n.{BASE}", "AAAA", [DB_1[1]]),
    (f"_http._tcp.web.n.{BASE}", "SRV", [f"0 100 80 web.n.{BASE}."]),
    ("bank.example.com", "A", ["203.0.113.10"]),
    ("bank.example.com", "AAAA", ["2001:db8::10"]),
    ("old.example.com", "A", ["203.0.113.11"]),
    ("10-244-0-7.n.pod.cluster.local", "A", ["10.244.0.7"]),
    ("fd00-10-244--7.n.pod.cluster.local", "AAAA", ["fd00:10:244::7"]),
    ("dns-version.cluster.local", "TXT", ['"1.1.0"']),
]


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize(("name", "kind", "data"), ANSWERS)
def test_answer(name: str, kind: str, data: list[str], tcp: bool) -> None:
    found = ask(name, kind, tcp=tcp)
    assert (found.header.rcode, found.header.aa, found.header.tc, found.auth) == (0, 1, 0, [])
    same = [str(dnslib.AAAA(item)) if kind == "AAAA" else item for item in data]
    assert records(found) == [(f"{name}.", kind, item) for item in same]


@pytest.mark.parametrize("address", WEB)
def test_an_address_of_a_service_has_its_name(address: str) -> None:
    found = ask(dns_reverse(address), "PTR")
    assert [str(item.rdata) for item in found.rr] == [f"web.n.{BASE}."]


def dns_reverse(address: str) -> str:
    return ipaddress.ip_address(address).reverse_pointer


def test_the_named_port_of_a_headless_service_leads_to_every_pod() -> None:
    found = ask(f"_sql._tcp.db.n.{BASE}", "SRV")
    targets = {(item.rdata.port, str(item.rdata.target)) for item in found.rr}
    assert targets == {(5432, f"{dashed(address)}.db.n.{BASE}.") for address in (*DB_0, *DB_1)}


@pytest.mark.parametrize(
    ("name", "kind", "rcode", "zone"),
    [
        # The name is there, the type is not.
        ("old.example.com", "AAAA", "NOERROR", "."),
        (f"web.n.{BASE}", "TXT", "NOERROR", "cluster.local."),
        ("10-244-0-7.n.pod.cluster.local", "AAAA", "NOERROR", "cluster.local."),
        # Names between the zone and its records.
        (BASE, "A", "NOERROR", "cluster.local."),
        (f"n.{BASE}", "A", "NOERROR", "cluster.local."),
        ("cluster.local", "A", "NOERROR", "cluster.local."),
        # Nothing.
        (f"nobody.n.{BASE}", "A", "NXDOMAIN", "cluster.local."),
        (f"none.n.{BASE}", "A", "NXDOMAIN", "cluster.local."),
        (f"web.m.{BASE}", "A", "NXDOMAIN", "cluster.local."),
        (f"x.web.n.{BASE}", "A", "NXDOMAIN", "cluster.local."),
        (f"_udp._tcp.web.n.{BASE}", "SRV", "NXDOMAIN", "cluster.local."),
        ("web", "A", "NXDOMAIN", "."),
        ("web.n", "A", "NXDOMAIN", "."),
        ("nobody.example.com", "A", "NXDOMAIN", "."),
        ("ank.example.com", "A", "NXDOMAIN", "."),
        ("1-2-3.n.pod.cluster.local", "A", "NXDOMAIN", "cluster.local."),
        ("10-244-0-7.pod.cluster.local", "A", "NXDOMAIN", "cluster.local."),
        ("10-244-0-7.a.n.pod.cluster.local", "A", "NXDOMAIN", "cluster.local."),
    ],
)
def test_what_is_not_there_comes_with_a_start_of_authority(
    name: str, kind: str, rcode: str, zone: str
) -> None:
    found = ask(name, kind)
    assert (dnslib.RCODE[found.header.rcode], found.rr) == (rcode, [])
    (authority,) = found.auth
    assert (str(authority.rname), dnslib.QTYPE[authority.rtype], authority.ttl) == (zone, "SOA", TTL)
    # The last number is the time for which a resolver may remember that there is nothing.
    assert authority.rdata.times[4] == TTL


def crowd() -> Zone:
    """A headless service with more pods than a datagram holds."""
    service = Service("n", "s", {"app": "x"}, (ServicePort(80, 80),), ServiceType.HEADLESS)
    pods = [pod(f"n/p{number}", app="x") for number in range(60)]
    many = with_builtins(world(*pods, services=(service,)))
    addressing = Addressing()
    addressing.learn(many, DNS_POD)
    return Zone.from_wire(make_zone(many, addressing))


def test_more_than_fits_into_a_datagram() -> None:
    zone = crowd()
    cut = ask(f"s.n.{BASE}", zone=zone)
    assert (cut.header.tc, cut.rr) == (1, [])
    whole = ask(f"s.n.{BASE}", tcp=True, zone=zone)
    assert (whole.header.tc, len(whole.rr)) == (0, 60)


def test_any_type_gives_all_records() -> None:
    assert {item[1] for item in records(ask(f"web.n.{BASE}", "ANY"))} == {"A", "AAAA"}


def test_what_is_no_question_is_not_answered() -> None:
    answer = dnslib.DNSRecord.question("web").reply().pack()
    for message in (b"", b"nonsense", bytes(answer)):
        assert ZONE.answer(message, "10.244.0.9", False) is None


@given(st.binary(max_size=80))
def test_bytes_from_anywhere_do_not_end_the_server(data: bytes) -> None:
    head = b"\0\7\1\0\0\1\0\0\0\0\0\0"
    for message in (data, head + data, head + data + b"\0\0\1\0\1"):
        raw = ZONE.answer(message, "10.244.0.9", False)
        assert raw is None or dns.parse(raw).id == int.from_bytes(message[:2], "big")


@pytest.mark.parametrize("label", [b"\1.", b"\1\xfc", b"\2\xad\xad", b"\5a..b."])
def test_labels_that_no_host_has(label: bytes) -> None:
    message = b"\0\7\1\0\0\1\0\0\0\0\0\0" + label + b"\7example\0\0\1\0\1"
    raw = ZONE.answer(message, "10.244.0.9", False)
    assert raw is None or dns.parse(raw).rcode == "NXDOMAIN"


def test_names_follow_the_topology() -> None:
    changed = replace(WORLD, services={key: item for key, item in WORLD.services.items() if key != "n/web"})
    zone: Mapping[str, Any] = make_zone(changed, ADDRESSING)
    assert f"web.n.{BASE}" not in zone
    assert f"db.n.{BASE}" in zone
