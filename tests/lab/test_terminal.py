"""What a run looks like on a terminal, in a pipe and in a job's log, with real packets."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.terminals import ANSI, ROOT, Terminal

pytestmark = pytest.mark.lab

TWO = """\
scenario: open
pods:
  ns/web: {listen: [8080]}
  ns/cli: {}
expect:
  - {from: ns/cli, to: "ns/web:8080", verdict: allow}
---
scenario: wrong
description: "colours \\e[31m, a bell \\a, a title \\e]0;x\\a and … more"
pods:
  ns/web: {listen: [8080]}
  ns/cli: {}
expect:
  - {from: ns/cli, to: "ns/web:8080", verdict: deny}
  - {from: ns/cli, http: {method: GET, url: "http://ns/web:8080/x%1b[2J"}, verdict: deny}
---
scenario: last
pods:
  ns/web: {listen: [8080]}
  ns/cli: {}
expect:
  - {from: ns/cli, to: "ns/web:8080", verdict: allow}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "two.yaml").write_text(TWO)
    return tmp_path


def piped(folder: Path, **environ: str) -> str:
    full = {**os.environ, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"}
    for name in ("CI", "GITHUB_ACTIONS", "FORCE_COLOR", "COLUMNS"):
        full.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "harness", "run", "two.yaml"],
        cwd=folder,
        env={name: value for name, value in (full | environ).items() if value},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
        timeout=120,
    )
    assert done.returncode == 1
    return done.stdout


def even(text: str) -> str:
    """Without what differs from run to run."""
    text = re.sub(r" +[\d.]+ m?s\b", " 1 s", text)
    text = re.sub(r"run [0-9a-f]{8}", "run ID", text)
    return re.sub(r" on lab \([^)]*\)", " on lab (…)", text)


def test_a_pipe_has_a_line_per_scenario_and_no_colours(folder: Path) -> None:
    text = even(piped(folder))
    assert "\x1b" not in text
    assert text.startswith("netcheck: 3 scenarios, 4 cells on lab, run ID\nPASS  open      1 cell 1 s\n")
    assert re.findall(r"^(PASS|FAIL) +(\w+)", text, re.M) == [
        ("PASS", "open"),
        ("FAIL", "wrong"),
        ("PASS", "last"),
    ]
    assert text.count("netcheck: ") == 1
    # Below what passed after it, the failures are named once more.
    assert text.index("PASS  last") < text.index(
        "\nFAILED wrong::expect::ns/cli->ns/web:8080/TCP  two.yaml:14\n"
    )


def test_a_terminal_shows_how_far_it_is_and_then_only_the_results(folder: Path) -> None:
    terminal = Terminal(folder, "run", "two.yaml")
    try:
        shown = terminal.rest()
    finally:
        terminal.close()
    assert terminal.process.returncode == 1
    assert "━━━" in shown
    # Which of its pictures are drawn is a matter of time.
    assert re.search(r"[0-2]/3  .*(open|wrong|last): [a-z]+", ANSI.sub("", shown))
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h")
    # The cursor goes up and erases as often as something was drawn: what is left is what a pipe has.
    assert even(left_of(shown)) == even(piped(folder)).partition("\n")[2]


def left_of(shown: str) -> str:
    """The lines that stand on a terminal in the end."""
    lines, row = [""], 0
    for token in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\r\n|[\r\n]|[^\x1b\r\n]+", shown):
        if token in ("\r\n", "\n"):
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif token == "\x1b[1A":
            row -= 1
        elif token == "\x1b[2K":
            lines[row] = ""
        elif token[0] not in "\x1b\r":
            lines[row] += token
    return "\n".join(text.rstrip() for text in lines).rstrip("\n") + "\n"


def test_without_unicode_everything_is_ascii(folder: Path) -> None:
    terminal = Terminal(folder, "run", "two.yaml", LC_ALL="", LANG="C")
    try:
        shown = terminal.rest()
    finally:
        terminal.close()
    assert shown.isascii()
    assert "####" in shown
    assert piped(folder, LC_ALL="", LANG="C").isascii()


def test_in_github_actions_stages_are_folded_and_failures_are_not(folder: Path) -> None:
    text = even(piped(folder, GITHUB_ACTIONS="true", GITHUB_WORKSPACE=str(folder)))
    assert text.count("::group::") == text.count("::endgroup::") == 3
    outside = re.sub(r"^::group::.*?^::endgroup::\n", "", text, flags=re.S | re.M)
    assert not re.search(r"^PASS", outside, re.M)
    assert "FAILED wrong::expect::ns/cli->ns/web:8080/TCP\n" in outside
    commands = re.findall(r"^::error title=[^:]*,file=two.yaml,line=(\d+),col=5::", outside, re.M)
    assert commands == ["14", "15"]


def test_nothing_of_a_scenario_steers_the_terminal(folder: Path) -> None:
    terminal = Terminal(folder, "run", "two.yaml", "-v")
    try:
        shown = terminal.rest()
    finally:
        terminal.close()
    assert "\x07" not in shown
    # Only what the bar and colours need.
    assert set(re.findall(r"\x1b(?:\[[0-9;?]*)?(.)", shown)) <= set("mKAhl")
    assert "\x1b[2J" not in shown
