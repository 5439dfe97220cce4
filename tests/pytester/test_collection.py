"""What is collected, under which names, and how it is selected; nothing is opened for that."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli import clusters
from harness.testing.nodes import node_name
from tests.pytester.conftest import Cilium

IDS = [
    "scenarios/fine.yaml::fine::first::n/client->n/web:8080/TCP",
    "scenarios/fine.yaml::fine::second::n/client->n/web:8080/TCP",
    "scenarios/gone.yaml::gone::only::n/client->n/web:8080/TCP",
    "scenarios/gone.yaml::gone::only::n/web->n/web:8080/TCP",
    "scenarios/gone.yaml::gone::only::n/client->n/web:8080/TCP~steady",
    "scenarios/gone.yaml::gone::only::n/web->n/web:8080/TCP~cut",
    "scenarios/gone.yaml::gone::only::n/web->n/web:8080/TCP~established",
    "scenarios/needy.yaml::needy::before::n/client->n/web:8080/TCP",
    "scenarios/needy.yaml::needy::after::n/client->n/web:8080/TCP",
    "scenarios/shop.yaml::shop::expect::n/client->n/web:8080/TCP",
    "scenarios/shop.yaml::shop::expect::n/other->n/web:8080/TCP",
    "scenarios/shop.yaml::shop::expect::n/other->n/web:9090/TCP",
    "scenarios/shop.yaml::shop::expect::n/client->n/web:9090/TCP",
    "scenarios/shop.yaml::shop::expect::n/client->n/web:8080/TCP GET /a%5B1%5D%40b%3A:c%255B",
]


def collected(pytester: pytest.Pytester, *args: str) -> list[str]:
    """Ids of what is collected."""
    done = pytester.runpytest_inprocess("--collect-only", "-q", "--strict-markers", *args)
    return [line for line in done.outlines if "::" in line]


def test_scenarios_are_collected_and_other_yaml_is_not(
    pytester: pytest.Pytester, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "open_cluster", lambda *_, **__: pytest.fail("a cluster was opened"))
    assert collected(pytester) == IDS
    assert len(set(IDS)) == len(IDS)
    assert not any(set("[]@") & set(item) for item in IDS)


def test_files_without_scenarios_are_no_tests(pytester: pytest.Pytester, project: Path) -> None:
    done = pytester.runpytest_inprocess("scenarios/other.yaml")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    assert "netcheck" not in "".join(line for line in done.outlines if not line.startswith("plugins:"))


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["-k", "second"], [IDS[1]]),
        (["-k", "shop and other and not 9090"], [IDS[10]]),
        (["-m", "slow"], IDS[7:9]),
        (["-m", "ingress and not ip-block"], IDS[:2]),
        (["--netcheck-tag", "!ingress", "--netcheck-tag=slow"], IDS[7:9]),
        ([IDS[13]], [IDS[13]]),
        (["scenarios/shop.yaml::shop"], IDS[9:]),
        (["scenarios/fine.yaml::fine::second", IDS[3]], [IDS[1], IDS[3]]),
        (["--deselect", "scenarios/shop.yaml", "--deselect", "scenarios/gone.yaml"], [*IDS[:2], *IDS[7:9]]),
    ],
)
def test_selections(pytester: pytest.Pytester, project: Path, args: list[str], expected: list[str]) -> None:
    assert collected(pytester, *args) == expected


@pytest.mark.parametrize(
    "texts", [["a[1]", "a%5B1%5D"], ["a::b", "a%3A:b"], ["x@y", "x%40y", "x%2540y"], ["é", "%C3%A9"]]
)
def test_names_stay_different_and_free_of_what_splits_them(texts: list[str]) -> None:
    names = [node_name(text) for text in texts]
    assert len(set(names)) == len(texts)
    assert not any(sign in name for name in names for sign in ("[", "]", "@", "::"))


def test_a_selected_cell_is_all_that_is_measured(
    pytester: pytest.Pytester, project: Path, cluster: Cilium
) -> None:
    done = pytester.runpytest_inprocess(IDS[1], "--netcheck-report=json:run.json")
    done.assert_outcomes(passed=1)
    assert cluster.built == ["fine"]
    (scenario,) = json.loads((project / "run.json").read_text())["scenarios"]
    assert [[cell["id"] for cell in step["cells"]] for step in scenario["steps"]] == [
        [],
        ["n/client->n/web:8080/TCP"],
    ]


def test_an_open_connection_is_measured_with_its_flow(
    pytester: pytest.Pytester, project: Path, cluster: Cilium
) -> None:
    done = pytester.runpytest_inprocess(IDS[6], "--netcheck-report=json:run.json")
    done.assert_outcomes(errors=1)
    (scenario,) = json.loads((project / "run.json").read_text())["scenarios"]
    (step,) = scenario["plan"]
    assert step["cells"] == []
    assert [cell["id"] for cell in step["transition"]["cut"]] == ["n/web->n/web:8080/TCP~cut"]


def test_failed_first_and_stepwise(pytester: pytest.Pytester, project: Path, cluster: Cilium) -> None:
    pytester.runpytest_inprocess("scenarios/shop.yaml", "scenarios/fine.yaml").assert_outcomes(
        passed=4, failed=1, errors=1, xfailed=1
    )
    cluster.built.clear()
    done = pytester.runpytest_inprocess("--lf", "scenarios/shop.yaml", "scenarios/fine.yaml", "-v")
    done.assert_outcomes(failed=1, errors=1, deselected=5)
    assert cluster.built == ["shop"]
    done = pytester.runpytest_inprocess("--sw", "scenarios/shop.yaml", "scenarios/fine.yaml")
    done.assert_outcomes(passed=1, failed=1)
    done = pytester.runpytest_inprocess("--sw", "scenarios/shop.yaml", "scenarios/fine.yaml")
    done.assert_outcomes(failed=1, deselected=1)


def test_stop_at_the_first_failure(pytester: pytest.Pytester, project: Path, cluster: Cilium) -> None:
    done = pytester.runpytest_inprocess(
        "-x", "--netcheck-jobs=1", "scenarios/shop.yaml", "scenarios/fine.yaml"
    )
    done.assert_outcomes(passed=1, failed=1)
    assert cluster.built == ["shop"]
    done.stdout.no_fnmatch_line("*interrupted*")


def test_tags_are_registered_as_marks(pytester: pytest.Pytester, project: Path, cluster: Cilium) -> None:
    done = pytester.runpytest_inprocess("--strict-markers", "-m", "slow or ip-block", "-q")
    done.assert_outcomes(passed=2, failed=1, errors=1, skipped=2, xfailed=1, deselected=7)


@pytest.mark.parametrize("tag", ["skip", "xfail", "skipif", "parametrize", "usefixtures", "filterwarnings"])
def test_a_tag_never_changes_a_result(
    pytester: pytest.Pytester, project: Path, cluster: Cilium, tag: str
) -> None:
    path = project / "scenarios" / "shop.yaml"
    path.write_text(path.read_text().replace("tags: [ingress", f"tags: [{tag}"))
    done = pytester.runpytest_inprocess("scenarios/shop.yaml", f"--netcheck-tag={tag}")
    done.assert_outcomes(passed=2, failed=1, errors=1, xfailed=1)


BAD = """\
scenario: bad
pods:
  n/web: {listn: [8080]}
  n/client: {}
expect:
  - {from: n/clint, to: "n/web:8080", verdict: allow}
"""


def test_a_bad_file_is_a_collection_error_with_its_diagnostics(
    pytester: pytest.Pytester, project: Path, snapshot: object
) -> None:
    (project / "scenarios" / "bad.yaml").write_text(BAD)
    done = pytester.runpytest_inprocess("--netcheck-cluster=lab")
    assert done.ret == pytest.ExitCode.INTERRUPTED
    done.assert_outcomes(errors=1)
    lines = done.outlines
    begin = next(number for number, line in enumerate(lines) if "ERRORS" in line)
    end = next(number for number, line in enumerate(lines) if "Interrupted" in line)
    assert "\n".join(lines[begin:end]) == snapshot
    assert "Traceback" not in "\n".join((*lines, *done.errlines))


def test_broken_yaml_is_one_too(pytester: pytest.Pytester, project: Path) -> None:
    (project / "scenarios" / "bad.yaml").write_text("scenario: bad\npods: {n/a: {listen: [80}\n")
    done = pytester.runpytest_inprocess("scenarios/bad.yaml")
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["scenarios/bad.yaml:2:*: error[[]yaml-syntax]: *"])
    done.stdout.no_fnmatch_line("*Traceback*")


def test_two_scenarios_of_one_name(pytester: pytest.Pytester, project: Path) -> None:
    """As for the command line: reports and selections tell scenarios apart by their names."""
    other = project / "scenarios" / "more"
    other.mkdir()
    (other / "copy.yaml").write_text((project / "scenarios" / "fine.yaml").read_text())
    done = pytester.runpytest_inprocess("scenarios")
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(['*error[[]duplicate-scenario]: there is another scenario "fine"*'])


def test_a_file_that_is_named_twice_is_read_once(
    pytester: pytest.Pytester, project: Path, cluster: Cilium
) -> None:
    done = pytester.runpytest_inprocess(IDS[0], "scenarios/fine.yaml::fine::second", "--keep-duplicates")
    done.assert_outcomes(passed=2)


def test_warnings_are_counted_as_the_command_line_counts_them(
    pytester: pytest.Pytester, project: Path, cluster: Cilium
) -> None:
    path = project / "scenarios" / "fine.yaml"
    path.write_text(
        path.read_text().replace(
            '"n/web:8080", verdict: allow}]\n  - name', '"n/web:81", verdict: allow}]\n  - name'
        )
    )
    done = pytester.runpytest_inprocess("scenarios/fine.yaml", "-W", "error")
    done.stdout.fnmatch_lines(["netcheck: 1 warning in 1 file: `netcheck lint` shows them"])


FIRST = ("harness", "harness.pytest_plugin", "harness.testing", "harness.testing.flags")
"""All that is loaded while there is no scenario."""

LIGHT = """
import sys
import pytest
before = set(sys.modules)
import harness.pytest_plugin
print(*sorted(name for name in set(sys.modules) - before))
"""


def python(*args: str, folder: Path, errors: bool = False) -> str:
    done = subprocess.run(
        [sys.executable, *args], capture_output=True, text=True, check=True, cwd=folder, timeout=120
    )
    return done.stderr if errors else done.stdout


def test_the_plugin_loads_nothing_until_there_is_a_scenario(tmp_path: Path) -> None:
    modules = python("-c", LIGHT, folder=tmp_path).split()
    assert modules == list(FIRST)
    (tmp_path / "other.yaml").write_text("kind: Namespace\n")
    (tmp_path / "test_plain.py").write_text(
        "import sys\n"
        "def test_plain():\n"
        "    heavy = ('click', 'yaml', 'pydantic', 'rich', 'kubernetes', 'harness.cli', 'harness.model')\n"
        "    assert not [name for name in heavy if name in sys.modules]\n"
    )
    said = python("-m", "pytest", "-q", "-p", "no:hypothesispytest", "-p", "no:syrupy", folder=tmp_path)
    assert said.startswith(".")


def test_importing_the_plugin_takes_less_than_5_ms(tmp_path: Path) -> None:
    """The best of several: what else the machine does is not the plugin's."""
    times = []
    for _ in range(8):
        lines = python(
            "-X", "importtime", "-c", "import pytest, harness.pytest_plugin", folder=tmp_path, errors=True
        ).splitlines()
        ours = [line.split("|") for line in lines if "harness" in line]
        assert ours
        times.append(sum(int(fields[0].rpartition(":")[2]) for fields in ours))
    assert min(times) < 5000


@pytest.mark.parametrize(
    "args", [["scenarios"], ["--netcheck-cluster=lab", "scenarios"]], ids=["plain", "with options"]
)
def test_collecting_loads_nothing_that_only_a_run_needs(project: Path, args: list[str]) -> None:
    (project / "conftest.py").write_text(
        "import sys\n"
        "def pytest_sessionfinish():\n"
        "    heavy = ('kubernetes', 'rich', 'jinja2', 'junit_xml')\n"
        "    print('heavy:', *[name for name in heavy if name in sys.modules])\n"
        "    loaders = {name: type(found.__spec__.loader).__name__ for name, found in sys.modules.items()\n"
        "               if name.split('.')[0] in ('harness', 'probes')}\n"
        "    print('rewritten:', *[name for name, kind in loaders.items() if 'Rewrit' in kind])\n"
    )
    said = python("-m", "pytest", "--collect-only", "-q", "-s", *args, folder=project)
    assert "heavy:\n" in said
    rewritten = next(line for line in said.splitlines() if line.startswith("rewritten:"))
    assert set(rewritten.split()[1:]) <= set(FIRST), "its asserts are none of a test"
    assert "14 tests collected" in said
