"""Matrices: sources down, destinations across, in bands of one port and protocol each.

Where that takes less room, the bands are the destinations and the columns their ports. A wide world is
broken into blocks that fit the terminal; when the names of the destinations would make too many blocks, they
are numbered and a key follows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from harness.model.probe import DnsQuery, HttpRequest, Probe, TargetKind, TlsRequest
from harness.model.topology import Protocol
from harness.report.symbols import NOT_PROBED, Mark, legend
from harness.report.text import EMPTY, Line, line, pad, shorten, width
from harness.source.render import printable

CORNER: Final = "from\\to"
_GAP: Final = 2
_LONGEST_ROW: Final = 36


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its row, its band and column, and its mark.

    Attributes:
        turns: Band and column may change places: all ports of a destination instead of all destinations of
            a port.
    """

    row: str
    band: str
    column: str
    mark: Mark
    turns: bool = False

    def turned(self) -> Field:
        """The field in the other layout."""
        return replace(self, band=self.column, column=self.band) if self.turns else self


def field(probe: Probe, cell_id: str, mark: Mark, *, both_families: bool) -> Field:
    """Where a probe stands in the matrix of its step.

    Args:
        probe: The probe.
        cell_id: Its cell's id; the suffix of a transition (`~cut`) makes a band of its own.
        mark: What to show.
        both_families: Whether the step probes IPv4 and IPv6, so that the bands must say which.
    """
    target = probe.target
    turns = probe.request is None
    if isinstance(probe.request, HttpRequest):
        band, column = f"HTTP {target}".removesuffix("/TCP"), str(probe.request)
    elif isinstance(probe.request, DnsQuery):
        band, column = "DNS", str(probe.request).removeprefix("dns:")
    elif isinstance(probe.request, TlsRequest):
        head = "TLS" if probe.request.mutual is None else "mTLS"
        band, column = f"{head} {target}".removesuffix("/TCP"), str(probe.request)
    else:
        icmp = target.protocol is Protocol.ICMP
        band = "ICMP" if icmp else f"{target.port}/{target.protocol}"
        column = target.name if target.kind is TargetKind.POD else f"{target.kind}:{target.name}"
    if both_families:
        band += f" {probe.family}"
    phase = cell_id.rpartition("~")[2] if "~" in cell_id else ""
    if phase in ("steady", "cut", "established"):
        band += f" {phase}"
    return Field(printable(str(probe.source)), printable(band), printable(column), mark, turns)


@dataclass(frozen=True, slots=True)
class _Column:
    band: str
    name: str
    header: str
    marks: dict[str, Mark]

    @property
    def width(self) -> int:
        return max(width(self.header), *(len(mark.text) + self.before for mark in self.marks.values()))

    @property
    def before(self) -> int:
        """Columns before a mark, which puts its first character under the middle of the header."""
        return (width(self.header) - 1) // 2


def render(fields: Sequence[Field], columns: int) -> list[Line]:
    """The matrix of `fields` in lines of at most `columns` (unless a single name is longer)."""
    if not fields:
        return []
    row_width = min(_LONGEST_ROW, max(width(CORNER), *(width(item.row) for item in fields)))
    room = columns - row_width - _GAP
    rows = {row: number for number, row in enumerate(dict.fromkeys(item.row for item in fields))}
    by_port = _columns(fields, rows)
    by_destination = _columns([item.turned() for item in fields], rows)
    named = min((_blocks(by_port, room), _blocks(by_destination, room)), key=len)
    numbers: dict[str, int] = {}
    for column in by_port:
        numbers.setdefault(column.name, len(numbers) + 1)
    numbered = _blocks([replace(item, header=str(numbers[item.name])) for item in by_port], room)
    fits = all(_block_width(block) <= room for block in named)
    use_names = fits and len(named) <= 2 * len(numbered)
    lines: list[Line] = []
    for number, block in enumerate(named if use_names else numbered):
        if number:
            lines.append(EMPTY)
        lines += _block(block, rows, row_width)
    keys = {key for item in fields for key in item.mark.legend}
    if any(NOT_PROBED in text for item in lines for text, style in item if style == "absent"):
        keys.add(NOT_PROBED)
    lines = [tuple((text, "dim" if style == "absent" else style) for text, style in item) for item in lines]
    lines.append(EMPTY)
    if not use_names:
        lines += _key(numbers, columns)
    lines += _wrapped(legend(keys).split("   "), "   ", columns)
    return lines


def _columns(fields: Iterable[Field], rows: Mapping[str, int]) -> list[_Column]:
    """The columns, those of a band side by side.

    In the order of first appearance; but where all destinations of a band are sources too, in the order of
    the rows, so that the diagonal is one.
    """
    bands: dict[str, dict[str, _Column]] = {}
    for item in fields:
        band = bands.setdefault(item.band, {})
        column = band.setdefault(item.column, _Column(item.band, item.column, item.column, {}))
        column.marks[item.row] = item.mark
    columns: list[_Column] = []
    for band in bands.values():
        square = all(name in rows for name in band)
        columns += sorted(band.values(), key=lambda item: rows[item.name]) if square else band.values()
    return columns


def _blocks(columns: Sequence[_Column], room: int) -> list[list[_Column]]:
    blocks: list[list[_Column]] = [[]]
    for column in columns:
        if blocks[-1] and _block_width([*blocks[-1], column]) > room:
            blocks.append([])
        blocks[-1].append(column)
    return blocks


def _bands(block: Sequence[_Column]) -> list[list[_Column]]:
    bands: list[list[_Column]] = []
    for column in block:
        if not bands or bands[-1][-1].band != column.band:
            bands.append([])
        bands[-1].append(column)
    return bands


def _band_width(band: Sequence[_Column]) -> int:
    own = sum(column.width for column in band) + _GAP * (len(band) - 1)
    return max(own, width(band[0].band))


def _block_width(block: Sequence[_Column]) -> int:
    bands = _bands(block)
    return sum(_band_width(band) for band in bands) + (_GAP + 1) * (len(bands) - 1)


def _block(block: Sequence[_Column], rows: Iterable[str], row_width: int) -> list[Line]:
    bands = _bands(block)
    rows = [row for row in rows if any(row in column.marks for column in block)]
    gap, wide_gap = " " * _GAP, " " * (_GAP + 1)
    titles = wide_gap.join(pad(band[0].band, _band_width(band)) for band in bands)
    headers = wide_gap.join(
        pad(gap.join(pad(column.header, column.width) for column in band), _band_width(band))
        for band in bands
    )
    lines = [
        line(" " * (row_width + _GAP), (titles.rstrip(), "bold")),
        line((pad(CORNER, row_width + _GAP), "dim"), headers.rstrip()),
    ]
    for row in rows:
        parts: list[tuple[str, str]] = [(pad(shorten(row, row_width), row_width + _GAP), "")]
        for band_number, band in enumerate(bands):
            used = 0
            for number, column in enumerate(band):
                mark = column.marks.get(row, Mark(NOT_PROBED, "absent", ()))
                space = " " * column.before
                rest = " " * (column.width - column.before - len(mark.text))
                lead = (gap if number else wide_gap if band_number else "") + space
                parts += [(lead, ""), (mark.text, mark.style), (rest, "")]
                used += column.width + (_GAP if number else 0)
            parts.append((" " * (_band_width(band) - used), ""))
        while not parts[-1][0].strip():
            parts.pop()
        lines.append(tuple(part for part in parts if part[0]))
    return lines


def _key(numbers: dict[str, int], columns: int) -> list[Line]:
    entries = [f"{number} {name}" for name, number in numbers.items()]
    widest = max(width(entry) for entry in entries)
    across = max(1, (columns + 3) // (widest + 3))
    return [
        line("   ".join(pad(entry, widest) for entry in entries[start : start + across]).rstrip())
        for start in range(0, len(entries), across)
    ]


def _wrapped(words: Sequence[str], gap: str, columns: int) -> list[Line]:
    lines = [""]
    for word in words:
        longer = f"{lines[-1]}{gap}{word}" if lines[-1] else word
        if lines[-1] and width(longer) > columns:
            lines.append(word)
        else:
            lines[-1] = longer
    return [line((text, "dim")) for text in lines]
