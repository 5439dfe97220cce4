"""The lab as a cluster; see `engine.cluster.Cluster`."""

from __future__ import annotations

import platform
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence

from harness.clusters.lab import kept
from harness.clusters.lab.link import Processes, nft_program
from harness.clusters.lab.svids import endpoint
from harness.clusters.lab.world import LabWorld
from harness.engine.cluster import Claims, ClusterError, Waits
from harness.model.identity import WORKLOAD_API
from harness.model.personality import GENERIC, Personality
from harness.model.result import Backend
from harness.model.scenario import Scenario

FEATURES = frozenset(
    {
        "ipv6",
        "external",
        "external-names",
        "dns",
        "nodeport",
        "headless",
        "host-network",
        "icmp",
        "node-probes",
        "admin",
        "calico-policies",
        "cilium-policies",
        "fqdn",
        "l7-dns",
        "l7-http",
        "mutual-auth",
        "node-selectors",
        "staged",
        "svid-files",
        "tiers",
    }
)

_FOREIGN: dict[str, dict[str, str]] = {
    "cilium": {"calico-policies": "Cilium enforces no policies of Calico's: leave `?as=cilium` out"},
    "calico": {"cilium-policies": "Calico enforces no policies of Cilium's: leave `?as=calico` out"},
}
"""What a lab that was asked for a personality does not enforce, with what to do."""


class LabCluster:
    """Network namespaces of this machine.

    Args:
        spec: What the user asked for, for the reports.
        personality: How points that the specification leaves open are read; None leaves that to the dialects
            of each scenario.
        keep: Leave every world standing for a look.

    Raises:
        ClusterError: This machine cannot hold a lab; the text says what would help.
    """

    left_behind: tuple[str, ...] = ()
    """Nothing: the kernel takes a lab down with its processes."""

    def __init__(self, spec: str = "lab", personality: Personality | None = None, keep: bool = False) -> None:
        self._keep = keep
        self._lock = threading.Lock()
        self._spare: Processes | None = Processes()
        foreign = _FOREIGN.get(personality.name, {}) if personality else {}
        self._workload_api, absent = endpoint()
        features = FEATURES | ({"sctp"} if has_sctp() else frozenset())
        if self._workload_api:
            features |= {WORKLOAD_API}
        self.backend = Backend(
            spec=spec,
            names=("lab", (personality or GENERIC).name),
            versions={
                "kernel": platform.release(),
                "nft": nft_version(),
                "python": platform.python_version(),
                "namespaces": self._spare.mode,
            },
            features=features - foreign.keys(),
            lacks={**foreign, **({WORKLOAD_API: absent} if absent else {})},
            personality=personality or GENERIC,
            adapts=personality is None,
        )

    def prepare(self, scenarios: Sequence[Scenario], run: str) -> None:
        """Each lab makes its own outside."""

    def claims(self, scenario: Scenario) -> Claims:
        """Nothing: every world is a network of its own."""
        return Claims()

    def open(self, scenario: Scenario, run: str, waits: Waits) -> LabWorld:
        """Build the scenario's world."""
        with self._lock:
            processes, self._spare = self._spare, None
        personality = self.backend.of(scenario).personality
        world = LabWorld(processes or Processes(), run, personality, self._workload_api)
        try:
            world.reshape(scenario.topology)
        except BaseException:
            world.close()
            raise
        if self._keep:
            return _KeptWorld(world, scenario.name, run)  # type: ignore[return-value]
        return world

    def interrupt(self) -> None:
        """Nobody is waited for."""

    def close(self) -> None:
        """End the processes that no scenario came to use."""
        with self._lock:
            spare, self._spare = self._spare, None
        if spare is not None:
            spare.close()


class _KeptWorld:
    """A world that stays when it is closed, until `netcheck cleanup`."""

    def __init__(self, world: LabWorld, scenario: str, run: str) -> None:
        self._world = world
        self._scenario = scenario
        self._run = run

    def __getattr__(self, name: str) -> object:
        return getattr(self._world, name)

    def close(self) -> None:
        try:
            places = self._world.detach()
            kept.remember(self._world.pid, self._scenario, self._run, places)
        except (ClusterError, OSError):
            self._world.close()


def nft_version() -> str:
    """Version of nft, or an empty string."""
    program = nft_program()
    if program is None:
        return ""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    match = re.search(r"v?(\d+(\.\d+)+)", done.stdout)
    return match.group(1) if match else ""


def has_sctp() -> bool:
    """Whether this kernel speaks SCTP."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132).close()
    except OSError:
        return False
    return True
