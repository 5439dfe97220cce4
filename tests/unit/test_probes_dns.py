"""The DNS codec: round trips, bytes from anywhere, and dnslib as the second opinion."""

from __future__ import annotations

import ipaddress
import struct

import dnslib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import dns

LABELS = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=12)
NAMES = st.lists(LABELS, min_size=1, max_size=6).map(".".join)
TTLS = st.integers(0, 2**31 - 1)


def records(names: st.SearchStrategy[str] = NAMES) -> st.SearchStrategy[dns.Record]:
    small = st.integers(0, 65535)
    return st.one_of(
        st.builds(dns.Record, names, st.just(dns.TYPES["A"]), TTLS, st.ip_addresses(v=4).map(str)),
        st.builds(dns.Record, names, st.just(dns.TYPES["AAAA"]), TTLS, st.ip_addresses(v=6).map(str)),
        st.builds(
            dns.Record,
            names,
            st.sampled_from([dns.TYPES[name] for name in ("NS", "CNAME", "PTR")]),
            TTLS,
            NAMES,
        ),
        st.builds(
            dns.Record,
            names,
            st.just(dns.TYPES["SRV"]),
            TTLS,
            st.builds(lambda a, b, c, name: f"{a} {b} {c} {name}", small, small, small, NAMES),
        ),
        st.builds(
            dns.Record,
            names,
            st.just(dns.TYPES["SOA"]),
            TTLS,
            st.builds(
                lambda one, other, numbers: " ".join([one, other, *map(str, numbers)]),
                NAMES,
                NAMES,
                st.lists(st.integers(0, 2**32 - 1), min_size=5, max_size=5),
            ),
        ),
    )


RECORDS = st.lists(records(), max_size=4).map(tuple)


@given(st.integers(0, 65535), NAMES, st.sampled_from(sorted(dns.TYPES.values())))
def test_a_question_comes_back_as_it_was(id: int, name: str, kind: int) -> None:
    message = dns.parse(dns.query(id, name, kind))
    assert message == dns.Message(id, dns.FLAG_RECURSION_DESIRED, name, kind, (), ())


@given(NAMES, st.sampled_from(sorted(dns.RCODE_NUMBERS)), RECORDS, RECORDS)
def test_an_answer_comes_back_as_it_was(
    name: str, rcode: str, answers: tuple[dns.Record, ...], authorities: tuple[dns.Record, ...]
) -> None:
    asked = dns.parse(dns.query(7, name, 1))
    message = dns.parse(dns.response(asked, rcode, answers, authorities))
    assert (message.id, message.name, message.type, message.rcode) == (7, name, 1, rcode)
    assert message.flags & dns.FLAG_RESPONSE
    assert not message.truncated
    assert (message.answers, message.authorities) == (answers, authorities)
    assert message.addresses == tuple(item.data for item in answers if item.type in (1, 28))


@given(NAMES, st.data())
def test_a_record_of_the_name_that_was_asked_points_to_it(name: str, data: st.DataObject) -> None:
    answer = data.draw(records(st.just(name)))
    asked = dns.parse(dns.query(7, name, 1))
    raw = dns.response(asked, "NOERROR", (answer,))
    assert raw[len(dns.query(7, name, 1)) :][:2] == b"\xc0\x0c"
    assert dns.parse(raw).answers == (answer,)


@given(st.binary(max_size=200))
def test_bytes_from_anywhere(data: bytes) -> None:
    try:
        dns.parse(data)
    except dns.DnsError:
        return


@given(RECORDS, RECORDS, st.data())
def test_damaged_answers(
    answers: tuple[dns.Record, ...], authorities: tuple[dns.Record, ...], data: st.DataObject
) -> None:
    whole = dns.response(dns.parse(dns.query(7, "x.example", 1)), "NOERROR", answers, authorities)
    damaged = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for _ in range(data.draw(st.integers(0, 4))):
        if damaged:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        dns.parse(bytes(damaged))
    except dns.DnsError:
        return


@given(st.text(max_size=80))
def test_names_from_anywhere(name: str) -> None:
    try:
        raw = dns.encode_name(name)
    except dns.DnsError:
        return
    assert len(raw) <= 255
    assert raw.endswith(b"\0")


HEAD = struct.pack(">HHHHHH", 7, dns.FLAG_RESPONSE, 1, 1, 0, 0)
QUESTION = b"\1x\0" + struct.pack(">HH", 1, 1)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "shorter than a header"),
        (HEAD[:11], "shorter than a header"),
        (struct.pack(">HHHHHH", 7, 0, 0, 0, 0, 0), "0 questions"),
        (struct.pack(">HHHHHH", 7, 0, 2, 0, 0, 0), "2 questions"),
        (HEAD, "name runs over the end"),
        (HEAD + b"\5abc", "bad label"),
        (HEAD + b"\1x\0\0", "question runs over the end"),
        (HEAD + b"\x41" + b"a" * 65 + b"\0", "bad label"),
        (HEAD + b"\xc0", "bad compression pointer"),
        (HEAD + b"\xc0\x0c" + b"\0\0\0\0", "bad compression pointer"),
        (HEAD + QUESTION, "name runs over the end"),
        (HEAD + QUESTION + b"\xc0\x0c\0\1", "record runs over the end"),
        (
            HEAD + QUESTION + b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 5, 4) + b"\1\2",
            "record data runs over the end",
        ),
        (
            HEAD + QUESTION + b"\xc0\x0c" + struct.pack(">HHIH", 6, 1, 5, 4) + b"\0\0\0\0",
            "SOA runs over the end",
        ),
        (HEAD + (b"\x3f" + b"a" * 63) * 4 + b"\0" + b"\0\1\0\1", "name longer than 255 bytes"),
    ],
)
def test_what_is_no_message(data: bytes, why: str) -> None:
    with pytest.raises(dns.DnsError, match=why):
        dns.parse(data)


def test_a_hostile_message_is_not_worth_much_work() -> None:
    """Names that point back into each other would be read for every record again."""
    chain = b"".join(b"\x3f" + b"a" * 63 for _ in range(150)) + b"\0"
    head = struct.pack(">HHHHHH", 7, dns.FLAG_RESPONSE, 1, 4000, 0, 0)
    record = struct.pack(">HHIH", 1, 1, 0, len(chain)) + chain
    pointers = (b"\xc0\x1e" + struct.pack(">HHIH", 1, 1, 0, 0)) * 3999
    with pytest.raises(dns.DnsError, match="longer than 255"):
        dns.parse(head + QUESTION + b"\0" + record + pointers)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("a..b", "empty label"),
        (".a", "empty label"),
        ("a" * 64 + ".example", "longer than 63"),
        (".".join(["a" * 63] * 4), "longer than 255"),
        pytest.param("\u2e80" * 70, "cannot be written", id="no-idna"),
    ],
)
def test_what_is_no_name(name: str, why: str) -> None:
    with pytest.raises(dns.DnsError, match=why):
        dns.encode_name(name)


@pytest.mark.parametrize("name", ["", ".", "a", "a.", "a.b", "a.b.", "x" * 63 + ".y"])
def test_absolute_or_not_a_name_is_absolute_on_the_wire(name: str) -> None:
    assert dns.parse(dns.query(1, name, 1)).name == name.rstrip(".")


def test_names_beyond_ascii_are_sent_as_idna() -> None:
    assert dns.encode_name("bücher.example") == b"\x0dxn--bcher-kva\x07example\0"


@pytest.mark.parametrize(("number", "name"), [(0, "NOERROR"), (3, "NXDOMAIN"), (5, "REFUSED"), (9, "9")])
def test_response_codes_have_names(number: int, name: str) -> None:
    message = dns.parse(struct.pack(">HHHHHH", 7, dns.FLAG_RESPONSE | number, 1, 0, 0, 0) + QUESTION)
    assert message.rcode == name


def test_an_answer_over_the_limit_is_cut_to_its_question() -> None:
    asked = dns.parse(dns.query(7, "x.example", 1))
    answers = tuple(
        dns.Record("x.example", 1, 5, str(ipaddress.ip_address(0x0A000000 + n))) for n in range(40)
    )
    whole = dns.response(asked, "NOERROR", answers)
    assert len(dns.response(asked, "NOERROR", answers, limit=len(whole))) == len(whole)
    cut = dns.response(asked, "NOERROR", answers, limit=len(whole) - 1)
    message = dns.parse(cut)
    assert message.truncated
    assert (message.answers, message.name, message.id) == ((), "x.example", 7)


# -- dnslib agrees -------------------------------------------------------------------------------------


@given(st.integers(0, 65535), NAMES, st.sampled_from(("A", "AAAA", "SRV", "PTR", "SOA", "TXT")))
def test_dnslib_reads_our_questions(id: int, name: str, kind: str) -> None:
    theirs = dnslib.DNSRecord.parse(dns.query(id, name, dns.TYPES[kind]))
    assert theirs.header.id == id
    assert theirs.header.rd == 1
    assert str(theirs.q.qname).rstrip(".") == name
    assert dnslib.QTYPE[theirs.q.qtype] == kind


@given(NAMES, RECORDS, RECORDS)
def test_dnslib_reads_our_answers(
    name: str, answers: tuple[dns.Record, ...], authorities: tuple[dns.Record, ...]
) -> None:
    raw = dns.response(dns.parse(dns.query(7, name, 1)), "NXDOMAIN", answers, authorities)
    theirs = dnslib.DNSRecord.parse(raw)
    assert (theirs.header.qr, theirs.header.aa, theirs.header.tc, theirs.header.rcode) == (1, 1, 0, 3)
    for ours, seen in zip((*answers, *authorities), (*theirs.rr, *theirs.auth), strict=True):
        assert str(seen.rname).rstrip(".") == ours.name
        assert (seen.rtype, seen.ttl) == (ours.type, ours.ttl)
        assert _plain(seen) == ours.data


def _plain(record: dnslib.RR) -> str:
    data = record.rdata
    if isinstance(data, dnslib.AAAA):
        return str(ipaddress.ip_address(bytes(data.data)))
    if isinstance(data, dnslib.SRV):
        return f"{data.priority} {data.weight} {data.port} {str(data.target).rstrip('.')}"
    if isinstance(data, dnslib.SOA):
        head = [str(data.mname).rstrip("."), str(data.rname).rstrip(".")]
        return " ".join([*head, *map(str, data.times)])
    return str(data).rstrip(".")


@given(
    NAMES,
    st.lists(st.tuples(NAMES, st.ip_addresses()), max_size=4),
    st.lists(st.tuples(NAMES, NAMES), max_size=2),
)
def test_we_read_what_dnslib_writes_with_compression(
    name: str,
    addresses: list[tuple[str, ipaddress.IPv4Address | ipaddress.IPv6Address]],
    aliases: list[tuple[str, str]],
) -> None:
    theirs = dnslib.DNSRecord(dnslib.DNSHeader(id=9, qr=1, ra=1), q=dnslib.DNSQuestion(name, dnslib.QTYPE.A))
    for owner, target in aliases:
        theirs.add_answer(dnslib.RR(owner, dnslib.QTYPE.CNAME, ttl=5, rdata=dnslib.CNAME(target)))
    for owner, address in addresses:
        kind = "A" if address.version == 4 else "AAAA"
        data = dnslib.A(str(address)) if kind == "A" else dnslib.AAAA(tuple(address.packed))
        theirs.add_answer(dnslib.RR(owner, getattr(dnslib.QTYPE, kind), ttl=5, rdata=data))
    message = dns.parse(bytes(theirs.pack()))
    assert message.name == name
    assert message.rcode == "NOERROR"
    assert message.addresses == tuple(str(address) for _, address in addresses)
    named = [(item.name, item.data) for item in message.answers if item.type == dns.TYPES["CNAME"]]
    assert named == aliases
