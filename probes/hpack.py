"""Header blocks of HTTP/2 (RFC 7541), as far as a client of one request needs them."""

from __future__ import annotations

MOST_REMEMBERED = 0
"""Bytes that the other side may keep in its dynamic table for us (SETTINGS_HEADER_TABLE_SIZE)."""

_PSEUDO = [
    ":authority",
    ":method=GET",
    ":method=POST",
    ":path=/",
    ":path=/index.html",
    ":scheme=http",
    ":scheme=https",
]
_STATUS = [f":status={code}" for code in (200, 204, 206, 304, 400, 404, 500)]
_PLAIN = [
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "accept",
    "access-control-allow-origin",
    "age",
    "allow",
    "authorization",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "etag",
    "expect",
    "expires",
    "from",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "link",
    "location",
    "max-forwards",
    "proxy-authenticate",
    "proxy-authorization",
    "range",
    "referer",
    "refresh",
    "retry-after",
    "server",
    "set-cookie",
    "strict-transport-security",
    "transfer-encoding",
    "user-agent",
    "vary",
    "via",
    "www-authenticate",
]
_STATIC = [(name, value) for name, _, value in (item.partition("=") for item in _PSEUDO + _STATUS + _PLAIN)]
_STATIC[15] = ("accept-encoding", "gzip, deflate")

_HUFFMAN = (
    (5, "012aceiost"),
    (6, " %-./3456789=A_bdfghlmnpru"),
    (7, ":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz"),
    (8, "&*,;XZ"),
    (10, '!"()?'),
    (11, "'+|"),
    (12, "#>"),
    (13, "\0$@[]~"),
    (14, "^}"),
    (15, "<`{"),
    (19, "\\"),
)
"""Characters by the length of their code. The code is canonical: those of a length are in order."""


class HpackError(ValueError):
    """A header block that cannot be read."""


def encode(headers: list[tuple[str, str]]) -> bytes:
    """Header fields as literals that nobody has to remember."""
    return b"".join(b"\0" + _plain(name) + _plain(value) for name, value in headers)


def _plain(text: str) -> bytes:
    data = text.encode("latin-1")
    if len(data) > 126:
        raise HpackError("a header field of more than 126 bytes")
    return bytes([len(data)]) + data


def _codes() -> dict[tuple[int, int], str]:
    found: dict[tuple[int, int], str] = {}
    code = length = 0
    for bits, characters in _HUFFMAN:
        code <<= bits - length
        length = bits
        for character in characters:
            found[bits, code] = character
            code += 1
    return found


_CODES = _codes()


def unpacked(data: bytes) -> str:
    """A string in HPACK's Huffman code.

    Raises:
        HpackError: It has characters that no header of this use has, or is no such string.
    """
    found = []
    code = bits = 0
    for byte in data:
        for place in range(7, -1, -1):
            code, bits = code << 1 | byte >> place & 1, bits + 1
            character = _CODES.get((bits, code))
            if character is not None:
                found.append(character)
                code = bits = 0
    # What is left over is the beginning of the end's code, which is all ones.
    if bits > 7 or code != (1 << bits) - 1:
        raise HpackError("a header field in a code that is not read here")
    return "".join(found)


class Decoder:
    """Reads the header blocks of one connection, in their order."""

    def __init__(self) -> None:
        self._known: list[tuple[str, str]] = []
        self._room = 4096
        self._data = b""
        self._at = 0

    def decode(self, block: bytes) -> dict[str, str]:
        """The fields of a block; of several with one name the last.

        Raises:
            HpackError: It cannot be read.
        """
        self._data, self._at = block, 0
        found = {}
        try:
            while self._at < len(block):
                field = self._field()
                if field is not None:
                    found[field[0]] = field[1]
        except IndexError:
            raise HpackError("a header block that ends too early") from None
        return found

    def _field(self) -> tuple[str, str] | None:
        first = self._data[self._at]
        if first & 0x80:
            return self._entry(self._number(7))
        if first & 0xE0 == 0x20:
            self._room = self._number(5)
            self._forget()
            return None
        kept = bool(first & 0x40)
        index = self._number(6 if kept else 4)
        name = self._entry(index)[0] if index else self._string()
        field = (name, self._string())
        if kept:
            self._known.insert(0, field)
            self._forget()
        return field

    def _entry(self, index: int) -> tuple[str, str]:
        known = [*_STATIC, *self._known]
        if not 1 <= index <= len(known):
            raise HpackError(f"a header block that refers to entry {index}, which there is not")
        return known[index - 1]

    def _forget(self) -> None:
        while sum(len(name) + len(value) + 32 for name, value in self._known) > self._room:
            self._known.pop()

    def _number(self, bits: int) -> int:
        most = (1 << bits) - 1
        value = self._data[self._at] & most
        self._at += 1
        shift = 0
        while value >= most and (shift == 0 or self._data[self._at - 1] & 0x80):
            value += (self._data[self._at] & 0x7F) << shift
            self._at += 1
            shift += 7
            if shift > 28:
                raise HpackError("a header block with a number that is too large")
        return value

    def _string(self) -> str:
        packed = bool(self._data[self._at] & 0x80)
        length = self._number(7)
        data = self._data[self._at : self._at + length]
        if len(data) < length:
            raise HpackError("a header block that ends too early")
        self._at += length
        return unpacked(data) if packed else data.decode("latin-1")
