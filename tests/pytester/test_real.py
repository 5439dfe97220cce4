"""The plugin with real packets: workers side by side, interruptions, the examples of the documentation."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli import cli
from tests.lab.conftest import _machine  # noqa: F401 - skips where there can be no lab
from tests.lab.labs import alive, children
from tests.pytester.real import COMMAND, MIXED, ROOT, environment, run
from tests.pytester.test_counts import cases

pytestmark = pytest.mark.lab


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two scenarios with the same namespaces."""
    for name in ("first", "second"):
        (tmp_path / f"{name}.yaml").write_text(MIXED.format(name=name))
    return tmp_path


def workers(text: str) -> dict[str, set[str]]:
    """Which workers ran cells of each scenario."""
    found: dict[str, set[str]] = {}
    for worker, scenario in re.findall(r"^\[(gw\d)\].*?\.yaml::(\w+)::", text, re.MULTILINE):
        found.setdefault(scenario, set()).add(worker)
    return found


def test_workers_keep_scenarios_together_and_agree_with_the_command_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = run(
        folder, "-v", "-n2", "--dist=loadscope", "--junitxml=p.xml", "--netcheck-report=json:run.json", code=1
    )
    found = workers(text)
    assert sorted(found) == ["first", "second"]
    assert all(len(item) == 1 for item in found.values())
    assert "2 failed, 6 passed, 2 errors" in text
    assert "ScatteredWarning" not in text
    assert "FAIL  first     5 cells" in text
    assert "FAIL  second    5 cells" in text
    counts = {"passed": 6, "failed": 2, "error": 2, "skipped": 0, "xfailed": 0}
    assert json.loads((folder / "run.json").read_text())["counts"] == counts
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(cli, ["run", ".", "--report", "junit:c.xml"])
    assert done.exit_code == 1
    assert cases(folder / "p.xml") == cases(folder / "c.xml")


def test_workers_without_scopes_are_warned_about(folder: Path) -> None:
    text = run(folder, "-n2", "-q", code=1)
    assert "2 failed, 6 passed, 1 warning, 2 errors" in text
    assert text.count("ScatteredWarning: the cells of a scenario are scattered over several workers") == 1


@pytest.mark.parametrize("dist", ["loadfile", "loadgroup"])
def test_other_ways_of_keeping_scenarios_together(folder: Path, dist: str) -> None:
    text = run(folder, "-v", "-n2", f"--dist={dist}", code=1)
    assert all(len(item) == 1 for item in workers(text).values())
    assert "2 failed, 6 passed, 2 errors" in text


def test_workers_do_not_share_a_cluster(folder: Path) -> None:
    text = run(folder, "-n2", "--dist=loadscope", "--netcheck-cluster=kubeconfig:nowhere", code=1)
    assert "2 errors, 8 not measured" in text
    assert "workers of pytest-xdist cannot share kubeconfig:nowhere: policies of one scenario" in text


def gone(pids: set[int], seconds: float = 15.0) -> set[int]:
    deadline = time.monotonic() + seconds
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    return {pid for pid in pids if alive(pid)}


@contextmanager
def started(folder: Path, *args: str) -> Iterator[subprocess.Popen[str]]:
    """A run that is looked at while it goes on."""
    process = subprocess.Popen(
        [*COMMAND, *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env={**environment(), "PYTHONUNBUFFERED": "1"},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until_the_second(process: subprocess.Popen[str]) -> tuple[str, set[int]]:
    """What it says until all of the first scenario is told; then the processes of the second one's lab."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if "first.yaml" in line and "[ 50%]" in line:
            break
    found: set[int] = set()
    deadline = time.monotonic() + 60
    while len(found) < 3 and time.monotonic() < deadline:
        found = children(process.pid)
    return "".join(lines), found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_an_interruption_takes_the_worlds_down(folder: Path, number: int) -> None:
    slow = (folder / "second.yaml").read_text().replace("300ms", "4s")
    (folder / "second.yaml").write_text(slow)
    with started(folder, "-v", "--netcheck-jobs=1", "--netcheck-report=json:run.json") as process:
        before, pids = until_the_second(process)
        process.send_signal(number)
        after, _ = process.communicate(timeout=60)
    text = before + after
    assert process.returncode == pytest.ExitCode.INTERRUPTED, text
    assert "stopping" in text
    assert pids
    assert not gone(pids)
    written = json.loads((folder / "run.json").read_text())
    assert written["interrupted"] is True
    first, *_ = written["scenarios"]
    assert first["name"] == "first"
    assert [len(step["cells"]) for step in first["steps"]] == [1, 4]


def test_two_interruptions_end_it_at_once(folder: Path) -> None:
    slow = (folder / "second.yaml").read_text().replace("300ms", "10m")
    (folder / "second.yaml").write_text(slow)
    with started(folder, "-v", "--netcheck-jobs=1") as process:
        _, pids = until_the_second(process)
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        assert any("stopping" in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130
    assert pids
    assert not gone(pids)


def blocks(language: str) -> dict[str, str]:
    """The files that the documentation shows, by path."""
    text = (ROOT / "docs" / "pytest.md").read_text()
    found = re.findall(rf"^```{language}\n# (\S+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return dict(found)


def test_the_examples_of_the_documentation(tmp_path: Path) -> None:
    files = {**blocks("python"), **blocks("yaml")}
    assert len(files) == 4
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert "8 passed" in run(tmp_path, "-q", code=0)


PERSONAL = """
from harness.testing.api import Netcheck

ALL_ADDRESSES = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "p", "namespace": "shop"},
    "spec": {
        "podSelector": {},
        "policyTypes": ["Egress"],
        "egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}],
    },
}


def test_world(netcheck: Netcheck) -> None:
    world = netcheck.lab(
        pods={"shop/web": {"listen": [8080]}, "shop/client": {}}, policies=ALL_ADDRESSES
    )
    found = world.probe("client", "web:8080")
    assert (found.verdict, found.predicted) == ("VERDICT", "PREDICTED")
    world.expect({"from": "client", "to": "web:8080", "verdict": {"default": "allow", "cilium": "drop"}})
    (cell,) = world.expect({"all": "oracle", "ports": [8080]})
    assert cell.result.expected == "EXPECTED"
"""


@pytest.mark.parametrize(
    ("cluster", "verdict", "predicted", "expected"),
    [
        ("lab", "allow", "undefined", "observe"),
        ("lab?as=cilium", "drop", "deny", "deny"),
        ("lab?as=calico", "allow", "allow", "allow"),
    ],
)
def test_worlds_have_the_personality_of_the_session(
    tmp_path: Path, cluster: str, verdict: str, predicted: str, expected: str
) -> None:
    words = {"VERDICT": verdict, "PREDICTED": predicted, "EXPECTED": expected}
    text = re.sub("|".join(words), lambda found: words[found[0]], PERSONAL)
    (tmp_path / "test_personal.py").write_text(text)
    assert "1 passed" in run(tmp_path, "-q", f"--netcheck-cluster={cluster}", code=0)
