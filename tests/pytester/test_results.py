"""What is told of results: failures, errors, skips, known deviations; matrices and probes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli import cli
from harness.model.result import Backend
from harness.testing.shown import Shown
from tests.pytester.conftest import Cilium
from tests.unit.fake_cluster import DROPPED


def normalised(lines: list[str]) -> str:
    """Without what differs from run to run and from machine to machine."""
    text = "\n".join(line.rstrip() for line in lines)
    text = re.sub(r"\b\d+(\.\d+)? m?s\b", "TIME", text)
    text = re.sub(r" in \d+\.\d+s", " in TIME", text)
    text = re.sub(r"(?m)^(platform|rootdir|plugins|cachedir|hypothesis profile).*\n", "", text)
    text = re.sub(r"(?m)^([=_-])\1{2,} (.*?)( \1{3,})?$", r"\1\1 \2", text)
    text = re.sub(r"netcheck: \d+\.\d+\.\d+", "netcheck: VERSION", text)
    return re.sub(r" {4,}(?=TIME)", "    ", text)


def test_a_session_as_people_read_it(
    pytester: pytest.Pytester, project: Path, cluster: Cilium, snapshot: object
) -> None:
    done = pytester.runpytest_inprocess("scenarios", "-rA")
    assert normalised(done.outlines) == snapshot
    assert "Traceback" not in done.stdout.str()


def test_a_failure_reads_as_in_the_report_of_the_command_line(
    pytester: pytest.Pytester, project: Path, cluster: Cilium
) -> None:
    done = pytester.runpytest_inprocess("scenarios/shop.yaml")
    theirs = CliRunner().invoke(cli, ["run", "scenarios/shop.yaml"]).output.splitlines()
    begin = theirs.index("  FAILED shop::expect::n/other->n/web:8080/TCP")
    told = [line[2:] for line in theirs[begin : theirs.index("", begin)]]
    assert len(told) >= 8
    ours = done.outlines
    first = ours.index(told[0])
    assert ours[first : first + len(told)] == told


def test_trouble_of_a_scenario_is_one_error_and_its_other_cells_are_not_measured(
    pytester: pytest.Pytester, project: Path, cluster: Cilium
) -> None:
    done = pytester.runpytest_inprocess("scenarios/gone.yaml")
    done.assert_outcomes(errors=1)
    assert done.ret == pytest.ExitCode.TESTS_FAILED
    assert cluster.built == ["gone"]
    text = done.stdout.str()
    assert text.count("ERROR at setup of ") == 1
    assert text.count("  reason    the node went away; look for it\n") == 1
    done.stdout.re_match_lines(["1 error, 4 not measured in .*", "=+ 1 error, 4 not measured in .* =+"])
    done.stdout.fnmatch_lines(["*= netcheck =*", "ERROR gone *", "      the node went away; look for it"])


def test_what_was_not_measured_is_run_again_with_what_failed(
    pytester: pytest.Pytester, project: Path, cluster: Cilium
) -> None:
    pytester.runpytest_inprocess("scenarios/gone.yaml")
    again = pytester.runpytest_inprocess("scenarios/gone.yaml", "--lf", "-v")
    again.stdout.fnmatch_lines(["*collected 5 items", "*::only::n/client->n/web:8080/TCP ERROR *"])
    assert again.stdout.str().count(" NOT MEASURED ") == 4


def test_a_cluster_that_cannot_be_had_is_one_error_of_every_scenario(
    pytester: pytest.Pytester, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.cli import clusters
    from harness.engine.cluster import ClusterError

    def refuse(*_: object, **__: object) -> None:
        raise ClusterError("there is no nft", "install it")

    monkeypatch.setattr(clusters, "open_cluster", refuse)
    done = pytester.runpytest_inprocess("scenarios/fine.yaml", "scenarios/shop.yaml", "--junitxml=p.xml")
    done.assert_outcomes(errors=2)
    done.stdout.fnmatch_lines(
        [
            "netcheck: *, cluster lab (cannot be used)",
            "ERROR fine::first::n/client->n/web:8080/TCP",
            "  reason    there is no nft",
            "  help      install it",
        ]
    )
    assert done.stdout.str().count("  help      install it") == 2
    CliRunner().invoke(cli, ["run", "scenarios/fine.yaml", "scenarios/shop.yaml", "--report", "junit:c.xml"])
    from tests.pytester.test_counts import cases

    assert cases(project / "p.xml") == cases(project / "c.xml")


def test_a_known_deviation_that_is_gone_fails_and_says_so(
    pytester: pytest.Pytester, project: Path, monkeypatch: pytest.MonkeyPatch, cluster: Cilium
) -> None:
    monkeypatch.setattr(cluster, "_answers", {"n/other->n/web:9090/TCP": DROPPED})
    done = pytester.runpytest_inprocess("scenarios/shop.yaml", "-k", "other and 9090")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(
        ["*the known deviation of cilium is gone (https://example.com/1): remove `known`*"]
    )


@pytest.mark.parametrize(("args", "counts"), [([], {"xfailed": 1}), (["--runxfail"], {"failed": 1})])
def test_a_known_deviation(
    pytester: pytest.Pytester, project: Path, cluster: Cilium, args: list[str], counts: dict[str, int]
) -> None:
    done = pytester.runpytest_inprocess("scenarios/shop.yaml", "-k", "other and 9090", *args)
    done.assert_outcomes(**counts)


def test_the_lab_has_no_known_deviations(pytester: pytest.Pytester, project: Path, cluster: Cilium) -> None:
    cluster.backend = Backend("lab", ("lab", "generic"), {}, frozenset({"external"}))
    done = pytester.runpytest_inprocess("scenarios/shop.yaml", "-k", "other and 9090")
    done.assert_outcomes(failed=1)


def test_a_skip_says_what_the_cluster_lacks(
    pytester: pytest.Pytester, project: Path, cluster: Cilium
) -> None:
    done = pytester.runpytest_inprocess("scenarios/needy.yaml", "-rs")
    done.assert_outcomes(skipped=2)
    done.stdout.fnmatch_lines(["SKIPPED [[]2] scenarios/needy.yaml:1: lab lacks the feature sctp (*)"])
    assert cluster.built == []


def test_short_lines_point_at_the_file(pytester: pytest.Pytester, project: Path, cluster: Cilium) -> None:
    done = pytester.runpytest_inprocess("scenarios/shop.yaml", "--tb=line", "-q")
    done.stdout.fnmatch_lines(["scenarios/shop.yaml:9: expected deny, observed allow"])
    done = pytester.runpytest_inprocess("scenarios/shop.yaml", "--tb=no", "-vv")
    done.stdout.fnmatch_lines(
        [
            "FAILED scenarios/shop.yaml::shop::expect::n/other->n/web:8080/TCP - "
            "scenarios/shop.yaml:9: expected deny, observed allow"
        ]
    )


def test_nothing_is_said_of_scenarios_that_pass(
    pytester: pytest.Pytester, project: Path, cluster: Cilium
) -> None:
    done = pytester.runpytest_inprocess("scenarios/fine.yaml")
    done.assert_outcomes(passed=2)
    done.stdout.no_fnmatch_line("*= netcheck =*")


def test_no_summary_when_none_is_wanted(pytester: pytest.Pytester, project: Path, cluster: Cilium) -> None:
    done = pytester.runpytest_inprocess("scenarios/shop.yaml", "--no-summary")
    done.stdout.no_fnmatch_line("*= netcheck =*")


def test_the_header_names_cluster_backend_and_versions(
    pytester: pytest.Pytester, project: Path, cluster: Cilium
) -> None:
    told = "netcheck: *, cluster lab (cilium, kubernetes, cilium 1.19.0)"
    pytester.runpytest_inprocess("scenarios/fine.yaml").stdout.fnmatch_lines([told])
    deep = project / "a" / "b" / "c"
    deep.mkdir(parents=True)
    (project / "scenarios" / "fine.yaml").rename(deep / "fine.yaml")
    done = pytester.runpytest_inprocess("a")
    done.stdout.fnmatch_lines(["collected 2 items", told])


def test_reports_that_cannot_be_written(pytester: pytest.Pytester, project: Path, cluster: Cilium) -> None:
    (project / "file").write_text("")
    done = pytester.runpytest_inprocess("scenarios/fine.yaml", "--netcheck-report=json:file/run.json")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["ERROR: --netcheck-report: cannot write the json report to file/run.json: *"])
    (project / "conftest.py").write_text(
        "import pathlib\n"
        "def pytest_runtest_teardown():\n"
        "    pathlib.Path('out/run.json').mkdir(exist_ok=True)\n"
    )
    done = pytester.runpytest_inprocess("scenarios/fine.yaml", "--netcheck-report=json:out/run.json")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stdout.fnmatch_lines(["netcheck: *cannot write the json report to out/run.json: *"])


def test_a_fault_of_netcheck_itself_asks_to_be_reported(
    pytester: pytest.Pytester, project: Path, monkeypatch: pytest.MonkeyPatch, cluster: Cilium
) -> None:
    def broken(scenario: object) -> None:
        raise ZeroDivisionError("one by nought")

    monkeypatch.setattr(cluster, "_on_open", broken)
    done = pytester.runpytest_inprocess("scenarios/fine.yaml")
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(
        ["*netcheck itself failed, sorry; this is a bug: ZeroDivisionError: one by nought*"]
    )
    assert "harness/" not in done.stdout.str()


def test_what_is_shown_survives_the_way_between_processes() -> None:
    from harness.source.place import Place

    lines = [(("ERROR", "error"), (" x", "")), ()]
    shown = Shown(lines, Place("a.yaml", 3), "a.yaml:3: why\x1b")
    back = Shown.back(shown.out())
    assert str(back) == str(shown) == "ERROR x\n"
    assert back.out() == shown.out()
    assert back.reprcrash.message == "a.yaml:3: why\\x1b"


def test_hostile_names_stay_text(pytester: pytest.Pytester, project: Path, cluster: Cilium) -> None:
    (project / "scenarios" / "x.yaml").write_text(
        "scenario: x\npods: {n/web: {listen: [80]}, n/a: {}}\nexpect:\n"
        '  - {from: n/a, http: {url: "http://n/web:80/[1]@::%1B?q=<b>&amp;"}, verdict: deny}\n'
    )
    done = pytester.runpytest_inprocess("scenarios/x.yaml", "--junitxml=p.xml")
    done.assert_outcomes(failed=1)
    assert "\x1b" not in done.stdout.str()
