"""Annotations of GitHub Actions: one line each, escaped, at the line of the YAML file."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from harness.cli import cli
from harness.model.verdict import Status
from harness.report.github import SHOWN, diagnostics_to_github, to_github
from harness.source import Place
from harness.source.diagnostics import Diagnostic, Severity
from tests.unit import report_samples as samples

COMMAND = re.compile(r"::(error|warning|notice) ([^:]*)::(.*)")


def commands(text: str) -> list[tuple[str, dict[str, str], str]]:
    """Read as the runner reads them: properties end at the second `::`."""
    found = []
    for item in text.splitlines():
        match = COMMAND.fullmatch(item)
        assert match, item
        fields = dict(part.split("=", 1) for part in match[2].split(","))
        found.append((match[1], {name: unquote(value) for name, value in fields.items()}, unquote(match[3])))
    return found


def test_annotations(snapshot: SnapshotAssertion) -> None:
    result = samples.run(samples.passing(), samples.failing(), samples.steps(), samples.unbuildable())
    assert to_github(result, {}) == snapshot


def test_nothing_wrong_is_nothing_to_say() -> None:
    assert to_github(samples.run(samples.passing(), samples.skipped()), {}) == ""


def test_a_failure_stands_at_its_line() -> None:
    _, fields, text = commands(to_github(samples.run(samples.failing()), {}))[0]
    assert fields == {
        "title": "shop: not as expected",
        "file": "scenarios/shop.yaml",
        "line": "22",
        "col": "5",
    }
    assert text.splitlines()[0] == "production/db->production/api:8080/TCP: expected deny, observed allow"


def test_cells_of_one_line_share_an_annotation() -> None:
    cells = [
        samples.judged(samples.cell(f"n/{name}", "n/z", samples.X, 7), Status.FAILED)
        for name in "abcdefghijkl"
    ]
    ((_, _, text),) = commands(to_github(samples.run(samples.finished("x", {"expect": cells})), {}))
    assert text.splitlines()[0] == "n/a->n/z:8080/TCP: expected deny, observed allow"
    assert text.splitlines()[-1] == "and 4 more cells"


def test_failures_come_first_and_what_would_be_dropped_is_counted() -> None:
    broken = replace(samples.unbuildable(), error="first in the file")
    cells = [
        samples.judged(samples.cell("n/a", "n/z", samples.X, line), Status.FAILED) for line in range(1, 15)
    ]
    found = commands(to_github(samples.run(broken, samples.finished("x", {"expect": cells})), {}))
    assert len(found) == SHOWN
    assert [fields.get("line") for _, fields, _ in found[:-1]] == [str(line) for line in range(1, 10)]
    assert found[-1][2] == "6 more places with cells that are not as expected: see the report"


def test_paths_are_told_from_the_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "sub"
    folder.mkdir()
    monkeypatch.chdir(folder)
    environ = {"GITHUB_WORKSPACE": str(tmp_path)}
    found = commands(to_github(samples.run(samples.steps()), environ))
    assert found[0][1]["file"] == "sub/scenarios/shop.yaml"
    elsewhere = samples.finished("x", {"expect": []}, file="/elsewhere/x.yaml", error="no")
    assert commands(to_github(samples.run(elsewhere), environ))[0][1]["file"] == "/elsewhere/x.yaml"


def test_diagnostics_are_annotations_too() -> None:
    found = [
        Diagnostic("unknown-key", Severity.ERROR, "no key x", Place("a.yaml", 3, 2), help="write y"),
        Diagnostic("odd", Severity.WARNING, "100% odd", Place("a.yaml", 4, 1)),
    ]
    assert commands(diagnostics_to_github(found, {})) == [
        (
            "error",
            {"title": "netcheck: unknown-key", "file": "a.yaml", "line": "3", "col": "2"},
            "no key x\nhelp: write y",
        ),
        ("warning", {"title": "netcheck: odd", "file": "a.yaml", "line": "4", "col": "1"}, "100% odd"),
    ]


def test_lint_annotates_and_tells_paths_from_the_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "bad ü.yaml").write_text("scenario: bad\npods: {n/a: {labes: {}}}\nexpect: []\n")
    monkeypatch.chdir(tmp_path / "sub")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    found = commands(CliRunner().invoke(cli, ["lint", "bad ü.yaml", "--format", "github"]).stdout)
    assert [(kind, fields["file"]) for kind, fields, _ in found][:1] == [("error", "sub/bad ü.yaml")]
    sarif = CliRunner().invoke(cli, ["lint", "bad ü.yaml", "--format", "sarif"]).stdout
    assert '"uri": "sub/bad%20%C3%BC.yaml"' in sarif
    monkeypatch.delenv("GITHUB_WORKSPACE")
    absolute = CliRunner().invoke(cli, ["lint", str(tmp_path / "sub"), "--format", "sarif"]).stdout
    assert f'"uri": "file://{tmp_path}/sub/bad%20%C3%BC.yaml"' in absolute


@given(st.text(alphabet=st.sampled_from("%:,\n\r=a\x1b\u2028"), max_size=12))
def test_no_text_ends_its_command_or_begins_another(text: str) -> None:
    cell = samples.cell("n/a", "n/b", samples.X, 3, file=text)
    judged = samples.judged(replace(cell, id=text), Status.FAILED, reason=text, evidence=(text,))
    scenario = samples.finished("x", {text: [judged]}, file=text, error=text)
    output = to_github(samples.run(replace(scenario, scenario=replace(scenario.scenario, name=text))), {})
    assert output.count("\n") == len(output.splitlines()) == (2 if text else 1)
    assert all(kind == "error" for kind, _, _ in commands(output))
    assert "\r" not in output
