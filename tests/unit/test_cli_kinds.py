"""From the command line to a kind cluster: options, waiting for it, letting go of it, showing it."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from harness.cli import cli, clusters
from harness.cli.cluster import describe
from harness.cli.clusters import Opening
from harness.cli.kinds import Request
from harness.cli.pods import PodSettings
from harness.clusters.kind.hold import Hold
from harness.clusters.kind.process import InterruptedCommandError
from harness.clusters.kind.shape import IpFamily, Shape, Wanted
from harness.clusters.kind.standing import Standing
from harness.engine.cluster import ClusterError
from tests.unit.fake_cluster import FakeCluster

SCENARIO = """
scenario: one
namespaces: {n: {}}
pods: {n/a: {}, n/b: {listen: [80]}}
expect: [{from: n/a, to: "n/b:80", verdict: allow}]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("NETCHECK_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.yaml").write_text(SCENARIO)
    return tmp_path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """What `run` asks of kind."""
    found: list[Request] = []

    def open_kind(spec: str, request: Request, **_: Any) -> FakeCluster:
        found.append(request)
        return FakeCluster()

    monkeypatch.setattr(clusters, "open_kind", open_kind)
    return found


def test_every_option_reaches_the_request(folder: Path, asked: list[Request]) -> None:
    options = {
        "--cni": "cilium@1.19.8",
        "--nodes": "2",
        "--k8s-version": "1.35.8",
        "--image-archive": "images.tar",
        "--ip-family": "dual",
        "--kind-config": "kind.yaml",
        "--cni-chart": "chart.tgz",
        "--cni-values": "values.yaml",
        "--cni-sha256": "ab",
    }
    line = [part for pair in options.items() for part in pair]
    result = CliRunner().invoke(
        cli, ["run", "one.yaml", "--cluster", "kind:x", *line, "--cni-trust-download"]
    )
    assert result.exit_code == 0, result.output
    assert asked == [
        Request(
            cni="cilium@1.19.8",
            nodes=2,
            kubernetes="1.35.8",
            archives=(Path("images.tar"),),
            ip_family="dual",
            config=Path("kind.yaml"),
            chart=Path("chart.tgz"),
            values=Path("values.yaml"),
            sha256=("ab",),
            trust=True,
        )
    ]


def test_files_and_variables_reach_it_too(folder: Path, asked: list[Request]) -> None:
    (folder / "netcheck.toml").write_text('cluster = "kind"\ncni = "calico"\nnodes = 4\n')
    result = CliRunner().invoke(cli, ["run", "one.yaml"], env={"NETCHECK_NODES": "5"})
    assert result.exit_code == 0, result.output
    assert asked == [Request(cni="calico", nodes=5)]


def test_no_cluster_is_made_for_files_that_are_wrong(folder: Path, asked: list[Request]) -> None:
    (folder / "one.yaml").write_text("scenario: one\nnope: 1\n")
    assert CliRunner().invoke(cli, ["run", "one.yaml", "--cluster", "kind"]).exit_code == 4
    assert asked == []


def test_shapes_in_a_file_are_no_matter_on_a_lab(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "netcheck.toml").write_text('cni = "calico"\n')
    monkeypatch.setattr(clusters, "open_cluster", lambda *_, **__: FakeCluster())
    assert CliRunner().invoke(cli, ["run", "one.yaml"]).exit_code == 0
    result = CliRunner().invoke(cli, ["run", "one.yaml", "--cni", "cilium"])
    assert result.exit_code == 4
    assert "add --cluster kind" in result.stderr


def test_a_request_as_a_shape(folder: Path) -> None:
    assert Request().wanted() == Wanted()
    assert Request(cni="cilium@1.19.8", nodes=2, ip_family="dual").wanted() == Wanted(
        cni="cilium", cni_version="1.19.8", nodes=2, ip_family=IpFamily.DUAL
    )
    (folder / "plugin.yaml").write_text("apiVersion: v1\nkind: Namespace\nmetadata: {name: x}\n")
    found = Request(cni="plugin.yaml").wanted()
    assert found.cni == "file"
    assert found.cni_source.startswith("manifest:")
    assert Request(cni="calico", command="install {name}").wanted().cni_source.startswith("command:")


def test_an_interrupted_run_waits_until_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    removed = threading.Event()

    def open_kind(spec: str, request: Request, *, stop: threading.Event, **_: Any) -> FakeCluster:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.wait(20)
        removed.set()
        raise InterruptedCommandError("interrupted", program="kind")

    monkeypatch.setattr(clusters, "open_kind", open_kind)
    opening = Opening("kind", keep=False, pods=PodSettings())
    with pytest.raises(KeyboardInterrupt):
        opening.wait()
    assert removed.is_set()


# -- the end -------------------------------------------------------------------------------------------


class FakeMaker:
    """Remembers what became of the cluster."""

    def __init__(self, trouble: bool = False) -> None:
        self.done: list[str] = []
        self._trouble = trouble

    def keep(self, name: str) -> None:
        self.done.append(f"keep {name}")

    def take_down(self, name: str) -> None:
        if self._trouble:
            raise ClusterError("docker does not answer")
        self.done.append(f"take down {name}")


class FakeUse:
    """A lock that others hold too, or not."""

    def __init__(self, *, busy: bool) -> None:
        self._busy = busy
        self.released = False

    def alone(self) -> bool:
        return not self._busy

    def release(self) -> None:
        self.released = True


@pytest.mark.parametrize(
    ("made", "keep", "busy", "trouble", "done", "said"),
    [
        (True, False, False, False, ["take down x"], "taking down kind cluster x"),
        (True, True, False, False, ["keep x"], "kept: kind cluster x"),
        (True, False, True, False, [], "another run uses it"),
        (True, False, False, True, [], "may be left over: docker does not answer"),
        (False, False, False, False, [], ""),
        (False, True, False, False, [], ""),
    ],
)
def test_how_a_run_lets_go(
    made: bool, keep: bool, busy: bool, trouble: bool, done: list[str], said: str
) -> None:
    maker, use, lines = FakeMaker(trouble), FakeUse(busy=busy), []  # type: ignore[var-annotated]
    Hold(maker, "x", use, made, keep, lines.append).end()  # type: ignore[arg-type]
    assert maker.done == done
    assert use.released
    assert said in "\n".join(lines)
    assert bool(said) is bool(lines)


# -- status --------------------------------------------------------------------------------------------

SHAPE = Shape("cilium", "1.19.8", "table", 3, "1.35.8", "", "ipv4", "")


def test_a_whole_cluster_is_described() -> None:
    text = describe(Standing("x", ("x-control-plane",), True, shape=SHAPE, answers=True), 2)
    assert text.splitlines() == [
        "x:",
        "  nodes      3, 2 ready",
        "  kubernetes 1.35.8",
        "  plugin     cilium 1.19.8, from table",
        "  family     ipv4",
        "  made for   you",
    ]


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"ours": False}, "not made by netcheck"),
        ({"running": False}, "its nodes do not run"),
        ({}, "half-made"),
        ({"finished": True}, "does not answer"),
    ],
)
def test_other_clusters_are_told(more: dict[str, Any], text: str) -> None:
    assert text in describe(Standing("x", ("x-control-plane",), **{"ours": True, **more}), 0)
