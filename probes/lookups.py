"""Probes that ask the DNS: a question alone, or one whose answer says where to connect."""

from __future__ import annotations

import errno
import os
import socket
import struct
import time
from typing import TYPE_CHECKING

from probes import dns
from probes.errors import watch_errors
from probes.flights import ANSWER_SECONDS, ERR, ET, IN, NO_ANSWER, OUT, DatagramFlight
from probes.source_ports import NoPortError

if TYPE_CHECKING:
    from probes.client import Prober


class DnsFlight(DatagramFlight):
    """One DNS question, or one per name of a search list until one has answers; TCP when cut or asked for."""

    __slots__ = ("_id", "_name", "_question", "_tcp")

    def open(self, prober: Prober, deadline: float) -> None:
        """Ask for the first name."""
        self._name = 0
        self._tcp = bool(self.options.get("tcp"))
        self._ask(prober, deadline)

    def _ask(self, prober: Prober, deadline: float) -> None:
        """Ask for the name whose turn it is, with a socket of its own."""
        if self.sock is not None:
            prober.unwatch(self)
            self.sock.close()
            self.sock = None
        try:
            self._open_question(prober, deadline)
        except OSError as trouble:
            self.fail(prober, trouble.errno or 0)
        except NoPortError as trouble:
            self.give_up(prober, str(trouble))
        except dns.DnsError as trouble:
            self.give_up(prober, f"no question can be made of it: {trouble}")

    def _open_question(self, prober: Prober, deadline: float) -> None:
        self._id = int.from_bytes(os.urandom(2), "big")
        name = self.options["names"][self._name]
        self._question = dns.query(self._id, name, dns.TYPES[self.options["type"]])
        self.buffer = b""
        self.stage = 0
        kind = socket.SOCK_STREAM if self._tcp else socket.SOCK_DGRAM
        sock = socket.socket(self.family, kind | socket.SOCK_NONBLOCK)
        self.sock = sock
        watch_errors(sock)
        if self._tcp:
            self._resend = False
            code = sock.connect_ex((self.address, self.port))
            if code not in (0, errno.EINPROGRESS):
                self.fail(prober, code)
                return
            prober.watch(self, IN | OUT | ET, deadline)
            return
        self._resend = True
        prober.bind_fresh(sock, self.source)
        sock.connect((self.address, self.port))
        sock.send(self.payload())
        now = time.monotonic()
        prober.watch(self, IN, now + (deadline - now) / 2)

    def payload(self) -> bytes:
        """The question."""
        return self._question

    def ready(self, prober: Prober, events: int) -> None:
        """News on the UDP or TCP socket."""
        if not self._tcp:
            super().ready(prober, events)
            return
        assert self.sock is not None
        if self.stage == 0 and events & ERR and not events & OUT:
            self.told_off(prober)
            return
        try:
            if self.stage == 0:
                payload = self.payload()
                self.sock.send(struct.pack(">H", len(payload)) + payload)
                self.stage = 1
                prober.until(self, time.monotonic() + max(ANSWER_SECONDS, self.sink.slot))
            while True:
                data = self.sock.recv(1 << 16)
                if not data:
                    prober.finish(self, "reset", "closed without an answer")
                    return
                self.buffer += data
                sock = self.sock
                while (message := self._whole_message()) is not None:
                    self.answer(prober, message)
                    if self.sock is not sock:
                        return
        except BlockingIOError:
            return
        except OSError as trouble:
            self.fail(prober, trouble.errno or 0)

    def _whole_message(self) -> bytes | None:
        """Take the first message off the stream, once all of it is there."""
        end = 2 + int.from_bytes(self.buffer[:2], "big")
        if len(self.buffer) < max(2, end):
            return None
        message, self.buffer = self.buffer[2:end], self.buffer[end:]
        return message

    def answer(self, prober: Prober, data: bytes) -> None:
        """Read one message; others than the one asked for are ignored."""
        try:
            message = dns.parse(data)
        except dns.DnsError as trouble:
            prober.finish(self, "error", f"malformed DNS answer: {trouble}")
            return
        if message.id != self._id or not message.flags & dns.FLAG_RESPONSE:
            return
        if message.truncated and not self._tcp:
            self._tcp = True
            self._ask(prober, time.monotonic() + self.sink.slot)
            return
        last = self._name == len(self.options["names"]) - 1
        if not last and (message.rcode == "NXDOMAIN" or (message.rcode == "NOERROR" and not message.answers)):
            self._name += 1
            self._tcp = bool(self.options.get("tcp"))
            self._ask(prober, time.monotonic() + self.sink.slot)
            return
        self.resolved(prober, message)

    def resolved(self, prober: Prober, message: dns.Message) -> None:
        """The last answer is in."""
        self.lookup = " ".join(item.data for item in message.answers[:4])
        zones = [item.name for item in message.authorities if item.type == dns.TYPES["SOA"]]
        if self.options.get("soa") and zones and not self.lookup:
            self.lookup = f"SOA {zones[0] or '.'}"
        prober.finish(self, "dns", message.rcode, token=True)

    def timer(self, prober: Prober) -> None:
        """As for UDP; over TCP the deadline is final."""
        if self._tcp and self.stage:
            prober.finish(self, "error", NO_ANSWER)
        elif self._tcp:
            prober.finish(self, "timeout")
        else:
            super().timer(prober)


class HostFlight(DnsFlight):
    """Resolve a name first, then connect to its first address, as applications do."""

    __slots__ = ()

    def resolved(self, prober: Prober, message: dns.Message) -> None:
        """Go on to the connection, as a flight of its own that reports under this one's index."""
        addresses = message.addresses
        if message.rcode != "NOERROR" or not addresses:
            detail = message.rcode if message.rcode != "NOERROR" else "NODATA"
            prober.finish(self, "dns", detail, token=True)
            return
        options = self.options
        spec = [self.index, self.source, options["kind"], addresses[0], options["port"], options]
        prober.hand_over(self, spec, f"{message.rcode} {addresses[0]}")
