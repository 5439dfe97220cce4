"""HTTP framing, paths and rules: where a message ends, and what the rules say of it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.clusters.lab.proxy.http_judge import BadRuleError, CompiledRule, judge
from harness.clusters.lab.proxy.http_parse import (
    Body,
    HttpError,
    parse_request,
    parse_response,
    take_head,
)
from harness.clusters.lab.proxy.paths import normalized

# -- framing -------------------------------------------------------------------------------------------


def chunked(parts: Sequence[bytes], trailer: bytes = b"") -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n" + trailer + b"\r\n"


def feed(body: Body, data: bytes, cuts: Sequence[int]) -> tuple[bytes, bytes]:
    """What the body takes of `data` when it arrives in pieces, and what is left."""
    buffer, taken = bytearray(), b""
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for first, last in itertools.pairwise(edges):
        buffer += data[first:last]
        taken += body.take(buffer)
    return taken, bytes(buffer)


CUTS = st.lists(st.integers(0, 10_000), max_size=8)


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=5), st.binary(max_size=20), CUTS)
def test_a_chunked_body_ends_where_it_ends(parts: list[bytes], rest: bytes, cuts: list[int]) -> None:
    data = chunked(parts)
    body = Body(None, chunked=True)
    assert feed(body, data + rest, cuts) == (data, rest)
    assert body.done


@given(st.binary(max_size=60), st.binary(max_size=20), CUTS)
def test_a_body_of_a_length(content: bytes, rest: bytes, cuts: list[int]) -> None:
    body = Body(len(content))
    assert feed(body, content + rest, cuts) == (content, rest)
    assert body.done


@given(st.binary(max_size=200), CUTS)
def test_hostile_chunks(data: bytes, cuts: list[int]) -> None:
    """Whatever arrives: it is taken as it is, or refused."""
    body = Body(None, chunked=True)
    try:
        taken, left = feed(body, data, cuts)
    except HttpError:
        return
    assert taken + left == data


@pytest.mark.parametrize(
    "data",
    [
        b"x\r\n",
        b"-1\r\n",
        b"+5\r\n",
        b"0x5\r\n",
        b"5 5\r\n",
        b"\r\n",
        b"1\r\nab\r\n",
        b"1" * 17 + b"\r\n",
        b"1;" + b"a" * 5000,
        b"0\r\nno header\r\n",
    ],
)
def test_no_chunks(data: bytes) -> None:
    with pytest.raises(HttpError):
        Body(None, chunked=True).take(bytearray(data))


def test_trailers_pass() -> None:
    data = chunked([b"abc"], b"X-Sum: 1\r\n")
    body = Body(None, chunked=True)
    assert body.take(bytearray(data)) == data
    assert body.done


HEAD = b"GET /a?b=c HTTP/1.1\r\nHost: web:80\r\nX-One:  two \r\nx-one: three"


def test_a_request() -> None:
    buffer = bytearray(b"\r\n" + HEAD + b"\r\n\r\nmore")
    head = take_head(buffer)
    assert head == HEAD
    assert buffer == b"more"
    request = parse_request(head)
    assert (request.method, request.target, request.authority) == (b"GET", b"/a?b=c", b"web:80")
    assert request.headers == [(b"host", b"web:80"), (b"x-one", b"two"), (b"x-one", b"three")]
    assert request.body.done
    assert not request.close


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/1.0\r\nHost: a", b"426"),
        (b"GET / HTTP/2.0\r\nHost: a", b"400"),
        (b"PRI * HTTP/2.0", b"400"),
        (b"GET / HTTP/1.1", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b", b"400"),
        (b"GET  / HTTP/1.1\r\nHost: a", b"400"),
        (b"GET / x HTTP/1.1\r\nHost: a", b"400"),
        (b"GET a HTTP/1.1\r\nHost: a", b"400"),
        (b"GET /#a HTTP/1.1\r\nHost: a", b"400"),
        (b"CONNECT a:80 HTTP/1.1\r\nHost: a", b"400"),
        (b"GET / HTTP/1.1\r\nHost : a", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n folded: b", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\nY: b", b"400"),
        (b"GET / HTTP/1.1\nHost: a", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1_0", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked", b"501"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity", b"501"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked", b"501"),
        (b"GET / HTTP/1.1\r\nHost: a" + b"\r\nx: y" * 101, b"431"),
    ],
)
def test_requests_that_are_refused(head: bytes, status: bytes) -> None:
    with pytest.raises(HttpError) as caught:
        parse_request(head)
    assert caught.value.status.startswith(status)


def test_a_head_that_does_not_end() -> None:
    with pytest.raises(HttpError) as caught:
        take_head(bytearray(b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000))
    assert caught.value.status.startswith(b"431")


@given(st.binary(max_size=300))
def test_hostile_heads(data: bytes) -> None:
    for parse in (parse_request, lambda head: parse_response(head, b"GET")):
        try:
            parse(data)
        except HttpError:
            continue


def test_an_absolute_target() -> None:
    request = parse_request(b"GET http://other:81/a?b HTTP/1.1\r\nHost: web")
    assert (request.authority, request.target) == (b"other:81", b"/a?b")
    assert parse_request(b"GET http://other?b HTTP/1.1\r\nHost: web").target == b"/?b"


@pytest.mark.parametrize(
    ("head", "method", "length"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5", b"GET", 5),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5", b"HEAD", 0),
        (b"HTTP/1.1 204 No Content", b"GET", 0),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5", b"GET", 0),
    ],
)
def test_how_long_a_response_is(head: bytes, method: bytes, length: int) -> None:
    response = parse_response(head, method)
    buffer = bytearray(b"12345678")
    assert response.body.take(buffer) == b"12345678"[:length]
    assert response.body.done
    assert not response.close


def test_a_response_without_a_length_ends_with_the_connection() -> None:
    response = parse_response(b"HTTP/1.0 200 OK", b"GET")
    assert response.body.endless
    assert response.close


# -- rules ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "expected", "elsewhere"),
    [
        (b"/a/b?c=//../%2f", b"/a/b?c=//../%2f", False),
        (b"/a/../b", b"/b", False),
        (b"/a/./b/", b"/a/b/", False),
        (b"/a/..", b"/", False),
        (b"/../../a", b"/a", False),
        (b"/a/%2e%2e/b", b"/b", False),
        (b"//a///b", b"/a/b", False),
        (b"/%61%7e%41", b"/a~A", False),
        (b"/a%20b%c3", b"/a%20b%c3", False),
        (b"/a%2Fb?x", b"/a/b?x", True),
        (b"/public/..%2fprivate", b"/private", True),
        (b"/public/..%5cprivate", b"/private", True),
        (b"/public\\..\\private", b"/private", False),
        (b"/a%", b"/a%", False),
    ],
)
def test_paths(path: bytes, expected: bytes, elsewhere: bool) -> None:
    assert normalized(path) == (expected, elsewhere)


@given(st.text("/.%25fFcCaA\\", max_size=12).map(lambda text: b"/" + text.encode()))
def test_a_normal_path_has_no_dots(path: bytes) -> None:
    made, _ = normalized(path)
    assert made.startswith(b"/")
    assert b"//" not in made
    assert not {b".", b".."} & set(made.split(b"/"))


def rules(*made: Sequence[object]) -> list[CompiledRule]:
    return [CompiledRule.from_wire(rule) for rule in made]


def passes(rule: Sequence[object], head: bytes) -> bool:
    return judge(rules(rule), parse_request(head)) is not None


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ([None, None, None, []], True),
        (["/a", None, None, []], False),  # the query is part of the path
        ([r"/a\?b=c", None, None, []], True),
        (["/a.*", None, None, []], True),
        (["a.*", None, None, []], False),
        ([None, "GET|POST", None, []], True),
        ([None, "GE", None, []], False),
        ([None, "get", None, []], False),
        ([None, None, "web", []], False),
        ([None, None, "web:80", []], True),
        ([None, None, None, [["X-One", None, None]]], True),
        ([None, None, None, [["X-One", "two,three", None]]], True),
        ([None, None, None, [["X-One", "two", None]]], False),
        ([None, None, None, [["X-Two", None, None]]], False),
        ([None, None, None, [["X-Two", None, "LOG"]]], True),
    ],
)
def test_rules(rule: Sequence[object], expected: bool) -> None:
    assert passes(rule, HEAD) is expected


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("LOG", [(b"host", b"w"), (b"x", b"1"), (b"x", b"2")]),
        ("ADD", [(b"host", b"w"), (b"x", b"1"), (b"x", b"2"), (b"x", b"2")]),
        ("DELETE", [(b"host", b"w"), (b"x", b"2")]),
        ("REPLACE", [(b"host", b"w"), (b"x", b"2")]),
    ],
)
def test_what_is_done_about_a_mismatch(action: str, expected: list[tuple[bytes, bytes]]) -> None:
    made = rules([None, None, None, [["X", "2", action]]])
    request = parse_request(b"GET / HTTP/1.1\r\nHost: w\r\nX: 1\r\nX: 2")
    assert judge(made, request) == expected


def test_expressions_that_re2_does_not_take() -> None:
    with pytest.raises(BadRuleError, match=r"\(\?=a\)"):
        rules(["(?=a)", None, None, []])
