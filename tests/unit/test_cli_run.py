"""`netcheck run` from files to exit code: real loader and engine, a cluster that answers from a table."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from junitparser import JUnitXml

from harness.cli import cli, clusters
from harness.engine.cluster import ClusterError
from harness.model.scenario import Scenario
from tests.unit.fake_cluster import DROPPED, REJECTED, FakeCluster

SHOP = """\
scenario: shop
tags: [ingress]
pods:
  n/web: {listen: [8080]}
  n/client: {}
  n/other: {}
expect:
  - {from: n/client, to: "n/web:8080", verdict: allow}
  - {from: n/other, to: "n/web:8080", verdict: deny}
"""
STEPS = """\
scenario: steps
tags: [slow]
pods:
  n/web: {listen: [8080]}
  n/client: {}
steps:
  - name: before
    expect: [{from: n/client, to: "n/web:8080", verdict: allow}]
  - name: after
    restart: [n/web]
    expect: [{from: n/client, to: "n/web:8080", verdict: allow}]
"""
NEEDY = """\
scenario: needy
needs: [ipv6]
pods:
  n/web: {listen: [8080]}
  n/client: {}
expect:
  - {from: n/client, to: "n/web:8080", verdict: allow}
"""
OTHER = "n/other->n/web:8080/TCP"
CLIENT = "n/client->n/web:8080/TCP"
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `netcheck run` in a folder of its own on the given fake cluster."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("NETCHECK_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "scenarios"
    folder.mkdir()
    (folder / "shop.yaml").write_text(SHOP)

    def invoke(*args: str, cluster: FakeCluster | None = None, env: dict[str, str] | None = None) -> Result:
        fake = cluster or FakeCluster({OTHER: DROPPED})
        monkeypatch.setattr(clusters, "open_cluster", lambda spec, **how: fake)
        result = CliRunner().invoke(cli, ["run", *args], env=env)
        assert fake.closed or result.exit_code in (3, 4, 5)
        return result

    return invoke


def test_as_expected(run: Run) -> None:
    result = run()
    assert result.exit_code == 0
    assert result.stdout.startswith("PASS  shop    2 cells")
    assert "2 passed in" in result.stdout
    assert "netcheck: shop: passed after" in result.stderr


def test_a_wrong_verdict(run: Run) -> None:
    result = run(cluster=FakeCluster())
    assert result.exit_code == 1
    assert f"FAILED shop::expect::{OTHER}" in result.stdout
    assert "place     scenarios/shop.yaml:9:5" in result.stdout
    assert "the table says so about" in result.stdout


def test_the_command_of_a_failure_runs_that_cell_alone(run: Run) -> None:
    import shlex

    result = run(cluster=FakeCluster())
    (command,) = [item.split("rerun")[1] for item in result.stdout.splitlines() if " rerun " in item]
    words = shlex.split(command)
    assert words[:2] == ["netcheck", "run"]
    again = run(*words[2:], cluster=FakeCluster())
    assert again.exit_code == 1
    assert "FAIL  shop     1 cell" in again.stdout


def test_a_failed_control_is_inconclusive(run: Run) -> None:
    result = run(cluster=FakeCluster({OTHER: DROPPED}, controls={OTHER: DROPPED}))
    assert result.exit_code == 6
    assert f"ERROR shop::expect::{OTHER}" in result.stdout


def test_a_failure_outranks_an_error(run: Run) -> None:
    result = run(cluster=FakeCluster({CLIENT: REJECTED}, controls={OTHER: DROPPED}))
    assert result.exit_code == 1


def test_a_scenario_that_cannot_be_built_is_inconclusive(run: Run) -> None:
    def refuse(scenario: Scenario) -> None:
        raise ClusterError("no room for it", "make room")

    result = run(cluster=FakeCluster(on_open=refuse))
    assert result.exit_code == 6
    assert "no room for it; make room" in result.stdout


def test_a_cluster_that_this_machine_cannot_hold(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(spec: str, **how: object) -> FakeCluster:
        raise ClusterError("there is no nft on PATH", "apt-get install nftables")

    monkeypatch.setattr(clusters, "open_cluster", refuse)
    result = CliRunner().invoke(cli, ["run", "--report", "junit:x.xml"])
    assert result.exit_code == 6
    assert result.stderr.endswith("error: there is no nft on PATH\n  help: apt-get install nftables\n")
    (suite,) = JUnitXml.fromfile("x.xml")
    assert (suite.tests, suite.errors) == (2, 2)


def test_skipped_scenarios_are_as_expected(run: Run, tmp_path: Path) -> None:
    (tmp_path / "scenarios" / "shop.yaml").write_text(NEEDY)
    result = run()
    assert result.exit_code == 0
    assert "SKIP  needy" in result.stdout
    assert "1 skipped" in result.stdout


def test_reports_are_written(run: Run, tmp_path: Path) -> None:
    result = run("--report", "junit:out/junit.xml,json:out/run.json", cluster=FakeCluster())
    assert result.exit_code == 1
    (suite,) = JUnitXml.fromfile(str(tmp_path / "out" / "junit.xml"))
    assert (suite.tests, suite.failures) == (2, 1)
    document = json.loads((tmp_path / "out" / "run.json").read_text())
    assert document["counts"] == {"passed": 1, "failed": 1, "error": 0, "skipped": 0, "xfailed": 0}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_in_good_order(run: Run, tmp_path: Path, number: signal.Signals) -> None:
    def interrupt(scenario: Scenario) -> None:
        # Called here, not sent: the system would deliver it to the main thread at a time of its own.
        handler = signal.getsignal(number)
        assert callable(handler)
        handler(number, None)

    before = signal.getsignal(number)
    (tmp_path / "scenarios" / "z-steps.yaml").write_text(STEPS)
    cluster = FakeCluster({OTHER: DROPPED}, on_open=interrupt)
    result = run("-j", "1", "--report", "json:run.json,junit:junit.xml", cluster=cluster)
    assert result.exit_code == 2
    assert signal.getsignal(number) is before
    assert cluster.worlds["shop"].log[-1] == "close"
    assert "steps" not in cluster.worlds
    assert json.loads((tmp_path / "run.json").read_text())["interrupted"] is True
    assert JUnitXml.fromfile(str(tmp_path / "junit.xml")) is not None
    assert "interrupted: 0 of 2 cells measured" in result.stdout
    assert "1 scenario not begun" in result.stdout


def test_fail_fast_begins_nothing_more(run: Run, tmp_path: Path) -> None:
    (tmp_path / "scenarios" / "steps.yaml").write_text(STEPS)
    cluster = FakeCluster()
    result = run("-x", "-j", "1", cluster=cluster)
    assert result.exit_code == 1
    assert list(cluster.worlds) == ["shop"]
    assert "1 scenario not begun" in result.stdout


def test_selection(run: Run, tmp_path: Path) -> None:
    (tmp_path / "scenarios" / "steps.yaml").write_text(STEPS)
    cluster = FakeCluster()
    assert run("-k", "after", cluster=cluster).exit_code == 0
    assert list(cluster.worlds) == ["steps"]
    assert "restart n/web" in cluster.worlds["steps"].log
    cluster = FakeCluster()
    assert run("--tag", "!ingress", cluster=cluster).exit_code == 0
    assert list(cluster.worlds) == ["steps"]


def test_nothing_selected(run: Run) -> None:
    result = run("-k", "nobody", "--tag", "x")
    assert result.exit_code == 5
    assert result.stderr == (
        "error: nothing is selected by -k 'nobody' --tag x\n  help: `netcheck list` shows what there is\n"
    )


def test_all_errors_of_the_files_are_shown_and_no_packet_is_sent(run: Run, tmp_path: Path) -> None:
    (tmp_path / "scenarios" / "bad.yaml").write_text(SHOP.replace("verdict: deny", "verdict: dany"))
    (tmp_path / "scenarios" / "worse.yaml").write_text(SHOP.replace("pods:", "podz:"))
    cluster = FakeCluster()
    result = run(cluster=cluster)
    assert result.exit_code == 4
    assert "scenarios/bad.yaml:9:" in result.stderr
    assert "scenarios/worse.yaml:3:" in result.stderr
    assert cluster.worlds == {}


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["--cluster", "minikube"], "this version has `lab`, `lab?as=generic`, `lab?as=cilium`"),
        (["--cluster", "kind:"], "`kind` or `kind:NAME`"),
        (["--cluster", "kind:No_Name"], "lower-case letters"),
        (["--cni", "cilium"], "add --cluster kind"),
        (["--cluster", "lab?as=antrea"], "unknown personality 'antrea'"),
        (["--cluster", "context:"], "cluster 'context:' names nothing"),
        (["--cluster", "lab?speed=9"], "the lab has no setting 'speed'"),
        (["--report", "pdf:x"], "this version writes junit, json"),
        (["--report", "junit:scenarios/shop.yaml/x"], "cannot write the junit report"),
        (["-j", "0"], "'0' is no number from 1 upwards"),
        (["-j", "many"], "'many' is no number from 1 upwards"),
        (["-v", "-q"], "contradict each other"),
        (["-k", "a and"], "expected a substring at column 6"),
        (["nowhere"], "nowhere: there is no such file or folder"),
        (["--nope"], "No such option"),
    ],
)
def test_usage_errors(run: Run, args: list[str], text: str) -> None:
    result = run(*args)
    assert result.exit_code == 4
    assert text in result.stderr
    assert result.stdout == ""


def test_quiet_is_quiet(run: Run) -> None:
    result = run("-q")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert len(result.stdout.splitlines()) == 1


def test_verbose_shows_the_matrix(run: Run) -> None:
    result = run("-v")
    assert "from\\to" in result.stdout
    assert "n/other   X" in "\n".join(" ".join(item.split()) for item in result.stdout.splitlines()).replace(
        " X", "   X"
    )


def test_groups_in_github_actions(run: Run) -> None:
    result = run(env={"GITHUB_ACTIONS": "true"})
    assert "::group::PASS  shop    2 cells" in result.stderr
    assert "::endgroup::" in result.stderr


def test_an_unexpected_exception_is_one_apology(run: Run) -> None:
    def explode(scenario: Scenario) -> None:
        raise RuntimeError("the moon\x1b[2J")

    result = run(cluster=FakeCluster(on_open=explode))
    assert result.exit_code == 3
    assert "this is a bug: RuntimeError: the moon\\x1b[2J" in result.stderr
    assert "NETCHECK_DEBUG=1" in result.stderr
    assert "Traceback" not in result.stderr
    loud = run(cluster=FakeCluster(on_open=explode), env={"NETCHECK_DEBUG": "1"})
    assert loud.exit_code == 3
    assert "Traceback" in loud.stderr


def test_on_a_cluster_that_exists_one_world_can_be_kept(run: Run, tmp_path: Path) -> None:
    (tmp_path / "scenarios" / "steps.yaml").write_text(STEPS)
    result = run("--keep", "--cluster", "context:staging")
    assert result.exit_code == 4
    assert "--keep on context:staging keeps one world, and 2 scenarios are selected" in result.stderr
    assert "-k shop::" in result.stderr
    assert run("--keep", "--cluster", "context:staging", "-k", "shop::").exit_code == 0
