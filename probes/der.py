"""As much DER as X.509-SVIDs need: where one certificate ends, whom it names, how long it is good for."""

from __future__ import annotations

import base64
import calendar
import re
import textwrap
from typing import Iterator

_SEQUENCE, _OID, _BOOLEAN, _OCTETS, _UTC_TIME, _TIME = 0x30, 0x06, 0x01, 0x04, 0x17, 0x18
_VERSION, _EXTENSIONS, _URI = 0xA0, 0xA3, 0x86
_ALT_NAME = bytes.fromhex("551d11")

_PEM = re.compile(r"-----BEGIN ([A-Z ]+)-----\s*(.*?)\s*-----END \1-----", re.DOTALL)


class DerError(ValueError):
    """Bytes that are not what they should be."""


def elements(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Elements that stand one behind the other: the tag, what is in it, and the whole.

    Raises:
        DerError: They are no DER.
    """
    at = 0
    while at < len(data):
        if len(data) < at + 2:
            raise DerError("it ends too early")
        tag, length, start = data[at], data[at + 1], at + 2
        if tag & 0x1F == 0x1F:
            raise DerError("it has a tag that no certificate has")
        if length & 0x80:
            count = length & 0x7F
            if not 1 <= count <= 4 or len(data) < start + count:
                raise DerError("it has a length that cannot be")
            length = int.from_bytes(data[start : start + count], "big")
            start += count
        if len(data) < start + length:
            raise DerError("it ends too early")
        yield tag, data[start : start + length], data[at : start + length]
        at = start + length


def sequences(data: bytes) -> list[bytes]:
    """Certificates (or keys) that stand one behind the other, each whole.

    Raises:
        DerError: They are none.
    """
    found = []
    for tag, _, whole in elements(data):
        if tag != _SEQUENCE:
            raise DerError("it is no certificate")
        found.append(whole)
    return found


def pem(kind: str, data: bytes) -> str:
    """DER as PEM; `kind` is `CERTIFICATE` or `PRIVATE KEY`."""
    body = "\n".join(textwrap.wrap(base64.b64encode(data).decode(), 64))
    return f"-----BEGIN {kind}-----\n{body}\n-----END {kind}-----\n"


def from_pem(text: str) -> list[tuple[str, bytes]]:
    """Kind and DER of each block of a PEM text.

    Raises:
        DerError: A block is no base64.
    """
    try:
        return [
            (kind, base64.b64decode("".join(body.split()), validate=True))
            for kind, body in _PEM.findall(text)
        ]
    except ValueError:
        raise DerError("its PEM is broken") from None


class Leaf:
    """What a certificate says.

    Attributes:
        uris: The URIs that it names.
        first: Seconds since the epoch from which on it is good.
        last: Until when.

    Raises:
        DerError: It is no certificate.
    """

    def __init__(self, certificate: bytes) -> None:
        self.uris: list[str] = []
        try:
            whole = next(elements(certificate))[1]
            parts = list(elements(next(elements(whole))[1]))
            if parts[0][0] == _VERSION:
                parts.pop(0)
            # serial, algorithm, issuer, validity, subject, key, and then what is optional
            self.first, self.last = (_seconds(tag, text) for tag, text, _ in elements(parts[3][1]))
            for tag, content, _ in parts[6:]:
                if tag == _EXTENSIONS:
                    self._extensions(next(elements(content))[1])
        except (StopIteration, IndexError, ValueError) as trouble:
            why = (
                str(trouble) if isinstance(trouble, DerError) else "its parts are not those of a certificate"
            )
            raise DerError(why) from None

    def _extensions(self, content: bytes) -> None:
        for _, extension, _ in elements(content):
            inner = [item for item in elements(extension) if item[0] != _BOOLEAN]
            if inner[0][:2] == (_OID, _ALT_NAME) and inner[1][0] == _OCTETS:
                names = next(elements(inner[1][1]))[1]
                self.uris += [text.decode("latin-1") for tag, text, _ in elements(names) if tag == _URI]


def _seconds(tag: int, text: bytes) -> int:
    digits = text.decode("latin-1")
    if tag == _UTC_TIME:
        digits = ("19" if digits[:2] >= "50" else "20") + digits
    elif tag != _TIME:
        raise DerError("it has no validity")
    year, rest = int(digits[:4]), digits[4:14]
    return calendar.timegm((year, *(int(rest[at : at + 2]) for at in range(0, 10, 2)), 0, 0, 0))
