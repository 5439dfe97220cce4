"""Whose run an object belongs to, and whether that run is still alive.

A run marks its namespaces with the machine and the process that made them. On the same machine a process
that is gone is known to be gone; of another machine's run nothing is known but the age of what it made.
"""

from __future__ import annotations

import functools
import hashlib
import os
from pathlib import Path

OWNER = "netcheck.dev/owner"
"""Annotation of a run's namespaces: `MACHINE.PID.START`."""


@functools.cache
def machine() -> str:
    """This machine since its start, with the process numbers that count here; empty when it cannot say."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        space = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return ""
    return hashlib.sha256(f"{boot} {space}".encode()).hexdigest()[:16]


def mark() -> str:
    """What this process marks its namespaces with."""
    pid = os.getpid()
    return f"{machine()}.{pid}.{_start(pid)}"


def alive(owner: str) -> bool | None:
    """Whether the process that wrote a mark still runs; None when nothing is known of it."""
    where, _, process = owner.partition(".")
    pid, _, start = process.partition(".")
    if not where or where != machine() or not (pid.isdecimal() and start.isdecimal()):
        return None
    return _start(int(pid)) == start


def _start(pid: int) -> str:
    """When a process started, in ticks of the kernel; empty when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]
