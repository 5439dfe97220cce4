"""Whether this machine can hold a lab, and what to do where it cannot."""

from __future__ import annotations

import os
import platform
import resource
import sys
from pathlib import Path

from harness.clusters.checks import Check
from harness.clusters.lab.cluster import has_sctp, nft_version
from harness.clusters.lab.kept import standing
from harness.clusters.lab.link import Processes, nft_program
from harness.engine.cluster import ClusterError

ENOUGH_FILES = 4096
"""Open files below which big sweeps need more than one turn."""


def check() -> list[Check]:
    """Look at everything that a lab needs; builds an empty one to be sure."""
    checks = [_platform(), _nft()]
    if all(item.ok for item in checks):
        checks += [_namespaces(), _ipv6()]
    checks += [_sctp(), _files(), _kept()]
    return checks


def _platform() -> Check:
    linux = sys.platform.startswith("linux")
    advice = "" if linux else "use a Linux machine, virtual machine or privileged container for the lab"
    return Check("Linux kernel", linux, f"{platform.system()} {platform.release()}", advice)


def _nft() -> Check:
    program = nft_program()
    if program is None:
        return Check("nft", False, "not found", "apt-get install nftables")
    return Check("nft", True, f"{program}, version {nft_version()}")


def _namespaces() -> Check:
    try:
        processes = Processes()
    except ClusterError as trouble:
        return Check("network namespaces", False, str(trouble), trouble.advice)
    mode = processes.mode
    processes.close()
    return Check("network namespaces", True, mode)


def _ipv6() -> Check:
    there = Path("/proc/sys/net/ipv6").is_dir()
    return Check("IPv6", there or None, "there" if there else "absent: dual-stack scenarios are skipped")


def _sctp() -> Check:
    there = has_sctp()
    detail = "there" if there else "absent in this kernel: scenarios that need it are skipped"
    return Check("SCTP", there or None, detail, "" if there else "modprobe sctp, where the module exists")


def _files() -> Check:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    detail = "unlimited" if hard == resource.RLIM_INFINITY else f"{hard} at most"
    enough = hard == resource.RLIM_INFINITY or hard >= ENOUGH_FILES
    return Check(
        "open files", enough, detail, "" if enough else f"raise the hard limit: ulimit -Hn {ENOUGH_FILES}"
    )


def _kept() -> Check:
    labs = standing()
    if not labs:
        return Check("kept labs", None, "none")
    first = labs[0]
    place = next((name for name in first.places if "/" in name), next(iter(first.places)))
    return Check(
        "kept labs",
        None,
        f"{len(labs)}, the first of scenario {first.scenario} (process {first.pid}, uid {os.geteuid()})",
        f"look into {place}: {first.enter(place)}; end them: netcheck cleanup",
    )
