"""`netcheck report`: the files that the run itself would have written, and clear words for what is none."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from junitparser import JUnitXml

from harness.cli import cli, clusters
from harness.model.result import Backend, RunResult, ScenarioResult
from harness.model.verdict import Status
from harness.report.json import JsonReportError, from_json, portable, through, to_json, to_text
from harness.report.terminal import Style, names_width, render
from harness.report.text import plain
from harness.report.writers import FORMATS, STEP_SUMMARY
from harness.scenario import load
from tests.unit import report_samples as samples
from tests.unit.fake_cluster import DROPPED, FakeCluster

ALL = samples.run(
    samples.passing(),
    samples.failing(),
    samples.broken(),
    samples.steps(),
    samples.hostile(),
    samples.skipped(),
    samples.unbuildable(),
)


@pytest.fixture(autouse=True)
def _outside_of_ci(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)
    for name in (STEP_SUMMARY, "GITHUB_ACTIONS", "GITHUB_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)


def report(*args: str, result: RunResult = ALL) -> Result:
    Path("run.json").write_text(to_text(result))
    return CliRunner().invoke(cli, ["report", "run.json", *args])


def test_all_formats_at_once() -> None:
    wanted = [f"{name}:out/run.{name}" for name in FORMATS]
    done = report("--to", ",".join(wanted))
    assert (done.exit_code, done.output) == (0, "")
    assert {path.suffix[1:] for path in Path("out").iterdir()} == set(FORMATS)
    assert Path("out/run.json").read_text() == Path("run.json").read_text()


def test_without_a_format_it_is_shown_as_the_run_showed_it() -> None:
    names = names_width([item.scenario for item in ALL.scenarios])
    assert report().stdout == plain(render(ALL, Style(100, names=names)))


def test_quiet_and_verbose() -> None:
    assert "PASS" in report().stdout
    assert "PASS" not in report("-q").stdout
    assert len(report("-v").stdout) > len(report().stdout)
    assert report("-q", "-v").exit_code == 4


def test_standard_input_and_output() -> None:
    done = CliRunner().invoke(cli, ["report", "-", "--to", "json:-"], input=to_text(ALL))
    assert (done.exit_code, done.stdout) == (0, to_text(ALL))


def test_the_summary_of_a_job_is_added_to(monkeypatch: pytest.MonkeyPatch) -> None:
    summary = Path("summary.md")
    summary.write_text("# Before\n")
    monkeypatch.setenv(STEP_SUMMARY, str(summary.absolute()))
    assert report("--to", "md:summary.md,html:other.html").exit_code == 0
    assert summary.read_text().startswith("# Before\n### ❌ ")
    Path("other.md").write_text("old")
    assert report("--to", "md:other.md").exit_code == 0
    assert not Path("other.md").read_text().startswith("old")


@pytest.mark.parametrize(
    ("args", "message", "advice"),
    [
        (["--to", "pdf:x"], "--to: unknown report format 'pdf'", "write --to with junit:PATH"),
        (["--to", "html"], "--to: the report 'html' names no file", "write --to with"),
        (["--to", "html:run.json/x"], "--to: cannot write the html report", "write --to with"),
        (["--to", "html:-,md:-"], "--to: two reports go to the same file '-'", "write --to with"),
    ],
)
def test_formats_that_cannot_be(args: list[str], message: str, advice: str) -> None:
    done = report(*args)
    assert done.exit_code == 4
    assert message in done.stderr
    assert advice in done.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no valid JSON"),
        (to_text(ALL).encode()[:5000], "no valid JSON"),
        (b"\xff\xfe\xfa", "it cannot be decoded"),
        (b"[" * 200_000, "it cannot be decoded"),
        (b"7", "it holds no JSON object"),
        (b"{}", "schema is None"),
        (b'{"schema": "netcheck.dev/run/v2"}', "schema is 'netcheck.dev/run/v2', not 'netcheck.dev/run/v1'"),
        (b'{"schema": NaN}', "it cannot be decoded"),
        (json.dumps(to_json(ALL) | {"seconds": "\x1b[2J"}).encode(), r"'\x1b[2J' stands where a number"),
        (json.dumps(to_json(ALL) | {"seconds": 1e300}).encode(), "stands where a number belongs"),
        (json.dumps(to_json(ALL) | {"seconds": 10**400}).encode(), "stands where a number belongs"),
        (json.dumps(to_json(ALL) | {"interrupted": 1}).encode(), "1 stands where true or false belongs"),
        (json.dumps(to_json(ALL) | {"scenarios": {"x": 1}}).encode(), "cannot be read"),
    ],
)
def test_what_is_no_report_is_said(content: bytes, message: str) -> None:
    Path("run.json").write_bytes(content)
    done = CliRunner().invoke(cli, ["report", "run.json", "--to", "html:out.html"])
    assert done.exit_code == 4
    assert message in done.stderr
    assert done.stderr.startswith("error: run.json: ")
    assert done.stderr.count("\n") == 2
    assert "\x1b" not in done.stderr
    assert not Path("out.html").exists()


def test_a_report_of_another_version_names_it() -> None:
    Path("run.json").write_text(json.dumps({"schema": "netcheck.dev/run/v1", "netcheck": "0.0.1"}))
    done = CliRunner().invoke(cli, ["report", "run.json"])
    assert "the report lacks 'run'" in done.stderr
    assert "it was written by netcheck 0.0.1, and this is" in done.stderr


def test_a_file_that_is_not_there() -> None:
    done = CliRunner().invoke(cli, ["report", "none.json"])
    assert (done.exit_code, done.stderr.splitlines()[0]) == (
        4,
        "error: none.json: cannot be read: No such file or directory",
    )


# -- documents of any kind ---------------------------------------------------------------------------------

JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=8),
    st.lists(st.text(max_size=3), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every container in a document with each of its keys."""
    found: list[tuple[Any, Any]] = []
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, (dict, list)):
            keys = list(item) if isinstance(item, dict) else list(range(len(item)))
            found += [(item, key) for key in keys]
            pending += [item[key] for key in keys]
    return found


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_document_is_refused_or_every_report_can_be_made_of_it(data: st.DataObject) -> None:
    document = json.loads(to_text(samples.run(samples.failing(), samples.broken(), samples.unbuildable())))
    for _ in range(data.draw(st.integers(1, 2))):
        spots = places(document)
        container, key = spots[data.draw(st.integers(0, len(spots) - 1))]
        container[key] = data.draw(JUNK)
    try:
        result = from_json(document)
    except JsonReportError:
        return
    made = {name: make(result) for name, make in FORMATS.items()}
    made["terminal"] = plain(render(result, Style(100)))
    for text in made.values():
        assert "\x1b" not in text


# -- figures -------------------------------------------------------------------------------------------------


def figures_of(files: Callable[[str], str]) -> dict[str, dict[str, int]]:
    """The counts of every report that has some."""
    document = json.loads(files("json"))
    suites = JUnitXml.fromstring(files("junit").encode())
    total = {
        "failed": sum(suite.failures for suite in suites),
        "error": sum(suite.errors for suite in suites),
        "skipped or known": sum(suite.skipped for suite in suites),
        "all": sum(suite.tests for suite in suites),
    }
    page = dict(re.findall(r'data-status="(\w+)"[^>]*>.*?<b>(\d+)</b>', files("html"), re.S))
    words = {"failed": "failed", "error": "error", "errors": "error", "known to deviate": "xfailed"}
    words |= {"skipped": "skipped", "passed": "passed"}
    summary = re.findall(r"\*\*(\d+) ([a-z ]+)\*\*", files("md"))
    spoken = re.findall(r"(\d+) (failed|errors?|known to deviate|skipped|passed)\b", files("terminal"))
    terminal = {words[word]: int(number) for number, word in spoken}
    return {
        "json": {name: number for name, number in document["counts"].items() if number},
        "html": {name: int(number) for name, number in page.items() if number != "0"},
        "md": {words[word]: int(number) for number, word in summary},
        "terminal": terminal,
        "junit": total,
    }


def files_of(result: RunResult) -> Callable[[str], str]:
    def files(name: str) -> str:
        if name == "terminal":
            return plain(render(result, Style(100))).rpartition("\n\n")[2]
        return FORMATS[name](result)

    return files


@pytest.mark.parametrize(
    "result",
    [
        ALL,
        samples.run(samples.failing(), samples.broken(), samples.skipped(), samples.passing()),
        samples.run(samples.unbuildable(), interrupted=True),
        samples.run(samples.finished("empty", {}, error="nft: operation not permitted")),
        samples.run(samples.finished("x", {"expect": []}, error="the world did not go"), samples.passing()),
        samples.run(samples.passing()),
    ],
    ids=["all", "one of each", "interrupted", "empty", "no cell", "passing"],
)
def test_all_reports_count_alike(result: RunResult) -> None:
    found = figures_of(files_of(result))
    counts = found["json"]
    assert found["html"] == found["md"] == found["terminal"] == counts
    assert found["junit"] == {
        "failed": counts.get("failed", 0),
        "error": counts.get("error", 0),
        "skipped or known": counts.get("skipped", 0) + counts.get("xfailed", 0),
        "all": sum(counts.values()),
    }


MIXED = """\
scenario: mixed
pods:
  n/web: {listen: [8080, 8081, 8082, 8083]}
  n/cli: {}
expect:
  - {from: n/cli, to: "n/web:8080", verdict: allow}
  - {from: n/cli, to: "n/web:8081", verdict: deny}
  - {from: n/cli, to: "n/web:8082", verdict: deny}
  - {from: n/cli, to: "n/web:8083", verdict: deny, known: {backend: moon, verdict: allow, why: "https://example.com"}}
---
scenario: needy
needs: [ipv6]
pods:
  n/web: {listen: [8080]}
  n/cli: {}
expect:
  - {from: n/cli, to: "n/web:8080", verdict: allow}
"""


def test_one_of_each_through_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failing, an erroring, a skipped and a strictly known cell: all reports, now and later."""
    monkeypatch.setattr(clusters, "open_cluster", lambda spec, **how: moon())
    Path("mixed.yaml").write_text(MIXED)
    formats = ",".join(f"{name}:now.{name}" for name in FORMATS)
    done = CliRunner().invoke(cli, ["run", "mixed.yaml", "-q", "--report", formats])
    assert done.exit_code == 1

    def files(name: str) -> str:
        return done.stdout if name == "terminal" else Path(f"now.{name}").read_text()

    found = figures_of(files)
    counts = {"passed": 1, "failed": 1, "error": 1, "skipped": 1, "xfailed": 1}
    assert found["json"] == found["html"] == found["md"] == found["terminal"] == counts
    assert found["junit"] == {"failed": 1, "error": 1, "skipped or known": 2, "all": 5}
    later = ",".join(f"{name}:later.{name}" for name in FORMATS)
    assert CliRunner().invoke(cli, ["report", "now.json", "--to", later]).exit_code == 0
    for name in FORMATS:
        assert Path(f"later.{name}").read_bytes() == Path(f"now.{name}").read_bytes()


def moon() -> FakeCluster:
    """A cluster that allows what a policy denies, and has a broken path."""
    backend = Backend("lab", ("moon",), {"moon": "1.0"})
    return FakeCluster(controls={"n/cli->n/web:8082/TCP": DROPPED}, backend=backend)


def test_what_people_read_makes_way_for_a_report_on_stdout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "open_cluster", lambda spec, **how: moon())
    Path("mixed.yaml").write_text(MIXED)
    done = CliRunner().invoke(cli, ["run", "mixed.yaml", "--report", "json:-"])
    assert json.loads(done.stdout)["counts"]["failed"] == 1
    assert "FAILED mixed::expect::n/cli->n/web:8081/TCP" in done.stderr


def test_github_actions_are_annotated_without_being_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "open_cluster", lambda spec, **how: moon())
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    Path("mixed.yaml").write_text(MIXED)
    done = CliRunner().invoke(cli, ["run", "mixed.yaml"])
    assert "\n::error title=mixed%3A not as expected,file=mixed.yaml,line=7,col=5::" in done.stderr
    asked = CliRunner().invoke(cli, ["run", "mixed.yaml", "--report", "github:-"])
    assert "::error" not in asked.stderr
    assert asked.stdout.count("\n::error ") == 2


def test_whatever_the_shipped_scenarios_plan_comes_back_from_the_document() -> None:
    found = load([Path(__file__).parents[2] / "scenarios"]).scenarios
    assert found
    result = samples.run(*(ScenarioResult(item, error="no lab") for item in found))
    assert through(result) == portable(result)
    assert through(result).count(Status.ERROR) == result.count(Status.ERROR)
