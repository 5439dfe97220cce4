"""TLS at the listeners: which certificate a port has, whom it takes, and what became of each handshake."""

from __future__ import annotations

import ssl
from collections import OrderedDict
from typing import Any

from probes import wire
from probes.tls import Session, hello_id, pair_of, server_context, spiffe_ids, why

BEGUN, DONE, REFUSED = "begun", "done", "refused: "
MOST_REMEMBERED = 200_000
"""Handshakes that nobody has asked for; the oldest are forgotten first."""

_MOST_READ = 1 << 14
"""Bytes in which the token of a probe must come that speaks no TLS."""


class Handshakes:
    """What became of each probe's TLS, by its ClientHello, or by its token where it came without TLS."""

    def __init__(self) -> None:
        self._fates: OrderedDict[str, str] = OrderedDict()

    def note(self, key: str, fate: str) -> None:
        """Remember the latest."""
        self._fates[key] = fate
        if len(self._fates) > MOST_REMEMBERED:
            self._fates.popitem(last=False)

    def take(self) -> dict[str, str]:
        """All since the last call."""
        taken, self._fates = self._fates, OrderedDict()
        return dict(taken)


class Guard:
    """The certificate of one listener.

    Args:
        message: An entry of a `certify` message: `certificate` (a pair of PEM texts, or who issues them),
            `bundle` and `ports`.

    Raises:
        SvidError: Nobody issues a certificate.
    """

    def __init__(self, message: dict[str, Any]) -> None:
        certificate, key = pair_of(message["certificate"])
        self._allow = {int(port): frozenset(ids) for port, ids in message["ports"].items()}
        self._open = server_context((certificate, key), "")
        self._strict = server_context((certificate, key), message["bundle"]) if self._allow else None

    def strict(self, port: int) -> bool:
        """Whether the port speaks nothing but mutual TLS."""
        return port in self._allow

    def session(self, port: int) -> Session:
        """A new session of the port."""
        strict = self._strict if port in self._allow else None
        return Session(strict or self._open, server=True)

    def objection(self, port: int, session: Session) -> str:
        """Why the client may not talk to the port; empty when it may."""
        allowed = self._allow.get(port)
        if allowed is None:
            return ""
        names = spiffe_ids(session.tls.getpeercert())
        if len(names) != 1:
            return f"the certificate names {len(names)} SPIFFE IDs instead of one"
        return "" if names[0] in allowed else f"{names[0]} is not allowed"


class Secured:
    """One connection that speaks TLS, or that should.

    Attributes:
        refused: Nothing more is answered; what still comes is read and thrown away.
    """

    def __init__(self, guard: Guard, port: int, handshakes: Handshakes) -> None:
        self._guard = guard
        self._port = port
        self._handshakes = handshakes
        self._session = guard.session(port)
        self._first = b""
        self._key = ""
        self._greeted = False
        self._objection = ""
        self.refused = False

    def feed(self, data: bytes) -> tuple[bytes, bytes, bool]:
        """Take bytes of the network; text for the listener, bytes to send, and whether that was the end."""
        if not self._key:
            self._first = (self._first + data)[:_MOST_READ]
            self._key = self._read_key()
            if self._key and self._objection:
                self._refuse(self._objection)
        if self.refused:
            return b"", b"", False
        self._session.feed(data)
        try:
            if not self._session.shake():
                return b"", self._session.take(), False
            if not self._greeted:
                self._greeted = True
                objection = self._guard.objection(self._port, self._session)
                if objection:
                    self._refuse(objection)
                    self._session.write(wire.REFUSAL + objection.encode() + b"\n")
                    self._session.end()
                    return b"", self._session.take(), False
                self._handshakes.note(self._key, DONE)
            text, ended = self._session.read()
        except ssl.SSLError as trouble:
            self._refuse(why(trouble))
            return b"", self._session.take(), False
        return text, self._session.take(), ended

    def answer(self, text: bytes) -> bytes:
        """Text of the listener as bytes for the network."""
        self._session.write(text)
        return self._session.take()

    def _read_key(self) -> str:
        key = hello_id(self._first)
        if key:
            self._handshakes.note(key, BEGUN)
            return key
        return "" if self._first.startswith(wire.HELLO[: len(self._first)]) else token_in(self._first)

    def _refuse(self, objection: str) -> None:
        self.refused = True
        self._objection = objection
        if self._key:
            self._handshakes.note(self._key, REFUSED + objection)


def token_in(text: bytes) -> str:
    """The token of a probe that came without TLS; empty when it has none."""
    words = text.decode("latin-1")
    head = wire.TOKEN_HEADER.lower() + ":"
    for line in words.split("\n")[:-1]:
        if line.startswith(wire.TOKEN_PREFIX.decode()):
            return line[len(wire.TOKEN_PREFIX) :].strip()
        if line.lower().startswith(head):
            return line[len(head) :].strip()
    return ""
