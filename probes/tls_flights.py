"""Probes that speak TLS: a handshake, and inside of it the token echo."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from typing import TYPE_CHECKING

from probes import wire
from probes.flights import ANSWER_SECONDS, ERR, StreamFlight, read_echo
from probes.tls import Session, alert_from, hello_id, own_alert, spiffe_ids

if TYPE_CHECKING:
    from probes.client import Prober

CONNECTING, SHAKING, ASKED, WAITING = 0, 1, 2, 3


class TlsFlight(StreamFlight):
    """Connect, shake hands, send the token, read it back with the server's name."""

    __slots__ = ("_out", "_session", "_text")

    def open(self, prober: Prober, deadline: float) -> None:
        """Make the ClientHello, and start to connect."""
        options = self.options
        if prober.keys is None:
            self.give_up(prober, "no certificates have come for TLS")
            return
        try:
            context = prober.keys.client(options.get("certificate") or "", options.get("trust"))
        except (KeyError, ValueError, ssl.SSLError) as trouble:
            self.give_up(prober, f"no client can be made of the certificates: {trouble}")
            return
        self._session = Session(context, server=False, name=options.get("sni"))
        self._session.shake()
        self._out = self._session.take()
        self._text = b""
        self.note = [hello_id(self._out), ""]
        super().open(prober, deadline)

    def ready(self, prober: Prober, events: int) -> None:
        """Connected, answered or broken."""
        if self.stage == CONNECTING:
            self._connected(prober, events)
        elif self.stage != WAITING:
            self._read(prober)

    def _connected(self, prober: Prober, events: int) -> None:
        assert self.sock is not None
        code = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self.fail(prober, code)
            return
        try:
            self.sock.getpeername()
        except OSError:
            if events & ERR:
                self.told_off(prober)
            return
        self.stage = WAITING
        self.deadline = 0.0
        prober.line_up(self)

    def shake(self, prober: Prober) -> None:
        """Send the ClientHello."""
        self.stage = SHAKING
        prober.until(self, time.monotonic() + max(ANSWER_SECONDS, self.sink.slot))
        self._read(prober)

    def _read(self, prober: Prober) -> None:
        sock = self.sock
        assert sock is not None
        # Either it takes no more for now, or reading tells what became of the connection.
        with contextlib.suppress(OSError):
            self._send()
        try:
            while True:
                data = sock.recv(1 << 14)
                if not data:
                    self.closed(prober)
                    return
                self._session.feed(data)
                if self._step(prober):
                    return
        except BlockingIOError:
            return
        except OSError as trouble:
            self.fail(prober, trouble.errno or 0)

    def _send(self) -> None:
        assert self.sock is not None
        while self._out:
            self._out = self._out[self.sock.send(self._out) :]

    def _step(self, prober: Prober) -> bool:
        """Go on with what has arrived; whether the flight has ended."""
        try:
            if not self._session.shake():
                self._pass_on()
                return False
            if self.stage == SHAKING:
                self.stage = ASKED
                if self._mistaken(prober):
                    return True
                self._session.write(self.request())
            self._pass_on()
            text, ended = self._session.read()
        except ssl.SSLError as trouble:
            self._broken(prober, trouble)
            return True
        self._text += text
        if self._whole(prober):
            return True
        if ended:
            self.closed(prober)
        return ended

    def _pass_on(self) -> None:
        """Send what TLS has for the other side, now or when the socket takes it."""
        self._out += self._session.take()
        with contextlib.suppress(OSError):
            self._send()

    def _mistaken(self, prober: Prober) -> bool:
        """Whether the server is another workload than the client wants; then the flight has ended."""
        names = spiffe_ids(self._session.tls.getpeercert())
        self.note[1] = names[0] if len(names) == 1 else ""
        wanted = self.options.get("servers")
        if not wanted or self.note[1] in wanted:
            return False
        self._session.end()
        self._pass_on()
        prober.finish(self, "tls", "bad-certificate", "client")
        return True

    def _broken(self, prober: Prober, trouble: ssl.SSLError) -> None:
        self._pass_on()
        alert = alert_from(trouble)
        if alert:
            prober.finish(self, "tls", alert, "server")
        elif isinstance(trouble, ssl.SSLCertVerificationError):
            prober.finish(self, "tls", own_alert(trouble), "client")
        else:
            prober.finish(self, "error", f"the answer is not TLS: {trouble.reason}")

    def _whole(self, prober: Prober) -> bool:
        """Whether the answer is whole; then the flight has ended."""
        line, found, _ = self._text.partition(b"\n")
        if not found:
            return False
        matches, served_by = read_echo(line, self.token)
        if matches:
            prober.finish(self, "connected", token=True, served_by=served_by)
        elif line.startswith(wire.REFUSAL):
            prober.finish(self, "tls", "access-denied", "server")
        else:
            prober.finish(self, "error", "the answer is not from a netcheck listener")
        return True

    def closed(self, prober: Prober) -> None:
        """The server closed before its answer was whole."""
        during = "during the handshake" if self.stage == SHAKING else "without an answer"
        prober.finish(self, "reset", f"closed {during}")
