"""TLS over the loopback interface: who talks to whom, who refuses whom, and what both ends know of it."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from harness.clusters.authority import Authority
from probes import client
from probes.tls import Keys
from tests.unit.loopback import V4, Bench, Script, Seen, free_port

API, GATEWAY = "spiffe://cluster.local/ns/shop/sa/api", "spiffe://cluster.local/ns/shop/sa/gateway"
STRANGER = "spiffe://cluster.local/ns/shop/sa/stranger"
FOREIGN = "spiffe://elsewhere.example/ns/shop/sa/gateway"
HOME = "cluster.local"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def bench(authority: Authority) -> Iterator[Bench]:
    made = Bench(window=4096)
    made.prober.keys = Keys()
    ids = (GATEWAY, STRANGER, FOREIGN)
    pairs = {identity: list(authority.svid(identity)) for identity in ids}
    pairs[f"{GATEWAY}#expired"] = list(authority.svid(GATEWAY, expired=True))
    made.prober.keys.learn(
        {
            "certificates": pairs,
            "bundles": {name: authority.bundle(name) for name in (HOME, "elsewhere.example", "unknown")},
        }
    )
    yield made
    made.close()


def plain(bench: Bench, authority: Authority) -> int:
    """A port with a certificate that takes anybody."""
    port = bench.listen("shop/web", "TCP")
    bench.server.certify("shop/web", {"certificate": list(authority.anonymous()), "bundle": "", "ports": {}})
    return port


def strict(bench: Bench, authority: Authority, *allow: str, server: str = API, expired: bool = False) -> int:
    """A port that takes only some SPIFFE IDs."""
    port = bench.listen("shop/api", "TCP")
    bench.server.certify(
        "shop/api",
        {
            "certificate": list(authority.svid(server, expired=expired)),
            "bundle": authority.bundle(HOME),
            "ports": {str(port): list(allow or [GATEWAY])},
        },
    )
    return port


def spec(port: int, kind: str = "tls", **options: Any) -> list[Any]:
    return ["", kind, V4, port, options]


def mutual(port: int, certificate: str = GATEWAY, **options: Any) -> list[Any]:
    return spec(port, certificate=certificate, **{"trust": [HOME], "servers": [API], **options})


def fate(bench: Bench, seen: Seen) -> str:
    """What the server says of one connection."""
    bench.prober.turn(0.05)
    return bench.server.fates().get(seen.note[0], "never seen")


# -- without identities ----------------------------------------------------------------------------------


def test_echo_inside_tls(bench: Bench, authority: Authority) -> None:
    port = plain(bench, authority)
    (seen,) = bench.sweep(spec(port))
    assert (seen.kind, seen.token, seen.served_by) == ("connected", True, "shop/web")
    assert fate(bench, seen) == "done"
    assert bench.server.receipts.take(1) == {0: 1}


def test_the_same_port_still_speaks_without(bench: Bench, authority: Authority) -> None:
    port = plain(bench, authority)
    http = {"method": "GET", "path": "/", "headers": []}
    tcp, web, tls = bench.sweep(spec(port, "tcp"), spec(port, "http", **http), spec(port))
    assert [item.token for item in (tcp, web, tls)] == [True, True, True]


@pytest.mark.parametrize("name", ["www.example.com", None])
def test_the_server_name_is_sent_in_the_clear(bench: Bench, name: str | None) -> None:
    script = Script(bench, [b""], hang_up=True)
    bench.sweep(spec(script.port, sni=name), attempts=1)
    assert (b"www.example.com" in script.received) is (name is not None)


def test_a_port_without_certificate_speaks_no_tls(bench: Bench) -> None:
    port = bench.listen("shop/db", "TCP")
    (seen,) = bench.sweep(spec(port), attempts=1)
    assert (seen.kind, seen.token) == ("reset", False)


def test_a_closed_certificate_is_forgotten(bench: Bench, authority: Authority) -> None:
    plain(bench, authority)
    bench.server.close("shop/web")
    port = bench.listen("shop/web", "TCP")
    (seen,) = bench.sweep(spec(port), attempts=1)
    assert not seen.token


def test_without_keys_it_is_an_error() -> None:
    bench = Bench()
    try:
        (seen,) = bench.sweep(spec(free_port("TCP")))
    finally:
        bench.close()
    assert (seen.kind, seen.detail) == ("error", "no certificates have come for TLS")


def test_a_certificate_that_was_never_sent(bench: Bench, authority: Authority) -> None:
    port = strict(bench, authority)
    (seen,) = bench.sweep(mutual(port, "spiffe://cluster.local/nobody"))
    assert seen.kind == "error"
    assert "no client can be made of the certificates" in seen.detail


def test_refused_and_silent(bench: Bench) -> None:
    silent, port = bench.raw(socket.SOCK_STREAM)
    refused, quiet = bench.sweep(spec(free_port("TCP")), spec(port), timeout=0.2)
    assert (refused.kind, refused.by) == ("refused", "rst")
    assert quiet.kind == "error"
    assert quiet.detail == "connected, but no answer came back"
    silent.close()


# -- what stands on the way ------------------------------------------------------------------------------


def test_reset_after_the_hello(bench: Bench) -> None:
    script = Script(bench, [], hang_up=True)
    (seen,) = bench.sweep(spec(script.port), attempts=1)
    assert (seen.kind, seen.detail) == ("reset", "closed during the handshake")
    assert len(seen.note[0]) == 16
    assert bytes.fromhex(seen.note[0]) in script.received


@pytest.mark.parametrize(
    ("number", "name"),
    [(112, "unrecognized-name"), (49, "access-denied"), (40, "handshake-failure"), (70, "protocol-version")],
)
def test_alerts_by_name(bench: Bench, number: int, name: str) -> None:
    script = Script(bench, [bytes([21, 3, 3, 0, 2, 2, number])], hang_up=True)
    (seen,) = bench.sweep(spec(script.port), attempts=1)
    assert (seen.kind, seen.detail, seen.by) == ("tls", name, "server")


def test_an_alert_to_one_who_speaks_no_tls(bench: Bench) -> None:
    script = Script(bench, [bytes([21, 3, 3, 0, 2, 2, 70])], hang_up=True)
    (seen,) = bench.sweep(spec(script.port, "tcp"), attempts=1)
    assert (seen.kind, seen.detail, seen.by) == ("tls", "protocol-version", "server")


def test_an_alert_nobody_has_named() -> None:
    from probes.wire import alert_name

    assert alert_name(bytes([21, 3, 3, 0, 2, 2, 222])) == "alert-222"


# -- identities ------------------------------------------------------------------------------------------


def test_the_right_identity(bench: Bench, authority: Authority) -> None:
    port = strict(bench, authority, GATEWAY, STRANGER)
    (seen,) = bench.sweep(mutual(port))
    assert (seen.kind, seen.token, seen.served_by) == ("connected", True, "shop/api")
    assert seen.note[1] == API
    assert fate(bench, seen) == "done"


@pytest.mark.parametrize(
    ("certificate", "alert", "why"),
    [
        (STRANGER, "access-denied", f"{STRANGER} is not allowed"),
        (f"{GATEWAY}#expired", "certificate-expired", "certificate has expired"),
        (FOREIGN, "unknown-ca", "unable to get local issuer certificate"),
        ("", "certificate-required", "peer did not return a certificate"),
    ],
)
def test_the_server_refuses(
    bench: Bench, authority: Authority, certificate: str, alert: str, why: str
) -> None:
    port = strict(bench, authority)
    (seen,) = bench.sweep(mutual(port, certificate))
    assert (seen.kind, seen.detail, seen.by, seen.token) == ("tls", alert, "server", False)
    assert seen.attempts == 2
    assert fate(bench, seen) == f"refused: {why}"
    assert bench.server.receipts.take(1) == {}


@pytest.mark.parametrize("kind", ["tcp", "http"])
def test_without_tls_nothing_is_answered(bench: Bench, authority: Authority, kind: str) -> None:
    port = strict(bench, authority)
    options = {"method": "GET", "path": "/", "headers": []} if kind == "http" else {}
    (seen,) = bench.sweep(spec(port, kind, **options), attempts=1)
    assert (seen.kind, seen.token) == ("reset", False)
    assert seen.note == ["ab12.1.0.1"]
    assert fate(bench, seen).startswith("refused: ")
    assert bench.server.receipts.take(1) == {}


def test_a_token_in_pieces_is_refused_under_its_name(bench: Bench, authority: Authority) -> None:
    port = strict(bench, authority)
    with socket.create_connection((V4, port)) as sock:
        sock.sendall(b"nc1 ab12.")
        bench.prober.turn(0.05)
        sock.sendall(b"7.0.1\n")
        bench.prober.turn(0.05)
        bench.prober.turn(0.05)
        assert bench.server.fates() == {"ab12.7.0.1": "refused: wrong version number"}
        assert sock.recv(100) == b""


@pytest.mark.parametrize(
    ("options", "server", "expired", "alert", "heard"),
    [
        ({"servers": [STRANGER]}, API, False, "bad-certificate", "done"),
        ({"trust": ["unknown"]}, API, False, "unknown-ca", "refused: tlsv1 alert unknown ca"),
        ({}, API, True, "certificate-expired", "refused: sslv3 alert certificate expired"),
        ({}, FOREIGN, False, "unknown-ca", "refused: tlsv1 alert unknown ca"),
    ],
)
def test_the_client_refuses(
    bench: Bench,
    authority: Authority,
    options: dict[str, Any],
    server: str,
    expired: bool,
    alert: str,
    heard: str,
) -> None:
    port = strict(bench, authority, server=server, expired=expired)
    (seen,) = bench.sweep(mutual(port, **options))
    assert (seen.kind, seen.detail, seen.by, seen.token) == ("tls", alert, "client", False)
    assert bench.server.receipts.take(1) == {}
    assert fate(bench, seen) == heard


def test_only_the_named_port_is_strict(bench: Bench, authority: Authority) -> None:
    port = strict(bench, authority)
    other = bench.listen("shop/api", "TCP")
    plain, encrypted, identified = bench.sweep(spec(other, "tcp"), spec(other), mutual(other))
    assert [item.token for item in (plain, encrypted, identified)] == [True, True, True]
    assert identified.note[1] == API
    assert port != other


def test_many_at_once(bench: Bench, authority: Authority) -> None:
    port = strict(bench, authority)
    specs = [mutual(port, certificate) for certificate in (GATEWAY, STRANGER) for _ in range(500)]
    seen = bench.sweep(*specs, timeout=15.0)
    assert [item.token for item in seen] == [True] * 500 + [False] * 500
    assert {item.detail for item in seen[500:]} == {"access-denied"}
    assert len(bench.server.receipts.take(1)) == 500
    assert bench.most > 200


def test_handshakes_take_turns(bench: Bench, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits is connected, and is not timed; nobody waits behind one that is never answered."""
    monkeypatch.setattr(client, "HANDSHAKES", 3)
    silent, mute = bench.raw(socket.SOCK_STREAM)
    port = strict(bench, authority)
    sweep = bench.begin(*[mutual(port) for _ in range(40)], spec(mute), timeout=2.0, attempts=1)
    most = 0
    while sweep.left:
        bench.prober.turn(1.0)
        most = max(most, len(bench.prober._shaking))
    seen = sorted(Seen(*result) for result in sweep.take())
    assert [item.kind for item in seen] == ["connected"] * 40 + ["error"]
    assert most == 3
    assert bench.prober._shaking == set()
    silent.close()


def test_who_goes_away_while_waiting_is_reset(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "HANDSHAKES", 1)
    silent, mute = bench.raw(socket.SOCK_STREAM)
    fickle, port = bench.raw(socket.SOCK_STREAM)
    sweep = bench.begin(spec(mute), spec(port), timeout=1.0, attempts=1)
    bench.until(lambda: len(bench.prober._connected) == 1)
    fickle.setblocking(True)
    accepted, _ = fickle.accept()
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    accepted.close()
    bench.until(lambda: not sweep.left)
    seen = sorted(Seen(*result) for result in sweep.take())
    assert [item.kind for item in seen] == ["error", "reset"]
    silent.close()


def test_keys_are_in_no_text(authority: Authority) -> None:
    key = authority.svid(GATEWAY)[1]
    assert key.startswith("-----BEGIN PRIVATE KEY-----")
    assert repr(authority) == "Authority(…)"


def test_the_same_identity_has_the_same_certificate(authority: Authority) -> None:
    assert authority.svid(API) is authority.svid(API)
    assert authority.svid(API) != authority.svid(API, expired=True)
