"""What a cell is called follows from what it asks, and from nothing else."""

from __future__ import annotations

import pytest

from harness.model.probe import HttpRequest, MutualTls, Probe, Request, TlsRequest
from tests.unit.kubernetes_worlds import probe

GET = HttpRequest("GET", "/a")


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (None, ""),
        (GET, " GET /a"),
        (HttpRequest("GET", "/b", after=(GET,)), " GET /b after GET /a"),
        (HttpRequest("GET", "/b", after=(GET, GET)), " GET /b after 2 requests #aaf334"),
        (HttpRequest("GET", "/b", after=(GET, HttpRequest("PUT"))), " GET /b after 2 requests #4005de"),
        (TlsRequest(), " tls"),
        (TlsRequest("www.example.com"), " tls:www.example.com"),
        (TlsRequest(mutual=MutualTls()), " mtls"),
        (TlsRequest("x.example", MutualTls("expired")), " mtls:x.example as expired"),
        (TlsRequest(mutual=MutualTls(server="spiffe://a/b")), " mtls of spiffe://a/b"),
    ],
)
def test_ids(request_: Request | None, words: str) -> None:
    plain = probe("n/a -> n/b:80")
    asked = Probe(plain.source, plain.target, plain.family, request_)
    assert asked.id == "n/a->n/b:80/TCP" + words
