"""Whose run left an object, and whether it still lives."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from harness.clusters.kube import owners


def test_this_process_lives_and_another_machine_cannot_be_asked() -> None:
    mine = owners.mark()
    assert owners.alive(mine) is True
    assert owners.alive("0123456789abcdef." + mine.partition(".")[2]) is None
    assert owners.alive("") is None
    assert owners.alive("no mark at all") is None


def test_a_process_that_ended_is_dead_even_when_its_number_is_used_again() -> None:
    script = "from harness.clusters.kube import owners; print(owners.mark())"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    mark = done.stdout.strip()
    assert owners.alive(mark) is False
    where, _, _ = mark.partition(".")
    assert owners.alive(f"{where}.{os.getpid()}.1") is False
