"""What reports show of handshakes: who, with whom, what became of it; never a key."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.model.outcome import Observation, Outcome, OutcomeKind
from harness.model.probe import HttpRequest, MutualTls, Request, TlsRequest
from harness.report.failures import handshake_text
from harness.report.matrix import field
from harness.report.symbols import Mark
from tests.unit.kubernetes_worlds import probe

WEB, API = "spiffe://td/web", "spiffe://td/api"
ALERT = Outcome(OutcomeKind.TLS, "access-denied", "server")


@pytest.mark.parametrize(
    ("seen", "text"),
    [
        (Observation(Outcome(OutcomeKind.CONNECTED, token=True), receipts=1), ""),
        (Observation(Outcome(OutcomeKind.TIMEOUT), listening=True), ""),
        (Observation(Outcome(OutcomeKind.TIMEOUT), client_identity=WEB), f"as {WEB}"),
        (
            Observation(
                ALERT, client_identity=WEB, server_identity=API, handshake=f"refused: {WEB} is not allowed"
            ),
            f"as {WEB}, with {API}, the listener says: refused: {WEB} is not allowed",
        ),
        (Observation(ALERT, listening=True), "the listener has seen no ClientHello"),
        (
            Observation(Outcome(OutcomeKind.RESET), handshake="refused: wrong version number"),
            "the listener says: refused: wrong version number",
        ),
    ],
)
def test_handshakes_in_words(seen: Observation, text: str) -> None:
    assert handshake_text(seen) == text


@pytest.mark.parametrize(
    ("request_", "band", "column"),
    [
        (TlsRequest("a.b"), "TLS n/b:443", "tls:a.b"),
        (TlsRequest(None, MutualTls("expired")), "mTLS n/b:443", "mtls as expired"),
        (HttpRequest("GET", "/b", after=(HttpRequest(),)), "HTTP n/b:443", "GET /b after GET /"),
    ],
)
def test_where_they_stand_in_the_matrix(request_: Request, band: str, column: str) -> None:
    asked = replace(probe("n/a -> n/b:443"), request=request_)
    found = field(asked, asked.id, Mark("T", "bad", ()), both_families=False)
    assert (found.row, found.band, found.column, found.turns) == ("n/a", band, column, False)
