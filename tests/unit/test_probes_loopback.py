"""Probes against listeners over the loopback interface, end to end."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from probes import dns, flights, lookups, wire
from probes.client import Sweep, raise_open_files
from tests.unit.loopback import V4, V6, Bench, Script, free_port, has_ipv6

ADDRESSES = [V4, pytest.param(V6, marks=pytest.mark.skipif(not has_ipv6(), reason="no IPv6 on this machine"))]
SHORT = 0.04
"""A timeout for probes that nobody answers."""


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


def get(port: int, address: str = V4, **options: Any) -> list[Any]:
    return ["n/a", "http", address, port, {"method": "GET", "path": "/", "headers": [], **options}]


# -- answers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize(("kind", "protocol"), [("tcp", "TCP"), ("udp", "UDP")])
def test_token_echo(bench: Bench, address: str, kind: str, protocol: str) -> None:
    port = bench.listen("n/b", protocol, address)
    (seen,) = bench.sweep(["n/a", kind, address, port, {}])
    assert (seen.kind, seen.token, seen.served_by, seen.attempts) == ("connected", True, "n/b", 1)
    assert (seen.detail, seen.by, seen.lookup) == ("", "", "")
    literal = f"[{address}]" if ":" in address else address
    assert seen.remote == f"{literal}:{port}"
    assert seen.local.rpartition(":")[0] == literal
    assert seen.seconds > 0
    assert bench.server.receipts.take(1) == {0: 1}
    assert bench.server.receipts.take(1) == {}


@pytest.mark.parametrize("address", ADDRESSES)
def test_http(bench: Bench, address: str) -> None:
    port = bench.listen("n/b", "TCP", address)
    body = "x" * 60_000
    seen = bench.sweep(
        get(port, address),
        get(port, address, method="HEAD", path="/a?b=c", host="api.example"),
        get(port, address, method="POST", body="hello", headers=[["X-API-Version", "2"]]),
        get(port, address, method="PUT", body=body),
        get(port, address, path="/%s" % ("p" * 3000)),
        get(port, address, path="/\ud800", headers=[["X", "\udfff"]], body="\ud800"),
        get(port, address, headers=[["Content-Length", "9" * 5000]]),
        get(port, address, method="POST", headers=[["Connection", "keep-alive"]]),
    )
    assert [(item.kind, item.detail, item.token, item.served_by) for item in seen] == [
        ("http", "200", True, "n/b")
    ] * len(seen)
    assert bench.server.receipts.take(1) == dict.fromkeys(range(len(seen)), 1)


def test_the_request_on_the_wire(bench: Bench) -> None:
    script = Script(bench, [b"HTTP/1.1 503 Busy\r\n\r\n"])
    bench.sweep(
        get(script.port, method="POST", path="/a", body="hé", headers=[["X-A", "1"]], host="h.example")
    )
    head, _, body = script.received.partition(b"\r\n\r\n")
    assert head.decode().split("\r\n") == [
        "POST /a HTTP/1.1",
        "Host: h.example",
        "X-A: 1",
        f"{wire.TOKEN_HEADER}: ab12.1.0.1",
        "Connection: close",
        "Content-Length: 3",
    ]
    assert body == "hé".encode()


def test_the_host_header_is_address_and_port_unless_given(bench: Bench) -> None:
    script = Script(bench, [b"HTTP/1.1 503 Busy\r\n\r\n"])
    bench.sweep(get(script.port))
    assert f"Host: 127.0.0.1:{script.port}\r\n".encode() in script.received


def answer_to(token: str, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nx-netcheck-token: {token}\r\nX-Netcheck-Server: n/b\r\n\r\n".encode()


def test_an_answer_in_many_pieces(bench: Bench) -> None:
    whole = answer_to("ab12.1.0.1")
    script = Script(bench, [whole[place : place + 1] for place in range(len(whole))])
    (seen,) = bench.sweep(get(script.port))
    assert (seen.kind, seen.detail, seen.token, seen.served_by) == ("http", "200", True, "n/b")


def test_an_echo_in_many_pieces(bench: Bench) -> None:
    script = Script(bench, [b"nc1 ab1", b"2.1.0.1 n/", b"b", b"\n"])
    (seen,) = bench.sweep(["n/a", "tcp", V4, script.port, {}])
    assert (seen.kind, seen.token, seen.served_by) == ("connected", True, "n/b")


@pytest.mark.parametrize(
    ("answer", "detail", "token"),
    [
        (
            b"HTTP/1.1 403 Forbidden\r\ncontent-length: 15\r\nserver: envoy\r\n\r\nAccess denied\r\n",
            "403",
            False,
        ),
        (answer_to("ab12.1.0.1", "403 Forbidden"), "403", True),
        (answer_to("ab12.1.0.2"), "200", False),
        (b"HTTP/1.0 200 OK\r\n\r\n", "200", False),
    ],
)
def test_who_answered_is_told_by_the_token(bench: Bench, answer: bytes, detail: str, token: bool) -> None:
    script = Script(bench, [answer])
    (seen,) = bench.sweep(get(script.port))
    assert (seen.kind, seen.detail, seen.token, seen.attempts) == ("http", detail, token, 1)


@pytest.mark.parametrize(
    ("kind", "answer", "outcome", "detail"),
    [
        ("tcp", b"SSH-2.0-OpenSSH_9.6\r\n", "error", "the answer is not from a netcheck listener"),
        ("tcp", b"nc1 another.1.0.1 n/b\n", "error", "the answer is not from a netcheck listener"),
        ("tcp", b"nc1 ab12.1.0.1\n", "error", "the answer is not from a netcheck listener"),
        ("tcp", b"\0" * 70_000, "error", "answer longer than 64 kB"),
        ("http", b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "error", "the answer is not HTTP"),
        ("http", b"HTTP/1.1 OK\r\n\r\n", "error", "the answer is not HTTP"),
        ("http", b"HTTP/1.1\r\n\r\n", "error", "the answer is not HTTP"),
    ],
)
def test_answers_of_somebody_else(bench: Bench, kind: str, answer: bytes, outcome: str, detail: str) -> None:
    pieces = [answer[place : place + 16_000] for place in range(0, len(answer), 16_000)]
    script = Script(bench, pieces)
    options = {"method": "GET", "path": "/", "headers": []}
    (seen,) = bench.sweep(["n/a", kind, V4, script.port, options], attempts=1)
    assert (seen.kind, seen.detail, seen.token) == (outcome, detail, False)


@pytest.mark.parametrize(
    ("body", "server", "by"),
    [
        (
            "upstream connect error or x. reset reason: connection timeout",
            "envoy",
            "proxy: connection timeout",
        ),
        ("no healthy upstream", "envoy", ""),
        ("upstream connect error or x. reset reason: connection timeout", "nginx", ""),
    ],
)
def test_what_a_proxy_says_of_its_server(bench: Bench, body: str, server: str, by: str) -> None:
    head = f"HTTP/1.1 503 Service Unavailable\r\ncontent-length: {len(body)}\r\nserver: {server}\r\n\r\n"
    # Only a proxy's words are waited for; the others are gone once the header is whole.
    pieces = [head, body[:20], body[20:]] if by else [head + body]
    script = Script(bench, [piece.encode() for piece in pieces])
    (seen,) = bench.sweep(get(script.port))
    assert (seen.kind, seen.detail, seen.by, seen.token) == ("http", "503", by, False)


def test_an_answer_of_somebody_else_is_asked_for_again(bench: Bench) -> None:
    port = bench.listen("n/b", "TCP", answer=lambda message, peer, tcp: b"?")
    (seen,) = bench.sweep(["n/a", "dns", V4, port, {"names": ["x"], "type": "A", "tcp": True}], timeout=1.0)
    assert (seen.kind, seen.detail) == ("error", "malformed DNS answer: shorter than a header")
    assert seen.attempts == 2


# -- refusals and silence ------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_closed_port_refuses(bench: Bench, address: str) -> None:
    tcp, udp, web = (
        bench.sweep([*spec[:2], address, free_port(spec[2], address), options])[0]
        for spec, options in (
            (("n/a", "tcp", "TCP"), {}),
            (("n/a", "udp", "UDP"), {}),
            (("n/a", "http", "TCP"), {"method": "GET", "path": "/", "headers": []}),
        )
    )
    code = "1/4" if ":" in address else "3/3"
    assert (tcp.kind, tcp.by, tcp.attempts) == ("refused", "rst", 2)
    assert (web.kind, web.by, web.attempts) == ("refused", "rst", 2)
    assert (udp.kind, udp.by, udp.attempts) == ("refused", f"icmp {code} from {address}", 2)


def test_udp_that_nobody_answers(bench: Bench) -> None:
    sock, port = bench.raw(socket.SOCK_DGRAM)
    (seen,) = bench.sweep(["n/a", "udp", V4, port, {}], timeout=SHORT)
    assert (seen.kind, seen.by, seen.token, seen.attempts) == ("timeout", "", False, 2)
    assert SHORT <= seen.seconds < 1.0
    arrived = [sock.recv(100) for _ in range(4)]
    assert arrived == [b"nc1 ab12.1.0.1\n"] * 2 + [b"nc1 ab12.1.0.2\n"] * 2
    with pytest.raises(BlockingIOError):
        sock.recv(100)


def test_a_datagram_that_is_sent_once(bench: Bench) -> None:
    sock, port = bench.raw(socket.SOCK_DGRAM)
    (seen,) = bench.sweep(["n/a", "udp", V4, port, {"once": True}], timeout=SHORT, attempts=1)
    assert (seen.kind, seen.token, seen.attempts) == ("timeout", False, 1)
    assert SHORT <= seen.seconds < 1.0
    assert sock.recv(100) == b"nc1 ab12.1.0.1\n"
    with pytest.raises(BlockingIOError):
        sock.recv(100)


def test_tcp_that_nobody_accepts(bench: Bench) -> None:
    """Linux drops further SYNs of a listener whose accept queue is full."""
    listener = bench.keep(socket.socket())
    listener.bind((V4, 0))
    listener.listen(0)
    port = listener.getsockname()[1]
    bench.keep(socket.create_connection((V4, port)))
    seen = bench.sweep(*[["n/a", "tcp", V4, port, {}]] * 5, timeout=SHORT)
    assert {(item.kind, item.by, item.attempts) for item in seen} == {("timeout", "", 2)}


def test_all_that_are_silent_wait_together(bench: Bench) -> None:
    _, port = bench.raw(socket.SOCK_DGRAM)
    began = time.monotonic()
    seen = bench.sweep(*[["n/a", "udp", V4, port, {}]] * 40, timeout=0.2)
    assert {item.kind for item in seen} == {"timeout"}
    assert time.monotonic() - began < 2.0


def test_a_server_that_accepts_and_keeps_silent_is_no_denial(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (flights, lookups):
        monkeypatch.setattr(module, "ANSWER_SECONDS", SHORT)
    _, port = bench.raw(socket.SOCK_STREAM)
    seen = bench.sweep(
        ["n/a", "tcp", V4, port, {}],
        get(port),
        ["n/a", "dns", V4, port, {"names": ["x"], "type": "A", "tcp": True}],
        timeout=SHORT,
    )
    assert {(item.kind, item.detail) for item in seen} == {("error", "connected, but no answer came back")}


def test_a_server_that_hangs_up_is_no_denial(bench: Bench) -> None:
    script = Script(bench, [], hang_up=True)
    (seen,) = bench.sweep(["n/a", "tcp", V4, script.port, {}], attempts=1)
    assert seen.kind == "reset"
    assert not seen.token


def test_a_place_that_is_not_there() -> None:
    bench = Bench(names=("n/a",))
    port = bench.listen("n/b", "TCP")
    seen = bench.sweep(["n/x", "tcp", V4, port, {}], ["n/a", "tcp", V4, port, {}])
    assert (seen[0].kind, seen[0].detail) == ("error", "no such source: n/x ('n/x')")
    assert seen[0].attempts == 2
    assert seen[1].kind == "connected"
    bench.close()


def test_what_ends_at_once_is_told_at_once() -> None:
    """The loop must not wait for more when everything has ended before anything was waited for."""
    bench = Bench(names=())
    sweep = bench.begin(["n/x", "tcp", V4, 1, {}])
    began = time.monotonic()
    bench.prober.turn(2.0)
    assert time.monotonic() - began < 1.0
    assert sweep.left == 0
    bench.close()


def test_an_unknown_kind_of_probe_is_an_error_at_once(bench: Bench) -> None:
    sweep = Sweep("ab12", 1, 1.0, 2)
    assert sweep.flights([[0, "n/a", "carrier-pigeon", V4, 1, {}]]) == []
    assert sweep.left == 0
    assert sweep.take() == [
        [0, "error", "unknown kind of probe: 'carrier-pigeon'", "", False, "", "", 0, 0.0, "", "", []]
    ]


def test_an_address_that_cannot_be_reached_from_here(bench: Bench) -> None:
    # The limited broadcast address takes no TCP connection and no datagram of an ordinary socket.
    seen = bench.sweep(
        ["n/a", "tcp", "255.255.255.255", 80, {}],
        ["n/a", "udp", "255.255.255.255", 80, {}],
        timeout=SHORT,
    )
    assert [(item.kind, item.by) for item in seen] == [("unreachable", "local"), ("refused", "local")]


# -- many ----------------------------------------------------------------------------------------------


def test_no_more_in_flight_than_the_window() -> None:
    bench = Bench(window=3)
    tcp, udp = bench.listen("n/b", "TCP"), bench.listen("n/b", "UDP")
    specs = [["n/a", kind, V4, port, {}] for kind, port in (("tcp", tcp), ("udp", udp))] * 25
    seen = bench.sweep(*specs)
    assert [item.index for item in seen] == list(range(50))
    assert all(item.token for item in seen)
    assert 1 <= bench.most <= 3
    assert bench.server.receipts.take(1) == dict.fromkeys(range(50), 1)
    bench.close()


def test_places_are_entered_once_per_change(bench: Bench) -> None:
    port = bench.listen("n/b", "TCP")
    specs = [[source, "tcp", V4, port, {}] for source in ("n/a", "n/a", "n/c", "n/a")]
    bench.sweep(*specs)
    assert bench.entered == ["n/a", "n/c", "n/a"]
    bench.sweep(specs[0])
    assert bench.entered == ["n/a", "n/c", "n/a"]
    bench.prober.forget_place()
    bench.sweep(specs[0])
    assert bench.entered == ["n/a", "n/c", "n/a", "n/a"]


def test_a_source_port_is_not_used_again_soon() -> None:
    bench = Bench(ports=40)
    port = bench.listen("n/b", "UDP")
    spec = ["n/a", "udp", V4, port, {}]
    used = [item.local for _ in range(4) for item in bench.sweep(*[spec] * 5)]
    assert len(set(used)) == 20
    bench.close()


@pytest.fixture
def few_descriptors() -> Iterator[Any]:
    """Lets only so many more descriptors be opened."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    extra: list[int] = []

    def limit(more: int) -> None:
        numbers = sorted(int(item.name) for item in Path("/proc/self/fd").iterdir())
        resource.setrlimit(resource.RLIMIT_NOFILE, (numbers[-1] + 1 + more, before[1]))
        # Numbers that are free below the highest one count as well.
        extra.extend(os.dup(0) for _ in range(numbers[-1] + 2 - len(numbers)))

    yield limit
    resource.setrlimit(resource.RLIMIT_NOFILE, before)
    for number in extra:
        os.close(number)


def test_more_probes_than_descriptors(bench: Bench, few_descriptors: Any) -> None:
    port = bench.listen("n/b", "UDP")
    few_descriptors(6)
    seen = bench.sweep(*[["n/a", "udp", V4, port, {}]] * 60)
    assert {(item.kind, item.attempts) for item in seen} == {("connected", 1)}
    assert len(seen) == 60
    assert bench.most <= 7


def test_no_descriptor_at_all_is_an_error(bench: Bench, few_descriptors: Any) -> None:
    port = bench.listen("n/b", "UDP")
    few_descriptors(0)
    with contextlib.suppress(OSError):
        while True:
            bench.keep(socket.socket())
    (seen,) = bench.sweep(["n/a", "udp", V4, port, {}])
    assert (seen.kind, seen.detail) == ("error", "no file descriptor is free")


def test_the_limit_of_open_files_is_raised(few_descriptors: Any) -> None:
    few_descriptors(50)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    window = raise_open_files()
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == hard
    assert window >= 64


# -- DNS -----------------------------------------------------------------------------------------------

ZONE = {
    "a.example": ("203.0.113.1", "203.0.113.2"),
    "x.n.svc.cluster.local": ("10.96.0.20",),
    "big.example": tuple(f"203.0.113.{number}" for number in range(40)),
    "here.example": (V4,),
}


def resolver(message: bytes, peer: str, tcp: bool) -> bytes | None:
    asked = dns.parse(message)
    if asked.name == "silent.example":
        return None
    if asked.name == "refused.example":
        return dns.response(asked, "REFUSED")
    if asked.name == "broken.example":
        return b"not DNS at all"
    if asked.name == "stranger.example":
        return dns.response(asked._replace(id=asked.id ^ 1), "REFUSED")
    if asked.name == "echo.example":
        return message
    found = ZONE.get(asked.name)
    if found is None:
        return dns.response(asked, "NXDOMAIN")
    answers = tuple(dns.Record(asked.name, 1, 5, item) for item in found) if asked.type == 1 else ()
    return dns.response(asked, "NOERROR", answers, limit=65535 if tcp else 512)


def ask(port: int, *names: str, tcp: bool = False, type: str = "A", address: str = V4) -> list[Any]:
    return ["n/a", "dns", address, port, {"names": list(names), "type": type, "tcp": tcp}]


@pytest.fixture
def dns_port(bench: Bench) -> int:
    port = free_port("TCP")
    bench.server.listen("kube-system/kube-dns", [V4], [(port, "UDP"), (port, "TCP")], resolver)
    return port


@pytest.mark.parametrize("tcp", [False, True])
def test_lookups(bench: Bench, dns_port: int, tcp: bool) -> None:
    seen = bench.sweep(
        ask(dns_port, "a.example", tcp=tcp),
        ask(dns_port, "a.example.", tcp=tcp),
        ask(dns_port, "a.example", tcp=tcp, type="AAAA"),
        ask(dns_port, "none.example", tcp=tcp),
        ask(dns_port, "refused.example", tcp=tcp),
    )
    assert [(item.kind, item.detail, item.lookup) for item in seen] == [
        ("dns", "NOERROR", "203.0.113.1 203.0.113.2"),
        ("dns", "NOERROR", "203.0.113.1 203.0.113.2"),
        ("dns", "NOERROR", ""),
        ("dns", "NXDOMAIN", ""),
        ("dns", "REFUSED", ""),
    ]
    assert {item.attempts for item in seen} == {1}
    assert all(item.token for item in seen)


def test_a_truncated_answer_is_asked_for_again_over_tcp(bench: Bench, dns_port: int) -> None:
    (seen,) = bench.sweep(ask(dns_port, "big.example"))
    assert (seen.kind, seen.detail) == ("dns", "NOERROR")
    assert seen.lookup.startswith("203.0.113.0 203.0.113.1 ")


def test_the_search_list_is_walked_until_there_is_an_answer(bench: Bench, dns_port: int) -> None:
    seen = bench.sweep(
        ask(dns_port, "x.m.svc.cluster.local", "x.n.svc.cluster.local", "x"),
        ask(dns_port, "x.m.svc.cluster.local", "x.n.svc.cluster.local", "x", tcp=True),
        # A refusal ends the search, as it does in resolvers.
        ask(dns_port, "none.example", "refused.example", "a.example"),
        ask(dns_port, "none.example", "nor.example"),
    )
    assert [(item.detail, item.lookup) for item in seen] == [
        ("NOERROR", "10.96.0.20"),
        ("NOERROR", "10.96.0.20"),
        ("REFUSED", ""),
        ("NXDOMAIN", ""),
    ]


@pytest.mark.parametrize("tcp", [False, True])
def test_what_is_no_dns_answer_is_an_error(bench: Bench, dns_port: int, tcp: bool) -> None:
    (seen,) = bench.sweep(ask(dns_port, "broken.example", tcp=tcp))
    assert seen.kind == "error"
    assert seen.detail.startswith("malformed DNS answer: ")


def test_names_that_cannot_be_asked_for(bench: Bench, dns_port: int) -> None:
    seen = bench.sweep(
        ask(dns_port, "a" * 64 + ".example"),
        ask(dns_port, "a..example", tcp=True),
        ask(dns_port, "none.example", "a" * 64 + ".example"),
        ask(dns_port, "a.example"),
    )
    assert [item.kind for item in seen] == ["error", "error", "error", "dns"]
    assert seen[0].detail.startswith("no question can be made of it: label longer than 63 bytes")


def test_silence_of_the_resolver_is_a_timeout(bench: Bench, dns_port: int) -> None:
    (seen,) = bench.sweep(ask(dns_port, "silent.example"), timeout=SHORT)
    assert (seen.kind, seen.token, seen.attempts) == ("timeout", False, 2)


def test_answers_to_other_questions_are_passed_over(bench: Bench, dns_port: int) -> None:
    seen = bench.sweep(ask(dns_port, "stranger.example"), ask(dns_port, "echo.example"), timeout=SHORT)
    assert [item.kind for item in seen] == ["timeout", "timeout"]


def test_a_stranger_before_the_answer_on_one_tcp_connection(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookups.os, "urandom", lambda size: b"\0\7")
    asked = dns.parse(dns.query(7, "a.example", 1))
    stranger = dns.response(asked._replace(id=8), "REFUSED")
    answer = dns.response(asked, "NXDOMAIN")
    framed = b"".join(struct.pack(">H", len(item)) + item for item in (stranger, answer))
    script = Script(bench, [framed[place : place + 5] for place in range(0, len(framed), 5)])
    (seen,) = bench.sweep(ask(script.port, "a.example", tcp=True))
    assert (seen.kind, seen.detail, seen.attempts) == ("dns", "NXDOMAIN", 1)


def test_a_resolver_that_is_not_there_refuses(bench: Bench) -> None:
    seen = bench.sweep(ask(free_port("UDP"), "a"), ask(free_port("TCP"), "a", tcp=True))
    assert [(item.kind, item.by) for item in seen] == [
        ("refused", "icmp 3/3 from 127.0.0.1"),
        ("refused", "rst"),
    ]


def host(dns_port: int, name: str, kind: str, port: int) -> list[Any]:
    options = {
        "names": [name],
        "type": "A",
        "kind": kind,
        "port": port,
        "method": "GET",
        "path": "/",
        "headers": [],
        "host": name,
    }
    return ["n/a", "host", V4, dns_port, options]


def test_a_name_is_resolved_first_and_then_connected_to(bench: Bench, dns_port: int) -> None:
    tcp, udp = bench.listen("external:e", "TCP"), bench.listen("external:e", "UDP")
    seen = bench.sweep(
        host(dns_port, "here.example", "tcp", tcp),
        host(dns_port, "here.example", "udp", udp),
        host(dns_port, "here.example", "http", tcp),
        host(dns_port, "here.example", "tcp", free_port("TCP")),
    )
    assert [(item.kind, item.detail, item.lookup) for item in seen] == [
        ("connected", "", "NOERROR 127.0.0.1"),
        ("connected", "", "NOERROR 127.0.0.1"),
        ("http", "200", "NOERROR 127.0.0.1"),
        ("refused", "", "NOERROR 127.0.0.1"),
    ]
    assert [item.served_by for item in seen[:3]] == ["external:e"] * 3
    assert seen[0].remote == f"127.0.0.1:{tcp}"
    assert bench.server.receipts.take(1) == {0: 1, 1: 1, 2: 1}


def test_a_name_that_is_not_resolved_ends_as_a_lookup(bench: Bench, dns_port: int) -> None:
    nodata = host(dns_port, "here.example", "tcp", 1)
    nodata[4]["type"] = "AAAA"
    seen = bench.sweep(
        host(dns_port, "refused.example", "tcp", 1), host(dns_port, "none.example", "tcp", 1), nodata
    )
    assert [(item.kind, item.detail) for item in seen] == [
        ("dns", "REFUSED"),
        ("dns", "NXDOMAIN"),
        ("dns", "NODATA"),
    ]


# -- ICMP ----------------------------------------------------------------------------------------------


def _may_ping() -> bool:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not _may_ping(), reason="no ICMP sockets for this user (net.ipv4.ping_group_range)")
def test_ping(bench: Bench) -> None:
    (seen,) = bench.sweep(["n/a", "icmp", V4, 0, {}])
    assert (seen.kind, seen.token, seen.attempts) == ("connected", True, 1)


def test_an_answer_leaves_from_the_address_that_was_asked(bench: Bench) -> None:
    # A node has several addresses; routing would answer from the one nearest to the asker.
    port = bench.listen("n/b", "UDP", "0.0.0.0")
    (seen,) = bench.sweep(["n/a", "udp", "127.0.0.2", port, {}])
    assert (seen.kind, seen.served_by, seen.remote) == ("connected", "n/b", f"127.0.0.2:{port}")


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
def test_datagrams_to_all_addresses_are_answered_over_ipv6_too(bench: Bench) -> None:
    port = bench.listen("n/b", "UDP", "::")
    (seen,) = bench.sweep(["n/a", "udp", V6, port, {}])
    assert (seen.kind, seen.served_by) == ("connected", "n/b")


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
def test_a_port_that_somebody_else_has_is_not_shared(bench: Bench, protocol: str) -> None:
    port = bench.listen("n/b", protocol)
    with pytest.raises(OSError, match=f"n/c cannot listen on {V4} port {port}/{protocol}"):
        bench.server.listen("n/c", [V4], [(port, protocol)])
