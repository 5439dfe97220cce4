"""HTTP through the proxy: every request of a connection is judged before the server sees a byte of it."""

from __future__ import annotations

import errno
import socket
import time
import uuid
from collections.abc import Callable, Sequence
from email.utils import formatdate
from enum import Enum, auto

from harness.clusters.lab.proxy.http_judge import CompiledRule, judge
from harness.clusters.lab.proxy.http_parse import (
    Headers,
    HttpError,
    Request,
    Response,
    parse_request,
    parse_response,
    take_head,
)
from harness.clusters.lab.proxy.loop import MOST_WAITING, Loop, Stream
from harness.clusters.lab.proxy.paths import normalized

CONNECT_SECONDS = 0.4
"""How long a server may take to accept. Nothing gets lost in a lab, so whoever says nothing never will."""

DENIED = b"Access denied\r\n"

_LOST = "upstream connect error or disconnect/reset before headers. reset reason: "
_NO_CONNECTION = "remote connection failure, transport failure reason: delayed connect error: "

Rules = Callable[[], "Sequence[CompiledRule] | None"]
"""The rules that hold for a connection now; None = no rule is about it any more, so everything passes."""


class _State(Enum):
    HEAD = auto()  # a request is to come
    DENIED = auto()  # the body of a request that was answered here is to be thrown away
    SERVED = auto()  # the server has the request, or gets it
    TUNNEL = auto()  # another protocol
    OVER = auto()


def answer(status: bytes, body: bytes, *, close: bool = False, location: bytes = b"") -> bytes:
    """A response of the proxy's own, as Envoy writes it."""
    head = [b"HTTP/1.1 " + status]
    if location:
        head.append(b"location: " + location)
    if body or not location:
        head += [b"content-length: " + str(len(body)).encode(), b"content-type: text/plain"]
    else:
        head.append(b"content-length: 0")
    head += [b"date: " + _now(), b"server: envoy"]
    if close:
        head.append(b"connection: close")
    return b"\r\n".join([*head, b"", body])


_clock: tuple[int, bytes] = (0, b"")


def _now() -> bytes:
    global _clock
    second = int(time.time())
    if _clock[0] != second:
        _clock = (second, formatdate(second, usegmt=True).encode())
    return _clock[1]


class HttpConnection:
    """One client's connection and, once a request has passed, one to the server.

    Args:
        loop: The proxy's loop.
        client: The accepted socket.
        begun: Bytes that were already read from it.
        rules: What holds for the connection.
        call: Begins to connect to the server.
    """

    def __init__(
        self, loop: Loop, client: socket.socket, begun: bytes, rules: Rules, call: Callable[[], socket.socket]
    ) -> None:
        self._loop = loop
        self._rules = rules
        self._call = call
        self._state = _State.HEAD
        self._came = bytearray()
        self._back = bytearray()
        self._request: Request | None = None
        self._response: Response | None = None
        self._server: Stream | None = None
        self._client = Stream(loop, client, self)
        if begun:
            self.arrived(self._client, begun)

    # -- what streams tell -----------------------------------------------------------------------------

    def arrived(self, stream: Stream, data: bytes) -> None:
        """See `loop.Owner`."""
        if stream is self._client:
            if not data:
                self._hang_up()
                return
            self._came += data
            self._advance()
        elif stream is self._server:
            if not data:
                self._server_ended()
                return
            self._back += data
            self._answered()

    def broken(self, stream: Stream, code: int) -> None:
        """See `loop.Owner`."""
        if stream is self._client:
            self._hang_up()
        elif stream is self._server:
            if not stream.connected:
                self._unreachable("connection timeout" if code == errno.ETIMEDOUT else _refused(code))
            else:
                self._server_ended()

    def drained(self, stream: Stream) -> None:
        """See `loop.Owner`."""
        if stream is self._client and self._server is not None:
            self._server.read(True)
        elif stream is self._server:
            self._client.read(True)

    # -- requests --------------------------------------------------------------------------------------

    def _advance(self) -> None:
        try:
            while self._client.open and self._step():
                pass
        except HttpError as trouble:
            self._refuse(trouble)
            return
        if len(self._came) > MOST_WAITING and self._client.open:
            # Requests that came before the answer to the last one: they wait where they are.
            self._client.read(False)

    def _step(self) -> bool:
        """Go on with what has come; False when more must come first."""
        match self._state:
            case _State.HEAD:
                head = take_head(self._came) if self._came else None
                if head is None:
                    return False
                self._judge(parse_request(head))
                return True
            case _State.DENIED:
                assert self._request is not None
                self._request.body.take(self._came)
                if not self._request.body.done:
                    return False
                if self._request.close:
                    self._hang_up(politely=True)
                    return False
                self._next()
                return True
            case _State.SERVED:
                assert self._request is not None
                if not self._request.body.done and self._came:
                    self._to_server(self._request.body.take(self._came))
                return False
            case _State.TUNNEL:
                self._to_server(bytes(self._came))
                self._came.clear()
                return False
            case _State.OVER:
                self._came.clear()
                return False

    def _judge(self, request: Request) -> None:
        self._request = request
        self._response = None
        request.target, elsewhere = normalized(request.target)
        if elsewhere:
            self._here(answer(b"307 Temporary Redirect", b"", location=request.target))
            return
        rules = self._rules()
        headers = request.headers if rules is None else judge(rules, request)
        if headers is None:
            self._here(answer(b"403 Forbidden", DENIED))
            return
        self._state = _State.SERVED
        if request.expects:
            self._client.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._server is None or not self._server.open:
            self._back.clear()
            if not self._connect():
                return
        self._to_server(_request_head(request, headers))

    def _here(self, response: bytes) -> None:
        """Answer without the server; what the request still brings is thrown away."""
        assert self._request is not None
        if self._request.method == b"HEAD":
            response = response.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        self._client.send(response)
        self._state = _State.DENIED

    def _next(self) -> None:
        self._request = self._response = None
        self._state = _State.HEAD
        self._client.read(True)

    def _refuse(self, trouble: HttpError) -> None:
        """Answer bytes that cannot be read, and close."""
        if self._state is _State.SERVED:
            # The server has begun with the request; nothing that it says now is an answer to it.
            self._hang_up()
            return
        self._client.send(answer(trouble.status, trouble.status.partition(b" ")[2], close=True))
        self._hang_up(politely=True)

    # -- the server ------------------------------------------------------------------------------------

    def _connect(self) -> bool:
        try:
            called = self._server = Stream(self._loop, self._call(), self, connected=False)
        except OSError as trouble:
            self._server = None
            self._here(_unavailable(_refused(trouble.errno or 0)))
            return False
        self._loop.later(CONNECT_SECONDS, lambda: self._late(called))
        return True

    def _late(self, called: Stream) -> None:
        if called is self._server and called.open and not called.connected:
            called.close()
            self._unreachable("connection timeout")

    def _unreachable(self, why: str) -> None:
        """The request cannot be served; the next one may be."""
        self._server = None
        if self._state is _State.SERVED:
            self._here(_unavailable(why))
            self._advance()

    def _to_server(self, data: bytes) -> None:
        if self._server is not None and data:
            self._server.send(data)
            if self._server.full:
                self._client.read(False)

    def _server_ended(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
        if self._state is _State.TUNNEL:
            self._hang_up(politely=True)
        elif self._state is not _State.SERVED:
            return
        elif self._response is None:
            self._unreachable("connection termination")
        elif self._response.body.endless:
            self._client.send(b"0\r\n\r\n")
            self._response.body.done = True
            self._done()
        else:
            self._hang_up()

    def _answered(self) -> None:
        try:
            while self._back and self._state is _State.SERVED and self._client.open:
                if self._response is None:
                    head = take_head(self._back)
                    if head is None:
                        return
                    self._begin_response(head)
                else:
                    self._to_client(self._body())
                if self._response is not None and self._response.body.done:
                    self._done()
        except HttpError:
            self._server_ended()
            return
        if self._state is _State.TUNNEL and self._back:
            self._to_client(bytes(self._back))
            self._back.clear()
        elif self._back and self._state is not _State.SERVED and self._server is not None:
            # Bytes that answer nothing: they must not become the answer to the next request.
            self._server.close()
            self._server = None

    def _begin_response(self, head: bytes) -> None:
        assert self._request is not None
        response = parse_response(head, self._request.method)
        if response.status == 101 and self._request.upgrade:
            self._to_client(head + b"\r\n\r\n")
            self._state = _State.TUNNEL
            self._advance()
            return
        if response.status >= 200:
            self._response = response
            # What has come of the body goes with the head: one packet instead of two.
            self._to_client(_response_head(response, close=self._request.close) + self._body())

    def _body(self) -> bytes:
        """What has come of the body of the response, as the client gets it."""
        assert self._response is not None
        data = self._response.body.take(self._back)
        return b"%x\r\n%b\r\n" % (len(data), data) if data and self._response.body.endless else data

    def _to_client(self, data: bytes) -> None:
        self._client.send(data)
        if self._client.full and self._server is not None:
            self._server.read(False)

    def _done(self) -> None:
        """The response is whole."""
        assert self._request is not None
        assert self._response is not None
        if self._request.close or not self._request.body.done:
            self._hang_up(politely=True)
            return
        if self._response.close and self._server is not None:
            self._server.close()
            self._server = None
        self._next()
        self._advance()

    def _hang_up(self, *, politely: bool = False) -> None:
        self._state = _State.OVER
        if politely:
            self._client.finish()
        else:
            self._client.close()
        if self._server is not None:
            self._server.close()
            self._server = None


_HOP_BY_HOP = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"expect"})


def _request_head(request: Request, headers: Headers) -> bytes:
    """The head that the server gets: in lower case, with what Envoy adds."""
    keep = _HOP_BY_HOP if not request.upgrade else frozenset({b"expect"})
    lines = [b"%b %b HTTP/1.1" % (request.method, request.target), b"host: " + request.authority]
    lines += [b"%b: %b" % item for item in headers if item[0] not in keep and item[0] != b"host"]
    lines += [b"x-forwarded-proto: http", b"x-request-id: " + str(uuid.uuid4()).encode()]
    return b"\r\n".join([*lines, b"", b""])


def _response_head(response: Response, *, close: bool) -> bytes:
    lines = [b"HTTP/1.1" + response.line[8:]]
    dropped = {b"server", b"keep-alive", b"connection"}
    lines += [b"%b: %b" % item for item in response.headers if item[0] not in dropped]
    if response.body.endless:
        lines.append(b"transfer-encoding: chunked")
    if all(name != b"date" for name, _ in response.headers):
        lines.append(b"date: " + _now())
    lines.append(b"server: envoy")
    if close:
        lines.append(b"connection: close")
    return b"\r\n".join([*lines, b"", b""])


def _unavailable(why: str) -> bytes:
    return answer(b"503 Service Unavailable", (_LOST + why).encode())


def _refused(code: int) -> str:
    reasons = {errno.ECONNREFUSED: "Connection refused", errno.EHOSTUNREACH: "No route to host"}
    return _NO_CONNECTION + reasons.get(code, f"errno {code}")
