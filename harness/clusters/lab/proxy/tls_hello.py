"""The server name in a TLS ClientHello (RFC 8446, 6066), from bytes as they arrive."""

from __future__ import annotations

MAX_HELLO = 1 << 16
"""Bytes of records after which no ClientHello is expected to end any more."""

_HANDSHAKE, _CLIENT_HELLO, _SERVER_NAME, _HOST_NAME = 22, 1, 0, 0
_MAX_RECORD = (1 << 14) + 256


class NotTlsError(ValueError):
    """The bytes do not begin with a ClientHello."""


def server_name(data: bytes | bytearray) -> str | None:
    """The server name of the ClientHello that `data` begins with.

    Returns:
        The name in lower case, empty when the client names none; None while the ClientHello is not whole.

    Raises:
        NotTlsError: It is none, or it contradicts itself.
    """
    hello = _handshake(data)
    return None if hello is None else _name(hello)


def _handshake(data: bytes | bytearray) -> bytes | None:
    """The body of the first handshake message, put together from its records."""
    message = bytearray()
    at = 0
    while True:
        head = data[at : at + 5]
        if head and head[0] != _HANDSHAKE:
            raise NotTlsError("no handshake record")
        if len(head) > 1 and head[1] != 3:
            raise NotTlsError("no version of TLS")
        if len(head) < 5:
            return None
        size = int.from_bytes(head[3:5], "big")
        if not 0 < size <= _MAX_RECORD:
            raise NotTlsError("a record of an impossible length")
        message += data[at + 5 : at + 5 + size]
        if message and message[0] != _CLIENT_HELLO:
            raise NotTlsError("no ClientHello")
        if len(message) >= 4:
            length = int.from_bytes(message[1:4], "big")
            if length > MAX_HELLO:
                raise NotTlsError("a ClientHello that is too long")
            if len(message) >= 4 + length:
                return bytes(message[4 : 4 + length])
        if len(data) < at + 5 + size:
            return None
        at += 5 + size
        if at > MAX_HELLO:
            raise NotTlsError("too many records")


class _Reader:
    """Takes vectors off the front; whatever runs over the end is no TLS."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def take(self, size: int) -> bytes:
        if len(self.data) < size:
            raise NotTlsError("a field runs over the end")
        found, self.data = self.data[:size], self.data[size:]
        return found

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, size: int) -> _Reader:
        return _Reader(self.take(self.number(size)))


def _name(hello: bytes) -> str:
    reader = _Reader(hello)
    reader.take(2 + 32)  # version, random
    reader.vector(1)  # session
    reader.vector(2)  # cipher suites
    reader.vector(1)  # compression methods
    if not reader.data:
        return ""
    extensions = reader.vector(2)
    while extensions.data:
        kind = extensions.number(2)
        body = extensions.vector(2)
        if kind != _SERVER_NAME:
            continue
        names = body.vector(2)
        while names.data:
            name_type = names.number(1)
            name = names.vector(2).data
            if name_type == _HOST_NAME:
                return name.decode("latin-1").lower()
    return ""
