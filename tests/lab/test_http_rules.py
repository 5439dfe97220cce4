"""HTTP rules in the lab, with real packets: who is judged where, and what stands on the wire."""

from __future__ import annotations

import ipaddress
import os
import re
import signal
import socket
from pathlib import Path

import pytest

from harness.cli.exits import ExitCode, exit_code
from harness.clusters.lab.world import LabWorld
from harness.engine.cluster import ClusterError
from harness.engine.judge import judge
from harness.model.application import Authentication, HeaderMatch, HttpRule, HttpRules, Mismatch
from harness.model.outcome import Observation, OutcomeKind
from harness.model.probe import HttpRequest, Probe, Source, SourceKind, Target, TargetKind
from harness.model.rules import Action, Block, Direction, Match, Origin, Reach, Rule
from harness.model.topology import Family, Protocol
from harness.model.verdict import Status, Verdict
from tests.lab.labs import cells, measure, scenario, world
from tests.lab.stages import TCP80, Raw, allow, enforce, get, proxy_of, raw, request, stage

pytestmark = pytest.mark.lab

WORLD = """
scenario: http
families: [ipv4, ipv6]
namespaces: {n: {}}
pods:
  n/web: {labels: {app: web}, listen: [80, 81], node: a}
  n/near: {node: a}
  n/far: {node: b}
  n/other: {node: b}
services:
  n/web: {selector: {app: web}, ports: [8080:80]}
externals:
  out: {address: [203.0.113.7, "2001:db8::7"], listen: [80]}
expect: [{from: n/near, to: "n/web:81", verdict: allow}]
"""
IN, OUT = Direction.INGRESS, Direction.EGRESS
CLIENTS = Match(pods=frozenset({"n/near", "n/far"}), ports=TCP80)
WEB = Match(pods=frozenset({"n/web"}), ports=TCP80)
PUBLIC = get("/public/.*")


def _passed(seen: Observation) -> bool:
    """Whether a request was served; if not, it was denied as a request."""
    if str(seen.outcome) == "http:200":
        assert seen.outcome.token
        assert seen.receipts == 1
        return True
    assert str(seen.outcome) == "http:403"
    assert not seen.outcome.token
    assert seen.receipts == 0
    return False


@pytest.mark.parametrize("family", list(Family))
@pytest.mark.parametrize("client", ["n/near", "n/far"])
def test_ingress(client: str, family: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    probes = [
        request(client, "n/web", "/public/a", family=family),
        request(client, "n/web", "/private", family=family),
        request(client, "n/web", "/public/a", method="POST", body="x", family=family),
        request("n/other", "n/web", "/public/a", family=family),
        request(client, "n/web", "/public/a", port=81, family=family),
    ]
    with world(scenario(WORLD, tmp_path)) as built:
        enforce(monkeypatch, built, stage(IN, ["n/web"], allow(CLIENTS, application=PUBLIC)))
        good, bad, posted, stranger, elsewhere = seen = built.sweep(probes, 0.5)
    assert [_passed(item) for item in (good, bad, posted)] == [True, False, False]
    assert stranger.outcome.kind is elsewhere.outcome.kind is OutcomeKind.TIMEOUT
    verdicts = [judge(probe, item).verdict for probe, item in zip(probes, seen, strict=True)]
    assert verdicts == [Verdict.ALLOW, Verdict.DENY_HTTP, Verdict.DENY_HTTP, Verdict.DROP, Verdict.DROP]


@pytest.mark.parametrize("family", list(Family))
@pytest.mark.parametrize("client", ["n/near", "n/far"])
def test_egress(client: str, family: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ingress policy of the destination still decides about what the proxy passes on."""
    paths = ["/public/a", "/private"]
    out = stage(OUT, [client], allow(WEB, application=PUBLIC))
    with world(scenario(WORLD, tmp_path)) as built:

        def sweep() -> list[Observation]:
            return list(built.sweep([request(client, "n/web", path, family=family) for path in paths], 0.5))

        enforce(monkeypatch, built, out)
        assert [_passed(item) for item in sweep()] == [True, False]
        enforce(monkeypatch, built, out, stage(IN, ["n/web"], allow(CLIENTS)))
        assert [_passed(item) for item in sweep()] == [True, False]
        enforce(monkeypatch, built, out, stage(IN, ["n/web"], allow(CLIENTS, application=get("/public/b"))))
        assert [_passed(item) for item in sweep()] == [False, False]
        enforce(monkeypatch, built, out, stage(IN, ["n/web"], allow(CLIENTS, application=get("/p.*"))))
        assert [_passed(item) for item in sweep()] == [True, False]
        enforce(monkeypatch, built, out, stage(IN, ["n/web"]))
        unserved, denied = sweep()
    assert str(unserved.outcome) == "http:503 by proxy: connection timeout"
    assert judge(request(client, "n/web", paths[0], family=family), unserved).verdict is Verdict.DROP
    assert not _passed(denied)


def test_towards_the_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def probe(path: str) -> Probe:
        target = Target(TargetKind.EXTERNAL, "out", 80, Protocol.TCP)
        return Probe(Source(SourceKind.POD, "n/far"), target, Family.IPV4, HttpRequest(path=path))

    for reach, expected in ((Reach.OUTSIDE, True), (Reach.ANY, True)):
        block = Block(ipaddress.ip_network("203.0.113.0/24"), reach=reach)
        with world(scenario(WORLD, tmp_path)) as built:
            rule = allow(Match(blocks=(block,), ports=TCP80), application=PUBLIC)
            enforce(monkeypatch, built, stage(OUT, ["n/far"], rule))
            seen = built.sweep([probe("/public/a"), probe("/x")], 0.5)
        assert [_passed(item) for item in seen] == [expected, False]


@pytest.mark.parametrize("family", list(Family))
@pytest.mark.parametrize("client", ["n/near", "n/far"])
def test_towards_a_node(client: str, family: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hostNetwork pod answers: on the client's own node and on the other one."""
    text = WORLD.replace("  n/other:", "  n/host: {hostNetwork: true, listen: [80], node: a}\n  n/other:")
    rule = allow(Match(nodes=frozenset({"a"}), ports=TCP80), application=PUBLIC)
    probes = [request(client, "n/host", path, family=family) for path in ("/public/a", "/x")]
    with world(scenario(text, tmp_path)) as built:
        enforce(monkeypatch, built, stage(OUT, [client], rule, strict=True))
        assert [_passed(item) for item in built.sweep(probes, 0.5)] == [True, False]


def test_by_a_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def probe(source: str, path: str) -> Probe:
        target = Target(TargetKind.SERVICE, "n/web", 8080, Protocol.TCP)
        return Probe(Source(SourceKind.POD, source), target, Family.IPV4, HttpRequest(path=path))

    probes = [probe(source, path) for source in ("n/near", "n/far") for path in ("/public/a", "/x")]
    with world(scenario(WORLD, tmp_path)) as built:
        enforce(monkeypatch, built, stage(IN, ["n/web"], allow(CLIENTS, application=PUBLIC)))
        assert [_passed(item) for item in built.sweep(probes, 0.5)] == [True, False] * 2
        outs = [stage(OUT, [client], allow(WEB, application=PUBLIC)) for client in ("n/near", "n/far")]
        enforce(monkeypatch, built, *outs)
        assert [_passed(item) for item in built.sweep(probes, 0.5)] == [True, False] * 2


def test_rules_come_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    near = Match(pods=frozenset({"n/near"}), ports=TCP80)
    far = Match(pods=frozenset({"n/far"}), ports=TCP80)
    deny = Rule(Action.DENY, (far,), Origin("P n/p", "deny"))
    paths = ["/public/a", "/more", "/none"]

    def sweep(built: LabWorld, client: str) -> list[str]:
        seen = built.sweep([request(client, "n/web", path) for path in paths], 0.5)
        return [str(item.outcome) for item in seen]

    with world(scenario(WORLD, tmp_path)) as built:
        # The union of what both rules allow, for whom both are.
        rules = [allow(CLIENTS, application=PUBLIC), allow(near, application=get("/more"))]
        enforce(monkeypatch, built, stage(IN, ["n/web"], *rules))
        assert sweep(built, "n/near") == ["http:200", "http:200", "http:403"]
        assert sweep(built, "n/far") == ["http:200", "http:403", "http:403"]
        # A rule without an application allows the connection as a whole, wherever it stands.
        for order in ([*rules, allow(near)], [allow(near), *rules]):
            enforce(monkeypatch, built, stage(IN, ["n/web"], *order))
            assert sweep(built, "n/near") == ["http:200"] * 3
            assert sweep(built, "n/far") == ["http:200", "http:403", "http:403"]
        # Denials that stand before win.
        enforce(monkeypatch, built, stage(IN, ["n/web"], deny, *rules))
        assert sweep(built, "n/near") == ["http:200", "http:200", "http:403"]
        assert sweep(built, "n/far") == ["timeout"] * 3
        # A default of allow does not let requests past the rules, but connections that none is about.
        enforce(
            monkeypatch, built, stage(IN, ["n/web"], allow(near, application=PUBLIC), default=Action.ALLOW)
        )
        assert sweep(built, "n/near") == ["http:200", "http:403", "http:403"]
        assert sweep(built, "n/far") == ["http:200"] * 3


def test_authentication(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def rule(mode: Authentication, *matches: Match) -> Rule:
        return Rule(
            Action.ALLOW, matches or (Match(ports=TCP80),), Origin("P n/p", mode), authentication=mode
        )

    def outside() -> Probe:
        target = Target(TargetKind.POD, "n/web", 80, Protocol.TCP)
        return Probe(Source(SourceKind.EXTERNAL, "out"), target, Family.IPV4, HttpRequest(path="/"))

    with world(scenario(WORLD, tmp_path)) as built:

        def sweep(*rules: Rule) -> list[str]:
            enforce(monkeypatch, built, stage(IN, ["n/web"], *rules))
            seen = built.sweep(
                [request("n/near", "n/web", "/"), request("n/far", "n/web", "/"), outside()], 0.5
            )
            return [str(item.outcome) for item in seen]

        near = Match(pods=frozenset({"n/near"}), ports=TCP80)
        assert sweep(rule(Authentication.REQUIRED)) == ["http:200", "http:200", "timeout"]
        assert sweep(rule(Authentication.DISABLED)) == ["http:200"] * 3
        assert sweep(rule(Authentication.ALWAYS_FAIL)) == ["timeout"] * 3
        plain = allow(Match(ports=TCP80))
        assert sweep(plain, rule(Authentication.ALWAYS_FAIL, near)) == ["timeout", "http:200", "http:200"]


def _read(sock: socket.socket) -> bytes:
    """One response with its body."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(4096)
        assert more, data
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    found = re.search(rb"(?i)content-length: (\d+)", head)
    assert found
    while len(body) < int(found[1]):
        body += sock.recv(4096)
    return head + b"\r\n\r\n" + body


_DATE = rb"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT"
_FORBIDDEN = re.compile(
    rb"HTTP/1\.1 403 Forbidden\r\ncontent-length: 15\r\ncontent-type: text/plain\r\n"
    rb"date: " + _DATE + rb"\r\nserver: envoy\r\n\r\nAccess denied\r\n"
)


def _web(way: Raw) -> str:
    return way.world._addressing.pod("n/web")[0]


def _ask(sock: socket.socket, path: str, more: str = "", body: str = "") -> bytes:
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: web\r\n{more}\r\n{body}".encode())
    return _read(sock)


@pytest.mark.parametrize("client", ["n/near", "n/far"])
def test_every_request_of_a_connection(client: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with raw(scenario(WORLD, tmp_path)) as way:
        enforce(monkeypatch, way.world, stage(IN, ["n/web"], allow(CLIENTS, application=PUBLIC)))
        with way.dial(client, _web(way)) as sock:
            assert _ask(sock, "/public/1").startswith(b"HTTP/1.1 200 OK\r\n")
            assert _FORBIDDEN.fullmatch(_ask(sock, "/private"))
            assert _ask(sock, "/public/2").endswith(b"\r\n\r\nGET /public/2\n")
            # A denied body is thrown away, and is no request, whatever stands in it.
            smuggled = "GET /public/x HTTP/1.1\r\nHost: web\r\n\r\n"
            assert _FORBIDDEN.fullmatch(
                _ask(sock, "/private", f"Content-Length: {len(smuggled)}\r\n", smuggled)
            )
            assert _ask(sock, "/public/3").endswith(b"GET /public/3\n")
            # Requests that do not wait for their answers.
            lines = "".join(
                f"GET {path} HTTP/1.1\r\nHost: web\r\n\r\n" for path in ("/public/4", "/x", "/public/5")
            )
            sock.sendall(lines.encode())
            data = b""
            while not data.endswith(b"GET /public/5\n"):
                data += sock.recv(4096)
            assert re.findall(rb"HTTP/1.1 (\d+)", data) == [b"200", b"403", b"200"]
            # Rules that change are asked anew, for this connection too.
            enforce(monkeypatch, way.world, stage(IN, ["n/web"], allow(CLIENTS, application=get("/private"))))
            assert _FORBIDDEN.fullmatch(_ask(sock, "/public/6"))
            assert _ask(sock, "/private").endswith(b"GET /private\n")


def test_what_is_no_http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with raw(scenario(WORLD, tmp_path)) as way:
        enforce(monkeypatch, way.world, stage(IN, ["n/web"], allow(CLIENTS, application=PUBLIC)))
        for said in (
            b"nc1 a.1.2.3\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
            b"GET /public/a HTTP/1.1\r\n\r\n",
        ):
            with way.dial("n/near", _web(way)) as sock:
                sock.sendall(said)
                data = b""
                while more := sock.recv(4096):
                    data += more
            assert data.startswith(b"HTTP/1.1 400 Bad Request\r\n"), data
            assert b"connection: close\r\n" in data
        assert way.world._processes.listener.ask({"op": "receipts", "id": 1})["counts"] == []


def test_headers_that_are_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = HttpRule(
        method="GET",
        host=r"web(:\d+)?",
        headers=(HeaderMatch("X-Version", "2"), HeaderMatch("X-Who", "me", Mismatch.REPLACE)),
    )
    probes = [
        request("n/far", "n/web", "/", host="web", headers=(("X-Version", "2"),)),
        request("n/far", "n/web", "/", host="web:80", headers=(("x-version", "2"), ("x-who", "you"))),
        request("n/far", "n/web", "/", host="web", headers=(("X-Version", "3"),)),
        request("n/far", "n/web", "/", host="web", headers=(("X-Version", "2"), ("X-Version", "2"))),
        request("n/far", "n/web", "/", host="webs", headers=(("X-Version", "2"),)),
        request("n/far", "n/web", "/", host="web"),
    ]
    with world(scenario(WORLD, tmp_path)) as built:
        enforce(monkeypatch, built, stage(IN, ["n/web"], allow(CLIENTS, application=HttpRules((rule,)))))
        assert [_passed(item) for item in built.sweep(probes, 0.5)] == [True, True, *[False] * 4]


def test_a_proxy_that_dies_makes_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that it would have served times out, which must not look like a denial."""
    wanted = scenario(WORLD, tmp_path)

    def kill(phase: str, built: LabWorld) -> None:
        if phase == "sweep":
            enforce(monkeypatch, built, stage(IN, ["n/web"], allow(Match(), application=PUBLIC)))
            os.kill(proxy_of(built), signal.SIGKILL)
        if phase == "evidence":
            pytest.fail("nothing was measured, so nothing can have failed")

    result = measure(wanted, on_phase=kill)
    assert result.scenarios[0].status is Status.ERROR
    assert result.scenarios[0].error == "the lab's proxy process ended before its work was done"
    assert all(cell.verdict is None for cell in cells(result).values())
    assert exit_code(result, 1) is ExitCode.INCONCLUSIVE


def test_an_expression_that_re2_does_not_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with world(scenario(WORLD, tmp_path)) as built, pytest.raises(ClusterError, match=r"RE2 does not take"):
        enforce(monkeypatch, built, stage(IN, ["n/web"], allow(CLIENTS, application=get("(?=a)"))))
