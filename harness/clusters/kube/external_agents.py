"""A world's externals: opened while its pods start, spoken to like pods, and found by their names."""

from __future__ import annotations

import select
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from harness.clusters.kube.fleet import MARGIN, Fleet
from harness.clusters.kube.outside import Externals, NoExternals, Outside
from harness.clusters.kube.streams import Stream
from harness.clusters.request_options import UnresolvedError
from harness.clusters.resolve import Proof, Resolved, external_place
from harness.engine.cluster import ClusterError
from harness.model.probe import Probe, SourceKind, TargetKind
from harness.model.topology import External, Topology

LOOKUP_SECONDS = 3.0
_LOOK = 0.3
_NUDGE = 10.0
"""Seconds after which the DNS is reminded of its new configuration."""

_KIND, _LOOKUP = 1, 6


class UnwitnessedError(UnresolvedError):
    """What the probe asks cannot be judged without an agent at its end."""


class ExternalAgents:
    """Used by the thread of the world alone."""

    def __init__(self, outside: Outside, world: str, run: str) -> None:
        self._outside = outside
        self._world = world
        self._run = run
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="externals")
        self._opening: Future[Externals] | None = None
        self._externals: Externals = NoExternals()
        self._ways: dict[str, str] = {}

    def begin(self, externals: Mapping[str, External]) -> None:
        """Have them made in the background."""
        if externals:
            self._opening = self._pool.submit(self._outside.open, self._world, self._run, externals)

    def join(self, fleet: Fleet, hub: str, dns: str) -> None:
        """Wait until they can be spoken to, and until their names lead to them.

        Args:
            fleet: Of the world.
            hub: The pod that asks for the names.
            dns: Address of the cluster's DNS.

        Raises:
            ClusterError: They cannot be had; UnsupportedError where this cluster has none.
        """
        if self._opening is None:
            return
        self._externals = self._opening.result()
        fleet.join({external_place(name): dial for name, dial in self._externals.dials.items()})
        self._await_names(fleet, hub, dns)

    @property
    def agents(self) -> frozenset[str]:
        """Names of the externals that an agent of netcheck's listens and sends on."""
        return frozenset(self._externals.dials)

    def adapted(self, probe: Probe, resolved: Resolved, topology: Topology, hub: str) -> Resolved:
        """The probe as it is sent to, or from, an external that has no agent; others stay as they are.

        A pod that no policy selects shows, after the sweep, that the address still answers.

        Raises:
            UnwitnessedError: It cannot be judged.
        """
        if probe.source.kind is SourceKind.EXTERNAL and probe.source.name not in self.agents:
            raise UnwitnessedError(f"{probe.source} has no agent of netcheck's that could send")
        name = _external(probe, topology)
        if name is None or name in self.agents:
            return resolved
        source, kind, address, port, options = resolved.spec
        carried = options["kind"] if kind == "host" else kind
        if carried not in ("tcp", "icmp"):
            raise UnwitnessedError(
                f"external {name} has no agent of netcheck's: whether {carried} arrives cannot be known there"
            )
        if kind == "host":
            there = topology.externals[name].addresses[probe.family]
            proof = Proof(hub, "connect", there, probe.target.port)
            spec = [source, kind, address, port, {**options, "kind": "connect"}]
            return Resolved(spec, (), (proof,))
        sent = "connect" if kind == "tcp" else kind
        return Resolved([source, sent, address, port, options], (), (Proof(hub, sent, address, port),))

    def learn(self, fleet: Fleet, ways: Mapping[str, str]) -> None:
        """Tell the agents which nodes lead to the addresses of pods, and of the nodes themselves.

        Raises:
            ClusterError: An agent cannot be told.
        """
        if not self.agents:
            return
        fresh = {address: node for address, node in ways.items() if self._ways.get(address) != node}
        self._ways.update(fresh)
        for name in self._externals.dials if fresh else ():
            lines = [
                [address, node, source]
                for source in self._externals.sources(name)
                for address, node in fresh.items()
                if (":" in address) == (":" in source) == (":" in node)
            ]

            def talk(stream: Stream, lines: list[list[str]] = lines) -> dict[str, Any]:
                stream.send({"op": "ways", "ways": lines})
                return stream.receive(MARGIN)

            fleet.ask(external_place(name), talk)

    def _await_names(self, fleet: Fleet, hub: str, dns: str) -> None:
        questions = [
            (name, "AAAA" if ":" in address else "A", address)
            for name, addresses in self._externals.names.items()
            for address in addresses
        ]
        deadline = time.monotonic() + self._externals.patience
        nudge = time.monotonic() + _NUDGE
        while questions:
            servers = self._externals.servers() or (dns,)
            asked = [(server, *question) for server in servers for question in questions]
            plan = [
                [index, hub, "dns", server, 53, {"names": [name], "type": kind}]
                for index, (server, name, kind, _) in enumerate(asked)
            ]
            answers = fleet.sweep({hub: plan}, fleet.number(), LOOKUP_SECONDS, 1)
            wrong = [
                (item, answers[index])
                for index, item in enumerate(asked)
                if answers[index][_LOOKUP].split() != [item[3]]
            ]
            if not wrong:
                return
            if time.monotonic() > deadline:
                (server, name, _, address), answer = wrong[0]
                said = answer[_LOOKUP] or answer[2] or answer[_KIND]
                raise ClusterError(
                    f"the cluster's DNS ({server}) does not say that {name} is {address}, but {said}",
                    self._externals.advice,
                )
            if time.monotonic() > nudge:
                self._externals.nudge()
                nudge = time.monotonic() + _NUDGE
            select.select([], [], [], _LOOK)

    def leave(self) -> None:
        """Let go of them; they stay."""
        self._pool.shutdown()

    def close(self) -> None:
        """Take them away.

        Raises:
            ClusterError: Something is left.
        """
        try:
            if self._opening is not None and self._opening.exception() is None:
                self._opening.result().close()
        finally:
            self._pool.shutdown()


def _external(probe: Probe, topology: Topology) -> str | None:
    """The external that a probe goes to, by address or by name."""
    if probe.target.kind is TargetKind.EXTERNAL:
        return probe.target.name
    if probe.target.kind is TargetKind.HOST:
        wanted = probe.target.name.rstrip(".").lower()
        for external in topology.externals.values():
            if wanted in (name.rstrip(".").lower() for name in external.names):
                return external.name
    return None
