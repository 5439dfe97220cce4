"""The lab without root: an ordinary user's namespaces carry the proxy, too."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.cli.exits import ExitCode
from tests.lab.shipped import ROOT as SCENARIOS

pytestmark = pytest.mark.lab

ROOT = SCENARIOS.parent
NOBODY = "65534"
NAMES = ["http-keep-alive", "http-egress", "dns-names", "fqdn", "server-names"]
COMMAND = [sys.executable, "-P", "-m", "harness", "run", "--report", "json:-", "--color", "never"]


def _first_closed(path: Path) -> Path | None:
    """The uppermost folder on the way to `path` that not everybody may enter."""
    ways = [item for item in reversed([path, *path.parents]) if not item.stat().st_mode & 0o001]
    return ways[0] if ways else None


def _opened(needed: Sequence[Path]) -> list[str]:
    """Shell lines that put what is needed where it is, for everybody; other mounts than one's own stay."""
    closed = {top for path in needed if (top := _first_closed(path)) is not None}
    inside = [path for path in needed if any(path.is_relative_to(top) for top in closed)]
    lines = ["mount -t tmpfs -o mode=755 none /mnt"]
    for number, path in enumerate(inside):
        lines += [f"mkdir /mnt/{number}", f"mount --bind {shlex.quote(str(path))} /mnt/{number}"]
    lines += [f"mount -t tmpfs -o mode=755 none {shlex.quote(str(top))}" for top in closed]
    for number, path in enumerate(inside):
        place = shlex.quote(str(path))
        lines += [f"mkdir -p {place}", f"mount --bind /mnt/{number} {place}"]
    return lines


def _as_nobody(command: Sequence[str]) -> list[str]:
    """The command as a user without any right, who can read the interpreter and this project."""
    if os.geteuid():
        return list(command)
    needed = list(dict.fromkeys([Path(sys.base_prefix).resolve(), Path(sys.prefix).resolve(), ROOT]))
    drop = ["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--inh-caps=-all"]
    script = ["set -e", *_opened(needed), f"cd {shlex.quote(str(ROOT))}"]
    script.append(f"exec {shlex.join([*drop, *command])}")
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", "\n".join(script)]


def test_proxied_scenarios_as_an_ordinary_user() -> None:
    files = [str(SCENARIOS / "cilium" / f"{name}.yaml") for name in NAMES]
    environment = {"PATH": os.environ["PATH"], "HOME": "/", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        _as_nobody([*COMMAND, *files]), cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if "does not let netcheck make network namespaces" in done.stderr:
        pytest.skip("this machine lets only root make network namespaces")
    assert done.returncode == ExitCode.OK, done.stderr + done.stdout
    told = json.loads(done.stdout)
    assert "user namespace" in told["backend"]["versions"]["namespaces"]
    found = {item["name"]: item for item in told["scenarios"]}
    assert sorted(found) == sorted(f"cilium-{name}" for name in NAMES)
    cells = [cell for item in told["scenarios"] for step in item["steps"] for cell in step["cells"]]
    assert {cell["status"] for cell in cells} == {"passed"}
    assert {"allow", "drop", "deny-http", "dns-refused", "tls-rejected"} <= {
        cell["verdict"] for cell in cells
    }
