"""Certificates of one world: a certificate authority per trust domain, and what it issues.

Keys exist in this process and in those that use them, for as long as the world stands: never in a file, a
report or a log.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from harness.model.identity import trust_domain

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

Pair = tuple[str, str]
"""A certificate and its key, as PEM."""

LIFE = datetime.timedelta(days=1)
"""How long certificates are good for: longer than any run."""

CLOCKS = datetime.timedelta(hours=1)
"""How far the clocks of a cluster's nodes may differ from this one."""

_AGES = datetime.timedelta(days=30)


class Authority:
    """Issues certificates when they are first asked for; the same question has the same answer."""

    def __init__(self) -> None:
        self._domains: dict[str, _Domain] = {}
        self._issued: dict[tuple[str, bool], Pair] = {}
        self._learned: dict[str, str] = {}

    def __repr__(self) -> str:
        return "Authority(…)"

    def bundle(self, domain: str) -> str:
        """What certificates of a trust domain are verified with: its own, and what was learned."""
        return self._domain(domain).certificate + self._learned.get(domain, "")

    def learn(self, domain: str, bundle: str) -> None:
        """Have certificates believed that another authority of a trust domain issues."""
        self._learned[domain] = bundle

    def adopt(self, identity: str, pair: Pair) -> None:
        """Hand out a certificate that another authority has issued."""
        self._issued[identity, False] = pair

    def svid(self, identity: str, *, expired: bool = False) -> Pair:
        """An X.509-SVID: a certificate that names one SPIFFE ID."""
        key = (identity, expired)
        if key not in self._issued:
            self._issued[key] = self._domain(trust_domain(identity)).issue(identity, expired=expired)
        return self._issued[key]

    def anonymous(self) -> Pair:
        """A certificate for servers that have no identity; nobody verifies it."""
        key = ("", False)
        if key not in self._issued:
            self._issued[key] = self._domain("netcheck.invalid").issue("", expired=False)
        return self._issued[key]

    def _domain(self, name: str) -> _Domain:
        if name not in self._domains:
            self._domains[name] = _Domain(name)
        return self._domains[name]


class _Domain:
    """The authority of one trust domain."""

    def __init__(self, name: str) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import NameOID

        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "netcheck")])
        now = datetime.datetime.now(datetime.UTC)
        made = (
            _builder(self._name, self._name, self._key, now - _AGES - CLOCKS, now + LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(issues=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .add_extension(
                x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"spiffe://{name}")]),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )
        self.certificate = _pem(made)

    def issue(self, identity: str, *, expired: bool) -> Pair:
        """A certificate for clients and servers; the ID stands in it as the SPIFFE standard has it."""
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
        from cryptography.x509.oid import ExtendedKeyUsageOID

        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.now(datetime.UTC)
        first, last = (now - _AGES, now - CLOCKS) if expired else (now - CLOCKS, now + LIFE)
        name: x509.GeneralName = x509.DNSName("netcheck.invalid")
        if identity:
            name = x509.UniformResourceIdentifier(identity)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        made = (
            _builder(self._name, x509.Name([]), key, first, last)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(issues=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(both), critical=False)
            .add_extension(issuer, critical=False)
            # Critical, because nothing else in the certificate says whose it is (RFC 5280, 4.2.1.6).
            .add_extension(x509.SubjectAlternativeName([name]), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        return _pem(made), text


def _builder(
    issuer: x509.Name,
    subject: x509.Name,
    key: EllipticCurvePrivateKey,
    first: datetime.datetime,
    last: datetime.datetime,
) -> x509.CertificateBuilder:
    from cryptography import x509

    return x509.CertificateBuilder(
        issuer, subject, key.public_key(), x509.random_serial_number(), first, last
    )


def _usage(*, issues: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not issues,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=issues,
        crl_sign=issues,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM).decode()
