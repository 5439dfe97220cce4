"""`netcheck diff`: runs held against each other, as a table, as Markdown, as JSON, on the command line."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from syrupy.assertion import SnapshotAssertion

from harness.cli import cli
from harness.model.result import Backend, CellResult, RunResult, ScenarioResult, StepResult
from harness.model.scenario import Cell, Scenario, Step
from harness.model.topology import Topology
from harness.model.verdict import Expectation, Expected, Known, Status, Verdict
from harness.report.diff import Diff, Difference, Run, compare
from harness.report.diff_files import to_json, to_markdown
from harness.report.diff_text import render, value
from harness.report.json import to_text
from harness.report.markup import code
from harness.report.text import plain
from harness.source import Place
from tests.unit.report_samples import cell

LAB = Backend("lab", ("lab", "generic"), {"kernel": "6.1.0"})
CALICO = Backend("context:staging", ("calico", "kubernetes"), {"calico": "3.28.4", "kubernetes": "1.34.4"})
CILIUM = Backend("context:other", ("cilium", "kubernetes"), {"cilium": "1.19.1"})

OPEN = cell("production/gateway", "production/api", Expected.ALLOW)
DENIED = cell("production/db", "production/api", Expected.DENY)
OTHER = cell("production/db", "production/api", Expected.DENY, port=8081)
POINT = "undefined by the specification: an ipBlock that contains addresses of pods"


def result(item: Cell, verdict: Verdict | None, status: Status = Status.PASSED, **more: Any) -> CellResult:
    return CellResult(item.id, item, status, item.expectation.default, verdict, **more)


def scenario(name: str, *cells: CellResult, planned: tuple[Cell, ...] = (), **more: Any) -> ScenarioResult:
    """One scenario with one step; `planned` only = nothing was measured."""
    items = planned or tuple(one.cell for one in cells)
    step = Step("expect", Topology(), (), items)
    done = (StepResult("expect", cells),) if cells else ()
    return ScenarioResult(Scenario(name, Place("s.yaml"), Topology(), (step,)), done, **more)


def run(backend: Backend, *scenarios: ScenarioResult, **more: Any) -> RunResult:
    more = {"version": "0.1.0", "revision": "abc123", **more}
    return RunResult("7f3a", "2026-11-24T02:00:00+00:00", backend, scenarios, **more)


def diff(*results: RunResult) -> Diff:
    return compare([Run(number, f"{number}.json", one) for number, one in enumerate(results, 1)])


def kinds(found: Diff) -> list[Difference | None]:
    return [row.difference for row in found.rows]


def text(found: Diff, columns: int = 100, **more: Any) -> str:
    return plain(render(found, columns, **more))


# What differs

A, D, R = Verdict.ALLOW, Verdict.DROP, Verdict.REJECT


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (result(DENIED, D), result(DENIED, D), None),
        (result(DENIED, D), result(DENIED, R), Difference.VERDICT),
        (result(DENIED, D), result(DENIED, A, Status.FAILED), Difference.VERDICT),
        (result(DENIED, A, Status.FAILED), result(DENIED, A, Status.XFAILED), Difference.STATUS),
        (result(DENIED, D), result(DENIED, None, Status.ERROR), Difference.UNMEASURED),
        (result(DENIED, D), result(DENIED, None, Status.SKIPPED), Difference.UNMEASURED),
        (result(DENIED, None, Status.ERROR), result(DENIED, None, Status.SKIPPED), Difference.UNMEASURED),
        (result(DENIED, None, Status.ERROR), result(DENIED, None, Status.ERROR), None),
        # A flow during a change has no verdict, only right or wrong.
        (result(DENIED, None), result(DENIED, None), None),
        (result(DENIED, None), result(DENIED, None, Status.FAILED), Difference.STATUS),
        # An error never makes a difference of verdicts, whatever it holds.
        (result(DENIED, D), result(DENIED, A, Status.ERROR), Difference.UNMEASURED),
    ],
)
def test_in_what_two_runs_of_a_cell_differ(
    one: CellResult, other: CellResult, expected: Difference | None
) -> None:
    found = diff(run(LAB, scenario("s", one)), run(CALICO, scenario("s", other)))
    assert kinds(found) == [expected]
    assert found.different is (expected is not None)
    assert kinds(diff(run(LAB, scenario("s", other)), run(CALICO, scenario("s", one)))) == [expected]


def test_cells_that_one_run_does_not_have() -> None:
    found = diff(
        run(LAB, scenario("s", result(OPEN, A), result(DENIED, D))),
        run(CALICO, scenario("s", result(OTHER, D), result(OPEN, A))),
    )
    by_id = {row.cell: row for row in found.rows}
    assert by_id[OPEN.id].difference is None
    assert by_id[DENIED.id].difference is Difference.MISSING
    assert by_id[OTHER.id].difference is Difference.MISSING
    assert not any(row.whole for row in found.rows)
    assert [value(entry) for entry in by_id[OTHER.id].entries] == ["-", "drop"]


def test_three_runs_and_the_worst_difference_counts() -> None:
    found = diff(
        run(LAB, scenario("s", result(DENIED, D))),
        run(CALICO, scenario("s", result(DENIED, R))),
        run(
            CILIUM,
            scenario("s", result(DENIED, None, Status.ERROR, reason="control: refused", control="refused")),
        ),
    )
    assert kinds(found) == [Difference.VERDICT]
    assert "    3: control: refused\n" in text(found)


def test_a_scenario_that_was_not_measured_at_all_is_one_entry() -> None:
    found = diff(
        run(LAB, scenario("s", result(OPEN, A), result(DENIED, D)), scenario("t", result(OPEN, A))),
        run(
            CALICO,
            scenario("s", planned=(OPEN, DENIED), skipped="context:staging lacks the feature external"),
        ),
        run(
            CILIUM,
            scenario("s", planned=(OPEN, DENIED), error="no node is ready"),
            scenario("t", result(OPEN, A)),
        ),
    )
    assert all(row.whole for row in found.rows)
    assert found.shown(everything=False) == []
    first, second = found.gaps()
    assert (first.scenarios, first.cells) == (("s",), 2)
    assert [reason for _, reason in first.reasons] == [
        "skipped: context:staging lacks the feature external",
        "error: no node is ready",
    ]
    assert (second.scenarios, second.reasons[0][1]) == (("t",), "not in this run")
    shown = text(found)
    assert OPEN.id not in shown
    assert shown.count("no node is ready") == 1


def test_where_other_runs_differ_a_skipped_one_does_not_hide_it() -> None:
    found = diff(
        run(LAB, scenario("s", result(DENIED, D))),
        run(CALICO, scenario("s", result(DENIED, R))),
        run(CILIUM, scenario("s", planned=(DENIED,), skipped="lacks it")),
    )
    assert kinds(found) == [Difference.VERDICT]
    shown = text(found)
    assert DENIED.id in shown
    assert shown.count("lacks it") == 1


def test_a_scenario_that_broke_off_says_so_at_the_cells_that_it_lost() -> None:
    broken = scenario("s", result(OPEN, A), error="the API server went away")
    broken = replace(
        broken, scenario=replace(broken.scenario, steps=(Step("expect", Topology(), (), (OPEN, DENIED)),))
    )
    found = diff(run(LAB, scenario("s", result(OPEN, A), result(DENIED, D))), run(CALICO, broken))
    assert kinds(found) == [None, Difference.UNMEASURED]
    assert "2: the API server went away" in text(found)


def test_what_explains_a_difference() -> None:
    known = cell(
        "production/db",
        "production/api",
        Expected.DENY,
        known=(Known("calico", Expected.ALLOW, "https://x"),),
    )
    known = replace(
        known, expectation=Expectation(Expected.DENY, {"cilium": Expected.REJECT}, known.expectation.known)
    )
    found = diff(
        run(LAB, scenario("s", result(known, D, notes=(POINT,)))),
        run(
            CALICO, scenario("s", result(known, A, Status.XFAILED, reason="known: https://x", notes=(POINT,)))
        ),
        run(CILIUM, scenario("s", result(known, A, Status.FAILED, reason="expected deny, observed allow"))),
    )
    shown = text(found)
    assert f"    1,2: {POINT}" in shown
    assert "    2: known: https://x" in shown
    assert "    1,2,3: expected by backend: deny, cilium reject" in shown
    assert "allow~" in shown
    assert "allow[deny]" in shown
    # The value says it already.
    assert "expected deny, observed allow" not in shown


def samples() -> Diff:
    lab = run(
        LAB,
        scenario("shop", result(OPEN, A), result(DENIED, D, notes=(POINT,)), result(OTHER, D)),
        scenario("outside", result(OPEN, A)),
    )
    calico = run(
        CALICO,
        scenario(
            "shop",
            result(OPEN, A),
            result(DENIED, A, Status.FAILED, reason="expected deny, observed allow", notes=(POINT,)),
            result(OTHER, None, Status.ERROR, reason="control: refused by rst"),
        ),
        scenario("outside", planned=(OPEN,), skipped="context:staging lacks the feature external"),
        interrupted=True,
    )
    return diff(lab, calico)


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_the_table(columns: int, snapshot: SnapshotAssertion) -> None:
    assert text(samples(), columns) == snapshot


def test_everything(snapshot: SnapshotAssertion) -> None:
    assert text(samples(), 100, everything=True) == snapshot


def test_markdown(snapshot: SnapshotAssertion) -> None:
    assert to_markdown(samples()) == snapshot


def test_no_difference() -> None:
    same = run(LAB, scenario("s", result(OPEN, A)))
    found = diff(same, same)
    assert text(found).endswith("\n\n1 cell agrees\n")
    assert to_markdown(found).startswith("**1 cell agrees**")
    assert to_json(found)["cells"] == []
    assert [item["id"] for item in to_json(found, everything=True)["cells"]] == [OPEN.id]


def test_json() -> None:
    document = to_json(samples())
    assert document["schema"] == "netcheck.dev/diff/v1"
    assert document["counts"] == {"verdict": 1, "status": 0, "unmeasured": 2, "missing": 0, "same": 1}
    assert [(item["id"], item["difference"]) for item in document["cells"]] == [
        (DENIED.id, "verdict"),
        (OTHER.id, "unmeasured"),
        (OPEN.id, "unmeasured"),
    ]
    first, second = document["cells"][0]["results"]
    assert (first["verdict"], first["status"]) == ("drop", "passed")
    assert (second["verdict"], second["expected"], second["notes"]) == ("allow", "deny", [POINT])
    assert document["runs"][1]["name"] == "calico 3.28.4"
    json.dumps(document)


# Hostile names

EVIL = "a|b`c``d\x1b[31m\n@team <script>alert(1)</script> [x](https://evil) \ud800"


def hostile() -> Diff:
    odd = replace(DENIED, id=EVIL)
    wild = Backend(EVIL, (EVIL,), {EVIL: EVIL})
    return diff(
        run(wild, scenario(EVIL, result(odd, D, notes=(EVIL,)))),
        run(
            wild,
            scenario(EVIL, result(odd, R, reason=EVIL)),
            scenario("t" + EVIL, planned=(odd,), skipped=EVIL),
        ),
    )


def test_hostile_names_stay_text_on_a_terminal() -> None:
    shown = text(hostile())
    assert "\x1b" not in shown
    assert not any(item.startswith("@team") for item in shown.splitlines())


def test_hostile_names_stay_text_in_markdown() -> None:
    written = to_markdown(hostile())
    written.encode()
    assert "\x1b" not in written
    rows = [item for item in written.splitlines() if item.startswith("| ") and "reject" in item]
    assert len(rows) == 1
    assert rows[0].replace("\\|", "").count("|") == 6
    for span in ("<script>", "[x](https", "@team"):
        for item in written.splitlines():
            if span in item:
                assert _in_code(item, item.index(span)), item


def _in_code(item: str, at: int) -> bool:
    """Whether a position of a line stands in a code span, as CommonMark reads it: fences of one length."""
    position = 0
    while position < len(item):
        if item[position] != "`":
            position += 1
            continue
        end = position
        while end < len(item) and item[end] == "`":
            end += 1
        fence = item[position:end]
        close = end
        while True:
            close = item.find(fence, close)
            if close < 0:
                return False
            stop = close
            while stop < len(item) and item[stop] == "`":
                stop += 1
            if stop - close == len(fence) and item[close - 1] != "`":
                break
            close = stop
        if end <= at < close:
            return True
        position = stop
    return False


@pytest.mark.parametrize(
    ("given", "span"),
    [
        ("a", "`a`"),
        ("a|b", "`a\\|b`"),
        ("a`b", "``a`b``"),
        ("`a", "`` `a ``"),
        ("", "`   `"),
        ("``", "``` `` ```"),
    ],
)
def test_code_spans(given: str, span: str) -> None:
    assert code(given) == span


# The command


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("NETCHECK_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def invoke(*args: str) -> Result:
    return CliRunner().invoke(cli, ["diff", *args])


def written() -> tuple[str, str]:
    for item in samples().runs:
        Path(item.file).write_text(to_text(item.result))
    return "1.json", "2.json"


def test_differences_are_exit_code_1() -> None:
    result = invoke(*written())
    assert result.exit_code == 1
    assert DENIED.id in result.stdout
    assert result.stdout.endswith(
        "1 cell: verdict differs; 2 cells: not measured everywhere; 1 cell agrees\n"
    )
    assert result.stderr == ""


def test_no_difference_is_exit_code_0() -> None:
    one, _ = written()
    result = invoke(one, one)
    assert (result.exit_code, result.stderr) == (0, "")
    assert OPEN.id not in result.stdout
    assert OPEN.id in invoke(one, one, "--all").stdout


def test_files_and_json() -> None:
    result = invoke(*written(), "--json", "--report", "md:out/d.md,json:out/d.json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == json.loads(Path("out/d.json").read_text())
    assert Path("out/d.md").read_text() == to_markdown(samples())


@pytest.mark.parametrize("args", [[], ["1.json"]])
def test_a_comparison_needs_two(args: list[str]) -> None:
    written()
    result = invoke(*args)
    assert result.exit_code == 4
    assert "a comparison needs two reports at least" in result.stderr


def test_a_report_that_cannot_be_written() -> None:
    result = invoke(*written(), "--report", "junit:x.xml")
    assert result.exit_code == 4
    assert "unknown report format 'junit'; this version writes md, json" in result.stderr
    assert "write --report md:PATH or json:PATH" in result.stderr


def _broken() -> list[Any]:
    good = json.loads(to_text(samples().runs[0].result))
    lacking = {key: item for key, item in good.items() if key != "scenarios"}
    number = json.loads(json.dumps(good))
    number["scenarios"][0]["name"] = 7
    note = json.loads(json.dumps(good))
    note["scenarios"][0]["steps"][0]["cells"][0]["notes"] = [{}]
    verdict = json.loads(json.dumps(good))
    verdict["scenarios"][0]["steps"][0]["cells"][0]["verdict"] = "maybe"
    return [
        (json.dumps(good)[:-300], "no valid JSON", "was it cut off?"),
        ("", "no valid JSON", "was it cut off"),
        ("[1, 2]", "this is no report of netcheck", "--report json:PATH"),
        ("{}", "schema is None", "--report json:PATH"),
        ('{"schema": "netcheck.dev/diff/v1"}', "schema is 'netcheck.dev/diff/v1'", "--report json:PATH"),
        ("[" * 100000, "no JSON report", "--report json:PATH"),
        (
            json.dumps({**lacking, "netcheck": "0.0.1"}),
            "lacks 'scenarios'",
            "written by netcheck 0.0.1, and this is",
        ),
        (json.dumps(lacking), "lacks 'scenarios'", "--report json:PATH"),
        (json.dumps({**good, "scenarios": 1}), "cannot be read", "--report json:PATH"),
        (json.dumps({**good, "backend": []}), "cannot be read", "--report json:PATH"),
        (json.dumps(number), "7 stands where a text belongs", "--report json:PATH"),
        (json.dumps(note), "{} stands where a text belongs", "--report json:PATH"),
        (json.dumps(verdict), "'maybe' is not a valid Verdict", "--report json:PATH"),
    ]


@pytest.mark.parametrize(("content", "message", "advice"), _broken())
def test_a_file_that_is_no_report(content: str, message: str, advice: str) -> None:
    one, _ = written()
    Path("bad.json").write_text(content)
    result = invoke(one, "bad.json")
    assert result.exit_code == 4
    assert "error: bad.json: " in result.stderr
    assert message in result.stderr
    assert advice in result.stderr


def test_bytes_and_missing_files() -> None:
    one, _ = written()
    Path("bad.json").write_bytes(b"\xff\xfe{")
    assert "bad.json: no JSON report" in invoke(one, "bad.json").stderr
    result = invoke(one, "nowhere.json")
    assert result.exit_code == 4
    assert "nowhere.json: cannot be read: No such file" in result.stderr
