"""One run, told by the terminal, by both JUnits, by JSON and by HTML: the same cells, the same counts."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli import cli
from tests.pytester.conftest import Cilium

COUNTS = {"passed": 4, "failed": 1, "error": 6, "skipped": 2, "xfailed": 1}
Cases = dict[tuple[str, str], list[tuple[str, str | None]]]


def cases(path: Path) -> Cases:
    """What a JUnit file says of each case."""
    found: Cases = {}
    for case in ET.parse(path).iter("testcase"):
        key = (case.get("classname", ""), case.get("name", ""))
        assert key not in found
        said = [item for item in case if item.tag in ("failure", "error", "skipped")]
        found[key] = [(item.tag, item.get("message")) for item in said]
    return found


def statuses(found: Cases) -> dict[str, int]:
    tags = [said[0][0] if said else "passed" for said in found.values()]
    return {tag: tags.count(tag) for tag in ("passed", "failure", "error", "skipped")}


def html_counts(text: str) -> tuple[dict[str, int], dict[str, int]]:
    """How many cells of each status the page says that there are, and how many it holds."""
    chips = re.findall(r'<button [^>]*data-status="(\w+)"[^>]*>.*?<b>(\d+)</b>', text)
    said = {status: int(number) for status, number in chips}
    data = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', text, re.DOTALL)
    assert data is not None
    found = [cell["status"] for cell in json.loads(data[1])["cells"]]
    return said, {status: found.count(status) for status in set(found)}


@pytest.fixture
def told(pytester: pytest.Pytester, project: Path, cluster: Cilium) -> pytest.RunResult:
    return pytester.runpytest_inprocess(
        "scenarios", "--junitxml=pytest.xml", "--netcheck-report=json:run.json,html:run.html,junit:own.xml"
    )


def test_every_report_has_the_same_counts(told: pytest.RunResult, project: Path, cluster: Cilium) -> None:
    # One error is a cell's own, one that of a scenario of five cells: people read of the latter once.
    told.assert_outcomes(passed=4, failed=1, errors=2, skipped=2, xfailed=1)
    assert told.parseoutcomes()["not"] == 4
    assert told.ret == pytest.ExitCode.TESTS_FAILED
    junit = {"passed": 4, "failure": 1, "error": 6, "skipped": 3}
    assert statuses(cases(project / "pytest.xml")) == junit
    assert statuses(cases(project / "own.xml")) == junit
    assert json.loads((project / "run.json").read_text())["counts"] == COUNTS
    assert html_counts((project / "run.html").read_text()) == (COUNTS, COUNTS)
    done = CliRunner().invoke(
        cli, ["run", "scenarios", "--report", "junit:cli.xml,json:cli.json,html:cli.html"]
    )
    assert done.exit_code == 1, done.output
    assert "1 failed, 6 errors, 4 passed, 1 known to deviate, 2 skipped in " in done.output
    line = "1 failed, 2 errors, 4 passed, 1 known to deviate, 2 skipped, 4 not measured in "
    assert line in told.stdout.str()
    assert statuses(cases(project / "cli.xml")) == junit
    assert json.loads((project / "cli.json").read_text())["counts"] == COUNTS
    assert html_counts((project / "cli.html").read_text()) == (COUNTS, COUNTS)


def test_junit_agrees_case_by_case(told: pytest.RunResult, project: Path, cluster: Cilium) -> None:
    """Names, classnames, status, message."""
    CliRunner().invoke(cli, ["run", "scenarios", "--report", "junit:cli.xml"])
    ours = cases(project / "pytest.xml")
    assert ours == cases(project / "cli.xml") == cases(project / "own.xml")
    shop = "scenarios.shop.shop"
    assert ours[shop, "expect::n/other->n/web:8080/TCP"] == [
        ("failure", "scenarios/shop.yaml:9: expected deny, observed allow")
    ]
    assert ours[shop, "expect::n/other->n/web:9090/TCP"] == [
        ("skipped", "known deviation of cilium: https://example.com/1")
    ]
    assert ours["scenarios.gone.gone", "only::n/web->n/web:8080/TCP~established"] == [
        ("error", "scenarios/gone.yaml:12: the node went away; look for it")
    ]
    assert ours["scenarios.needy.needy", "after::n/client->n/web:8080/TCP"] == [
        ("skipped", "lab lacks the feature sctp (the scenario says so (needs))")
    ]
    assert (shop, "expect::n/client->n/web:8080/TCP GET /a[1]@b::c%5B") in ours


def test_json_is_the_one_of_the_command_line(told: pytest.RunResult, project: Path, cluster: Cilium) -> None:
    CliRunner().invoke(cli, ["run", "scenarios", "--report", "json:cli.json"])
    documents = [json.loads((project / name).read_text()) for name in ("run.json", "cli.json")]
    assert _timeless(documents[0]) == _timeless(documents[1])


def _timeless(value: object) -> object:
    """Without what differs from run to run."""
    moving = {"run", "started", "seconds", "build_seconds", "phases", "in_force"}
    if isinstance(value, dict):
        return {key: _timeless(item) for key, item in value.items() if key not in moving}
    if isinstance(value, list):
        return sorted(map(_timeless, value), key=repr)
    return value


@pytest.mark.parametrize("family", ["xunit1", "xunit2"])
def test_a_prefix_of_pytest_stands_before_the_classnames(
    family: str, pytester: pytest.Pytester, project: Path, cluster: Cilium
) -> None:
    pytester.runpytest_inprocess(
        "scenarios/fine.yaml", "--junitxml=p.xml", "--junitprefix=ci", "-o", f"junit_family={family}"
    )
    case = next(ET.parse(project / "p.xml").iter("testcase"))
    assert case.get("classname") == "ci.scenarios.fine.fine"
    places = (case.get("file"), case.get("line"))
    assert places == (("scenarios/fine.yaml", "8") if family == "xunit1" else (None, None))
