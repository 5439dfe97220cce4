"""The listeners: token echo on TCP, UDP and SCTP; HTTP/1.1 and, with a certificate, TLS on every TCP port.

Every arrival is a receipt.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
from typing import TYPE_CHECKING, Any, Callable

from probes import wire

if TYPE_CHECKING:
    from probes.tls_server import Guard, Handshakes, Secured

BACKLOG = 65535
_DATAGRAM_SOCKETS = ("/proc/self/net/udp", "/proc/self/net/udp6")
"""Where the kernel tells of each socket (field 10 is its inode) how many datagrams it dropped (the last)."""

_SCTP = 132
_IP_PKTINFO = 8
_IPV6_PKTINFO = 50
_IPV6_RECVPKTINFO = 49
_MAX_REQUEST = 1 << 16

Answer = Callable[[bytes, str, bool], "bytes | None"]
"""A datagram or framed message, the peer's address, whether it came by TCP → what to answer, or None."""


class Receipts:
    """Tokens that arrived, counted per sweep and probe."""

    def __init__(self) -> None:
        self._counts: dict[int, dict[int, int]] = {}

    def note(self, text: str) -> bool:
        """Count an arrival; False when `text` is no token."""
        parts = wire.parse_token(text)
        if parts is None:
            return False
        _, sweep, index, _ = parts
        counts = self._counts.setdefault(sweep, {})
        counts[index] = counts.get(index, 0) + 1
        return True

    def take(self, sweep: int) -> dict[int, int]:
        """Arrivals of one sweep by index of the probe; they are forgotten here."""
        return self._counts.pop(sweep, {})


class _Connection:
    __slots__ = ("buffer", "fresh", "listener", "secured", "sock")

    def __init__(self, sock: socket.socket, listener: _Listener) -> None:
        self.sock = sock
        self.listener = listener
        self.buffer = b""
        self.fresh = True
        self.secured: Secured | None = None

    def ready(self, server: Server, events: int) -> None:
        try:
            data = self.sock.recv(8192)
        except BlockingIOError:
            return
        except OSError:
            server.hang_up(self)
            return
        if not data:
            server.hang_up(self)
            return
        if self.fresh:
            self.fresh = False
            self.secured = server.secure(self.listener, data)
            if self.secured is None and self.listener.answer is None and data.startswith(wire.HELLO):
                # Without a certificate there is nothing to say to a client that speaks TLS.
                server.hang_up(self)
                return
        if self.secured is not None:
            self._secured(server, self.secured, data)
            return
        self.buffer += data
        answer, keep = self._answer(server)
        self._send(answer)
        if not keep or len(self.buffer) > _MAX_REQUEST:
            server.hang_up(self)

    def _send(self, data: bytes) -> None:
        if data:
            with contextlib.suppress(OSError):
                self.sock.send(data)

    def _secured(self, server: Server, secured: Secured, data: bytes) -> None:
        before = secured.refused
        text, out, ended = secured.feed(data)
        self._send(out)
        if secured.refused:
            if not before:
                # Closed at once, with bytes unread, the client would see a reset instead of the alert.
                with contextlib.suppress(OSError):
                    self.sock.shutdown(socket.SHUT_WR)
            return
        self.buffer += text
        answer, keep = self._answer(server) if text else (b"", True)
        if answer:
            self._send(secured.answer(answer))
        if ended or not keep or len(self.buffer) > _MAX_REQUEST:
            server.hang_up(self)

    def _answer(self, server: Server) -> tuple[bytes, bool]:
        if self.listener.answer is not None and not self.buffer.startswith(wire.TOKEN_PREFIX):
            return self._framed(self.listener.answer)
        if self.buffer.startswith(wire.TOKEN_PREFIX[: len(self.buffer)]):
            out = b""
            while b"\n" in self.buffer:
                line, _, self.buffer = self.buffer.partition(b"\n")
                token = line[len(wire.TOKEN_PREFIX) :].decode("latin-1")
                if not server.receipts.note(token):
                    return out, False
                out += _echo(token, self.listener.identity)
            return out, True
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return b"", True
        return self._http(server, head.decode("latin-1"), rest)

    def _framed(self, answer: Answer) -> tuple[bytes, bool]:
        out = b""
        while len(self.buffer) >= 2:
            size = int.from_bytes(self.buffer[:2], "big")
            if len(self.buffer) < 2 + size:
                break
            message, self.buffer = self.buffer[2 : 2 + size], self.buffer[2 + size :]
            reply = answer(message, "", True)
            if reply is None:
                return out, False
            out += len(reply).to_bytes(2, "big") + reply
        return out, True

    def _http(self, server: Server, head: str, rest: bytes) -> tuple[bytes, bool]:
        lines = head.split("\r\n")
        request = lines[0].split(" ")
        headers = {
            key.strip().lower(): value.strip()
            for key, _, value in (line.partition(":") for line in lines[1:])
        }
        if len(request) != 3 or not request[2].startswith("HTTP/1."):
            return b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", False
        given = headers.get("content-length", "")
        length = int(given) if given.isdecimal() and len(given) < 10 else 0
        if len(rest) < min(length, _MAX_REQUEST):
            return b"", True
        token = headers.get(wire.TOKEN_HEADER.lower(), "")
        known = server.receipts.note(token)
        body = f"{request[0]} {request[1]}\n" if request[0] != "HEAD" else ""
        close = headers.get("connection", "").lower() == "close"
        fields = [
            "HTTP/1.1 200 OK",
            "Content-Type: text/plain; charset=utf-8",
            f"Content-Length: {len(body.encode('latin-1', 'replace'))}",
            f"{wire.SERVER_HEADER}: {self.listener.identity}",
        ]
        if known:
            fields.append(f"{wire.TOKEN_HEADER}: {token}")
        fields.append(f"Connection: {'close' if close else 'keep-alive'}")
        self.buffer = rest[length:]
        return "\r\n".join([*fields, "", body]).encode("latin-1", "replace"), not close


def _echo(token: str, identity: str) -> bytes:
    return wire.TOKEN_PREFIX + f"{token} {identity}\n".encode()


class _Listener:
    __slots__ = ("answer", "identity", "port", "sock", "stream", "wildcard")

    def __init__(
        self, sock: socket.socket, identity: str, stream: bool, answer: Answer | None, wildcard: bool = False
    ) -> None:
        self.sock = sock
        self.port = int(sock.getsockname()[1])
        self.identity = identity
        self.stream = stream
        self.answer = answer
        self.wildcard = wildcard

    def ready(self, server: Server, events: int) -> None:
        if self.stream:
            self._accept(server)
        else:
            self._datagrams(server)

    def _accept(self, server: Server) -> None:
        for _ in range(256):
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            sock.setblocking(False)
            connection = _Connection(sock, self)
            server.connect(connection)

    def _datagrams(self, server: Server) -> None:
        for _ in range(256):
            here: list[tuple[int, int, bytes]] = []
            try:
                if self.wildcard:
                    data, found, _, peer = self.sock.recvmsg(1 << 16, 128)
                    here = _came_to(found)
                else:
                    data, peer = self.sock.recvfrom(1 << 16)
            except OSError:
                return
            if data.startswith(wire.TOKEN_PREFIX):
                token = data[len(wire.TOKEN_PREFIX) :].strip().decode("latin-1")
                reply = _echo(token, self.identity) if server.receipts.note(token) else None
            elif self.answer is not None:
                reply = self.answer(data, peer[0], False)
            else:
                reply = None
            if reply is not None:
                with contextlib.suppress(OSError):
                    self.sock.sendmsg([reply], here, 0, peer)


def _came_to(found: list[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
    """What makes an answer leave from the address that the question came to.

    A node has several, and routing would choose the one nearest to the asker, who waits for another.
    """
    for level, kind, data in found:
        if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
            return [(level, kind, struct.pack("=I4s4s", 0, data[8:12], b""))]
        if (level, kind) == (socket.IPPROTO_IPV6, _IPV6_PKTINFO):
            return [(level, kind, data[:16] + struct.pack("=I", 0))]
    return []


def _ask_where(sock: socket.socket) -> None:
    """Have the kernel say which address each datagram came to."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)


class Server:
    """All listeners of one process, in one epoll loop.

    Args:
        epoll: The loop's epoll; the owner polls it and hands events to `ready`.

    Attributes:
        receipts: Which probes have arrived.
        handshakes: What became of those that speak TLS; None as long as no listener has a certificate.
    """

    def __init__(self, epoll: select.epoll) -> None:
        self.receipts = Receipts()
        self.handshakes: Handshakes | None = None
        self._guards: dict[str, Guard] = {}
        self._epoll = epoll
        self._watched: dict[int, _Listener | _Connection] = {}

    def listen(
        self,
        identity: str,
        addresses: list[str],
        ports: list[tuple[int, str]],
        answer: Answer | None = None,
    ) -> None:
        """Open listeners; the caller has entered the right namespace.

        Args:
            identity: What the listeners call themselves in answers: the pod's id.
            addresses: Addresses to bind, each to every port.
            ports: Port numbers with `TCP`, `UDP` or `SCTP`.
            answer: Answers what is neither a token nor HTTP, such as DNS.

        Raises:
            OSError: A port could not be bound; its text names it.
        """
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            for port, protocol in ports:
                stream = protocol != "UDP"
                kind = socket.SOCK_STREAM if stream else socket.SOCK_DGRAM
                sock = socket.socket(family, kind | socket.SOCK_NONBLOCK, _SCTP if protocol == "SCTP" else 0)
                try:
                    if stream:
                        # For datagrams it would let two processes have one port, and one of them the traffic.
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    if family == socket.AF_INET6:
                        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                    sock.bind((address, port))
                    wildcard = not stream and address in ("0.0.0.0", "::")
                    if stream:
                        sock.listen(BACKLOG)
                    elif wildcard:
                        _ask_where(sock)
                except OSError as trouble:
                    sock.close()
                    raise OSError(
                        trouble.errno,
                        f"{identity} cannot listen on {address} port {port}/{protocol}: {trouble.strerror}",
                    ) from trouble
                self._watch(_Listener(sock, identity, stream, answer, wildcard))

    def certify(self, identity: str, message: dict[str, Any]) -> None:
        """Give the listeners of one identity their certificate; see `Guard`."""
        # Imported where TLS is asked for: most runs ask for none, and loading OpenSSL takes its time.
        from probes.tls_server import Guard, Handshakes

        if self.handshakes is None:
            self.handshakes = Handshakes()
        self._guards[identity] = Guard(message)

    def fates(self) -> dict[str, str]:
        """What became of handshakes since the last call, by what both ends know them by."""
        return {} if self.handshakes is None else self.handshakes.take()

    def secure(self, listener: _Listener, data: bytes) -> Secured | None:
        """TLS for a connection that begins with `data`; None where it speaks without."""
        guard = self._guards.get(listener.identity)
        if guard is None or listener.answer is not None or self.handshakes is None:
            return None
        if not guard.strict(listener.port) and not wire.HELLO.startswith(data[: len(wire.HELLO)]):
            return None
        from probes.tls_server import Secured

        return Secured(guard, listener.port, self.handshakes)

    def lost(self) -> int:
        """How many datagrams the kernel has thrown away because the buffers of these sockets were full."""
        own = {
            os.fstat(each.sock.fileno()).st_ino
            for each in self._watched.values()
            if isinstance(each, _Listener) and not each.stream
        }
        total = 0
        for file in _DATAGRAM_SOCKETS if own else ():
            with contextlib.suppress(OSError), open(file) as lines:
                next(lines)
                fields = (line.split() for line in lines)
                total += sum(int(each[-1]) for each in fields if int(each[9]) in own)
        return total

    def close(self, identity: str) -> None:
        """Close all listeners and connections of one identity; its certificate is forgotten."""
        self._guards.pop(identity, None)
        for watched in list(self._watched.values()):
            owner = watched.listener if isinstance(watched, _Connection) else watched
            if owner.identity == identity:
                self._forget(watched)

    def owns(self, fileno: int) -> bool:
        """Whether the descriptor belongs to a listener or connection."""
        return fileno in self._watched

    def ready(self, fileno: int, events: int) -> None:
        """Serve one descriptor."""
        watched = self._watched.get(fileno)
        if watched is not None:
            watched.ready(self, events)

    def connect(self, connection: _Connection) -> None:
        """A connection was accepted; what it already sent is read at once."""
        self._watch(connection)
        connection.ready(self, select.EPOLLIN)

    def hang_up(self, connection: _Connection) -> None:
        """Close one connection."""
        self._forget(connection)

    def _watch(self, watched: _Listener | _Connection) -> None:
        self._watched[watched.sock.fileno()] = watched
        self._epoll.register(watched.sock.fileno(), select.EPOLLIN)

    def _forget(self, watched: _Listener | _Connection) -> None:
        if self._watched.pop(watched.sock.fileno(), None) is not None:
            watched.sock.close()


def listeners_from(message: dict[str, Any]) -> list[tuple[int, str]]:
    """The `ports` of a `listen` message."""
    return [(int(port), str(protocol)) for port, protocol in message["ports"]]
