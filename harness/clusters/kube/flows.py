"""Flows on a cluster: each source pod's agent runs its own, on one clock."""

from __future__ import annotations

import time
from typing import Any

from harness.clusters.kube.fleet import MARGIN, Fleet
from harness.clusters.kube.streams import Stream
from harness.clusters.results import sample_outcome
from harness.engine.cluster import FlowRecord, Sample

INTERVAL = 0.02
"""Seconds between two starts of a flow's probe."""


class KubeFlows:
    """See `engine.cluster.Flows`; times are this machine's, shifted by when each agent began."""

    def __init__(
        self, fleet: Fleet, probes: list[list[Any]], established: list[list[Any]], timeout: float
    ) -> None:
        self._fleet = fleet
        self._number = fleet.number()
        self._probes = len(probes)
        self._held = len(established)
        self._timeout = timeout
        self._offsets: dict[str, float] = {}
        self._began = time.monotonic()
        plan: dict[str, tuple[list[list[Any]], list[list[Any]]]] = {}
        for index, spec in enumerate(probes):
            plan.setdefault(spec[0], ([], []))[0].append([index, *spec])
        for index, spec in enumerate(established, len(probes)):
            plan.setdefault(spec[0], ([], []))[1].append([index, *spec])
        for pod, (mine, held) in plan.items():
            self._offsets[pod] = self._start(pod, mine, held)

    def _start(self, pod: str, probes: list[list[Any]], held: list[list[Any]]) -> float:
        def talk(stream: Stream) -> float:
            stream.send(
                {
                    "op": "flow",
                    "id": self._number,
                    "interval": INTERVAL,
                    "timeout": self._timeout,
                    "probes": probes,
                    "established": held,
                }
            )
            answer = stream.receive(self._timeout + MARGIN)
            return time.monotonic() - float(answer["elapsed"]) - self._began

        return self._fleet.ask(pod, talk)

    def now(self) -> float:
        """Seconds since the flows began."""
        return time.monotonic() - self._began

    def stop(self) -> tuple[FlowRecord, ...]:
        """End the flows; records of the probes, then of the held connections."""
        samples: dict[int, list[Sample]] = {index: [] for index in range(self._probes)}
        held: dict[int, tuple[bool, bool | None]] = {}

        def talk(stream: Stream) -> dict[str, Any]:
            stream.send({"op": "unflow", "id": self._number})
            return stream.receive(self._timeout + MARGIN)

        for pod, offset in self._offsets.items():
            answer = self._fleet.ask(pod, talk)
            for index, at, kind, detail, by, token, served_by in answer["samples"]:
                outcome = sample_outcome(kind, detail, by, token, served_by)
                samples[index].append(Sample(at + offset, outcome))
            held.update({index: (before, after) for index, before, after in answer["established"]})
        records = [FlowRecord(tuple(sorted(items, key=lambda item: item.at))) for items in samples.values()]
        records += [FlowRecord((), *held[index]) for index in range(self._probes, self._probes + self._held)]
        return tuple(records)
