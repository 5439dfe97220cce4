"""What a session says at its end besides pytest's own lines: matrices, what was left behind, reports."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import click
import pytest

from harness.cli import measuring
from harness.cli.kept import tell_kept
from harness.model.result import RunResult
from harness.model.verdict import Status
from harness.report.terminal import Style, names_width, render_scenario, render_summary
from harness.report.text import Line
from harness.source.render import printable
from harness.testing.session import Scenarios
from harness.testing.settings import SettingsError
from harness.testing.shown import write

_WRONG = (Status.FAILED, Status.ERROR)


def summarize(reporter: pytest.TerminalReporter, scenarios: Scenarios, result: RunResult) -> None:
    """The matrix of each scenario that is not as expected, and what else the whole run has to say."""
    out = reporter._tw
    lines = list(_matrices(result)) if not reporter.config.option.no_summary else []
    if lines or not result.enforced or result.left_behind:
        reporter.write_sep("=", "netcheck")
        write(out, [*lines, *_last(result)])
    for text in measuring.left_behind_lines(scenarios.settings.place.cluster, result):
        reporter.write_line(text)
    if scenarios.settings.keep and scenarios.measurement.opened is not None:
        tell_kept(scenarios.settings.place.cluster, result.run, scenarios.measurement.opened)


def _matrices(result: RunResult) -> Iterator[Line]:
    wrong = [item for item in result.scenarios if item.status in _WRONG]
    columns = shutil.get_terminal_size().columns
    style = Style(columns, names=names_width([item.scenario for item in wrong]), details=False)
    for item in wrong:
        yield from render_scenario(item, result.backend, style)


def _last(result: RunResult) -> list[Line]:
    # What is wrong stands in pytest's own short summary already.
    return render_summary(result, Style(quiet=True, apart=True))


def write_reports(scenarios: Scenarios, result: RunResult) -> str:
    """Write what `--netcheck-report` asks for; what is wrong with that, or nothing."""
    try:
        measuring.write_reports(scenarios.settings.files(), result)
    except SettingsError as error:
        return printable(str(error))
    except click.ClickException as error:
        return printable(error.format_message())
    return ""
