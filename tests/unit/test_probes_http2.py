"""HTTP/2 as servers may speak it: every frame, whole or in pieces, and every way to break off."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from probes import grpc, hpack, http2
from probes.grpc import GrpcError, first_message
from probes.http2 import CONTINUATION, DATA, GOAWAY, HEADERS, PING, RST_STREAM, SETTINGS, frame

END_STREAM, END_HEADERS, PADDED, PRIORITY = 1, 4, 8, 32

HEAD = frame(SETTINGS, 0, 0, b"") + frame(HEADERS, END_HEADERS, 1, b"\x88")  # :status 200
MESSAGE = frame(DATA, 0, 1, b"\0\0\0\0\x02hi")


def trailers(*fields: tuple[str, str]) -> bytes:
    return frame(HEADERS, END_HEADERS | END_STREAM, 1, hpack.encode(list(fields)))


@pytest.fixture
def answered(tmp_path: Path) -> Iterator[Callable[..., bytes]]:
    """Ask a server that answers with these bytes, and hangs up or stays."""
    ends = contextlib.ExitStack()

    def ask(text: bytes, *, stay: bool = False, piece: int = 1 << 20, seconds: float = 5.0) -> bytes:
        path = str(tmp_path / os.urandom(4).hex())
        door = ends.enter_context(socket.socket(socket.AF_UNIX))
        door.bind(path)
        door.listen(1)

        def serve() -> None:
            sock = ends.enter_context(door.accept()[0])
            heard.append(sock.recv(1 << 16))
            for at in range(0, len(text), piece):
                sock.sendall(text[at : at + piece])
            if not stay:
                sock.shutdown(socket.SHUT_WR)
            with contextlib.suppress(OSError):
                while data := sock.recv(1 << 16):
                    heard.append(data)

        heard: list[bytes] = []
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            return first_message(path, "/a/b", [("x", "y")], b"ask", seconds)
        finally:
            thread.join()
            ask.heard = b"".join(heard)  # type: ignore[attr-defined]

    with ends:
        yield ask


def refused(ask: Callable[..., bytes], text: bytes, **more: object) -> str:
    with pytest.raises(GrpcError) as caught:
        ask(text, **more)
    return str(caught.value)


def test_what_is_sent_is_a_request_of_grpc(answered: Callable[..., bytes]) -> None:
    assert answered(HEAD + MESSAGE, stay=True) == b"hi"
    heard: bytes = answered.heard  # type: ignore[attr-defined]
    assert heard.startswith(http2.PREFACE)
    rest, kinds = heard[len(http2.PREFACE) :], []
    while rest:
        length, kind, flags = int.from_bytes(rest[:3], "big"), rest[3], rest[4]
        payload, rest = rest[9 : 9 + length], rest[9 + length :]
        kinds.append((kind, flags))
        if kind == HEADERS:
            fields = hpack.Decoder().decode(payload)
            assert (fields[":method"], fields[":path"], fields["x"]) == ("POST", "/a/b", "y")
            assert (fields["content-type"], fields["te"]) == ("application/grpc", "trailers")
        if kind == DATA:
            assert payload == b"\0\0\0\0\x03ask"
    assert kinds[:3] == [(SETTINGS, 0), (HEADERS, END_HEADERS), (DATA, END_STREAM)]
    # The server's settings are acknowledged, room is made for more, and the rest of the stream is not wanted.
    assert sorted(kinds[3:]) == [(RST_STREAM, 0), (SETTINGS, 1), (8, 0), (8, 0)]


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_pieces_padding_and_continuation(answered: Callable[..., bytes], piece: int) -> None:
    block = hpack.encode([(":status", "200"), ("content-type", "application/grpc")])
    text = (
        frame(SETTINGS, 0, 0, struct.pack("!HI", 5, 1 << 15))
        + frame(PING, 0, 0, b"12345678")
        + frame(HEADERS, PADDED | PRIORITY, 1, b"\x02" + b"\0\0\0\0\x10" + block[:9] + b"\0\0")
        + frame(CONTINUATION, END_HEADERS, 1, block[9:])
        + frame(DATA, PADDED, 1, b"\x01" + b"\0\0\0" + b"\0")
        + frame(77, 0, 1, b"a kind that there is not yet")
        + frame(DATA, 0, 3, b"somebody else's")
        + frame(DATA, 0, 1, b"\0\x02h")
        + frame(DATA, 0, 1, b"i")
    )
    assert answered(text, piece=piece) == b"hi"
    assert frame(PING, 1, 0, b"12345678") in answered.heard  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "closed the connection without an answer"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "is no HTTP/2"),
        (HEAD, "closed the connection without an answer"),
        (HEAD + frame(RST_STREAM, 0, 1, struct.pack("!I", 7)), "broke off the answer: REFUSED_STREAM"),
        (HEAD + frame(RST_STREAM, 0, 1, struct.pack("!I", 99)), "broke off the answer: error 99"),
        (frame(GOAWAY, 0, 0, struct.pack("!II", 0, 11) + b"calm down"), "ENHANCE_YOUR_CALM (calm down)"),
        (frame(GOAWAY, 0, 0, struct.pack("!II", 0, 0)), "ended the connection: NO_ERROR"),
        (frame(GOAWAY, 0, 0, b""), "GOAWAY frame is too short"),
        (frame(5, 4, 1, b""), "nobody asked for"),
        (frame(HEADERS, 0, 1, b"\x88") + frame(DATA, 0, 1, b""), "not continued"),
        (HEAD + frame(DATA, PADDED, 1, b"\x05x"), "more padding than room"),
        (HEAD + frame(DATA, END_STREAM, 1, b""), "without a message"),
        (HEAD + frame(DATA, 0, 1, b"\1\0\0\0\0"), "compressed"),
        (HEAD + frame(DATA, 0, 1, b"\0\xff\0\0\0"), "more than"),
        (HEAD + trailers(("grpc-status", "0")), "without a message"),
        (
            HEAD + trailers(("grpc-status", "7"), ("grpc-message", "no%20id%C3%A9")),
            "PERMISSION_DENIED: no idé",
        ),
        (HEAD + trailers(("grpc-status", "99")), "gRPC status 99"),
        (frame(HEADERS, 5, 1, hpack.encode([(":status", "502")])), "HTTP status 502"),
        (HEAD + frame(HEADERS, 5, 1, b"\xff\x01"), "the status is not readable: .* entry 128"),
    ],
)
def test_every_way_to_break_off_is_told_apart(answered: Callable[..., bytes], text: bytes, why: str) -> None:
    said = refused(answered, text)
    assert re.search(why if ".*" in why else re.escape(why), said), said


def test_a_goaway_that_lets_this_answer_finish_is_no_end(answered: Callable[..., bytes]) -> None:
    assert answered(HEAD + frame(GOAWAY, 0, 0, struct.pack("!II", 1, 0)) + MESSAGE) == b"hi"


def test_patience_has_an_end(answered: Callable[..., bytes]) -> None:
    assert refused(answered, HEAD, stay=True, seconds=0.2) == "it gave no answer in time"


def test_sockets_that_are_not_there(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    with pytest.raises(GrpcError, match=r"there is no such socket: .*gone"):
        first_message(str(gone), "/a/b", [], b"")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(gone))
        with pytest.raises(GrpcError, match="nobody listens on the socket"):
            first_message(str(gone), "/a/b", [], b"")
    with pytest.raises(GrpcError, match=r"cannot be reached .*too long"):
        first_message("/" + "x" * 200, "/a/b", [], b"")
    with pytest.raises(GrpcError, match=r"cannot be reached .*directory"):
        first_message(f"{__file__}/x", "/a/b", [], b"")


def test_statuses_have_their_numbers() -> None:
    assert [grpc._STATUS.index(word) for word in ("OK", "PERMISSION_DENIED", "UNAUTHENTICATED")] == [0, 7, 16]


# -- header blocks: the examples of RFC 7541, appendix C -------------------------------------------------


def test_huffman_codes_and_the_dynamic_table() -> None:
    decoder = hpack.Decoder()
    first = decoder.decode(
        bytes.fromhex(
            "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff"
            "6e919d29ad171863c78f0b97c8e9ae82ae43d3"
        )
    )
    assert first == {
        ":status": "302",
        "cache-control": "private",
        "date": "Mon, 21 Oct 2013 20:13:21 GMT",
        "location": "https://www.example.com",
    }
    assert decoder.decode(bytes.fromhex("4883640effc1c0bf")) == {**first, ":status": "307"}


def test_a_request_with_indexed_fields() -> None:
    found = hpack.Decoder().decode(bytes.fromhex("828684418cf1e3c2e5f23a6ba0ab90f4ff"))
    assert found == {":method": "GET", ":scheme": "http", ":path": "/", ":authority": "www.example.com"}


def test_a_table_that_was_made_small_forgets() -> None:
    decoder = hpack.Decoder()
    # Kept: a: 1, then the room becomes 0, and the entry is gone.
    assert decoder.decode(b"\x40\x01a\x011\xbe") == {"a": "1"}
    assert decoder.decode(b"\x20") == {}
    with pytest.raises(hpack.HpackError, match="entry 62"):
        decoder.decode(b"\xbe")


@pytest.mark.parametrize(
    ("block", "why"),
    [
        ("40", "too early"),
        ("00", "too early"),
        ("0005" + "61", "too early"),
        ("ffffffffffff7f", "too large"),
        ("80", "entry 0"),
        ("0001" + "61" + "84" + "fffffffa", "not read here"),  # a code of a character beyond ASCII
        ("0001" + "61" + "82" + "1fff", "not read here"),  # more padding than there may be
    ],
)
def test_blocks_that_cannot_be_read(block: str, why: str) -> None:
    with pytest.raises(hpack.HpackError, match=why):
        hpack.Decoder().decode(bytes.fromhex(block))


def test_numbers_of_several_bytes() -> None:
    assert hpack.Decoder().decode(b"\x00\x01a\x7f\x80\x01" + b"x" * 255) == {"a": "x" * 255}
    with pytest.raises(hpack.HpackError, match="126"):
        hpack.encode([("a", "x" * 127)])
