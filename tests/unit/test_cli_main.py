"""The command line as a whole: light imports, exit codes, help texts, pipes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from syrupy.assertion import SnapshotAssertion

from harness.cli import cli
from harness.cli.exits import ExitCode, exit_code
from harness.model.result import RunResult
from tests.unit import report_samples as samples

ROOT = Path(__file__).parents[2]
HEAVY = ("pydantic", "yaml", "rich", "junit_xml", "harness.model", "harness.engine", "harness.scenario")


def python(*args: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *args],
        cwd=ROOT,
        env=os.environ | (env or {}),
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_line_imports_nothing_heavy() -> None:
    code = f"import sys\nimport harness.cli\nprint([name for name in {HEAVY!r} if name in sys.modules])"
    assert python("-c", code).stdout == "[]\n"


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, atexit\nfrom harness.cli import main\nsys.argv = ['netcheck', 'run', '--help']\n"
        f"atexit.register(lambda: print([name for name in {HEAVY!r} if name in sys.modules]))\nmain()"
    )
    assert python("-c", code).stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("columns", ["80", "120"])
@pytest.mark.parametrize("command", ["", *cli.commands])
def test_help(command: str, columns: str, snapshot: SnapshotAssertion) -> None:
    args = [command, "--help"] if command else ["--help"]
    result = CliRunner().invoke(cli, args, terminal_width=int(columns))
    assert result.exit_code == 0
    assert result.output == snapshot


def test_without_a_command_the_help_is_shown() -> None:
    bare = CliRunner().invoke(cli, [])
    assert bare.exit_code == 0
    assert bare.output == CliRunner().invoke(cli, ["--help"]).output


def test_version() -> None:
    result = CliRunner().invoke(cli, ["--version"])
    assert re.fullmatch(r"netcheck \d+\.\d+\.\d+ \(Python [\d.]+, \w+\)\n", result.output)


def test_python_m_harness_is_netcheck() -> None:
    done = python("-m", "harness", "run", "--cluster", "moon")
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith("error: unknown cluster 'moon'")


def test_a_closed_pipe_is_no_error() -> None:
    command = f"{sys.executable} -m harness schema | head -c 1 >/dev/null; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("0\n", "")


def everything() -> Iterator[click.Parameter]:
    """The parameters of all commands, those below a group included."""
    for command in cli.commands.values():
        yield from command.params
        if isinstance(command, click.Group):
            for below in command.commands.values():
                yield from below.params


def test_every_option_of_every_command_is_documented() -> None:
    guide = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## `netcheck (\w+)[^\n]*\n(.*?)(?=^## |\Z)", guide, re.M | re.S))
    assert list(sections) == cli.list_commands(click.Context(cli))
    for name, command in cli.commands.items():
        below = command.commands.values() if isinstance(command, click.Group) else ()
        parameters = [*command.params, *(each for item in below for each in item.params)]
        documented = set(re.findall(r"`(--?[\w-]+)", sections[name]))
        options = {text for item in parameters if isinstance(item, click.Option) for text in item.opts}
        assert documented >= options, name
        mentioned = {text for text in documented if text.startswith("--")}
        everywhere = {text for item in everything() for text in item.opts}
        assert mentioned <= everywhere | {"--help", "--version"}, name
    for code in ExitCode:
        assert f"| {code.value} |" in guide


def fail(**more: object) -> RunResult:
    return samples.run(samples.failing(), samples.broken(), **more)


@pytest.mark.parametrize(
    ("result", "selected", "expected"),
    [
        (samples.run(samples.passing()), 4, ExitCode.OK),
        (samples.run(samples.skipped()), 1, ExitCode.OK),
        (samples.run(samples.passing(), samples.skipped()), 5, ExitCode.OK),
        (samples.run(samples.failing()), 6, ExitCode.DIFFERENT),
        (fail(), 15, ExitCode.DIFFERENT),
        (fail(interrupted=True), 15, ExitCode.INTERRUPTED),
        (samples.run(samples.passing(), interrupted=True), 4, ExitCode.INTERRUPTED),
        (samples.run(samples.broken()), 9, ExitCode.INCONCLUSIVE),
        (samples.run(samples.unbuildable()), 2, ExitCode.INCONCLUSIVE),
        (samples.run(samples.finished("x", {"expect": []}, error="gone")), 1, ExitCode.INCONCLUSIVE),
        (samples.run(), 0, ExitCode.NOTHING_SELECTED),
    ],
)
def test_exit_codes(result: RunResult, selected: int, expected: ExitCode) -> None:
    assert exit_code(result, selected) is expected


def test_the_promised_numbers() -> None:
    assert {code.name: code.value for code in ExitCode} == {
        "OK": 0,
        "DIFFERENT": 1,
        "INTERRUPTED": 2,
        "INTERNAL": 3,
        "USAGE": 4,
        "NOTHING_SELECTED": 5,
        "INCONCLUSIVE": 6,
    }
