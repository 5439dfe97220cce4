"""Progress and the live report: lines, groups, a bar, and the order of results."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from syrupy.assertion import SnapshotAssertion

from harness.engine.events import (
    CellJudged,
    Event,
    Interrupted,
    PhaseStarted,
    RunFinished,
    RunStarted,
    ScenarioFinished,
    ScenarioStarted,
    Waiting,
)
from harness.model.result import RunResult
from harness.report.bar import BarProgress, Pace
from harness.report.live import LiveReport
from harness.report.printer import PlainPrinter
from harness.report.progress import LineProgress, NoProgress, progress
from harness.report.terminal import Style, names_width, render
from harness.report.text import plain
from tests.unit import report_samples as samples


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def events(result: RunResult, order: list[int] | None = None) -> list[Event]:
    found: list[Event] = [
        RunStarted(result.run, result.backend, tuple(item.scenario for item in result.scenarios))
    ]
    for number in order or range(len(result.scenarios)):
        item = result.scenarios[number]
        found.append(ScenarioStarted(item.scenario))
        found.append(PhaseStarted(item.scenario, "build"))
        for step in item.steps:
            found.append(PhaseStarted(item.scenario, "sweep", step.name, len(step.cells)))
            found += [CellJudged(item.scenario, step.name, cell) for cell in step.cells]
        found.append(ScenarioFinished(item))
    return [*found, RunFinished(result)]


RESULT = samples.run(samples.passing(), samples.steps(), samples.unbuildable())


@pytest.mark.parametrize("told", [False, True], ids=["alone", "told"])
@pytest.mark.parametrize("groups", [False, True], ids=["lines", "groups"])
def test_lines(groups: bool, told: bool, snapshot: SnapshotAssertion) -> None:
    out = io.StringIO()
    listener = LineProgress(out, groups=groups, told=told)
    for event in events(RESULT):
        listener(event)
    listener.close()
    assert out.getvalue() == snapshot


def test_phases_are_lines_when_asked_for(snapshot: SnapshotAssertion) -> None:
    out = io.StringIO()
    listener = LineProgress(out, phases=True)
    for event in events(RESULT):
        listener(event)
    assert out.getvalue() == snapshot


def test_groups_of_scenarios_that_never_finished_are_written_at_the_end() -> None:
    out = io.StringIO()
    listener = LineProgress(out, groups=True)
    for event in [*events(RESULT)[:3], Interrupted("SIGINT")]:
        listener(event)
    assert "::group::" not in out.getvalue()
    assert "stopping: worlds are being taken down" in out.getvalue()
    listener.close()
    assert "::group::api-policy\nnetcheck: building the world\n::endgroup::" in out.getvalue()


def test_in_a_log_that_shows_both_a_pass_is_one_line() -> None:
    """GitHub's log: the group's title is the line of a pass; what failed is told outside of any group."""
    log = io.StringIO()
    listener = LineProgress(log, groups=True, told=True)
    report = LiveReport(PlainPrinter(log, 80), listener)
    for event in events(RESULT):
        listener(event)
        report(event)
    text = log.getvalue()
    assert text.count("PASS  api-policy") == 1
    assert text.count("::group::") == text.count("::endgroup::") == 3
    outside = re.sub(r"::group::.*?::endgroup::\n", "", text, flags=re.S)
    assert "FAIL  relabel" in outside
    assert "FAILED relabel::relabelled::n/cli->n/srv:80/TCP" in outside


def test_no_text_of_a_scenario_is_a_workflow_command() -> None:
    out = io.StringIO()
    listener = LineProgress(out, groups=True)
    odd = samples.run(samples.finished("x\n::error::fake", {"expect": []}))
    for event in events(odd):
        listener(event)
    assert not any(item.startswith("::error") for item in out.getvalue().splitlines())


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_pace_of_a_run() -> None:
    clock = Clock()
    pace = Pace(clock)
    told: list[str] = []
    for event in events(RESULT):
        pace(event)
        clock.now += 1
        told.append(pace.text(100))
    assert told[:4] == [
        "0/3",
        "0/3  api-policy: building",
        "0/3  api-policy: building",
        "0/3  api-policy: probing",
    ]
    # Four cells of nine after eight seconds: their probes have come back once the step goes on.
    assert told[7] == "0/3  10 s left  api-policy: probing"
    assert told[8] == "1/3  12 s left"
    assert told[-1] == "3/3"


def test_who_is_waited_for_is_told() -> None:
    plan = RESULT.scenarios[0].scenario
    waiting = Waiting(plan, "run r7, which has it alone: its policies reach all of it")
    pace = Pace(Clock())
    for event in (RunStarted("r1", RESULT.backend, (plan,)), ScenarioStarted(plan), waiting):
        pace(event)
    assert pace.text(100) == "0/1  api-policy: waits for run r7"
    out = io.StringIO()
    LineProgress(out)(waiting)
    assert out.getvalue() == (
        "netcheck: api-policy: waits for run r7, which has it alone: its policies reach all of it\n"
    )


def test_speed_counts_what_has_come_back() -> None:
    clock = Clock()
    pace = Pace(clock)
    plan = RESULT.scenarios[0].scenario
    pace(RunStarted("r1", RESULT.backend, (plan,)))
    pace(PhaseStarted(plan, "control", cells=400))
    clock.now += 4
    assert list(pace.parts()) == ["0/1"]
    pace(PhaseStarted(plan, "apply", "expect"))
    assert list(pace.parts()) == ["0/1", "100 probes/s"]


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_the_pace_fits_its_line(columns: int) -> None:
    clock = Clock()
    pace = Pace(clock)
    plan = RESULT.scenarios[0].scenario
    long = replace(plan, name="a-scenario-with-a-very-long-name-indeed")
    for event in (
        RunStarted("r1", RESULT.backend, (long, plan)),
        ScenarioStarted(long),
        ScenarioStarted(plan),
        PhaseStarted(long, "control", cells=4000),
        PhaseStarted(long, "sweep", "expect", 8),
        CellJudged(long, "expect", RESULT.scenarios[0].cells[0]),
    ):
        pace(event)
    clock.now += 50
    text = pace.text(columns)
    assert len(text) <= columns
    # What it is at stays whole; the name gives way, then what is less important.
    assert text.startswith("0/2  ")
    assert text.endswith("indeed: probing (+1)" if columns >= 60 else ": probing (+1)")
    pace(Interrupted("SIGINT"))
    assert pace.text(columns).startswith("stopping")
    assert len(pace.text(columns)) <= columns


def bar(environ: dict[str, str]) -> str:
    out = Terminal()
    listener = BarProgress(out, {"COLUMNS": "100"} | environ)
    for event in events(RESULT)[:-1]:
        listener(event)
    with listener.hidden():
        out.write("RESULT\n")
    listener(RunFinished(RESULT))
    return out.getvalue()


def test_the_bar_is_gone_at_the_end() -> None:
    text = bar({})
    assert "━" in text
    assert "3/3" in text
    assert text.rstrip("\n").endswith("\x1b[2K")
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h")


@pytest.mark.parametrize("environ", [{"LANG": "C"}, {"LC_ALL": "POSIX"}, {"LANG": "de_DE.ISO-8859-1"}])
def test_the_bar_is_ascii_where_the_terminal_is(environ: dict[str, str]) -> None:
    text = bar(environ)
    assert text.isascii()
    assert "################" in text


@pytest.mark.parametrize(
    ("quiet", "tty", "environ", "kind"),
    [
        (True, True, {}, NoProgress),
        (False, True, {}, BarProgress),
        (False, False, {}, LineProgress),
        (False, True, {"CI": "true"}, LineProgress),
        (False, True, {"TERM": "dumb"}, LineProgress),
        (False, True, {"GITHUB_ACTIONS": "true"}, LineProgress),
    ],
)
def test_choice(quiet: bool, tty: bool, environ: dict[str, str], kind: type) -> None:
    chosen = progress(Terminal() if tty else io.StringIO(), quiet=quiet, environ=environ)
    assert type(chosen) is kind


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 2, 0]])
def test_live_results_come_in_the_order_of_the_plan(order: list[int]) -> None:
    out = io.StringIO()
    report = LiveReport(PlainPrinter(out, 80), NoProgress())
    for event in events(RESULT, order):
        report(event)
    names = names_width([item.scenario for item in RESULT.scenarios])
    assert out.getvalue() == plain(render(RESULT, Style(80, names=names)))


def test_an_interrupted_run_shows_what_finished() -> None:
    out = io.StringIO()
    report = LiveReport(PlainPrinter(out, 80), NoProgress())
    partial = replace(RESULT, scenarios=RESULT.scenarios[1:2], interrupted=True)
    for event in [*events(RESULT, [1])[:-1], RunFinished(partial)]:
        report(event)
    assert "FAIL  relabel" in out.getvalue()
    assert "api-policy" not in out.getvalue()
    assert out.getvalue().endswith("interrupted: 3 of 3 cells measured\n2 scenarios not begun\n")
