"""Server names in the lab, with real packets: a reset right after the ClientHello, or every byte passes."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from harness.engine.judge import judge
from harness.model.application import HttpRule, HttpRules, ServerNames
from harness.model.names import parse_pattern
from harness.model.outcome import OutcomeKind
from harness.model.probe import HttpRequest, Probe, Source, SourceKind, Target, TargetKind, TlsRequest
from harness.model.rules import Direction, Match
from harness.model.topology import Family, Protocol
from harness.model.verdict import Verdict
from tests.lab.labs import scenario, to_pod, world
from tests.lab.stages import TCP80, Raw, allow, enforce, raw, stage

pytestmark = pytest.mark.lab

WORLD = """
scenario: names
families: [ipv4, ipv6]
namespaces: {n: {}}
pods:
  n/web: {listen: [80], node: a}
  n/near: {node: a}
  n/far: {node: b}
expect: [{from: n/near, to: "n/web:80", verdict: allow}]
"""
NAMES = ServerNames((parse_pattern("api.example.com"), parse_pattern("*.web.example.com")))
TO_WEB = Match(pods=frozenset({"n/web"}), ports=TCP80)
FROM_CLIENTS = Match(pods=frozenset({"n/near", "n/far"}), ports=TCP80)


def tls(client: str, name: str | None, family: Family = Family.IPV4) -> Probe:
    target = Target(TargetKind.POD, "n/web", 80, Protocol.TCP)
    return Probe(Source(SourceKind.POD, client), target, family, TlsRequest(sni=name))


@pytest.mark.parametrize("family", list(Family))
@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize("client", ["n/near", "n/far"])
def test_server_names(
    client: str, direction: Direction, family: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [
        "api.example.com",
        "API.example.com",
        "a.web.example.com",
        "web.example.com",
        "b.a.web.example.com",
        None,
    ]
    rules = {
        Direction.INGRESS: stage(Direction.INGRESS, ["n/web"], allow(FROM_CLIENTS, application=NAMES)),
        Direction.EGRESS: stage(Direction.EGRESS, [client], allow(TO_WEB, application=NAMES)),
    }
    probes = [tls(client, name, family) for name in names]
    plain = to_pod(client, "n/web", 80, family=family)
    with world(scenario(WORLD, tmp_path)) as built:
        enforce(monkeypatch, built, rules[direction])
        seen = built.sweep([*probes, plain], 0.6)
    verdicts = [judge(probe, item).verdict for probe, item in zip(probes, seen, strict=False)]
    assert verdicts == [Verdict.ALLOW] * 3 + [Verdict.TLS_REJECTED] * 3
    assert seen[-1].outcome.kind is OutcomeKind.RESET
    assert [item.receipts for item in seen] == [1, 1, 1, 0, 0, 0, 0]


def _hello(name: str | None) -> bytes:
    context = ssl.create_default_context()
    context.check_hostname = False
    to_client, from_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    made = context.wrap_bio(to_client, from_client, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        made.do_handshake()
    return from_client.read()


def _web(way: Raw) -> str:
    return way.world._addressing.pod("n/web")[0]


def test_what_stands_on_the_wire(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = _hello("api.example.com"), _hello("bad.example.com")
    with raw(scenario(WORLD, tmp_path)) as way:
        way.world.sweep([tls("n/near", "x")], 0.5)  # the listener gets its certificate
        enforce(
            monkeypatch,
            way.world,
            stage(Direction.INGRESS, ["n/web"], allow(FROM_CLIENTS, application=NAMES)),
        )
        with way.dial("n/far", _web(way)) as sock:
            # Nothing is answered to half a ClientHello; its end brings the reset.
            sock.sendall(bad[:40])
            sock.settimeout(0.2)
            with pytest.raises(TimeoutError):
                sock.recv(10)
            sock.sendall(bad[40:])
            sock.settimeout(2)
            with pytest.raises(ConnectionResetError):
                sock.recv(10)
        with way.dial("n/far", _web(way)) as sock:
            # In several records, each in a segment of its own.
            content = good[5:]
            records = [content[at : at + 100] for at in range(0, len(content), 100)]
            for part in records:
                sock.sendall(good[:3] + len(part).to_bytes(2, "big") + part)
            assert sock.recv(1) == b"\x16"  # the server's own handshake
        for begin in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x00", b"\x15\x03\x01\x00\x02\x02\x28"):
            with way.dial("n/far", _web(way)) as sock:
                sock.sendall(begin)
                with pytest.raises(ConnectionResetError):
                    sock.recv(10)


def test_http_beside_tls_on_one_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What begins as TLS is judged by its server name, everything else by the HTTP rules."""
    http = HttpRules((HttpRule(path="/public"),))
    target = Target(TargetKind.POD, "n/web", 80, Protocol.TCP)
    requests = [
        Probe(Source(SourceKind.POD, "n/far"), target, Family.IPV4, HttpRequest(path=path))
        for path in ("/public", "/x")
    ]
    probes = [*requests, tls("n/far", "api.example.com"), tls("n/far", "bad.example.com")]
    rules = [allow(FROM_CLIENTS, application=item) for item in (http, NAMES)]
    with world(scenario(WORLD, tmp_path)) as built:
        enforce(monkeypatch, built, stage(Direction.INGRESS, ["n/web"], *rules))
        seen = built.sweep(probes, 0.6)
    verdicts = [judge(probe, item).verdict for probe, item in zip(probes, seen, strict=True)]
    assert verdicts == [Verdict.ALLOW, Verdict.DENY_HTTP, Verdict.ALLOW, Verdict.TLS_REJECTED]


def test_a_server_out_of_reach_is_no_refused_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = stage(Direction.EGRESS, ["n/far"], allow(TO_WEB, application=NAMES))
    with raw(scenario(WORLD, tmp_path)) as way:
        enforce(monkeypatch, way.world, out, stage(Direction.INGRESS, ["n/web"]))
        with way.dial("n/far", _web(way)) as sock:
            sock.sendall(_hello("api.example.com"))
            assert sock.recv(10) == b""
