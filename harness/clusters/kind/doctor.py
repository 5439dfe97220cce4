"""Whether this machine can make kind clusters, and what to do where it cannot."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.clusters.checks import Check
from harness.clusters.kind.commands import Docker, Helm, Kind, Program, Version
from harness.engine.cluster import ClusterError

WATCHES = 524288
INSTANCES = 512
"""What kind's list of known issues asks for: every node runs a systemd and a kubelet, which watch files."""

MEMORY = 3 << 30
"""Bytes that a cluster of three nodes with a plugin may take."""

DISK = 10 << 30
"""Bytes that node image, nodes and images may take."""

FIRST_WITHOUT_CGROUP_1 = Version(1, 35)
"""From here on the kubelet refuses a machine with cgroup v1 (semantics.md 2.1)."""

FIRST_KIND_WITH_IT = Version(0, 31)
"""The first kind whose own node image has that Kubernetes (semantics.md 2.1)."""

FIRST_NEW_STORE = Version(29, 0)
"""From here on Docker keeps images in containerd's store unless told otherwise (kind#3795)."""

Json = dict[str, Any]


def check(*, needed: bool, proc: Path = Path("/proc")) -> list[Check]:
    """Look at everything that a kind cluster needs.

    Args:
        needed: A run is set up to use one: what is missing is wrong then, not only worth knowing.
        proc: The kernel's file system.
    """
    checks = [_program("kind", Kind(), "kind clusters cannot be made")]
    try:
        docker = Docker()
    except ClusterError as trouble:
        checks.append(Check("docker", False, str(trouble), trouble.advice))
    else:
        checks.append(_program(docker.name, docker, "kind clusters cannot be made"))
        if checks[-1].ok:
            checks += _engine(docker, proc, kind=checks[0].ok is True)
    checks.append(
        replace(_program("helm", Helm(), "plugins that come as a chart cannot be installed"), ok=None)
    )
    if checks[-1].advice == "":
        checks[-1] = replace(checks[-1], ok=True)
    return checks if needed else [replace(item, ok=item.ok or None) for item in checks]


def _program(name: str, program: Program, without: str) -> Check:
    try:
        return Check(name, True, str(program.version))
    except ClusterError as trouble:
        return Check(name, False, f"{trouble}: {without}", trouble.advice)


def _engine(docker: Docker, proc: Path, *, kind: bool) -> list[Check]:
    try:
        info = docker.info()
    except ClusterError as trouble:
        return [Check(docker.name, False, str(trouble), trouble.advice)]
    found = [_inotify(proc), _cgroup(info, kind=kind), _store(docker, info), _memory(proc), _disk(info)]
    return [item for item in found if item is not None]


def _inotify(proc: Path) -> Check | None:
    names = {"max_user_instances": INSTANCES, "max_user_watches": WATCHES}
    found = {}
    for name in names:
        try:
            found[name] = int((proc / "sys/fs/inotify" / name).read_text())
        except (OSError, ValueError):
            return None
    detail = ", ".join(f"{name} {value}" for name, value in found.items())
    low = [f"fs.inotify.{name}={least}" for name, least in names.items() if found[name] < least]
    if low:
        return Check("inotify", False, f"{detail}: too few for three nodes", f"sysctl -w {' '.join(low)}")
    return Check("inotify", True, detail)


def _cgroup(info: Json, *, kind: bool) -> Check | None:
    version = str(info.get("CgroupVersion", ""))
    if not version:
        return None
    if version != "1":
        return Check("cgroup", True, f"v{version}")
    last = f"{FIRST_WITHOUT_CGROUP_1.major}.{FIRST_WITHOUT_CGROUP_1.minor - 1}"
    own = kind and Kind().version >= FIRST_KIND_WITH_IT
    detail = f"v1: Kubernetes up to {last} only" + (
        ", and this kind's own node image is newer" if own else ""
    )
    return Check(
        "cgroup",
        None,
        detail,
        f"name a node image of {last}: --k8s-version {last}.11; or boot with cgroup v2",
    )


def _store(docker: Docker, info: Json) -> Check | None:
    if docker.name != "docker" or docker.version < FIRST_NEW_STORE:
        return None
    status = info.get("DriverStatus") or []
    if not any("containerd.snapshotter" in str(part) for row in status for part in row):
        return None
    return Check(
        "image store",
        None,
        "containerd's: `kind load docker-image` fails for images of many platforms (kind#3795)",
        "netcheck saves the one platform that is there and loads that; by hand: docker save --platform, "
        "then kind load image-archive",
    )


def _memory(proc: Path) -> Check | None:
    try:
        lines = (proc / "meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, IndexError, StopIteration):
        return None
    detail = f"{free / (1 << 30):.1f} GiB available"
    if free < MEMORY:
        return Check(
            "memory", False, detail, "a cluster of three nodes takes up to 3 GiB: fewer, with --nodes"
        )
    return Check("memory", True, detail)


def _disk(info: Json) -> Check | None:
    root = str(info.get("DockerRootDir", ""))
    try:
        free = shutil.disk_usage(root).free
    except OSError:
        return None
    detail = f"{free / (1 << 30):.0f} GiB free at {root}"
    if free < DISK:
        return Check("disk", False, detail, "images and nodes take up to 10 GiB: docker system prune")
    return Check("disk", True, detail)
