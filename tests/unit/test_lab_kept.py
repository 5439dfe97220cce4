"""Labs that were kept: notes that nobody else can plant, processes that are still the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.clusters.lab import kept
from harness.clusters.lab.kept import Kept


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"netcheck-{os.geteuid()}"


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits until its input ends."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as made:
        yield made
        made.kill()


def test_a_kept_lab_is_found_again(folder: Path, process: subprocess.Popen[bytes]) -> None:
    kept.remember(process.pid, "shop", "ab12", {"n/a": 7})
    assert kept.standing() == [Kept(process.pid, "shop", "ab12", {"n/a": 7})]
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / f"{process.pid}.json").stat().st_mode & 0o777 == 0o600


def test_cleanup_ends_it(folder: Path, process: subprocess.Popen[bytes]) -> None:
    kept.remember(process.pid, "shop", "ab12", {})
    assert kept.cleanup() == [f"lab of scenario shop, run ab12 (process {process.pid})"]
    assert process.wait(10) == -signal.SIGKILL
    assert list(folder.iterdir()) == []
    assert kept.cleanup() == []


def test_a_lab_that_ended_is_forgotten(folder: Path, process: subprocess.Popen[bytes]) -> None:
    kept.remember(process.pid, "shop", "ab12", {})
    process.kill()
    process.wait(10)
    assert kept.standing() == []
    assert list(folder.iterdir()) == []


def test_another_process_with_the_same_id_is_left_alone(
    folder: Path, process: subprocess.Popen[bytes]
) -> None:
    kept.remember(process.pid, "shop", "ab12", {})
    file = folder / f"{process.pid}.json"
    note = json.loads(file.read_text())
    file.write_text(json.dumps({**note, "born": "1"}))
    assert kept.cleanup() == []
    assert process.poll() is None
    assert not file.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"pid": 1}', '{"pid": "x", "born": ""}'])
def test_what_is_no_note_is_thrown_away(folder: Path, text: str) -> None:
    folder.mkdir(mode=0o700)
    (folder / "1.json").write_text(text)
    (folder / "notes.txt").write_text("not ours")
    assert kept.standing() == []
    assert [item.name for item in folder.iterdir()] == ["notes.txt"]


def test_nothing_was_kept() -> None:
    assert kept.standing() == []
    assert kept.cleanup() == []


def test_a_folder_of_somebody_else_is_not_believed(
    folder: Path, process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.remember(process.pid, "shop", "ab12", {})
    owner = os.geteuid()
    monkeypatch.setattr(kept, "_folder", lambda: folder)
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert kept.standing() == []
    assert kept.cleanup() == []
    with pytest.raises(OSError, match="belongs to somebody else"):
        kept.remember(process.pid, "shop", "ab12", {})
    assert process.poll() is None
    assert (folder / f"{process.pid}.json").exists()


def test_a_link_in_place_of_the_folder_is_not_followed(
    folder: Path, tmp_path: Path, process: subprocess.Popen[bytes]
) -> None:
    target = tmp_path / "precious"
    target.mkdir()
    (target / "package.json").write_text("{}")
    folder.symlink_to(target)
    assert kept.standing() == []
    assert kept.cleanup() == []
    with pytest.raises(OSError, match="belongs to somebody else"):
        kept.remember(process.pid, "shop", "ab12", {})
    assert [item.name for item in target.iterdir()] == ["package.json"]


def test_the_shell_command(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Kept(42, "shop", "ab12", {"n/a": 7})
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert lab.enter("n/a") == "nsenter --net=/proc/42/fd/7 sh"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert lab.enter("n/a") == "nsenter -t 42 -U --preserve-credentials --net=/proc/42/fd/7 sh"
