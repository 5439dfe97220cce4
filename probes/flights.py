"""A flight is one probe on its way, attempt after attempt: what all share, and those that carry a token."""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import struct
import time
from typing import TYPE_CHECKING, Any

from probes import wire
from probes.errors import classify, icmp_error, mark_packets, name_error, watch_errors
from probes.source_ports import NoPortError

if TYPE_CHECKING:
    from probes.client import Prober, Sink

IN, OUT, ERR, ET = select.EPOLLIN, select.EPOLLOUT, select.EPOLLERR, select.EPOLLET
ANSWER_SECONDS = 2.0
"""How long an accepted connection may keep silent. The path is known to be open by then, so this never makes
a denial; it only says how long a busy server is waited for."""

NO_ANSWER = "connected, but no answer came back"
"""How an accepted connection ends that keeps silent; worth another try on a busy machine."""

_NO_LINGER = struct.pack("ii", 1, 0)
_SCTP = 132
_MAX_ANSWER = 1 << 16


class Flight:
    """What all kinds share: who asks, which attempt it is, and how it ends."""

    __slots__ = (
        "address",
        "alive",
        "attempt",
        "began",
        "buffer",
        "deadline",
        "family",
        "index",
        "kind",
        "lookup",
        "note",
        "options",
        "port",
        "sink",
        "sock",
        "source",
        "stage",
        "started",
        "token",
    )

    def __init__(self, spec: list[Any], sink: Sink) -> None:
        self.index, self.source, self.kind, self.address, self.port, self.options = spec
        self.sink = sink
        self.family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        self.attempt = 0
        self.began = 0.0
        self.started = 0.0
        self.deadline = 0.0
        self.alive = False
        self.stage = 0
        self.buffer = b""
        self.lookup = ""
        self.note: list[str] = []
        self.token = ""
        self.sock: socket.socket | None = None

    def launch(self, prober: Prober) -> None:
        """Begin the next attempt; the prober has entered the source's namespace."""
        self.attempt += 1
        now = time.monotonic()
        self.began = self.began or now
        self.started = now
        self.alive = True
        self.stage = 0
        self.buffer = b""
        self.note = []
        self.token = self.sink.token(self.index, self.attempt)
        try:
            self.open(prober, now + self.sink.slot)
        except OSError as trouble:
            self.fail(prober, trouble.errno or 0)
        except NoPortError as trouble:
            self.give_up(prober, str(trouble))

    def open(self, prober: Prober, deadline: float) -> None:
        """Open a socket and send the first packet."""
        raise NotImplementedError

    def prepare(self, sock: socket.socket) -> None:
        """Set what every new socket needs before its first packet."""
        watch_errors(sock)
        mark_packets(sock, self.options.get("dscp", 0), self.options.get("hops", 0))

    def ready(self, prober: Prober, events: int) -> None:
        """The socket has news."""
        raise NotImplementedError

    def timer(self, prober: Prober) -> None:
        """The deadline passed without an answer."""
        prober.finish(self, "timeout")

    def fail(self, prober: Prober, code: int) -> None:
        """The kernel gave an error."""
        if code in (errno.EMFILE, errno.ENFILE):
            prober.crowded(self)
            return
        kind, detail, by = classify(code, self.sock)
        prober.finish(self, kind, detail, by)

    def give_up(self, prober: Prober, why: str) -> None:
        """End as an error that another attempt would not mend."""
        self.attempt = self.sink.attempts
        prober.finish(self, "error", why)

    def told_off(self, prober: Prober) -> None:
        """End with the ICMP error in the socket's queue, if there is one.

        An error that arrives while connect() is still at work does not end the connection attempt (the kernel
        keeps it as a soft error), but it stands in the queue.
        """
        assert self.sock is not None
        queued = icmp_error(self.sock)
        if queued is not None:
            prober.finish(self, *name_error(*queued))

    def local(self) -> str:
        """`address:port` that the attempt left from; empty when it has no socket."""
        if self.sock is None:
            return ""
        try:
            name = self.sock.getsockname()
        except OSError:
            return ""
        return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"

    def close(self) -> None:
        """Close without TIME_WAIT, so that no port stays taken."""
        if self.sock is not None:
            if self.stage:
                with contextlib.suppress(OSError):
                    self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            self.sock.close()
            self.sock = None
        self.alive = False


class StreamFlight(Flight):
    """TCP or SCTP: connect, send the token, read it back with the server's name."""

    __slots__ = ()

    def open(self, prober: Prober, deadline: float) -> None:
        """Start to connect."""
        protocol = _SCTP if self.kind == "sctp" else 0
        sock = socket.socket(self.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK, protocol)
        self.sock = sock
        self.prepare(sock)
        code = sock.connect_ex((self.address, self.port))
        if code not in (0, errno.EINPROGRESS):
            self.fail(prober, code)
            return
        prober.watch(self, IN | OUT | ET, deadline)

    def request(self) -> bytes:
        """The bytes to send once connected."""
        return wire.TOKEN_PREFIX + self.token.encode() + b"\n"

    def ready(self, prober: Prober, events: int) -> None:
        """Connected, answered or broken."""
        sock = self.sock
        assert sock is not None
        if self.stage == 0:
            try:
                sock.send(self.request())
            except BlockingIOError:
                if events & ERR:
                    self.told_off(prober)
                return
            except OSError as trouble:
                self.fail(prober, trouble.errno or 0)
                return
            self.stage = 1
            prober.until(self, time.monotonic() + max(ANSWER_SECONDS, self.sink.slot))
            if not events & IN:
                return
        try:
            while True:
                data = sock.recv(4096)
                if not data:
                    self.closed(prober)
                    return
                self.buffer += data
                if self.complete(prober):
                    return
                if len(self.buffer) > _MAX_ANSWER:
                    prober.finish(self, "error", "answer longer than 64 kB")
                    return
        except BlockingIOError:
            return
        except OSError as trouble:
            self.fail(prober, trouble.errno or 0)

    def complete(self, prober: Prober) -> bool:
        """Whether the answer is whole; then the flight has ended."""
        if self.alerted(prober):
            return True
        line, found, _ = self.buffer.partition(b"\n")
        if not found:
            return False
        matches, served_by = read_echo(line, self.token)
        if matches:
            prober.finish(self, "connected", token=True, served_by=served_by)
        else:
            prober.finish(self, "error", "the answer is not from a netcheck listener")
        return True

    def alerted(self, prober: Prober) -> bool:
        """Whether the answer is an alert: whoever sent it speaks TLS, and wants to hear nothing else."""
        if not self.buffer.startswith(wire.ALERT) or len(self.buffer) < wire.ALERT_SIZE:
            return False
        prober.finish(self, "tls", wire.alert_name(self.buffer), "server")
        return True

    def closed(self, prober: Prober) -> None:
        """The server closed before its answer was whole."""
        prober.finish(self, "reset", "closed without an answer")

    def timer(self, prober: Prober) -> None:
        """No SYN-ACK, or no answer after it."""
        if self.stage:
            prober.finish(self, "error", NO_ANSWER)
        else:
            prober.finish(self, "timeout")


class ConnectFlight(StreamFlight):
    """TCP to a server that is none of ours: whether it accepts; nothing is sent."""

    __slots__ = ()

    def ready(self, prober: Prober, events: int) -> None:
        """Connected or refused."""
        sock = self.sock
        assert sock is not None
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self.fail(prober, code)
            return
        try:
            sock.getpeername()
        except OSError:
            if events & ERR:
                self.told_off(prober)
            return
        prober.finish(self, "connected")


def read_echo(line: bytes, token: str) -> tuple[bool, str]:
    """Whether an echo answers `token`, and who sent it."""
    parts = line.split(b" ", 2)
    if len(parts) < 3 or parts[0] + b" " != wire.TOKEN_PREFIX or parts[1] != token.encode():
        return False, ""
    return True, parts[2].decode("utf-8", "replace").strip()


class DatagramFlight(Flight):
    """UDP: send the token, again after half the time, and read it back."""

    __slots__ = ("_resend",)

    def open(self, prober: Prober, deadline: float) -> None:
        """Send the first datagram."""
        sock = socket.socket(self.family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.sock = sock
        self.prepare(sock)
        prober.bind_fresh(sock, self.source)
        sock.connect((self.address, self.port))
        sock.send(self.payload())
        # What a service drops on its way may meet another of its pods when it is sent again.
        self._resend = not self.options.get("once")
        now = time.monotonic()
        prober.watch(self, IN, now + (deadline - now) / 2 if self._resend else deadline)

    def payload(self) -> bytes:
        """The datagram."""
        return wire.TOKEN_PREFIX + self.token.encode() + b"\n"

    def ready(self, prober: Prober, events: int) -> None:
        """A datagram or an ICMP error arrived."""
        assert self.sock is not None
        try:
            data = self.sock.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError as trouble:
            self.fail(prober, trouble.errno or 0)
            return
        self.answer(prober, data)

    def answer(self, prober: Prober, data: bytes) -> None:
        """Read one datagram."""
        matches, served_by = read_echo(data, self.token)
        if matches:
            prober.finish(self, "connected", token=True, served_by=served_by)

    def timer(self, prober: Prober) -> None:
        """Half the time is over: send again; all of it: the probe timed out."""
        if not self._resend or self.sock is None:
            prober.finish(self, "timeout")
            return
        self._resend = False
        try:
            self.sock.send(self.payload())
        except OSError as trouble:
            self.fail(prober, trouble.errno or 0)
            return
        prober.until(self, time.monotonic() + self.sink.slot / 2)


class IcmpFlight(DatagramFlight):
    """ICMP echo through a datagram socket, which needs no privilege but the ping group range."""

    __slots__ = ()

    def open(self, prober: Prober, deadline: float) -> None:
        """Send the first echo request."""
        protocol = socket.IPPROTO_ICMPV6 if self.family == socket.AF_INET6 else socket.IPPROTO_ICMP
        sock = socket.socket(self.family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, protocol)
        self.sock = sock
        self.prepare(sock)
        sock.connect((self.address, 0))
        sock.send(self.payload())
        self._resend = True
        now = time.monotonic()
        prober.watch(self, IN, now + (deadline - now) / 2)

    def payload(self) -> bytes:
        """An echo request; the kernel fills in identifier and checksum."""
        kind = 128 if self.family == socket.AF_INET6 else 8
        return struct.pack(">BBHHH", kind, 0, 0, 0, self.attempt) + self.token.encode()

    def answer(self, prober: Prober, data: bytes) -> None:
        """An echo reply with our token."""
        if data[8:] == self.token.encode():
            prober.finish(self, "connected", token=True)
