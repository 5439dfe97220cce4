"""Labs come and go: nothing is left behind, whatever ends them, and nothing gets out of them."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli.exits import ExitCode
from harness.clusters.lab import kept
from harness.clusters.lab.world import LabWorld
from harness.model.probe import Probe, Source, SourceKind, Target, TargetKind
from harness.model.topology import External, Family, Listener, Protocol, Topology
from harness.scenario import load
from tests.lab.apart import apart, careless, many_labs, one_lab
from tests.lab.labs import TWO_PODS, alive, children, measure, scenario, staying, to_pod, world

pytestmark = pytest.mark.lab

ROOT = Path(__file__).resolve().parents[2]
CLI = [sys.executable, "-P", "-m", "harness"]


def _environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", **more}


def test_many_labs_leave_nothing(tmp_path: Path) -> None:
    before, after, left = apart(many_labs, tmp_path)
    assert left == []
    assert after == before


def test_nothing_of_the_machine_changes(tmp_path: Path) -> None:
    before, during, after, works = apart(one_lab, tmp_path)
    assert works
    assert during == before
    assert after == before


def test_what_labs_could_leave_would_be_seen(tmp_path: Path) -> None:
    before, after = apart(careless, tmp_path)
    assert str(tmp_path / "left") in after["mounts"]
    assert str(tmp_path / "left") not in before["mounts"]
    assert set(after["interfaces"]) == {*before["interfaces"], "left", "left2"}


def test_no_packet_leaves_the_lab(tmp_path: Path) -> None:
    """Neither the machine's own services nor anything beyond it can be reached from a pod or a node."""
    wanted = scenario(TWO_PODS, tmp_path)
    outside = {"far": "192.0.2.77", "loop": "127.0.0.1"}
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        server.setblocking(False)
        with world(wanted) as built:
            places = [
                Source(SourceKind.POD, "shop/cli"),
                Source(SourceKind.NODE, "a"),
            ]
            probes = []
            for name, address in outside.items():
                # Known to the resolver only: no namespace stands for it.
                external = External(name, {Family.IPV4: address}, (Listener(port),))
                topology = built._topology
                built._topology = Topology(
                    topology.namespaces,
                    topology.pods,
                    topology.services,
                    {**topology.externals, name: external},
                )
                probes += [
                    Probe(place, Target(TargetKind.EXTERNAL, name, port, Protocol.TCP)) for place in places
                ]
            seen = built.sweep(probes, 0.3)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert [str(item.outcome) for item in seen if item.outcome.token] == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_master_that_is_killed_takes_its_lab_along(tmp_path: Path, number: int) -> None:
    (tmp_path / "case.yaml").write_text(TWO_PODS)
    script = (
        "import sys; from pathlib import Path; from harness.scenario import load\n"
        "from harness.clusters.lab.cluster import LabCluster\n"
        "(wanted,) = load([Path(sys.argv[1])]).scenarios\n"
        "world = LabCluster().open(wanted, 'tests', print); print(world.pid, flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", script, str(tmp_path / "case.yaml")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=_environment(),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    keeper = int(process.stdout.readline())
    pids = {keeper, *children(keeper)}
    assert len(pids) >= 3
    process.send_signal(number)
    process.wait()
    process.stdin.close()
    process.stdout.close()
    assert not staying(pids)


PHASES = {
    "build": "building the world",
    "control": "control sweep",
    "apply": "applying policies",
    "sweep": "probing",
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
@pytest.mark.parametrize("phase", PHASES)
def test_an_interruption_cleans_up_and_writes_the_reports(tmp_path: Path, phase: str, number: int) -> None:
    for index in range(4):
        text = TWO_PODS.replace("two-pods", f"two-pods-{index}")
        (tmp_path / f"case{index}.yaml").write_text(text)
    reports = f"junit:{tmp_path}/junit.xml,json:{tmp_path}/run.json"
    process = subprocess.Popen(
        [*CLI, "run", str(tmp_path), "-v", "-j", "1", "--report", reports],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=_environment(),
    )
    assert process.stderr is not None
    pids: set[int] = set()
    for line in process.stderr:
        if "two-pods-1" in line and PHASES[phase] in line:
            pids = children(process.pid)
            process.send_signal(number)
            break
    output, errors = process.communicate(timeout=30)
    assert process.returncode == ExitCode.INTERRUPTED, (output, errors)
    assert "Traceback" not in errors
    assert not staying(pids)
    assert "two-pods-0" in (tmp_path / "junit.xml").read_text()
    written = json.loads((tmp_path / "run.json").read_text())
    assert written["interrupted"] is True
    first = written["scenarios"][0]
    assert {cell["status"] for step in first["steps"] for cell in step["cells"]} == {"passed"}


def test_two_interruptions_end_it_at_once(tmp_path: Path) -> None:
    (tmp_path / "case.yaml").write_text(
        TWO_PODS.replace("scenario: two-pods", "scenario: two-pods\nsettings: {connectTimeout: 20s}")
    )
    process = subprocess.Popen(
        [*CLI, "run", "-v", str(tmp_path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=_environment(),
    )
    assert process.stderr is not None
    pids: set[int] = set()
    for line in process.stderr:
        if PHASES["sweep"] in line:
            pids = children(process.pid)
            process.send_signal(signal.SIGINT)
        if "interrupted" in line.lower() or "stopp" in line.lower():
            process.send_signal(signal.SIGINT)
            break
    assert process.wait(timeout=10) == 130
    process.stderr.close()
    assert not staying(pids)


def test_kept_labs_stand_until_cleanup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "case.yaml").write_text(TWO_PODS)
    environment = _environment(TMPDIR=str(tmp_path))
    done = subprocess.run(
        [*CLI, "run", str(tmp_path), "--keep"], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    monkeypatch.setattr(kept.tempfile, "tempdir", str(tmp_path))
    (lab,) = kept.standing()
    try:
        assert alive(lab.pid)
        assert {"shop/web", "shop/cli", "node:a", "node:b", "kube-system/kube-dns"} <= set(lab.places)
        if os.geteuid() == 0 and shutil.which("nsenter"):
            command = lab.enter("shop/web").removesuffix(" sh").split()
            inside = subprocess.run(
                [*command, "cat", "/proc/net/fib_trie"], capture_output=True, text=True, check=True
            )
            assert "10.244." in inside.stdout
    finally:
        pids = {lab.pid, *children(lab.pid)}
        cleaned = subprocess.run(
            [*CLI, "cleanup"], capture_output=True, text=True, env=environment, check=False
        )
    assert cleaned.returncode == 0
    assert "two-pods" in cleaned.stdout
    assert not staying(pids)
    assert kept.standing() == []


def _without_sys_admin() -> None:
    """Give up the right to make namespaces directly, as anybody but root has to do without it."""
    drop_from_bounding_set, sys_admin = 24, 21
    ctypes.CDLL(None).prctl(drop_from_bounding_set, sys_admin, 0, 0, 0)


def test_without_root_a_user_namespace_does(tmp_path: Path) -> None:
    (tmp_path / "case.yaml").write_text(TWO_PODS)
    command = [*CLI, "run", str(tmp_path), "--report", f"json:{tmp_path}/run.json"]
    preparation = _without_sys_admin if os.geteuid() == 0 else None
    done = subprocess.run(
        command, capture_output=True, text=True, env=_environment(), preexec_fn=preparation, check=False
    )
    if "does not let netcheck make network namespaces" in done.stderr:
        pytest.skip(f"this machine allows root only: {done.stderr.strip()}")
    assert done.returncode == 0, done.stdout + done.stderr
    versions = json.loads((tmp_path / "run.json").read_text())["backend"]["versions"]
    assert versions["namespaces"] == "made in a user namespace"


def test_labs_side_by_side_do_not_meet(tmp_path: Path) -> None:
    """Two worlds have the same addresses and know nothing of each other."""
    wanted = scenario(TWO_PODS, tmp_path)
    with world(wanted) as one, world(wanted) as other:
        _close(other)
        assert one.sweep([to_pod("shop/cli", "shop/web", 8080)], 0.5)[0].outcome.token
        assert not other.sweep([to_pod("shop/cli", "shop/web", 8080)], 0.5)[0].outcome.token


def _close(built: LabWorld) -> None:
    built._processes.listener.ask({"op": "close", "identities": ["shop/web"]})


def test_only_reports_and_tmpdir_are_written(tmp_path: Path) -> None:
    """A run leaves the scenarios' folder and the working directory as they were."""
    folder = tmp_path / "scenarios"
    folder.mkdir()
    (folder / "case.yaml").write_text(TWO_PODS)
    work = tmp_path / "work"
    work.mkdir()
    done = subprocess.run(
        [*CLI, "run", str(folder)], cwd=work, capture_output=True, text=True, env=_environment(), check=False
    )
    assert done.returncode == 0, done.stderr
    assert [item.name for item in folder.iterdir()] == ["case.yaml"]
    assert list(work.iterdir()) == []
    assert load([folder]).scenarios
    assert measure(load([folder]).scenarios[0]).scenarios[0].cells
