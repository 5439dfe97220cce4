"""Tokens and JSON lines: what the prober, the listeners and their masters say to each other.

The messages are documented in PROTOCOL.md.
"""

from __future__ import annotations

import json
import socket
from typing import Any

TOKEN_PREFIX = b"nc1 "
"""First bytes of a token echo, on TCP, UDP and SCTP alike; anything else on TCP is read as HTTP."""

TOKEN_HEADER = "X-Netcheck-Token"  # noqa: S105 - a header's name
"""HTTP header that carries the token, in requests and in answers."""

SERVER_HEADER = "X-Netcheck-Server"
"""HTTP header that says which pod answered."""

REFUSAL = b"nc1-refused "
"""First bytes of what a listener says, inside of TLS, to a client whose certificate it does not take."""

MAX_TOKEN = 120

HELLO = b"\x16\x03"
"""First bytes of a ClientHello; what begins otherwise is no TLS, or not its beginning."""

ALERT = b"\x15\x03"
"""First bytes of a TLS alert that is not encrypted."""

ALERT_SIZE = 7

_ALERTS = {
    0: "close-notify",
    10: "unexpected-message",
    20: "bad-record-mac",
    22: "record-overflow",
    40: "handshake-failure",
    42: "bad-certificate",
    43: "unsupported-certificate",
    44: "certificate-revoked",
    45: "certificate-expired",
    46: "certificate-unknown",
    47: "illegal-parameter",
    48: "unknown-ca",
    49: "access-denied",
    50: "decode-error",
    51: "decrypt-error",
    70: "protocol-version",
    71: "insufficient-security",
    80: "internal-error",
    86: "inappropriate-fallback",
    90: "user-canceled",
    109: "missing-extension",
    110: "unsupported-extension",
    112: "unrecognized-name",
    113: "bad-certificate-status-response",
    115: "unknown-psk-identity",
    116: "certificate-required",
    120: "no-application-protocol",
}
"""Alerts by number, as RFC 8446 names them."""


def alert_name(record: bytes) -> str:
    """The name of an alert that came in the clear."""
    return _ALERTS.get(record[6], f"alert-{record[6]}")


def token(nonce: str, sweep: int, index: int, attempt: int) -> str:
    """A token that no other attempt of any run carries."""
    return f"{nonce}.{sweep}.{index}.{attempt}"


def parse_token(text: str) -> tuple[str, int, int, int] | None:
    """The parts of a token, or None when `text` is not one."""
    parts = text.split(".")
    if len(parts) != 4 or len(text) > MAX_TOKEN:
        return None
    try:
        return parts[0], int(parts[1]), int(parts[2]), int(parts[3])
    except ValueError:
        return None


def encode(message: dict[str, Any]) -> bytes:
    """A message as one line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


class Lines:
    """Bytes as they arrive, messages as they become whole."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> None:
        """Take what arrived."""
        self._rest += data

    def take(self) -> list[dict[str, Any]]:
        """The messages that are whole, each once."""
        if b"\n" not in self._rest:
            return []
        *lines, rest = bytes(self._rest).split(b"\n")
        self._rest = bytearray(rest)
        return [json.loads(line) for line in lines if line]


class Channel:
    """JSON lines over a non-blocking stream socket, for use in an event loop.

    Namespaces travel beside the lines as file descriptors (SCM_RIGHTS); they queue up in `fds` in the order
    in which they were sent, and the line that needs them says how many belong to it.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.setblocking(False)
        self.fds: list[int] = []
        self.closed = False
        self._in = Lines()
        self._out = bytearray()

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self.sock.fileno()

    @property
    def backlog(self) -> bool:
        """Whether bytes wait for the other side to read."""
        return bool(self._out)

    def receive(self) -> list[dict[str, Any]]:
        """All lines that have arrived; sets `closed` at end of stream."""
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self.sock, 1 << 18, 250)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                self.closed = True
                break
            self.fds.extend(fds)
            if not data:
                self.closed = True
                break
            self._in.feed(data)
        return self._in.take()

    def send(self, message: dict[str, Any]) -> None:
        """Queue one line and write as much as the other side takes."""
        self._out += encode(message)
        self.flush()

    def flush(self) -> None:
        """Write what waits, as far as the other side takes it."""
        while self._out:
            try:
                sent = self.sock.send(self._out[: 1 << 18])
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self.closed = True
                self._out.clear()
                return
            del self._out[:sent]
