"""Interfaces get ready in the background; a world is built when they are."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.lab

PAIRS = 60

BUILD = f"""
import json, struct, sys
from harness.clusters.lab import kernel
from harness.clusters.lab.keeper import Keeper

def states(netlink):
    # A list of all interfaces: to ask for a single one would make the kernel get it ready.
    netlink._sock.send(struct.pack("=IHHIIBBHiII", 32, 18, 0x301, 1, 0, 0, 0, 0, 0, 0, 0))
    found = {{}}
    while True:
        data, at = netlink._sock.recv(1 << 18), 0
        while at < len(data):
            size, kind = struct.unpack_from("=IH", data, at)
            if kind == 3:
                return found
            index, inner = struct.unpack_from("=i", data, at + 20)[0], at + 32
            while inner < at + size:
                length, attribute = struct.unpack_from("=HH", data, inner)
                if attribute == 16:
                    found[index] = data[inner + 4]
                inner += (length + 3) & ~3
            at += (size + 3) & ~3

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
    found += [states(keeper._netlink(one))[10], states(keeper._netlink(other))[2]]
json.dump(found, sys.stdout)
"""

UP = 6
"""IF_OPER_UP of RFC 2863."""


def test_every_interface_sends_when_the_world_is_built() -> None:
    """Until then the kernel throws packets away, which on a busy machine took longer than a probe waits."""
    done = subprocess.run([sys.executable, "-c", BUILD], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [UP] * (2 * PAIRS)
