"""The few bytes of DNS messages that a proxy must read and write itself (RFC 1035)."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import NamedTuple

from probes import dns

_HEADER = 12
_OPCODE = 0x7800
_CHECKING_DISABLED = 0x0010


class Question(NamedTuple):
    """What a message asks.

    Attributes:
        name: With dots between labels; a dot inside a label has a backslash, which no pattern matches.
        raw: The question as it is on the wire.
    """

    id: int
    flags: int
    name: str
    raw: bytes

    @property
    def asks(self) -> bool:
        """Whether it is a question and no answer."""
        return not self.flags & dns.FLAG_RESPONSE


def question(message: bytes) -> Question:
    """The first question of a message.

    Raises:
        dns.DnsError: There is none.
    """
    if len(message) < _HEADER:
        raise dns.DnsError("shorter than a header")
    id, flags, count = struct.unpack_from(">HHH", message)
    if not count:
        raise dns.DnsError("no question")
    labels = []
    at = _HEADER
    while True:
        if at >= len(message):
            raise dns.DnsError("name runs over the end")
        size = message[at]
        at += 1
        if not size:
            break
        label = message[at : at + size]
        if size > 63 or len(label) < size:
            raise dns.DnsError("bad label")
        labels.append(label.decode("latin-1").replace("\\", "\\\\").replace(".", "\\."))
        at += size
        if at > _HEADER + 255:
            raise dns.DnsError("name longer than 255 bytes")
    if at + 4 > len(message):
        raise dns.DnsError("question runs over the end")
    return Question(id, flags, ".".join(labels), message[_HEADER : at + 4])


def rejection(asked: Question, rcode: str) -> bytes:
    """The proxy's own answer: the question again, with a response code and nothing else."""
    flags = dns.FLAG_RESPONSE | asked.flags & _OPCODE | dns.RCODE_NUMBERS[rcode]
    if not asked.flags & _OPCODE:
        flags |= asked.flags & (dns.FLAG_RECURSION_DESIRED | _CHECKING_DISABLED)
    return struct.pack(">HHHHHH", asked.id, flags, 1, 0, 0, 0) + asked.raw


def told(message: bytes) -> Mapping[str, float]:
    """The addresses in an answer, with the time to live.

    Of several records the shortest time counts, aliases included.

    Raises:
        dns.DnsError: It cannot be read.
    """
    answer = dns.parse(message)
    if answer.rcode != "NOERROR" or not answer.answers:
        return {}
    return dict.fromkeys(answer.addresses, float(min(item.ttl for item in answer.answers)))
