"""Interfaces get ready in the background; a world is built when they are."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.lab

PAIRS = 60

BUILD = f"""
import json, subprocess, sys
from harness.clusters.lab import kernel
from harness.clusters.lab.keeper import Keeper

kernel.leave_host()
keeper = Keeper([])
found = []
for number in range({PAIRS}):
    one, other = f"one{{number}}", f"other{{number}}"
    answer = keeper.build([
        ["namespace", one],
        ["namespace", other],
        ["veth", one, "x", 10, "02:00:00:00:00:01", other, "y", 2, "02:00:00:00:00:02"],
    ])
    assert answer == {{"op": "built"}}, answer
    for place in (one, other):
        keeper._places.enter(place)
        # A list of all: to ask for a single one would make the kernel get it ready.
        links = json.loads(subprocess.check_output(["ip", "-j", "link"]))
        found += [link["operstate"] for link in links if link["link_type"] == "ether"]
json.dump(found, sys.stdout)
"""


def test_every_interface_sends_when_the_world_is_built() -> None:
    """Until then the kernel throws packets away, which on a busy machine took longer than a probe waits."""
    done = subprocess.run([sys.executable, "-c", BUILD], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["UP"] * (2 * PAIRS)
