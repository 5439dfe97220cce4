"""Connections that run through the proxy when policies change: Cilium judges every packet of them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.model.application import DnsRules
from harness.model.builtin import DNS_POD
from harness.model.names import parse_pattern
from harness.model.personality import CALICO, CILIUM, GENERIC, Personality
from harness.model.rules import Direction, Match, Ports, Stage
from harness.model.topology import Protocol
from probes import dns
from tests.lab.labs import scenario
from tests.lab.stages import Raw, allow, enforce, get, raw, stage

pytestmark = pytest.mark.lab

WORLD = """
scenario: connections
namespaces: {n: {}}
pods:
  n/web: {labels: {app: web}, listen: [80, 81], node: a}
  n/near: {node: a}
  n/far: {node: b}
externals:
  good: {address: 203.0.113.7, listen: [80], names: [good.example.com, other.example.com]}
expect: [{from: n/near, to: "n/web:81", verdict: allow}]
"""
IN, OUT = Direction.INGRESS, Direction.EGRESS
SERVED, DENIED, SILENT = "200", "403", "silence"
ALL, PUBLIC, PRIVATE = get("/.*"), get("/public"), get("/private")
CLIENTS = Match(pods=frozenset({"n/near", "n/far"}))
WEB = Match(pods=frozenset({"n/web"}))
OTHER_PORT = Match(ports=(Ports(Protocol.TCP, 81, 81),))
INGRESS = stage(IN, ["n/web"], allow(CLIENTS, application=ALL), strict=True)
EGRESS = stage(OUT, ["n/near", "n/far"], allow(WEB, application=ALL), strict=True)


def _ask(sock: socket.socket, path: str) -> str:
    """The status of the answer to one more request of a connection."""
    sock.settimeout(0.5)
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: web\r\n\r\n".encode())
    data = b""
    try:
        while b"\r\n\r\n" not in data or not data.endswith(b"\n"):
            more = sock.recv(4096)
            assert more, f"the connection has ended after {data!r}"
            data += more
    except TimeoutError:
        assert data == b""
        return SILENT
    return data.split()[1].decode()


@pytest.fixture(params=["n/near", "n/far"])
def client(request: pytest.FixtureRequest) -> str:
    """On the server's node, and on another."""
    return str(request.param)


@pytest.fixture(params=[CILIUM, GENERIC, CALICO], ids=lambda item: item.name)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Raw, Personality]]:
    with raw(scenario(WORLD, tmp_path), request.param) as way:
        yield way, request.param


# What holds at first, what comes then, and what becomes of the next request with Cilium.
CHANGES: dict[str, tuple[list[Stage], list[Stage], str]] = {
    "ingress: nobody": ([INGRESS], [stage(IN, ["n/web"], strict=True)], SILENT),
    "ingress: another port": ([INGRESS], [stage(IN, ["n/web"], allow(OTHER_PORT), strict=True)], SILENT),
    "ingress: another port, rules of requests": (
        [INGRESS],
        [stage(IN, ["n/web"], allow(OTHER_PORT, application=ALL), strict=True)],
        SILENT,
    ),
    "ingress: another path": (
        [INGRESS],
        [stage(IN, ["n/web"], allow(CLIENTS, application=PRIVATE), strict=True)],
        DENIED,
    ),
    "ingress: no rules of requests": (
        [INGRESS],
        [stage(IN, ["n/web"], allow(CLIENTS), strict=True)],
        SERVED,
    ),
    "ingress: no policy": ([INGRESS], [], SERVED),
    "ingress: a policy for the client": (
        [INGRESS],
        [INGRESS, stage(OUT, ["n/near", "n/far"], strict=True)],
        SILENT,
    ),
    "egress: nobody": ([EGRESS], [stage(OUT, ["n/near", "n/far"], strict=True)], SILENT),
    "egress: another path": (
        [EGRESS],
        [stage(OUT, ["n/near", "n/far"], allow(WEB, application=PRIVATE), strict=True)],
        DENIED,
    ),
    "egress: a policy for the server": ([EGRESS], [EGRESS, stage(IN, ["n/web"], strict=True)], SILENT),
    "egress: one that lets it in": (
        [EGRESS],
        [EGRESS, stage(IN, ["n/web"], allow(CLIENTS), strict=True)],
        SERVED,
    ),
    "both: nobody in": ([EGRESS, INGRESS], [EGRESS, stage(IN, ["n/web"], strict=True)], SILENT),
    "both: nobody out": (
        [EGRESS, INGRESS],
        [stage(OUT, ["n/near", "n/far"], strict=True), INGRESS],
        SILENT,
    ),
    "both: another path": (
        [EGRESS, INGRESS],
        [EGRESS, stage(IN, ["n/web"], allow(CLIENTS, application=PRIVATE), strict=True)],
        DENIED,
    ),
}


def test_the_next_request(
    world: tuple[Raw, Personality], client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    way, personality = world
    web = way.world._addressing.pod("n/web")[0]
    wrong = []
    for what, (before, after, cilium) in CHANGES.items():
        enforce(monkeypatch, way.world, *before)
        with way.dial(client, web) as sock:
            assert _ask(sock, "/public") == SERVED, what
            enforce(monkeypatch, way.world, *after)
            # Where connection tracking has said yes, only requests are still judged.
            expected = cilium if personality is CILIUM or cilium != SILENT else SERVED
            found = _ask(sock, "/public")
            if found != expected:
                wrong.append(f"{what}: {found} instead of {expected}")
    assert wrong == []


def test_what_is_allowed_again(tmp_path: Path, client: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that was cut goes on when the policy allows it again before anybody has given up."""
    with raw(scenario(WORLD, tmp_path), CILIUM) as way:
        web = way.world._addressing.pod("n/web")[0]
        enforce(monkeypatch, way.world, INGRESS)
        with way.dial(client, web) as sock:
            assert _ask(sock, "/public") == SERVED
            enforce(monkeypatch, way.world, stage(IN, ["n/web"], strict=True))
            assert _ask(sock, "/public") == SILENT
            enforce(monkeypatch, way.world, INGRESS)
            sock.settimeout(5.0)
            assert sock.recv(4096).startswith(b"HTTP/1.1 200 OK")


def test_questions_of_one_socket(tmp_path: Path, client: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def rules(name: str) -> Stage:
        ports = (Ports(Protocol.UDP, 53, 53),)
        names = DnsRules((parse_pattern(name),))
        return stage(OUT, [client], allow(Match(pods=frozenset({DNS_POD}), ports=ports), application=names))

    with raw(scenario(WORLD, tmp_path), CILIUM) as way:
        enforce(monkeypatch, way.world, rules("good.example.com"))
        with way.inside(client):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with sock:
            sock.settimeout(0.5)
            sock.connect(("10.96.0.10", 53))

            def ask(number: int) -> str:
                sock.send(dns.query(number, "good.example.com", 1))
                return dns.parse(sock.recv(4096)).rcode

            assert ask(1) == "NOERROR"
            enforce(monkeypatch, way.world, rules("other.example.com"))
            assert ask(2) == "REFUSED"
            enforce(monkeypatch, way.world, stage(OUT, [client], allow(OTHER_PORT)))
            with pytest.raises(TimeoutError):
                ask(3)
