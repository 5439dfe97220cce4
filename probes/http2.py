"""One request over HTTP/2 (RFC 9113) by prior knowledge and without TLS, as gRPC has it on Unix sockets."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from typing import Iterator

from probes import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
_PUSH_PROMISE = 5
_ACK = _END_STREAM = 0x1
_END_HEADERS, _PADDED, _PRIORITY = 0x4, 0x8, 0x20
_CANCEL = 8
_STREAM = 1

_LARGEST = 1 << 14
"""Bytes of a frame that anybody may send who was not told otherwise."""

_MOST_HEADERS = 1 << 16

_CODES = (  # noqa: SIM905
    "NO_ERROR PROTOCOL_ERROR INTERNAL_ERROR FLOW_CONTROL_ERROR SETTINGS_TIMEOUT STREAM_CLOSED "
    "FRAME_SIZE_ERROR REFUSED_STREAM CANCEL COMPRESSION_ERROR CONNECT_ERROR ENHANCE_YOUR_CALM "
    "INADEQUATE_SECURITY HTTP_1_1_REQUIRED"
).split()


class Http2Error(Exception):
    """The other side did not answer, or not in HTTP/2; the text says what it did."""


class Headers:
    """A header block that has arrived: the answer's head or its trailers.

    Attributes:
        fields: None where they cannot be read; then `why` says why.
        last: Nothing follows.
    """

    def __init__(self, fields: dict[str, str] | None, why: str, *, last: bool) -> None:
        self.fields = fields
        self.why = why
        self.last = last


class Exchange:
    """One request and its answer, piece by piece.

    Args:
        sock: Connected; stays the caller's.
        deadline: When to give up, by the monotonic clock.
    """

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline
        self._buffer = b""
        self._decoder = hpack.Decoder()

    def ask(self, headers: list[tuple[str, str]], body: bytes) -> None:
        """Send the request.

        Raises:
            Http2Error: The other side takes nothing.
        """
        settings = struct.pack("!HIHI", 1, hpack.MOST_REMEMBERED, 2, 0)
        self._send(
            PREFACE
            + frame(SETTINGS, 0, 0, settings)
            + frame(HEADERS, _END_HEADERS, _STREAM, hpack.encode(headers))
            + frame(DATA, _END_STREAM, _STREAM, body)
        )

    def answer(self) -> Iterator[Headers | bytes]:
        """Header blocks and pieces of the body, until the other side ends the stream.

        Raises:
            Http2Error: It breaks off, says nothing, or speaks something else.
        """
        while True:
            kind, flags, stream, payload = self._frame()
            if kind == GOAWAY:
                if len(payload) < 8:
                    raise Http2Error("a GOAWAY frame is too short")
                said = payload[8:].decode("latin-1")
                code = _code(payload[4:8])
                # With NO_ERROR it only takes no further requests, and may answer this one.
                if code != "NO_ERROR" or int.from_bytes(payload[:4], "big") & 0x7FFFFFFF < _STREAM:
                    raise Http2Error(f"it ended the connection: {code}{f' ({said})' if said else ''}")
            elif kind == SETTINGS and not flags & _ACK:
                self._send(frame(SETTINGS, _ACK, 0, b""))
            elif kind == PING and not flags & _ACK:
                self._send(frame(PING, _ACK, 0, payload))
            elif kind == _PUSH_PROMISE:
                raise Http2Error("it pushed an answer that nobody asked for")
            elif stream != _STREAM:
                continue
            elif kind == RST_STREAM:
                raise Http2Error(f"it broke off the answer: {_code(payload)}")
            elif kind == HEADERS:
                yield self._headers(flags, payload)
                if flags & _END_STREAM:
                    return
            elif kind == DATA:
                if payload:
                    much = struct.pack("!I", len(payload))
                    self._send(frame(WINDOW_UPDATE, 0, 0, much))
                    if not flags & _END_STREAM:
                        self._send(frame(WINDOW_UPDATE, 0, _STREAM, much))
                yield _unpadded(flags, payload)
                if flags & _END_STREAM:
                    return

    def cancel(self) -> None:
        """Say that no more of the answer is wanted."""
        with contextlib.suppress(Http2Error):
            self._send(frame(RST_STREAM, 0, _STREAM, struct.pack("!I", _CANCEL)))

    def _headers(self, flags: int, payload: bytes) -> Headers:
        block = _unpadded(flags, payload)
        if flags & _PRIORITY:
            block = block[5:]
        ended = flags & _END_HEADERS
        while not ended:
            kind, more, stream, payload = self._frame()
            if kind != CONTINUATION or stream != _STREAM:
                raise Http2Error("a header block was not continued")
            block += payload
            if len(block) > _MOST_HEADERS:
                raise Http2Error("a header block has no end")
            ended = more & _END_HEADERS
        last = bool(flags & _END_STREAM)
        try:
            return Headers(self._decoder.decode(block), "", last=last)
        except hpack.HpackError as trouble:
            return Headers(None, str(trouble), last=last)

    def _frame(self) -> tuple[int, int, int, bytes]:
        head = self._take(9)
        length, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
        if length > _LARGEST:
            raise Http2Error("what it says is no HTTP/2")
        return kind, flags, int.from_bytes(head[5:], "big") & 0x7FFFFFFF, self._take(length)

    def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._patience()
            try:
                data = self._sock.recv(1 << 16)
            except socket.timeout:
                raise Http2Error("it gave no answer in time") from None
            except OSError as trouble:
                raise Http2Error(f"the connection broke: {trouble.strerror or trouble}") from None
            if not data:
                raise Http2Error("it closed the connection without an answer")
            self._buffer += data
        found, self._buffer = self._buffer[:count], self._buffer[count:]
        return found

    def _send(self, data: bytes) -> None:
        self._patience()
        try:
            self._sock.sendall(data)
        except socket.timeout:
            raise Http2Error("it took no request in time") from None
        except OSError as trouble:
            # What it said before it hung up tells more; and there is none if it said nothing.
            if not self._buffer:
                raise Http2Error(f"the connection broke: {trouble.strerror or trouble}") from None

    def _patience(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise Http2Error("it gave no answer in time")
        self._sock.settimeout(left)


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """One frame."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def _unpadded(flags: int, payload: bytes) -> bytes:
    if not flags & _PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise Http2Error("a frame has more padding than room")
    return payload[1 : len(payload) - payload[0]]


def _code(data: bytes) -> str:
    number = int.from_bytes(data[:4], "big")
    return _CODES[number] if number < len(_CODES) else f"error {number}"
