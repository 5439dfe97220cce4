"""HTTP/1.1 messages: where one ends and the next begins (RFC 9112), read strictly.

A proxy that frames a message otherwise than the server behind it lets requests through unseen. So what can be
read in two ways is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_HEAD = 60 * 1024
MAX_HEADERS = 100
"""Envoy's limits for the head of a request."""

_MAX_LINE = 4096
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]*")
_REQUEST = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e\x80-\xff]+) HTTP/([0-9])\.([0-9])")
_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])( [^\x00\r\n]*)?")
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(;[^\x00\r\n]*)?")
_LENGTH = re.compile(rb"[0-9]{1,18}")

Headers = list[tuple[bytes, bytes]]
"""Names in lower case, values without white space around them."""


class HttpError(ValueError):
    """Bytes that are no message that can be read in one way only.

    Attributes:
        status: With what a proxy answers.
    """

    def __init__(self, why: str, status: bytes = b"400 Bad Request") -> None:
        super().__init__(why)
        self.status = status


class Body:
    """Finds the end of a body in the bytes that arrive.

    Args:
        length: Bytes that are still to come; None = chunks, or everything until the end.
        chunked: Whether it comes in chunks.
    """

    __slots__ = ("_after_chunk", "_in_trailer", "_left", "_trailer", "chunked", "done", "endless")

    def __init__(self, length: int | None, chunked: bool = False) -> None:
        self.chunked = chunked
        self.endless = length is None and not chunked
        self.done = length == 0
        self._left = length or 0
        self._after_chunk = False
        self._in_trailer = False
        self._trailer = 0

    def take(self, buffer: bytearray) -> bytes:
        """Remove from `buffer` what belongs to the body, as it is on the wire.

        Raises:
            HttpError: It is no chunked body.
        """
        if self.done:
            return b""
        if self.endless:
            found = bytes(buffer)
            buffer.clear()
            return found
        if not self.chunked:
            found = bytes(buffer[: self._left])
            del buffer[: self._left]
            self._left -= len(found)
            self.done = self._left == 0
            return found
        return self._chunks(buffer)

    def _chunks(self, buffer: bytearray) -> bytes:
        at = 0
        while not self.done:
            if self._left:
                step = min(self._left, len(buffer) - at)
                at += step
                self._left -= step
                if self._left:
                    break
                self._after_chunk = True
            if self._after_chunk:
                if len(buffer) < at + 2:
                    break
                if buffer[at : at + 2] != b"\r\n":
                    raise HttpError("no line end after a chunk")
                at += 2
                self._after_chunk = False
            end = buffer.find(b"\r\n", at, at + _MAX_LINE)
            if end < 0:
                if len(buffer) - at >= _MAX_LINE:
                    raise HttpError("a line of a chunked body is too long")
                break
            self._line(bytes(buffer[at:end]))
            at = end + 2
        found = bytes(buffer[:at])
        del buffer[:at]
        return found

    def _line(self, line: bytes) -> None:
        """The size of a chunk, or a line of the trailer behind the last one."""
        if not self._in_trailer:
            size = _SIZE.fullmatch(line)
            if size is None:
                raise HttpError("no chunk size")
            self._left = int(size[1], 16)
            self._in_trailer = self._left == 0
            return
        self._trailer += len(line)
        if not line:
            self.done = True
        elif self._trailer > MAX_HEAD:
            raise HttpError("the trailer is too long")
        elif b":" not in line or not _TOKEN.fullmatch(line.partition(b":")[0]):
            raise HttpError("a line of the trailer is no header")


@dataclass(slots=True)
class Request:
    """The head of a request.

    Attributes:
        authority: Value of `Host`, or the authority of an absolute target.
        body: What follows.
        close: Whether the client wants the connection closed afterwards.
        expects: Whether the client waits for `100 Continue` before it sends the body.
        upgrade: Whether it asks for another protocol.
    """

    method: bytes
    target: bytes
    authority: bytes
    headers: Headers
    body: Body
    close: bool
    expects: bool
    upgrade: bool


@dataclass(slots=True)
class Response:
    """The head of a response; `close` is whether the server closes the connection afterwards."""

    status: int
    line: bytes
    headers: Headers
    body: Body
    close: bool


def take_head(buffer: bytearray) -> bytes | None:
    """Remove the head of a message from `buffer`, without the empty line; None while it is not whole.

    Raises:
        HttpError: It is too long.
    """
    while buffer.startswith(b"\r\n"):
        del buffer[:2]
    end = buffer.find(b"\r\n\r\n", 0, MAX_HEAD + 4)
    if end < 0:
        if len(buffer) > MAX_HEAD:
            raise HttpError("the head is too long", b"431 Request Header Fields Too Large")
        return None
    head = bytes(buffer[:end])
    del buffer[: end + 4]
    return head


def parse_request(head: bytes) -> Request:
    """Read the head of a request.

    Raises:
        HttpError: It is none, or one of which it is not certain where it ends.
    """
    line, *lines = head.split(b"\r\n")
    found = _REQUEST.fullmatch(line)
    if found is None or found[3] != b"1":
        raise HttpError("no request line of HTTP/1.1")
    if found[4] != b"1":
        raise HttpError("not HTTP/1.1", b"426 Upgrade Required")
    method, target = found[1], found[2]
    headers = _headers(lines)
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) != 1:
        raise HttpError("not one Host")
    authority = hosts[0]
    if method == b"CONNECT":
        raise HttpError("CONNECT")
    if target[:7].lower() == b"http://":
        authority, slash, path = target[7:].partition(b"/")
        authority, question, query = authority.partition(b"?")
        target = slash + path if slash else b"/" + question + query
    elif not target.startswith(b"/") and not (target == b"*" and method == b"OPTIONS"):
        raise HttpError("no path")
    if b"#" in target:
        raise HttpError("a path with a fragment")
    connection = _tokens(headers, b"connection")
    return Request(
        method,
        target,
        authority,
        headers,
        _request_body(headers),
        b"close" in connection,
        any(name == b"expect" and value.lower() == b"100-continue" for name, value in headers),
        b"upgrade" in connection and any(name == b"upgrade" for name, _ in headers),
    )


def parse_response(head: bytes, method: bytes) -> Response:
    """Read the head of a response to a request of `method`.

    Raises:
        HttpError: It is none, or one of which it is not certain where it ends.
    """
    line, *lines = head.split(b"\r\n")
    found = _STATUS.fullmatch(line)
    if found is None:
        raise HttpError("no status line")
    headers = _headers(lines)
    status = int(found[2])
    connection = _tokens(headers, b"connection")
    close = b"close" in connection or (found[1] == b"0" and b"keep-alive" not in connection)
    if method == b"HEAD" or status < 200 or status in (204, 304):
        body = Body(0)
    elif any(name == b"transfer-encoding" for name, _ in headers):
        body = _coded(headers)
    else:
        body = Body(_length(headers))
    return Response(status, line, headers, body, close or body.endless)


def _headers(lines: list[bytes]) -> Headers:
    if len(lines) > MAX_HEADERS:
        raise HttpError("too many headers", b"431 Request Header Fields Too Large")
    found = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or _TOKEN.fullmatch(name) is None or _VALUE.fullmatch(value) is None:
            raise HttpError("a line that is no header")
        found.append((name.lower(), value.strip(b" \t")))
    return found


def _tokens(headers: Headers, wanted: bytes) -> set[bytes]:
    return {
        item.strip(b" \t").lower() for name, value in headers if name == wanted for item in value.split(b",")
    }


def _request_body(headers: Headers) -> Body:
    if not any(name == b"transfer-encoding" for name, _ in headers):
        return Body(_length(headers) or 0)
    if any(name == b"content-length" for name, _ in headers):
        raise HttpError("both Content-Length and Transfer-Encoding")
    return _coded(headers)


def _coded(headers: Headers) -> Body:
    codings = [value.lower() for name, value in headers if name == b"transfer-encoding"]
    if codings != [b"chunked"]:
        raise HttpError("a transfer coding other than chunked", b"501 Not Implemented")
    return Body(None, chunked=True)


def _length(headers: Headers) -> int | None:
    lengths = [value for name, value in headers if name == b"content-length"]
    if not lengths:
        return None
    if len(lengths) > 1 or _LENGTH.fullmatch(lengths[0]) is None:
        raise HttpError("Content-Length is not one number")
    return int(lengths[0])
