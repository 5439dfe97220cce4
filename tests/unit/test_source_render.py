"""Diagnostics as people see them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from harness.source import Place
from harness.source.diagnostics import Diagnostic, Problems, Related, Severity
from harness.source.reader import read_text
from harness.source.render import printable, render
from harness.source.sources import Sources

TEXT = "scenario: a\npods:\n  n/api: {listen: [80]}\n  n/api: {}\n"


def duplicate() -> Diagnostic:
    return Diagnostic(
        "duplicate-key",
        Severity.ERROR,
        'the key "n/api" stands twice',
        Place("s.yaml", 4, 3, 4, 8),
        "remove one of them",
        (Related(Place("s.yaml", 3, 3, 3, 8), "first written here"),),
    )


def test_a_diagnostic_with_all_its_parts(snapshot: SnapshotAssertion):
    assert render([duplicate()], Sources({"s.yaml": TEXT})) == snapshot


def test_colours(snapshot: SnapshotAssertion):
    assert render([duplicate()], Sources({"s.yaml": TEXT}), color=True) == snapshot


def test_without_the_text_there_is_no_excerpt(snapshot: SnapshotAssertion):
    assert render([duplicate()]) == snapshot


def test_several_are_parted_by_an_empty_line():
    text = render([duplicate(), duplicate()])
    assert text.count("\n\n") == 1
    assert render([]) == ""


def test_long_lines_are_cut_around_the_carets():
    line = "a" * 500 + "HERE" + "b" * 500
    place = Place("s.yaml", 1, 501, 1, 505)
    text = render([Diagnostic("x", Severity.ERROR, "m", place)], Sources({"s.yaml": line}))
    _, excerpt, carets = text.splitlines()
    assert len(excerpt) < 160
    assert excerpt.index("HERE") == carets.index("^^^^")


@pytest.mark.parametrize("before", ["日本", "é", "e\u0301", "\t", "\x1b[2J", "\u202e"])
def test_carets_stand_under_what_they_mean(before: str):
    from rich.cells import cell_len

    line = before + "HERE"
    place = Place("s.yaml", 1, len(before) + 1, 1, len(before) + 5)
    text = render([Diagnostic("x", Severity.ERROR, "m", place)], Sources({"s.yaml": line}))
    _, excerpt, carets = text.splitlines()
    assert cell_len(excerpt[: excerpt.index("HERE")]) == carets.index("^^^^")


@given(st.text())
def test_no_terminal_obeys_untrusted_text(text: str):
    shown = printable(text)
    assert shown.isprintable()
    if text.isprintable():
        assert shown == text


@given(st.text(min_size=1, max_size=60), st.integers(1, 5), st.integers(1, 90), st.integers(0, 90))
def test_any_place_can_be_rendered(text: str, line: int, column: int, width: int):
    place = Place("a\x1bb.yaml", line, column, line, column + width)
    found = Diagnostic("x", Severity.WARNING, text, place, text, (Related(place, text),))
    shown = render([found], Sources({"a\x1bb.yaml": text}))
    assert all(part.isprintable() for part in shown.split("\n"))


@given(st.text(max_size=80))
def test_what_the_reader_finds_can_be_rendered(text: str):
    problems, sources = Problems(), Sources()
    read_text(text, "a.yaml", problems, sources=sources)
    assert render(problems.sorted(), sources).count("error[") == len(problems.sorted())
