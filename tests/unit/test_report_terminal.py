"""The terminal report: what people see, at two widths, and that nothing untrusted reaches a terminal raw."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from harness.model.result import RunResult, ScenarioResult
from harness.model.verdict import Status
from harness.report.failures import details, headline
from harness.report.printer import (
    ColourPrinter,
    PlainPrinter,
    columns_of,
    encodable,
    printer,
    speaks_unicode,
    wants_colour,
)
from harness.report.terminal import Style, names_width, render
from harness.report.text import duration, line, plain
from tests.unit import report_samples as samples

SCREENS: dict[str, Callable[[], ScenarioResult]] = {
    name: getattr(samples, name)
    for name in ("passing", "failing", "broken", "steps", "wide", "hostile", "skipped", "unbuildable")
}
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def text_of(result: RunResult, **style: object) -> str:
    names = names_width([item.scenario for item in result.scenarios])
    return plain(render(result, Style(names=names, **style)))  # type: ignore[arg-type]


def everything() -> RunResult:
    return samples.run(*(make() for make in SCREENS.values()))


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("name", SCREENS)
def test_screen(name: str, columns: int, snapshot: SnapshotAssertion) -> None:
    assert text_of(samples.run(SCREENS[name]()), columns=columns) == snapshot


@pytest.mark.parametrize("name", ["passing", "steps", "broken"])
def test_verbose_screen(name: str, snapshot: SnapshotAssertion) -> None:
    assert text_of(samples.run(SCREENS[name]()), verbose=True) == snapshot


def test_several_scenarios_stand_under_each_other(snapshot: SnapshotAssertion) -> None:
    result = samples.run(samples.passing(), samples.skipped(), samples.unbuildable(), samples.passing())
    assert text_of(result) == snapshot


def test_a_whole_run(snapshot: SnapshotAssertion) -> None:
    assert text_of(everything(), columns=100) == snapshot


def test_what_is_wrong_is_recalled_where_something_stands_below_it() -> None:
    alone = text_of(samples.run(samples.passing(), samples.steps()))
    assert alone.count("FAILED relabel::") == 1
    above = text_of(samples.run(samples.steps(), samples.passing()))
    assert "\nFAILED relabel::relabelled::n/cli->n/srv:80/TCP  scenarios/shop.yaml:55\n\n1 failed," in above
    many = text_of(samples.run(*(replace(samples.broken()) for _ in range(9)), samples.failing()))
    recap = many.rpartition("\n\n")[0].rpartition("\n\n")[2].splitlines()
    words = [item.split()[0] for item in recap]
    assert words == ["FAILED"] * 4 + ["ERROR", "and", "ERROR"] * 2 + ["ERROR", "and"]
    assert recap[-1] == "       and 20 more above"


def test_quiet_says_only_what_is_wrong() -> None:
    result = samples.run(samples.passing(), samples.skipped(), samples.unbuildable())
    lines = text_of(result, quiet=True).splitlines()
    assert [item.split()[0] for item in lines if item] == ["ERROR", "nft:", "2"]


def test_interrupted_says_how_much_was_measured() -> None:
    result = samples.run(samples.passing(), samples.unbuildable(), interrupted=True)
    assert text_of(result).splitlines()[-1] == "interrupted: 4 of 6 cells measured"


def test_failure_tells_everything_in_the_promised_order() -> None:
    text = text_of(samples.run(samples.failing()))
    labels = re.findall(r"^    ([a-z]+) ", text.split("FAILED shop::expect::production/db")[1], re.M)
    assert labels[:5] == ["expected", "predicted", "observed", "outcome", "receipt"]
    assert labels[5:9] == ["finding", "evidence", "place", "rerun"]


def test_a_reason_that_says_nothing_new_is_left_out() -> None:
    cell = samples.cell("n/a", "n/b", samples.D)
    plain_failure = samples.judged(cell, Status.FAILED)
    result = samples.judged(cell, Status.FAILED, reason="expected drop, observed allow")
    assert headline(result) == headline(plain_failure) == "expected drop, observed allow"
    screens = [
        text_of(samples.run(samples.finished("x", {"expect": [item]}))) for item in (result, plain_failure)
    ]
    assert screens[0] == screens[1]


@pytest.mark.parametrize("columns", [80, 120])
def test_matrices_keep_within_the_terminal(columns: int) -> None:
    inside = [
        item
        for item in text_of(samples.run(samples.wide()), columns=columns).splitlines()
        if not item.strip().startswith(("FAILED", "rerun", "place"))
    ]
    assert max(len(item) for item in inside) <= columns


def test_colour_and_plain_have_the_same_characters() -> None:
    lines = render(everything(), Style())
    coloured, plain_text = io.StringIO(), io.StringIO()
    ColourPrinter(coloured, 80).print(lines)
    PlainPrinter(plain_text, 80).print(lines)
    assert "\x1b[" in coloured.getvalue()
    assert ANSI.sub("", coloured.getvalue()) == plain_text.getvalue()


@given(st.text())
def test_no_text_can_steer_the_terminal(text: str) -> None:
    out = io.StringIO()
    PlainPrinter(out, 80).print([line(text)])
    assert out.getvalue().endswith("\n")
    assert out.getvalue()[:-1].isprintable()


@given(st.text(alphabet="[]/\\bold red#link=\x1b\x07"))
def test_markup_in_text_is_only_text(text: str) -> None:
    item = line("<", (text, "bad"), ">")
    coloured = io.StringIO()
    ColourPrinter(coloured, 80).print([item])
    assert ANSI.sub("", coloured.getvalue()) == plain([item])


def test_a_stream_that_knows_only_ascii_gets_ascii() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    assert encodable("a…b · ü", stream) == "a~b - \\xfc"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, True),
        ({"LANG": "en_US.UTF-8"}, True),
        ({"LANG": "C.UTF-8"}, True),
        ({"LANG": "de_DE.utf8"}, True),
        ({"LANG": "C"}, False),
        ({"LANG": "POSIX"}, False),
        ({"LANG": "de_DE.ISO-8859-1"}, False),
        # Python itself sets this one in the C locale.
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, False),
        ({"LANG": "C", "LC_CTYPE": "en_US.UTF-8"}, True),
        ({"LANG": "C", "LC_ALL": "C.UTF-8"}, True),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "C"}, False),
        ({"LANG": "C", "PYTHONIOENCODING": "utf-8"}, True),
        ({"LC_CTYPE": "C.UTF-8"}, True),
    ],
)
def test_ascii_where_the_locale_is(environ: dict[str, str], expected: bool) -> None:
    assert speaks_unicode(io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), environ) is expected
    shown = encodable("a…b → é", io.StringIO(), environ)
    assert shown == ("a…b → é" if expected else "a~b > \\xe9")


@pytest.mark.parametrize(
    ("choice", "tty", "environ", "expected"),
    [
        ("auto", True, {}, True),
        ("auto", False, {}, False),
        ("auto", True, {"NO_COLOR": "1"}, False),
        ("auto", True, {"NO_COLOR": ""}, True),
        ("auto", True, {"TERM": "dumb"}, False),
        ("auto", False, {"FORCE_COLOR": "1"}, True),
        ("auto", False, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ("always", False, {"NO_COLOR": "1"}, True),
        ("never", True, {"FORCE_COLOR": "1"}, False),
    ],
)
def test_when_to_colour(choice: str, tty: bool, environ: dict[str, str], expected: bool) -> None:
    class Stream(io.StringIO):
        def isatty(self) -> bool:
            return tty

    assert wants_colour(choice, Stream(), environ) is expected
    assert isinstance(printer(Stream(), choice, environ), ColourPrinter) is expected


@pytest.mark.parametrize(("value", "expected"), [("132", 132), ("", 100), ("12", 100), ("x", 100)])
def test_columns(value: str, expected: int) -> None:
    assert columns_of(io.StringIO(), {"COLUMNS": value}) == expected


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.0004, "0 ms"),
        (0.412, "412 ms"),
        (0.9996, "1.00 s"),
        (59.99, "59.99 s"),
        (59.999, "1 min 0 s"),
        (132, "2 min 12 s"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_counts_in_the_summary_are_those_of_the_result() -> None:
    result = everything()
    summary = text_of(result).splitlines()[-1]
    assert f"{result.count(Status.FAILED)} failed" in summary
    assert f"{result.count(Status.ERROR)} errors" in summary
    assert f"{result.count(Status.PASSED)} passed" in summary


def test_a_reader_that_has_gone_is_no_error() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    for kind in (PlainPrinter, ColourPrinter):
        kind(Gone(), 80).print([line("text")])


def test_the_command_to_run_again_meets_the_same_cluster() -> None:
    cluster = replace(samples.LAB, spec="kind:two", options=("--adopt", "--assume", "l7-http"))
    cell = samples.judged(samples.cell("n/a", "n/b", samples.A), Status.FAILED)
    shown = dict(details(samples.failing().scenario, "expect", cell, cluster))
    assert " --cluster kind:two --adopt --assume l7-http -k " in shown["rerun"]
