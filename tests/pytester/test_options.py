"""`--netcheck-…` are the options of `netcheck run`: same names, values, sources, complaints."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from harness.cli.app import cli
from harness.testing import settings
from harness.testing.flags import FLAGS
from tests.pytester.conftest import Cilium

PYTEST_HAS_THEM = {"k", "fail_fast", "verbose", "quiet", "color"}
"""Options of `run` that pytest has itself: -k, -x, -v, -q, --color."""


def test_flags_are_those_of_the_definitions() -> None:
    assert settings.flags() == FLAGS, "write them again: python -m harness.testing.settings"


def test_all_options_of_run_are_there() -> None:
    run = {item.opts[-1].lstrip("-") for item in cli.commands["run"].params if isinstance(item, click.Option)}
    assert run - {"help"} == {name for name, *_ in FLAGS} | {
        item.opts[-1].lstrip("-") for item in cli.commands["run"].params if item.name in PYTEST_HAS_THEM
    }


def test_help_names_them(pytester: pytest.Pytester) -> None:
    done = pytester.runpytest_inprocess("--help")
    done.stdout.fnmatch_lines(["network policy scenarios (netcheck):", "*--netcheck-cluster=SPEC*"])
    done.stdout.fnmatch_lines(["*--netcheck-cni-trust-download*"])


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--netcheck-cluster=lba"], "unknown cluster 'lba'*"),
        (["--netcheck-cni=cilium"], "--netcheck-cni and its like are for kind clusters; *"),
        (["--netcheck-assume=scpt"], "Invalid value for '--netcheck-assume': *did you mean \"sctp\"?"),
        (["--netcheck-report=jsn:x"], "--netcheck-report: unknown report format 'jsn'*"),
        (["--netcheck-jobs=0"], "Invalid value for '--netcheck-jobs': *"),
        (["--netcheck-namespace-prefix=kube-x"], "Invalid value for '--netcheck-namespace-prefix': *"),
        (["--netcheck-pod-timeout=soon"], "Invalid value for '--netcheck-pod-timeout': *"),
        (["--netcheck-agent=both"], "Invalid value for '--netcheck-agent': *"),
    ],
)
def test_wrong_values_are_refused_before_anything_else(
    pytester: pytest.Pytester, project: Path, args: list[str], message: str
) -> None:
    done = pytester.runpytest_inprocess("scenarios", *args)
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines([f"ERROR: {message}"])
    assert "Traceback" not in done.stderr.str()


def test_a_prefix_that_makes_names_too_long(
    pytester: pytest.Pytester, project: Path, cluster: Cilium
) -> None:
    done = pytester.runpytest_inprocess("scenarios", f"--netcheck-namespace-prefix={'x' * 63}")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["ERROR: scenarios/fine.yaml:1: namespace n would be called x*"])
    assert cluster.built == []


@pytest.mark.parametrize("scenarios", ["scenarios", "a"], ids=["seen at once", "found later"])
def test_a_cluster_that_does_not_exist(pytester: pytest.Pytester, project: Path, scenarios: str) -> None:
    deep = project / "a" / "b" / "c"
    deep.mkdir(parents=True)
    (deep / "deep.yaml").write_text((project / "scenarios" / "fine.yaml").read_text())
    done = pytester.runpytest_inprocess(scenarios, "--netcheck-cluster=kubeconfig:nowhere")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["ERROR: *nowhere*"])


def read(words: list[str], folder: Path) -> settings.Settings:
    return settings.read(words, folder)


def test_command_line_then_environment_then_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netcheck.toml").write_text(
        'cluster = "context:file"\njobs = 2\ntag = ["slow"]\npaths = ["x"]\n'
    )
    found = read([], tmp_path)
    assert (found.place.cluster, found.jobs, found.tags) == ("context:file", 2, ("slow",))
    monkeypatch.setenv("NETCHECK_CLUSTER", "context:environment")
    assert read([], tmp_path).place.cluster == "context:environment"
    assert read(["--netcheck-cluster=context:typed"], tmp_path).place.cluster == "context:typed"


def test_a_broken_configuration_is_told_by_the_first_scenario_file(
    pytester: pytest.Pytester, project: Path
) -> None:
    (project / "netcheck.toml").write_text("clustre = 'lab'\n")
    done = pytester.runpytest_inprocess("scenarios")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["ERROR: *netcheck.toml:1: unknown key 'clustre'; did you mean \"cluster\"?*"])
    deep = project / "a" / "b" / "c"
    deep.mkdir(parents=True)
    (project / "scenarios").rename(deep / "scenarios")
    done = pytester.runpytest_inprocess("a")
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["*netcheck.toml:1: unknown key 'clustre'; did you mean \"cluster\"?*"])
    done.stdout.no_fnmatch_line("*Traceback*")
    (project / "test_plain.py").write_text("def test_plain(): pass\n")
    pytester.runpytest_inprocess("test_plain.py").assert_outcomes(passed=1)


def test_environment_and_file_reach_a_session(
    pytester: pytest.Pytester, project: Path, cluster: Cilium, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETCHECK_REPORT", "json:from-environment.json")
    (project / "pyproject.toml").write_text('[tool.netcheck]\ntag = ["ingress", "!ip-block"]\n')
    pytester.runpytest_inprocess("scenarios").assert_outcomes(passed=2)
    assert (project / "from-environment.json").exists()


def test_keep_is_refused_where_worlds_would_meet(
    pytester: pytest.Pytester, project: Path, cluster: Cilium
) -> None:
    done = pytester.runpytest_inprocess("scenarios", "--netcheck-cluster=context:x", "--netcheck-keep")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(
        ["ERROR: --netcheck-keep on context:x keeps one world, and 4 scenarios are selected*"]
    )
