"""What `netcheck doctor` says of kind clusters, with programs that are there, missing, old or silent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from harness.cli.machine import check_lines
from harness.clusters.kind.doctor import check
from harness.report.text import plain


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("KIND_EXPERIMENTAL_PROVIDER", raising=False)
    return folder


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A kernel with room for clusters."""
    folder = tmp_path / "proc"
    (folder / "sys/fs/inotify").mkdir(parents=True)
    kernel(folder, 1024, 524288, 8)
    return folder


def kernel(folder: Path, instances: int, watches: int, gigabytes: float) -> None:
    (folder / "sys/fs/inotify/max_user_instances").write_text(f"{instances}\n")
    (folder / "sys/fs/inotify/max_user_watches").write_text(f"{watches}\n")
    (folder / "meminfo").write_text(f"MemTotal: 1 kB\nMemAvailable: {int(gigabytes * (1 << 20))} kB\n")


def program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def engine(folder: Path, version: str, **info: Any) -> None:
    said = json.dumps({"CgroupVersion": "2", "DockerRootDir": "/nowhere", **info})
    program(
        folder,
        "docker",
        f"""case $1 in
version) echo '{{"Server": {{"Version": "{version}"}}}}' ;;
info) echo '{said}' ;;
esac""",
    )


def screen(proc: Path, *, needed: bool = True) -> str:
    return plain(check_lines(check(needed=needed, proc=proc)))


def test_everything_is_there(path: Path, proc: Path, snapshot: SnapshotAssertion) -> None:
    program(path, "kind", "echo kind v0.33.0 go1.26.8 linux/amd64")
    program(path, "helm", "echo v3.18.0")
    engine(path, "28.3.0")
    assert screen(proc) == snapshot


def test_nothing_is_there(path: Path, proc: Path, snapshot: SnapshotAssertion) -> None:
    assert screen(proc) == snapshot
    assert not any(item.ok is False for item in check(needed=False, proc=proc))
    assert any(item.ok is False for item in check(needed=True, proc=proc))


def test_everything_is_too_old_or_too_small(path: Path, proc: Path, snapshot: SnapshotAssertion) -> None:
    program(path, "kind", "echo kind v0.11.1 go1.16.4 linux/amd64")
    program(path, "helm", "echo v2.17.0")
    engine(path, "20.10.24", CgroupVersion="1")
    kernel(proc, 128, 8192, 1.5)
    assert screen(proc) == snapshot


def test_a_new_docker_on_an_old_kernel(path: Path, proc: Path, snapshot: SnapshotAssertion) -> None:
    program(path, "kind", "echo kind v0.33.0 go1.26.8 linux/amd64")
    program(path, "helm", "echo v3.18.0")
    engine(path, "29.1.0", CgroupVersion="1", DriverStatus=[["driver-type", "io.containerd.snapshotter.v1"]])
    assert screen(proc) == snapshot


def test_a_daemon_that_does_not_answer(path: Path, proc: Path, snapshot: SnapshotAssertion) -> None:
    program(path, "kind", "echo kind v0.33.0")
    program(path, "docker", "echo 'permission denied while trying to connect \x1b[2J' >&2; exit 1")
    assert screen(proc) == snapshot


def test_where_there_is_no_such_kernel_it_says_nothing_of_it(path: Path, tmp_path: Path) -> None:
    program(path, "kind", "echo kind v0.33.0")
    engine(path, "28.3.0")
    names = [item.name for item in check(needed=True, proc=tmp_path / "none")]
    assert names == ["kind", "docker", "cgroup", "helm"]


def test_engines_that_kind_does_not_know(path: Path, proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIND_EXPERIMENTAL_PROVIDER", "rocket")
    assert "FAIL  docker  KIND_EXPERIMENTAL_PROVIDER is 'rocket'" in screen(proc)
