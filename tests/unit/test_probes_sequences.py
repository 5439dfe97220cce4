"""Requests that follow one another on a connection: one flight, and its outcome is that of the last."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.loopback import V4, Bench, Script

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
DENIED = b"HTTP/1.1 403 Forbidden\r\nserver: envoy\r\ncontent-length: 15\r\n\r\nAccess denied\r\n"


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


def request(path: str, method: str = "GET", **more: Any) -> dict[str, Any]:
    return {"method": method, "path": path, "headers": [], **more}


def spec(port: int, last: dict[str, Any], *before: dict[str, Any]) -> list[Any]:
    return ["", "http", V4, port, {**last, "after": list(before)}]


class Talk(Script):
    """Sends one piece per request of the client."""

    def timer(self, prober: Any) -> None:
        assert self._sock is not None
        if self._pieces:
            self._sock.send(self._pieces.pop(0))
        if not self._pieces and self._hang_up:
            prober.epoll.unregister(self._sock.fileno())
            self._sock.close()

    def ready(self, prober: Any, events: int) -> None:
        before = len(self.received)
        first = not self.received
        super().ready(prober, events)
        if not first and len(self.received) > before and self._sock is not None:
            self.timer(prober)


def test_all_requests_travel_on_one_connection(bench: Bench) -> None:
    talk = Talk(bench, [OK, DENIED, OK])
    before = (request("/a", headers=[["X-A", "1"]]), request("/b", "POST", body="hi"))
    (seen,) = bench.sweep(spec(talk.port, request("/c", host="shop.example"), *before), attempts=1)
    assert (seen.kind, seen.detail, seen.token) == ("http", "200", False)
    heads = [
        part.split(b"\r\n") for part in talk.received.replace(b"hiGET", b"\r\n\r\nGET").split(b"\r\n\r\n")
    ]
    lines = [head[0] for head in heads if head[0]]
    assert lines == [b"GET /a HTTP/1.1", b"POST /b HTTP/1.1", b"GET /c HTTP/1.1"]
    assert talk.received.count(b"X-Netcheck-Token") == 1
    assert talk.received.count(b"Connection: close") == 1
    assert talk.received.index(b"X-Netcheck-Token") > talk.received.index(b"GET /c")
    assert f"Host: {V4}:{talk.port}".encode() in talk.received
    assert b"Host: shop.example" in talk.received
    assert b"X-A: 1" in talk.received


def test_allowed_then_denied(bench: Bench) -> None:
    talk = Talk(bench, [OK, DENIED])
    (seen,) = bench.sweep(spec(talk.port, request("/b"), request("/a")), attempts=1)
    assert (seen.kind, seen.detail) == ("http", "403")


def test_against_the_real_listener(bench: Bench) -> None:
    port = bench.listen("n/a", "TCP")
    before = [request("/a"), request("/b", "HEAD"), request("/c", "PUT", body="x" * 100)]
    (seen,) = bench.sweep(spec(port, request("/d", "POST", body="hello"), *before))
    assert (seen.kind, seen.detail, seen.token, seen.served_by) == ("http", "200", True, "n/a")
    assert bench.server.receipts.take(1) == {0: 1}


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nTrailer: t\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 30\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        OK,
    ],
)
def test_bodies_end_where_they_say(bench: Bench, answer: bytes) -> None:
    talk = Talk(bench, [answer, DENIED])
    (seen,) = bench.sweep(spec(talk.port, request("/b"), request("/a")), attempts=1)
    assert (seen.kind, seen.detail) == ("http", "403")


@pytest.mark.parametrize(
    ("answers", "hang_up", "why"),
    [
        ([OK], True, "request 1 of 2 was answered, and then the connection was closed"),
        (
            [b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"],
            False,
            "request 1 of 2 was answered 403, and the server ended the connection with it",
        ),
        ([OK + b"more"], False, "request 1 of 2 was answered 200, and more came than its body"),
        (
            [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"],
            False,
            "request 1 of 2 was answered 200, and more came than its body",
        ),
        ([b"nonsense\r\n\r\n"], False, "the answer is not HTTP"),
    ],
)
def test_what_breaks_a_sequence_is_an_error(
    bench: Bench, answers: list[bytes], hang_up: bool, why: str
) -> None:
    talk = Talk(bench, answers, hang_up=hang_up)
    (seen,) = bench.sweep(spec(talk.port, request("/b"), request("/a")), attempts=1)
    assert (seen.kind, seen.detail) == ("error", why)


def test_a_second_attempt_begins_with_the_first_request(bench: Bench) -> None:
    port = bench.listen("n/a", "TCP")
    sweep = bench.begin(spec(port, request("/b"), request("/a")))
    flight = bench.prober._queue[0]
    flight._turn = 1  # type: ignore[attr-defined]
    bench.until(lambda: not sweep.left)
    (seen,) = sweep.take()
    assert seen[1:3] == ["http", "200"]
