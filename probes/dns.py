"""DNS messages, as far as a prober and a small cluster DNS need them (RFC 1035, 2308, 6891)."""

from __future__ import annotations

import ipaddress
import struct
from typing import NamedTuple

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "TXT": 16, "AAAA": 28, "SRV": 33, "ANY": 255}
TYPE_NAMES = {number: name for name, number in TYPES.items()}
RCODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
RCODE_NUMBERS = {name: number for number, name in RCODES.items()}

FLAG_RESPONSE = 0x8000
FLAG_AUTHORITATIVE = 0x0400
FLAG_TRUNCATED = 0x0200
FLAG_RECURSION_DESIRED = 0x0100
FLAG_RECURSION_AVAILABLE = 0x0080


class DnsError(ValueError):
    """The bytes are no DNS message."""


class Record(NamedTuple):
    """One resource record; `data` is the address, name or text in readable form."""

    name: str
    type: int
    ttl: int
    data: str


class Message(NamedTuple):
    """What a prober reads of a message."""

    id: int
    flags: int
    name: str
    type: int
    answers: tuple[Record, ...]
    authorities: tuple[Record, ...]

    @property
    def rcode(self) -> str:
        """Name of the response code, or its number."""
        number = self.flags & 0xF
        return RCODES.get(number, str(number))

    @property
    def truncated(self) -> bool:
        """Whether the answer must be asked for again over TCP."""
        return bool(self.flags & FLAG_TRUNCATED)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Addresses among the answers."""
        return tuple(item.data for item in self.answers if item.type in (TYPES["A"], TYPES["AAAA"]))


def encode_name(name: str) -> bytes:
    """A name in wire form, absolute.

    Raises:
        DnsError: A label is empty, longer than 63 bytes or no IDNA label, or the name longer than 255.
    """
    out = bytearray()
    for label in name.rstrip(".").split("."):
        try:
            raw = label.encode() if label.isascii() else label.encode("idna")
        except UnicodeError as trouble:
            raise DnsError(f"{label!r} cannot be written as a DNS label: {trouble}") from trouble
        if not raw and name.rstrip("."):
            raise DnsError(f"empty label in {name!r}")
        if len(raw) > 63:
            raise DnsError(f"label longer than 63 bytes in {name!r}")
        if raw:
            out += bytes([len(raw)]) + raw
    if len(out) > 254:
        raise DnsError(f"name longer than 255 bytes: {name!r}")
    return bytes(out) + b"\0"


def query(id: int, name: str, type: int) -> bytes:
    """A recursive question for one name."""
    head = struct.pack(">HHHHHH", id, FLAG_RECURSION_DESIRED, 1, 0, 0, 0)
    return head + encode_name(name) + struct.pack(">HH", type, 1)


def _encode_data(record: Record) -> bytes:
    if record.type in (TYPES["A"], TYPES["AAAA"]):
        return ipaddress.ip_address(record.data).packed
    if record.type == TYPES["SRV"]:
        priority, weight, port, target = record.data.split()
        return struct.pack(">HHH", int(priority), int(weight), int(port)) + encode_name(target)
    if record.type == TYPES["SOA"]:
        mname, rname, *numbers = record.data.split()
        return encode_name(mname) + encode_name(rname) + struct.pack(">5I", *(int(item) for item in numbers))
    if record.type in (TYPES["CNAME"], TYPES["NS"], TYPES["PTR"]):
        return encode_name(record.data)
    raw = record.data.encode()
    return bytes([len(raw)]) + raw


def _encode_record(record: Record, asked: str) -> bytes:
    same = record.name.rstrip(".").lower() == asked.rstrip(".").lower()
    name = b"\xc0\x0c" if same else encode_name(record.name)
    data = _encode_data(record)
    return name + struct.pack(">HHIH", record.type, 1, record.ttl, len(data)) + data


def response(
    asked: Message,
    rcode: str,
    answers: tuple[Record, ...] = (),
    authorities: tuple[Record, ...] = (),
    limit: int = 65535,
) -> bytes:
    """An authoritative answer; over `limit` bytes it is cut to the question and marked truncated."""
    flags = (
        FLAG_RESPONSE | FLAG_AUTHORITATIVE | FLAG_RECURSION_AVAILABLE | (asked.flags & FLAG_RECURSION_DESIRED)
    )
    flags |= RCODE_NUMBERS[rcode]
    question = encode_name(asked.name) + struct.pack(">HH", asked.type, 1)
    body = b"".join(_encode_record(item, asked.name) for item in (*answers, *authorities))
    head = struct.pack(">HHHHHH", asked.id, flags, 1, len(answers), len(authorities), 0)
    whole = head + question + body
    if len(whole) <= limit:
        return whole
    return struct.pack(">HHHHHH", asked.id, flags | FLAG_TRUNCATED, 1, 0, 0, 0) + question


def _read_name(data: bytes, offset: int) -> tuple[str, int]:
    labels: list[str] = []
    end = -1
    jumps = size = 0
    while True:
        if offset >= len(data):
            raise DnsError("name runs over the end")
        length = data[offset]
        if length == 0:
            offset += 1
            break
        if length >= 0xC0:
            if offset + 1 >= len(data) or jumps > 40:
                raise DnsError("bad compression pointer")
            jumps += 1
            end = offset + 2 if end < 0 else end
            offset = (length & 0x3F) << 8 | data[offset + 1]
            continue
        if length > 63 or offset + 1 + length > len(data):
            raise DnsError("bad label")
        size += 1 + length
        if size > 254:
            raise DnsError("name longer than 255 bytes")
        labels.append(data[offset + 1 : offset + 1 + length].decode("latin-1"))
        offset += 1 + length
    return ".".join(labels), end if end >= 0 else offset


def _read_record(data: bytes, offset: int) -> tuple[Record, int]:
    name, offset = _read_name(data, offset)
    if offset + 10 > len(data):
        raise DnsError("record runs over the end")
    kind, _, ttl, size = struct.unpack_from(">HHIH", data, offset)
    offset += 10
    raw = data[offset : offset + size]
    if len(raw) != size:
        raise DnsError("record data runs over the end")
    if (kind == TYPES["A"] and size == 4) or (kind == TYPES["AAAA"] and size == 16):
        text = str(ipaddress.ip_address(raw))
    elif kind in (TYPES["CNAME"], TYPES["NS"], TYPES["PTR"]):
        text = _read_name(data, offset)[0]
    elif kind == TYPES["SRV"] and size >= 7:
        priority, weight, port = struct.unpack_from(">HHH", raw)
        text = f"{priority} {weight} {port} {_read_name(data, offset + 6)[0]}"
    elif kind == TYPES["SOA"]:
        mname, after = _read_name(data, offset)
        rname, after = _read_name(data, after)
        if after + 20 > len(data):
            raise DnsError("SOA runs over the end")
        text = " ".join([mname, rname, *(str(item) for item in struct.unpack_from(">5I", data, after))])
    else:
        text = raw.hex()
    return Record(name, kind, ttl, text), offset + size


def parse(data: bytes) -> Message:
    """Read a message.

    Raises:
        DnsError: It is none, or it is cut short.
    """
    if len(data) < 12:
        raise DnsError("shorter than a header")
    id, flags, questions, answers, authorities, _ = struct.unpack_from(">HHHHHH", data)
    if questions != 1:
        raise DnsError(f"{questions} questions")
    name, offset = _read_name(data, 12)
    if offset + 4 > len(data):
        raise DnsError("question runs over the end")
    kind = struct.unpack_from(">H", data, offset)[0]
    offset += 4
    sections: list[list[Record]] = []
    for count in (answers, authorities):
        records: list[Record] = []
        for _ in range(count):
            record, offset = _read_record(data, offset)
            records.append(record)
        sections.append(records)
    return Message(id, flags, name, kind, tuple(sections[0]), tuple(sections[1]))
