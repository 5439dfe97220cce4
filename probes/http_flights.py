"""HTTP/1.1: one request, or one that follows others on the same connection."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from probes import wire
from probes.flights import ANSWER_SECONDS, StreamFlight

if TYPE_CHECKING:
    from probes.client import Prober, Sink


class HttpFlight(StreamFlight):
    """The last request is the probe; the server's answer carries its token, a proxy's does not.

    The requests before it carry no token: they are cells of their own, on connections of their own.
    """

    __slots__ = ("_turn",)

    def __init__(self, spec: list[Any], sink: Sink) -> None:
        super().__init__(spec, sink)
        self._turn = 0

    def launch(self, prober: Prober) -> None:
        """Begin again with the first request."""
        self._turn = 0
        super().launch(prober)

    def request(self) -> bytes:
        """Request line, headers and body of the request whose turn it is."""
        before = self.options.get("after") or []
        last = self._turn == len(before)
        options = self.options if last else before[self._turn]
        literal = f"[{self.address}]" if ":" in self.address else self.address
        host = options.get("host") or f"{literal}:{self.port}"
        body = (options.get("body") or "").encode("utf-8", "replace")
        lines = [f"{options['method']} {options['path']} HTTP/1.1", f"Host: {host}"]
        lines += [f"{key}: {value}" for key, value in options.get("headers", ())]
        if last:
            lines += [f"{wire.TOKEN_HEADER}: {self.token}", "Connection: close"]
        if body or options["method"] in ("POST", "PUT", "PATCH"):
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*lines, "", ""]).encode("utf-8", "replace") + body

    def complete(self, prober: Prober) -> bool:
        """Whether the flight has ended: with the header of the last answer."""
        while True:
            if self.alerted(prober):
                return True
            head, found, rest = self.buffer.partition(b"\r\n\r\n")
            if not found:
                return False
            status, *fields = head.decode("latin-1").split("\r\n")
            parts = status.split(" ", 2)
            if len(parts) < 2 or not parts[0].startswith("HTTP/1.") or not parts[1].isdigit():
                prober.finish(self, "error", "the answer is not HTTP")
                return True
            headers = {
                key.strip().lower(): value.strip()
                for key, _, value in (item.partition(":") for item in fields)
            }
            if parts[1].startswith("1") and parts[1] != "101":
                # The answer proper is still to come.
                self.buffer = rest
                continue
            before = self.options.get("after") or []
            if self._turn == len(before):
                by = ""
                if parts[1] == "503" and headers.get("server", "").lower() == "envoy":
                    if _after_body(self.options["method"], parts[1], headers, rest) is None:
                        return False
                    by = _why_unserved(rest)
                prober.finish(
                    self,
                    "http",
                    parts[1],
                    by,
                    token=headers.get(wire.TOKEN_HEADER.lower()) == self.token,
                    served_by=headers.get(wire.SERVER_HEADER.lower(), ""),
                )
                return True
            left = _after_body(before[self._turn]["method"], parts[1], headers, rest)
            if left is None:
                return False
            said = f"request {self._turn + 1} of {len(before) + 1} was answered {parts[1]}"
            if left == b"" and headers.get("connection", "").lower() == "close":
                prober.finish(self, "error", f"{said}, and the server ended the connection with it")
                return True
            if left:
                prober.finish(self, "error", f"{said}, and more came than its body")
                return True
            self._turn += 1
            self.buffer = b""
            if not self._next(prober):
                return True

    def _next(self, prober: Prober) -> bool:
        """Send the next request on the same connection; False when that ended the flight."""
        assert self.sock is not None
        try:
            self.sock.send(self.request())
        except OSError as trouble:
            self.fail(prober, trouble.errno or 0)
            return False
        prober.until(self, time.monotonic() + max(ANSWER_SECONDS, self.sink.slot))
        return True

    def closed(self, prober: Prober) -> None:
        """The server closed before its answer was whole."""
        before = self.options.get("after") or []
        if self._turn:
            said = (
                f"request {self._turn} of {len(before) + 1} was answered, and then the connection was closed"
            )
            prober.finish(self, "error", said)
            return
        super().closed(prober)


def _why_unserved(body: bytes) -> str:
    """What a proxy says about a server that it could not reach; empty when it says something else."""
    _, found, reason = body.decode("latin-1").partition("reset reason: ")
    return f"proxy: {reason.strip()[:120]}" if found else ""


def _after_body(method: str, code: str, headers: dict[str, str], rest: bytes) -> bytes | None:
    """What comes after the body of an answer; None as long as the body is not whole."""
    if method == "HEAD" or code in ("204", "304"):
        return rest
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return _after_chunks(rest)
    given = headers.get("content-length", "0")
    size = int(given) if given.isdecimal() else 0
    return rest[size:] if len(rest) >= size else None


def _after_chunks(rest: bytes) -> bytes | None:
    while True:
        line, found, rest = rest.partition(b"\r\n")
        if not found:
            return None
        try:
            size = int(line.split(b";")[0], 16)
        except ValueError:
            # No chunk; what is left over makes the probe an error.
            return line or b"?"
        if size == 0:
            # Trailers end with an empty line.
            _, found, rest = (b"\r\n" + rest).partition(b"\r\n\r\n")
            return rest if found else None
        if len(rest) < size + 2:
            return None
        rest = rest[size + 2 :]
