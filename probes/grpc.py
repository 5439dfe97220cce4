"""The first message of an answer of gRPC over a Unix socket; the standard library has no gRPC."""

from __future__ import annotations

import errno
import socket
import time
import urllib.parse

from probes.http2 import Exchange, Headers, Http2Error

SECONDS = 10.0
"""How long a server may take."""

_MOST = 1 << 22
"""Bytes of a message; gRPC's own limit is the same."""

_STATUS = (  # noqa: SIM905
    "OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED "
    "RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE "
    "DATA_LOSS UNAUTHENTICATED"
).split()


class GrpcError(Exception):
    """There is no answer; the text says why.

    Attributes:
        status: gRPC's word for it; empty where no status came.
    """

    def __init__(self, text: str, status: str = "") -> None:
        super().__init__(text)
        self.status = status


def first_message(
    path: str, method: str, headers: list[tuple[str, str]], message: bytes, seconds: float = SECONDS
) -> bytes:
    """Call a method that streams its answers, and take the first.

    Args:
        path: Of the socket.
        method: `/SERVICE/METHOD`.
        headers: Beside those that gRPC has itself.
        message: The request, as protobuf writes it.
        seconds: How long the whole may take.

    Raises:
        GrpcError: There is none.
    """
    deadline = time.monotonic() + seconds
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(seconds)
        try:
            sock.connect(path)
        except (OSError, ValueError) as trouble:
            raise GrpcError(f"{_unreachable(trouble)}: {path}") from None
        exchange = Exchange(sock, deadline)
        asked = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", method),
            (":authority", "localhost"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            *headers,
        ]
        try:
            exchange.ask(asked, b"\0" + len(message).to_bytes(4, "big") + message)
            found = _read(exchange)
        except Http2Error as trouble:
            raise GrpcError(str(trouble)) from None
        exchange.cancel()
        return found


def _read(exchange: Exchange) -> bytes:
    body = b""
    for piece in exchange.answer():
        if isinstance(piece, Headers):
            _judge(piece)
            continue
        body += piece
        if len(body) < 5:
            continue
        if body[0]:
            raise GrpcError("it sent a compressed message, which it was not asked for")
        length = int.from_bytes(body[1:5], "big")
        if length > _MOST:
            raise GrpcError(f"it sent a message of {length} bytes, more than {_MOST}")
        if len(body) >= 5 + length:
            return body[5 : 5 + length]
    raise GrpcError("it ended its answer without a message")


def _judge(headers: Headers) -> None:
    """Go on where these headers say that all is well so far."""
    fields = headers.fields
    if fields is None:
        if headers.last:
            raise GrpcError(f"it ended its answer, and the status is not readable: {headers.why}")
        return
    code = fields.get("grpc-status")
    if code is not None and code != "0":
        known = code.isdigit() and int(code) < len(_STATUS)
        status = _STATUS[int(code)] if known else f"gRPC status {code}"
        said = urllib.parse.unquote(fields.get("grpc-message", ""))
        raise GrpcError(f"{status}{f': {said}' if said else ''}", status)
    http = fields.get(":status", "200")
    if http != "200":
        raise GrpcError(f"it answered with HTTP status {http}, not with gRPC")


def _unreachable(trouble: Exception) -> str:
    number = getattr(trouble, "errno", None)
    if number == errno.ENOENT:
        return "there is no such socket"
    if number == errno.ECONNREFUSED:
        return "nobody listens on the socket"
    if isinstance(trouble, socket.timeout):
        return "nobody accepts connections on the socket"
    return f"the socket cannot be reached ({getattr(trouble, 'strerror', None) or trouble})"
