"""The server name in a ClientHello: as Python's own TLS writes it, in pieces, and in hostile bytes."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.clusters.lab.proxy.tls_hello import MAX_HELLO, NotTlsError, server_name


def hello(name: str | None, *, oldest: bool = False) -> bytes:
    context = ssl.create_default_context()
    context.check_hostname = False
    if oldest:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    to_client, from_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    made = context.wrap_bio(to_client, from_client, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        made.do_handshake()
    return from_client.read()


HELLO = hello("Api.Example.com")


def records(data: bytes, sizes: list[int]) -> bytes:
    """The same handshake in records of these sizes."""
    content, out = data[5:], b""
    for size in [*sizes, len(content)]:
        part, content = content[:size], content[size:]
        if part:
            out += data[:3] + len(part).to_bytes(2, "big") + part
    return out


@pytest.mark.parametrize("oldest", [False, True])
def test_names(oldest: bool) -> None:
    assert server_name(hello("api.example.com", oldest=oldest)) == "api.example.com"
    assert server_name(hello(None, oldest=oldest)) == ""
    assert server_name(HELLO + b"more") == "api.example.com"


@given(st.lists(st.integers(1, 100), max_size=30))
def test_records_of_any_size(sizes: list[int]) -> None:
    whole = records(HELLO, sizes)
    assert server_name(whole) == "api.example.com"
    for end in range(len(whole)):
        assert server_name(whole[:end]) is None


@given(st.binary(max_size=200))
def test_hostile_bytes(data: bytes) -> None:
    for begin in (b"", HELLO[:5], HELLO[:11], HELLO[:80]):
        try:
            server_name(begin + data)
        except NotTlsError:
            continue


@given(st.integers(0, len(HELLO) - 1), st.integers(0, 255))
def test_one_byte_changed(at: int, value: int) -> None:
    try:
        server_name(HELLO[:at] + bytes([value]) + HELLO[at + 1 :])
    except NotTlsError:
        return


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"\x16\x02\x01",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\xff\xff",
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",
        b"\x16\x03\x01\x00\x04\x01\xff\xff\xff",
        b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
    ],
)
def test_no_hello(data: bytes) -> None:
    with pytest.raises(NotTlsError):
        server_name(data)


def test_a_hello_that_never_ends() -> None:
    head = b"\x16\x03\x01\x00\x05\x01" + (MAX_HELLO).to_bytes(3, "big") + b"\0"
    with pytest.raises(NotTlsError):
        server_name(head + (b"\x16\x03\x01\x00\x01\0") * MAX_HELLO)
