"""From a probe in the words of a scenario to an address, to who may answer and to what must listen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.clusters.lab.addressing import Addressing
from harness.clusters.request_options import UnresolvedError
from harness.clusters.resolve import Proof, Resolved, Resolver, mark
from harness.model.builtin import DNS_POD, with_builtins
from harness.model.probe import DnsQuery, HttpRequest, Probe, Source, SourceKind, Target, TargetKind
from harness.model.topology import Family, Protocol, Service, ServicePort, ServiceType
from tests.unit.kubernetes_worlds import pod, probe, world
from tests.unit.worlds import http_probe

WEB = Service(
    "n",
    "web",
    {"app": "web"},
    (ServicePort(80, 8080), ServicePort(53, 5353, Protocol.UDP)),
    ServiceType.CLUSTER_IP,
)
NODE_PORT = Service(
    "n", "np", {"app": "web"}, (ServicePort(81, 8080, node_port=30080),), ServiceType.NODE_PORT
)
DB = Service("n", "db", {"app": "db"}, (ServicePort(80, 5432),), ServiceType.HEADLESS)
BOTH = Service("n", "both", {"app": "web"}, (ServicePort(80, 5432),), ServiceType.HEADLESS)
EMPTY = Service("n", "empty", {"app": "none"}, (ServicePort(80, 80),))
NOBODY = Service("n", "nobody", {"app": "none"}, (ServicePort(80, 80),), ServiceType.HEADLESS)
WORLD = with_builtins(
    world(
        pod("n/a", node="a"),
        pod("n/w0", node="a", app="web"),
        pod("n/w1", node="b", app="web"),
        pod("n/db", node="a", app="db"),
        pod("n/host", node="b", host=True),
        services=(WEB, NODE_PORT, DB, EMPTY, NOBODY, BOTH),
        externals={"bank": "203.0.113.10 2001:db8::10", "old": "203.0.113.11"},
    )
)
ADDRESSING = Addressing()
ADDRESSING.learn(WORLD, DNS_POD)
W0, W1, DNS = (ADDRESSING.pod(name) for name in ("n/w0", "n/w1", DNS_POD))
DNS_PROOF = Proof(
    DNS_POD, "dns", DNS[0], 53, (("names", ("kubernetes.default.svc.cluster.local",)), ("type", "A"))
)


def resolve(found: Probe | str, family: Family = Family.IPV4) -> Resolved:
    wanted = probe(found, family) if isinstance(found, str) else found
    return Resolver(WORLD, ADDRESSING).resolve(wanted)


CASES: list[tuple[str, list[object], tuple[str, ...], tuple[Proof, ...]]] = [
    ("n/a -> n/w0:80", ["n/a", "tcp", W0[0], 80, {}], ("n/w0",), (Proof("n/w0", "tcp", W0[0], 80),)),
    ("n/a -> n/w0:53/UDP", ["n/a", "udp", W0[0], 53, {}], ("n/w0",), (Proof("n/w0", "udp", W0[0], 53),)),
    ("n/a -> n/w0:80/SCTP", ["n/a", "sctp", W0[0], 80, {}], ("n/w0",), (Proof("n/w0", "sctp", W0[0], 80),)),
    ("n/a -> n/w0/ICMP", ["n/a", "icmp", W0[0], 0, {}], ("n/w0",), (Proof("n/w0", "icmp", W0[0], 0),)),
    (
        "node:b -> n/host:80",
        ["node:b", "tcp", "172.18.0.3", 80, {}],
        ("n/host",),
        (Proof("n/host", "tcp", "172.18.0.3", 80),),
    ),
    (
        "external:bank -> n/w0:80",
        ["external:bank", "tcp", W0[0], 80, {}],
        ("n/w0",),
        (Proof("n/w0", "tcp", W0[0], 80),),
    ),
    (
        "n/a -> external:bank:443",
        ["n/a", "tcp", "203.0.113.10", 443, {}],
        ("external:bank",),
        (Proof("external:bank", "tcp", "203.0.113.10", 443),),
    ),
    (
        "n/a -> node:b:80",
        ["n/a", "tcp", "172.18.0.3", 80, {}],
        ("n/host",),
        (Proof("node:b", "tcp", "172.18.0.3", 80),),
    ),
    (
        "n/a -> service:n/web:80",
        ["n/a", "tcp", ADDRESSING.service("n/web")[0], 80, {}],
        ("n/w0", "n/w1"),
        (Proof("n/w0", "tcp", W0[0], 8080), Proof("n/w1", "tcp", W1[0], 8080)),
    ),
    (
        "n/a -> service:n/web:53/UDP",
        ["n/a", "udp", ADDRESSING.service("n/web")[0], 53, {}],
        ("n/w0", "n/w1"),
        (Proof("n/w0", "udp", W0[0], 5353), Proof("n/w1", "udp", W1[0], 5353)),
    ),
    (
        "external:bank -> nodeport:a:30080",
        ["external:bank", "tcp", "172.18.0.2", 30080, {}],
        ("n/w0", "n/w1"),
        (Proof("n/w0", "tcp", W0[0], 8080), Proof("n/w1", "tcp", W1[0], 8080)),
    ),
    # Headless: the pod itself, at the port that the client names.
    (
        "n/a -> service:n/db:5432",
        ["n/a", "tcp", ADDRESSING.pod("n/db")[0], 5432, {}],
        ("n/db",),
        (Proof("n/db", "tcp", ADDRESSING.pod("n/db")[0], 5432),),
    ),
    # Nobody behind it: nothing can prove that anybody listens.
    ("n/a -> service:n/empty:80", ["n/a", "tcp", ADDRESSING.service("n/empty")[0], 80, {}], (), ()),
]


@pytest.mark.parametrize(("text", "spec", "servers", "proofs"), CASES)
def test_resolved(text: str, spec: list[Any], servers: tuple[str, ...], proofs: tuple[Proof, ...]) -> None:
    found = resolve(text)
    assert replace(found, tour=()) == Resolved(spec, servers, proofs)
    # A tour dials the service once for each pod behind it, and says which one is meant.
    marked = tuple([*spec[:4], {**spec[4], "dscp": number}] for number in range(1, len(proofs) + 1))
    places = [proof.place for proof in proofs]
    assert [item.spec for item in found.tour] == (list(marked) if len(proofs) > 1 else [])
    assert [item.server for item in found.tour] == (places if len(proofs) > 1 else [])


def test_marks_tell_all_pods_apart_that_a_service_may_have() -> None:
    marks = [mark(number) for number in range(10_000)]
    assert len({tuple(item.items()) for item in marks}) == len(marks)
    assert all(1 <= item["dscp"] <= 63 and 64 <= item.get("hops", 64) <= 255 for item in marks)


def test_a_headless_service_is_toured_pod_by_pod() -> None:
    found = resolve("n/a -> service:n/both:5432")
    assert found.spec == ["n/a", "tcp", W0[0], 5432, {}]
    assert found.servers == ("n/w0", "n/w1")
    assert [item.spec[2] for item in found.tour] == [W0[0], W1[0]]
    assert [item.address for item in found.proofs] == [W0[0], W1[0]]


def test_what_a_name_leads_to_is_toured_without_the_lookup() -> None:
    address = ADDRESSING.service("n/web")[0]
    found = Resolver(WORLD, ADDRESSING).dialled(_host("some.name.example"), address)
    assert [item.spec[:4] for item in found.tour] == [["n/a", "tcp", address, 80]] * 2


def test_the_other_family() -> None:
    found = resolve("n/a -> service:n/web:80", Family.IPV6)
    assert found.spec == ["n/a", "tcp", ADDRESSING.service("n/web")[1], 80, {}]
    assert [item.address for item in found.proofs] == [W0[1], W1[1]]


@pytest.mark.parametrize(
    ("text", "family", "why"),
    [
        ("n/a -> external:old:443", Family.IPV6, "external old has no ipv6 address"),
        ("n/a -> service:n/web:8080", Family.IPV4, "no service offers service:n/web:8080/TCP"),
        ("n/a -> service:n/web:53", Family.IPV4, "no service offers service:n/web:53/TCP"),
        ("n/a -> nodeport:a:30081", Family.IPV4, "no service offers nodeport:a:30081/TCP"),
        ("n/a -> service:n/nobody:80", Family.IPV4, "headless service n/nobody has no pods behind it"),
    ],
)
def test_unresolved(text: str, family: Family, why: str) -> None:
    with pytest.raises(UnresolvedError, match=why):
        resolve(text, family)


@pytest.mark.parametrize("text", ["n/a -> n/gone:80", "n/a -> node:q:80", "n/a -> external:gone:80"])
def test_who_is_not_there_has_no_address(text: str) -> None:
    with pytest.raises(KeyError):
        resolve(text)


def test_http() -> None:
    request = HttpRequest("POST", "/a?b", (("X-A", "1"),), "api.example", "hello")
    found = resolve(http_probe("n/a -> service:n/web:80", request))
    options = {
        "method": "POST",
        "path": "/a?b",
        "headers": [["X-A", "1"]],
        "host": "api.example",
        "body": "hello",
    }
    assert found.spec == ["n/a", "http", ADDRESSING.service("n/web")[0], 80, options]
    # Any answer proves that somebody listens; the rules for paths are no matter of the proof.
    assert {item.kind for item in found.proofs} == {"tcp"}


def lookup(query: DnsQuery, source: Source = Source(SourceKind.POD, "n/a")) -> Resolved:  # noqa: B008
    return resolve(Probe(source, Target(TargetKind.DNS, "", 53, Protocol.UDP), Family.IPV4, query))


@pytest.mark.parametrize(
    ("query", "names"),
    [
        (DnsQuery("web"), ["web"]),
        (
            DnsQuery("web", search=True),
            ["web.n.svc.cluster.local", "web.svc.cluster.local", "web.cluster.local", "web"],
        ),
        (DnsQuery("web.n.", search=True), ["web.n."]),
        (
            DnsQuery("a.b.c.d.e.f", search=True),
            [
                "a.b.c.d.e.f",
                "a.b.c.d.e.f.n.svc.cluster.local",
                "a.b.c.d.e.f.svc.cluster.local",
                "a.b.c.d.e.f.cluster.local",
            ],
        ),
    ],
)
def test_lookup(query: DnsQuery, names: list[str]) -> None:
    found = lookup(query)
    assert found == Resolved(
        ["n/a", "dns", "10.96.0.10", 53, {"names": names, "type": "A", "tcp": False}], (), (DNS_PROOF,)
    )


def test_lookup_as_it_was_asked_for() -> None:
    found = lookup(DnsQuery("web", "SRV", tcp=True), Source(SourceKind.NODE, "a"))
    assert found.spec == ["node:a", "dns", "10.96.0.10", 53, {"names": ["web"], "type": "SRV", "tcp": True}]


def host(name: str, request: HttpRequest | None = None, family: Family = Family.IPV4) -> Probe:
    target = Target(TargetKind.HOST, name, 443, Protocol.TCP)
    return Probe(Source(SourceKind.POD, "n/a"), target, family, request)


def test_a_name_is_looked_up_by_the_pod_itself() -> None:
    found = resolve(host("bank.example.com"))
    options = {"names": ["bank.example.com"], "type": "A", "kind": "tcp", "port": 443}
    assert found.spec == ["n/a", "host", "10.96.0.10", 53, options]
    assert found.proofs == (DNS_PROOF, Proof("external:bank", "tcp", "203.0.113.10", 443))
    six = resolve(host("BANK.example.com.", family=Family.IPV6))
    assert six.spec[4]["type"] == "AAAA"
    assert six.proofs[1] == Proof("external:bank", "tcp", "2001:db8::10", 443)


def test_http_by_name_is_for_that_name() -> None:
    found = resolve(host("bank.example.com", HttpRequest()))
    assert found.spec[4]["host"] == "bank.example.com:443"
    assert found.spec[4]["kind"] == "http"
    assert resolve(host("bank.example.com", HttpRequest(host="x"))).spec[4]["host"] == "x"


def test_a_plan_entry_holds_plain_lists() -> None:
    assert DNS_PROOF.spec(7) == [
        7,
        DNS_POD,
        "dns",
        DNS[0],
        53,
        {"names": ["kubernetes.default.svc.cluster.local"], "type": "A"},
    ]


def test_probes_of_one_sweep_share_destinations_but_not_kinds() -> None:
    resolver = Resolver(WORLD, ADDRESSING)
    one = probe("n/a -> n/w0:80")
    assert (
        resolver.resolve(one).proofs
        is resolver.resolve(replace(one, source=Source(SourceKind.NODE, "a"))).proofs
    )
    assert resolver.resolve(probe("n/a -> n/w0:80/UDP")).spec[1] == "udp"
    assert resolver.resolve(replace(one, family=Family.IPV6)).spec[2] == W0[1]


def _host(name: str) -> Resolved:
    return resolve(Probe(Source(SourceKind.POD, "n/a"), Target(TargetKind.HOST, name, 80, Protocol.TCP)))


@pytest.mark.parametrize(
    ("address", "servers", "proofs"),
    [
        (
            ADDRESSING.service("n/web")[0],
            ("n/w0", "n/w1"),
            (Proof("n/w0", "tcp", W0[0], 8080), Proof("n/w1", "tcp", W1[0], 8080)),
        ),
        (W1[0], ("n/w1",), (Proof("n/w1", "tcp", W1[0], 80),)),
        ("203.0.113.10", ("external:bank",), (Proof("external:bank", "tcp", "203.0.113.10", 80),)),
        (ADDRESSING.node("b")[0], ("n/host",), (Proof("node:b", "tcp", ADDRESSING.node("b")[0], 80),)),
    ],
)
def test_what_a_name_leads_to_must_listen_too(
    address: str, servers: tuple[str, ...], proofs: tuple[Proof, ...]
) -> None:
    found = Resolver(WORLD, ADDRESSING).dialled(_host("some.name.example"), address)
    assert (found.servers, found.proofs) == (servers, (DNS_PROOF, *proofs))


@pytest.mark.parametrize("address", ["192.0.2.1", ADDRESSING.service("n/empty")[0]])
def test_nothing_is_proven_of_an_address_behind_which_nobody_stands(address: str) -> None:
    assert Resolver(WORLD, ADDRESSING).dialled(_host("some.name.example"), address).proofs == ()
