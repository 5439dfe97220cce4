"""A machine of one's own: mounts and interfaces that nobody else on this machine can change meanwhile.

What stands here runs in a process with mount and network namespaces for itself alone. So whatever changes
there, labs have changed; and what labs would do to the machine, they do there: mounts spread from their own
mount namespaces to this one, as they would to the machine's.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.lab.labs import TWO_PODS, children, open_files, scenario, staying, to_pod, world

ROOT = Path(__file__).resolve().parents[2]
MACHINE = [
    "unshare",
    *(["--map-root-user"] if os.geteuid() else []),
    "--mount",
    "--net",
    "--propagation=private",
]
# Private from the machine, yet shared with those that come from here.
OWN = 'mount --make-rshared / && exec "$@"'


def apart(work: Callable[[Path], Any], folder: Path) -> Any:
    """What a function of this module says that it saw, in a process of its own."""
    program = f"import json; from pathlib import Path; from tests.lab.apart import {work.__name__} as work\n"
    program += f"print(json.dumps(work(Path({str(folder)!r}))))"
    done = subprocess.run(
        [*MACHINE, "sh", "-c", OWN, "sh", sys.executable, "-P", "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def machine() -> dict[str, Any]:
    """What labs could change of the machine that they run on."""
    return {
        "mounts": Path("/proc/self/mountinfo").read_text(),
        "interfaces": sorted(name for _, name in socket.if_nameindex()),
        "forwarding": Path("/proc/sys/net/ipv4/ip_forward").read_text(),
    }


def held() -> dict[str, Any]:
    """What of this process could hold a lab: nothing but a process, a descriptor or a mount does."""
    return {"files": open_files(), "children": sorted(children(os.getpid())), **machine()}


def many_labs(folder: Path) -> list[Any]:
    """Labs come and go: what is held before and after, and those of their processes that stay."""
    wanted = scenario(TWO_PODS, folder)
    with world(wanted):
        pass
    before = held()
    left: set[int] = set()
    for _ in range(40):
        with world(wanted) as built:
            pids = {built.pid, *children(built.pid)}
        left |= staying(pids)
    return [before, held(), sorted(left)]


def one_lab(folder: Path) -> list[Any]:
    """The machine before, while and after a lab stands; and whether it works."""
    before = machine()
    with world(scenario(TWO_PODS, folder)) as built:
        works = built.sweep([to_pod("shop/cli", "shop/web", 8080)], 0.5)[0].outcome.token
        during = machine()
    return [before, during, machine(), works]


def careless(folder: Path) -> list[Any]:
    """What a lab would leave that is not careful: a mount out of its own namespace, and an interface."""
    before = machine()
    (folder / "left").mkdir()
    subprocess.run(
        [
            "unshare",
            "--mount",
            "--propagation=unchanged",
            "mount",
            "-t",
            "tmpfs",
            "left",
            str(folder / "left"),
        ],
        check=True,
    )
    subprocess.run(["ip", "link", "add", "left", "type", "veth", "peer", "name", "left2"], check=True)
    return [before, machine()]
