"""The proxy's HTTP connections, over real sockets: no request slips past another."""

from __future__ import annotations

import itertools
import re
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.clusters.lab.proxy.http import HttpConnection
from harness.clusters.lab.proxy.http_judge import CompiledRule
from harness.clusters.lab.proxy.loop import Loop
from tests.unit.test_proxy_http import chunked


class Origin:
    """A server on loopback that keeps every byte which it gets, and answers as it is told."""

    def __init__(self, respond: Callable[[bytes], bytes | None]) -> None:
        self.got = bytearray()
        self.calls = 0
        self.address = ("", 0)
        self._respond = respond
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = self._listener.getsockname()
        threading.Thread(target=self._serve, daemon=True).start()

    def call(self) -> socket.socket:
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(self.address)
        return sock

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.calls += 1
            threading.Thread(target=self._talk, args=(sock,), daemon=True).start()

    def _talk(self, sock: socket.socket) -> None:
        with sock:
            buffer = b""
            while data := sock.recv(65536):
                self.got += data
                buffer += data
                while b"\r\n\r\n" in buffer:
                    head, _, buffer = buffer.partition(b"\r\n\r\n")
                    found = re.search(rb"content-length: (\d+)", head)
                    size = int(found[1]) if found else 0
                    while len(buffer) < size:
                        more = sock.recv(65536)
                        self.got += more
                        buffer += more
                    buffer = buffer[size:]
                    answer = self._respond(head)
                    if answer is None:
                        return
                    sock.sendall(answer)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # also ends the accept() of the thread
        self._listener.close()


def ok(head: bytes) -> bytes:
    body = head.split(b" ")[1]
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


@contextmanager
def proxied(
    respond: Callable[[bytes], bytes | None] = ok, path: str = "/good.*"
) -> Iterator[tuple[socket.socket, Origin]]:
    """A client's socket behind which the proxy lets only `path` pass."""
    origin = Origin(respond)
    client, accepted = socket.socketpair()
    client.settimeout(3)
    accepted.setblocking(False)
    loop = Loop()
    over = threading.Event()
    HttpConnection(loop, accepted, b"", lambda: [CompiledRule.from_wire([path, None, None, []])], origin.call)

    def run() -> None:
        tick()
        while not over.is_set():
            loop.turn()

    def tick() -> None:
        loop.later(0.02, tick)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield client, origin
    finally:
        client.close()
        deadline = time.monotonic() + 3
        while accepted.fileno() >= 0 and time.monotonic() < deadline:
            select.select([], [], [], 0.005)
        over.set()
        thread.join()
        loop.close()
        assert accepted.fileno() < 0, "the proxy keeps a connection whose client is gone"
        origin.close()


def get(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: w", *headers, "", ""]).encode()


def read(sock: socket.socket, until: bytes) -> bytes:
    data = b""
    while not data.endswith(until):
        more = sock.recv(65536)
        if not more:
            break
        data += more
    return data


def statuses(data: bytes) -> list[int]:
    return [int(item) for item in re.findall(rb"HTTP/1\.1 (\d+)", data)]


def test_requests_in_a_row() -> None:
    with proxied() as (client, origin):
        client.sendall(get("/good1") + get("/bad1") + get("/good2") + get("/bad2") + get("/good3"))
        assert statuses(read(client, b"/good3")) == [200, 403, 200, 403, 200]
        assert re.findall(rb"GET (\S+)", bytes(origin.got)) == [b"/good1", b"/good2", b"/good3"]
        assert origin.calls == 1


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(st.booleans(), st.binary(max_size=50), st.booleans()), min_size=1, max_size=6),
    st.lists(st.integers(1, 400), max_size=6),
)
def test_no_byte_of_a_denied_request_arrives(plan: list[tuple[bool, bytes, bool]], cuts: list[int]) -> None:
    """Whatever the bodies, however they are framed, wherever the stream is cut."""
    data, expected = b"", []
    for number, (good, body, in_chunks) in enumerate(plan):
        head = f"POST /{'good' if good else 'bad'}{number} HTTP/1.1\r\nHost: w\r\n".encode()
        expected.append(200 if good else 403)
        if in_chunks and not good:
            data += head + b"Transfer-Encoding: chunked\r\n\r\n" + chunked([body] if body else [])
        else:
            data += head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    data += get("/good-end")
    with proxied() as (client, origin):
        edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
        for first, last in itertools.pairwise(edges):
            client.sendall(data[first:last])
        assert statuses(read(client, b"/good-end")) == [*expected, 200]
        heads = re.findall(rb"(?:GET|POST) (/\S+) HTTP/1.1\r\nhost: w", bytes(origin.got))
    wanted = [f"/good{number}".encode() for number, (good, _, _) in enumerate(plan) if good]
    assert heads == [*wanted, b"/good-end"]


@given(st.binary(min_size=1, max_size=200))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_hostile_bytes_do_not_arrive(data: bytes) -> None:
    with proxied(path="/never") as (client, origin):
        client.sendall(data + b"\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        while client.recv(65536):
            pass
        assert not origin.got


def test_the_answer_to_head_has_no_body() -> None:
    with proxied() as (client, _):
        client.sendall(get("/bad1").replace(b"GET", b"HEAD") + get("/good"))
        data = read(client, b"/good")
        assert statuses(data) == [403, 200]
        assert b"content-length: 15\r\n" in data
        assert b"denied" not in data


def test_a_server_that_hangs_up_is_called_again() -> None:
    with proxied(lambda head: ok(head).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")) as (
        client,
        origin,
    ):
        for number in (1, 2):
            client.sendall(get(f"/good{number}"))
            assert statuses(read(client, f"/good{number}".encode())) == [200]
        assert origin.calls == 2


def test_a_server_that_says_nothing() -> None:
    with proxied(lambda head: None) as (client, _):
        client.sendall(get("/good"))
        data = read(client, b"connection termination")
        assert statuses(data) == [503]
        client.sendall(get("/bad"))
        assert statuses(read(client, b"denied\r\n")) == [403]


def test_a_server_that_is_not_there() -> None:
    with proxied() as (client, origin):
        origin.close()
        client.sendall(get("/good"))
        data = read(client, b"Connection refused")
        assert statuses(data) == [503]
        assert b"server: envoy\r\n" in data


def test_an_answer_that_ends_with_its_connection() -> None:
    def respond(head: bytes) -> bytes | None:
        return None if b"/good2" in head else b"HTTP/1.0 200 OK\r\n\r\nwords"

    with proxied(respond) as (client, _):
        client.sendall(get("/good") + get("/good2"))
        # The server holds the first connection until it is asked again, on another one.
        data = read(client, b"words\r\n")
        assert b"transfer-encoding: chunked\r\n" in data


def test_bytes_that_answer_nothing_answer_no_later_request() -> None:
    with proxied(lambda head: ok(head) + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil") as (client, _):
        client.sendall(get("/good1"))
        read(client, b"/good1")
        time.sleep(0.05)
        client.sendall(get("/good2"))
        assert b"evil" not in read(client, b"/good2")


def test_a_client_that_asks_to_close_is_let_go() -> None:
    with proxied() as (client, _):
        client.sendall(get("/bad", "Connection: close"))
        assert read(client, b"never").endswith(b"denied\r\n")
        assert client.recv(10) == b""
    with proxied() as (client, _):
        client.sendall(get("/good", "Connection: close") + get("/good-after"))
        data = read(client, b"never")
        assert statuses(data) == [200]
        assert b"connection: close\r\n" in data


def test_a_big_body_passes_both_ways() -> None:
    big = 3_000_000

    def respond(head: bytes) -> bytes:
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % big + b"z" * (big - 3) + b"end"

    with proxied(respond) as (client, origin):
        head = f"POST /good HTTP/1.1\r\nHost: w\r\nContent-Length: {big}\r\n\r\n".encode()
        threading.Thread(target=client.sendall, args=(head + b"y" * big,), daemon=True).start()
        data = read(client, b"zend")
        assert len(data.partition(b"\r\n\r\n")[2]) == big
        assert origin.got.count(b"y") >= big


def test_a_client_that_expects_to_go_on() -> None:
    with proxied() as (client, origin):
        client.sendall(b"POST /good HTTP/1.1\r\nHost: w\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert read(client, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"hi")
        assert statuses(read(client, b"/good")) == [200]
        assert b"expect" not in origin.got


def test_another_protocol_after_a_judged_request() -> None:
    def respond(head: bytes) -> bytes:
        return b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\nhello"

    with proxied(respond) as (client, origin):
        client.sendall(get("/bad", "Upgrade: echo", "Connection: upgrade"))
        assert statuses(read(client, b"denied\r\n")) == [403]
        client.sendall(get("/good", "Upgrade: echo", "Connection: upgrade"))
        assert statuses(read(client, b"hello")) == [101]
        client.sendall(b"GET /bad raw bytes")
        deadline = time.monotonic() + 3
        while b"raw bytes" not in origin.got and time.monotonic() < deadline:
            select.select([], [], [], 0.01)
        assert b"raw bytes" in origin.got
