"""TLS over memory: certificates by name, what is made of them, and one handshake at either end.

Keys come over the channel and live in this process only. Imported where TLS is used; most runs have none.
"""

from __future__ import annotations

import contextlib
import os
import ssl
from typing import Any

from probes import wire
from probes.svid import SvidError, obtain

_WITHOUT_THE_WORD = {
    "TLSV1_UNRECOGNIZED_NAME": "unrecognized-name",
    "TLSV1_UNSUPPORTED_EXTENSION": "unsupported-extension",
    "TLSV1_BAD_CERTIFICATE_STATUS_RESPONSE": "bad-certificate-status-response",
}
"""OpenSSL's words for alerts that do not say that they are."""

_TOO_OLD = 10
_NO_ISSUER = (2, 18, 19, 20, 21)
"""OpenSSL's reasons for a certificate that nobody in the bundle has issued (X509_V_ERR_…)."""


def alert_from(trouble: ssl.SSLError) -> str:
    """The alert that the other side sent, by OpenSSL's words for it; empty when it sent none."""
    reason = trouble.reason or ""
    _, found, name = reason.partition("_ALERT_")
    return name.lower().replace("_", "-") if found else _WITHOUT_THE_WORD.get(reason, "")


def own_alert(trouble: ssl.SSLError) -> str:
    """The alert that this side sends because of what is wrong with the other's certificate."""
    code = getattr(trouble, "verify_code", None)
    if code is None:
        return "handshake-failure"
    if code == _TOO_OLD:
        return "certificate-expired"
    return "unknown-ca" if code in _NO_ISSUER else "bad-certificate"


def why(trouble: ssl.SSLError) -> str:
    """What this side holds against the other, in a few words."""
    said = getattr(trouble, "verify_message", "") or (trouble.reason or "no TLS").replace("_", " ").lower()
    return str(said)


def spiffe_ids(certificate: dict[str, Any] | None) -> list[str]:
    """The SPIFFE IDs that a verified certificate names; one that is valid names exactly one."""
    names = (certificate or {}).get("subjectAltName", ())
    return [value for kind, value in names if kind == "URI" and value.startswith("spiffe://")]


def hello_id(hello: bytes) -> str:
    """What a ClientHello is known by: the beginning of its random bytes; empty when it is none.

    Both ends see the same bytes, whatever was translated on the way, unless somebody between them ended the
    handshake and began another.
    """
    return hello[11:19].hex() if hello.startswith(wire.HELLO) and len(hello) >= 43 else ""


class Keys:
    """Certificates by name, bundles by trust domain, and the contexts that are made of them."""

    def __init__(self) -> None:
        self._pairs: dict[str, tuple[str, str]] = {}
        self._absent: dict[str, str] = {}
        self._bundles: dict[str, str] = {}
        self._contexts: dict[tuple[str, tuple[str, ...]], ssl.SSLContext] = {}

    def learn(self, message: dict[str, Any]) -> None:
        """Take what a `keys` message brings; what was known by the same names is forgotten."""
        for name, given in message["certificates"].items():
            self._pairs.pop(name, None)
            try:
                self._pairs[name] = pair_of(given)
            except SvidError as trouble:
                self._absent[name] = str(trouble)
        self._bundles.update(message["bundles"])
        self._contexts.clear()

    def client(self, certificate: str, trust: list[str] | None) -> ssl.SSLContext:
        """A client that shows a certificate, or none, and believes these trust domains; None = anybody.

        Raises:
            KeyError: There is no such certificate or bundle.
            SvidError: There is no such certificate, and it is known why.
        """
        if certificate in self._absent and certificate not in self._pairs:
            raise SvidError(self._absent[certificate])
        key = (certificate, tuple(trust or ("",)))
        context = self._contexts.get(key)
        if context is None:
            context = self._contexts[key] = self._client(certificate, trust)
        return context

    def _client(self, certificate: str, trust: list[str] | None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = False
        if trust is None:
            context.verify_mode = ssl.CERT_NONE
        else:
            context.load_verify_locations(cadata="".join(self._bundles[domain] for domain in trust))
        if certificate:
            load_pair(context, *self._pairs[certificate])
        return context


def pair_of(given: list[str] | dict[str, Any]) -> tuple[str, str]:
    """A certificate with its key: as they came, or of who issues them (see `probes.svid`).

    Raises:
        SvidError: Nobody issues any.
    """
    if isinstance(given, dict):
        found = obtain(given)
        return found.certificate, found.key
    return given[0], given[1]


def server_context(pair: tuple[str, str], bundle: str) -> ssl.SSLContext:
    """A server with a certificate; with a `bundle` clients must show one that it has issued."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.num_tickets = 0
    load_pair(context, *pair)
    if bundle:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=bundle)
    return context


def load_pair(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Give a context its certificate; OpenSSL wants a file, so it gets one that is nowhere but in memory."""
    descriptor = os.memfd_create("netcheck")
    try:
        os.write(descriptor, f"{key}\n{certificate}\n".encode())
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


class Session:
    """One end of a connection: bytes of the network in and out, text in and out."""

    __slots__ = ("_in", "_out", "done", "tls")

    def __init__(self, context: ssl.SSLContext, *, server: bool, name: str | None = None) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._in, self._out, server_side=server, server_hostname=name)
        self.done = False

    def feed(self, data: bytes) -> None:
        """Take bytes from the network."""
        self._in.write(data)

    def take(self) -> bytes:
        """Bytes for the network."""
        return self._out.read()

    def shake(self) -> bool:
        """Go on with the handshake; whether it is done.

        Raises:
            ssl.SSLError: It failed; `take` may have an alert for the other side.
        """
        if not self.done:
            with contextlib.suppress(ssl.SSLWantReadError):
                self.tls.do_handshake()
                self.done = True
        return self.done

    def read(self) -> tuple[bytes, bool]:
        """Text that has arrived, and whether the other side has said that no more comes.

        Raises:
            ssl.SSLError: The other side sent an alert, or what came is no TLS.
        """
        text = b""
        try:
            while True:
                data = self.tls.read(1 << 14)
                if not data:
                    return text, True
                text += data
        except ssl.SSLWantReadError:
            return text, False
        except ssl.SSLZeroReturnError:
            return text, True

    def write(self, text: bytes) -> None:
        """Encrypt text; it is in `take` then."""
        self.tls.write(text)

    def end(self) -> None:
        """Say that no more comes."""
        with contextlib.suppress(ssl.SSLError):
            self.tls.unwrap()
