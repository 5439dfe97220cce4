"""Progress and the live report: lines, groups, a bar, and the order of results."""

from __future__ import annotations

import io
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
)
from harness.model.result import RunResult
from harness.report.live import LiveReport
from harness.report.printer import PlainPrinter
from harness.report.progress import BarProgress, LineProgress, NoProgress, progress
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


@pytest.mark.parametrize("groups", [False, True])
def test_lines(groups: bool, snapshot: SnapshotAssertion) -> None:
    out = io.StringIO()
    listener = LineProgress(out, groups=groups)
    for event in events(RESULT):
        listener(event)
    listener.close()
    assert out.getvalue() == snapshot


def test_groups_of_scenarios_that_never_finished_are_written_at_the_end() -> None:
    out = io.StringIO()
    listener = LineProgress(out, groups=True)
    for event in [*events(RESULT)[:3], Interrupted("SIGINT")]:
        listener(event)
    assert "::group::" not in out.getvalue()
    assert "stopping: worlds are being taken down" in out.getvalue()
    listener.close()
    assert "::group::api-policy\nnetcheck: api-policy: building the world\n::endgroup::" in out.getvalue()


def test_no_text_of_a_scenario_is_a_workflow_command() -> None:
    out = io.StringIO()
    listener = LineProgress(out, groups=True)
    odd = samples.run(samples.finished("x\n::error::fake", {"expect": []}))
    for event in events(odd):
        listener(event)
    assert not any(item.startswith("::error") for item in out.getvalue().splitlines())


def test_the_bar_counts_cells_and_is_gone_at_the_end() -> None:
    out = Terminal()
    listener = BarProgress(out, {"COLUMNS": "100"})
    for event in events(RESULT)[:-1]:
        listener(event)
    with listener.hidden():
        out.write("RESULT\n")
    listener(RunFinished(RESULT))
    text = out.getvalue()
    assert "9/9" in text
    assert text.rstrip("\n").endswith("\x1b[2K")
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h")


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


def test_the_bar_keeps_the_phase_whole_and_shortens_the_name() -> None:
    plan = RESULT.scenarios[0].scenario
    long = replace(plan, name="a-scenario-with-a-very-long-name-indeed")
    bar = BarProgress(Terminal(), {"COLUMNS": "80"})
    for event in (
        RunStarted("r1", RESULT.backend, (long, plan)),
        ScenarioStarted(long),
        ScenarioStarted(plan),
        PhaseStarted(long, "sweep", "expect", 8),
    ):
        bar(event)
    text = bar._description()
    bar.close()
    assert text.startswith("a-scen")
    assert text.endswith("indeed: probing (+1)")
    assert len(text) <= 32
