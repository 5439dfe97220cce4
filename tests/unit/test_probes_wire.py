"""Tokens, receipts and channels."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import wire
from probes.server import Receipts, listeners_from
from probes.wire import Channel

NUMBERS = st.integers(0, 2**31)
NONCES = st.text("0123456789abcdef", min_size=1, max_size=16)


@given(NONCES, NUMBERS, NUMBERS, NUMBERS)
def test_a_token_says_whose_it_is(nonce: str, sweep: int, index: int, attempt: int) -> None:
    assert wire.parse_token(wire.token(nonce, sweep, index, attempt)) == (nonce, sweep, index, attempt)


@given(st.tuples(NONCES, NUMBERS, NUMBERS, NUMBERS), st.tuples(NONCES, NUMBERS, NUMBERS, NUMBERS))
def test_no_two_attempts_share_a_token(
    one: tuple[str, int, int, int], other: tuple[str, int, int, int]
) -> None:
    assert (wire.token(*one) == wire.token(*other)) == (one == other)


@pytest.mark.parametrize("text", ["", "a", "a.1.2", "a.1.2.3.4", "a.1.2.x", "a.1..3", "a" * 120 + ".1.2.3"])
def test_what_is_no_token(text: str) -> None:
    assert wire.parse_token(text) is None


@given(st.text(max_size=150))
def test_tokens_from_anywhere(text: str) -> None:
    found = wire.parse_token(text)
    assert found is None or len(text) <= wire.MAX_TOKEN


def test_receipts_count_by_sweep_and_probe() -> None:
    receipts = Receipts()
    assert [receipts.note(wire.token("ab", *parts)) for parts in ((1, 0, 1), (1, 0, 2), (1, 3, 1), (2, 0, 1))]
    assert not receipts.note("no token")
    assert receipts.take(1) == {0: 2, 3: 1}
    assert receipts.take(1) == {}
    assert receipts.take(2) == {0: 1}
    assert receipts.take(9) == {}


def test_ports_of_a_listen_message() -> None:
    assert listeners_from({"ports": [[80, "TCP"], ["53", "UDP"]]}) == [(80, "TCP"), (53, "UDP")]


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


Pair = tuple[socket.socket, socket.socket]

JSON = st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=20) | st.booleans(), max_size=3)


@given(st.lists(JSON, max_size=6), st.integers(1, 40))
def test_lines_arrive_whole_however_they_are_cut(messages: list[dict[str, Any]], size: int) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        channel = Channel(ours)
        raw = b"".join(json.dumps(item).encode() + b"\n" for item in messages)
        found = []
        for place in range(0, len(raw), size):
            theirs.sendall(raw[place : place + size])
            found += channel.receive()
        assert found == messages
        assert not channel.closed


def test_a_line_that_is_not_whole_waits(pair: Pair) -> None:
    channel = Channel(pair[0])
    pair[1].sendall(b'{"op":')
    assert channel.receive() == []
    pair[1].sendall(b'"x"}\n\n{"op"')
    assert channel.receive() == [{"op": "x"}]
    pair[1].sendall(b':"y"}\n')
    pair[1].close()
    assert channel.receive() == [{"op": "y"}]
    assert channel.closed


def test_the_end_of_the_stream_is_seen(pair: Pair) -> None:
    channel = Channel(pair[0])
    assert channel.receive() == []
    assert not channel.closed
    pair[1].close()
    assert channel.receive() == []
    assert channel.closed


def test_what_the_other_side_does_not_read_yet_waits(pair: Pair) -> None:
    channel, other = Channel(pair[0]), Channel(pair[1])
    message = {"op": "results", "results": ["x" * 1000] * 3000}
    channel.send(message)
    assert channel.backlog
    found: list[dict[str, Any]] = []
    while not found:
        found = other.receive()
        channel.flush()
    assert found == [message]
    assert not channel.backlog


def test_nobody_there_any_more(pair: Pair) -> None:
    channel = Channel(pair[0])
    pair[1].close()
    channel.send({"op": "x"})
    assert channel.closed
    assert not channel.backlog


def test_descriptors_travel_beside_the_lines(pair: Pair) -> None:
    channel = Channel(pair[0])
    ends = [os.pipe() for _ in range(3)]
    line = json.dumps({"namespaces": ["a", "b", "c"]}).encode() + b"\n"
    socket.send_fds(pair[1], [line[:5]], [ends[0][1], ends[1][1]])
    pair[1].sendall(line[5:9])
    assert channel.receive() == []
    socket.send_fds(pair[1], [line[9:]], [ends[2][1]])
    assert channel.receive() == [{"namespaces": ["a", "b", "c"]}]
    assert len(channel.fds) == 3
    for (reader, writer), passed in zip(ends, channel.fds, strict=True):
        os.write(passed, b"!")
        assert os.read(reader, 1) == b"!"
        for number in (reader, writer, passed):
            os.close(number)


def test_as_many_descriptors_as_a_message_may_carry(pair: Pair) -> None:
    channel = Channel(pair[0])
    number = os.open("/dev/null", os.O_RDONLY)
    for _ in range(2):
        socket.send_fds(pair[1], [b"{}\n"], [number] * 200)
    assert channel.receive() == [{}, {}]
    assert len(channel.fds) == 400
    for passed in (*channel.fds, number):
        os.close(passed)


@given(st.lists(st.dictionaries(st.text(max_size=5), NUMBERS, max_size=3), max_size=5), st.integers(1, 9))
def test_lines_arrive_in_pieces(messages: list[dict[str, int]], size: int) -> None:
    data = b"".join(wire.encode(item) for item in messages)
    lines = wire.Lines()
    seen = []
    for start in range(0, len(data), size):
        lines.feed(data[start : start + size])
        seen += lines.take()
    assert seen == messages
    assert lines.take() == []
