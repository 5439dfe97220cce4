"""Flows in the lab: probes again and again while a change is made; see `engine.cluster.Flows`."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from harness.clusters.lab.addressing import Addressing
from harness.clusters.lab.link import Processes
from harness.clusters.lab.proxied import Proxied, overdue, stood_still
from harness.clusters.request_options import UnresolvedError
from harness.clusters.resolve import Resolver
from harness.clusters.results import sample_outcome
from harness.engine.cluster import ClusterError, FlowRecord, Sample
from harness.model.outcome import Outcome, OutcomeKind
from harness.model.probe import Probe
from harness.model.topology import Topology
from probes.flights import NO_ANSWER

INTERVAL = 0.01
"""Seconds between two starts of a flow's probe."""

_MARGIN = 30.0
_ROUND = 10
"""Attempts of a flow's round (see `probes.flows.Flow.token`); the last one asks a held connection again."""


class LabFlows:
    """Flows in the process of the first prober.

    Raises:
        ClusterError: A flow's source or destination has no address.
    """

    def __init__(
        self,
        processes: Processes,
        proxied: Proxied,
        number: int,
        probes: Sequence[Probe],
        established: Sequence[Probe],
        timeout: float,
        topology: Topology,
        addressing: Addressing,
    ) -> None:
        self._listener = processes.listener
        self._prober = processes.probers[0]
        self._proxied = proxied
        self._timeout = timeout
        self._number = number
        self._probes = len(probes)
        resolver = Resolver(topology, addressing)
        specs: list[list[Any]] = []
        for probe in (*probes, *established):
            try:
                specs.append([len(specs), *resolver.resolve(probe).spec])
            except (UnresolvedError, KeyError) as trouble:
                raise ClusterError(f"no address for the flow {probe.id}: {trouble}") from trouble
        self._listener.ask({"op": "follow", "id": number})
        self._prober.send(
            {
                "op": "flow",
                "id": number,
                "interval": INTERVAL,
                "timeout": timeout,
                "probes": specs[: len(probes)],
                "established": specs[len(probes) :],
            }
        )
        # The same clock as the prober's: it counts from the start of the machine.
        self._began = float(self._prober.receive(timeout + _MARGIN)["began"])

    def now(self) -> float:
        """See `engine.cluster.Flows`."""
        return time.monotonic() - self._began

    def stop(self) -> tuple[FlowRecord, ...]:
        """See `engine.cluster.Flows`."""
        self._prober.send({"op": "unflow", "id": self._number})
        answer = self._prober.receive(_MARGIN)
        # A probe that the proxy let wait says nothing, whether or not it was accepted.
        stood = self._proxied.check(self._began)
        if overdue(stood, self._timeout):
            raise stood_still(stood)
        arrived: defaultdict[int, set[int]] = defaultdict(set)
        for index, attempt in self._listener.ask({"op": "receipts", "id": self._number})["attempts"]:
            arrived[index].add(attempt)
        samples: dict[int, list[Sample]] = {index: [] for index in range(self._probes)}
        for index, at, kind, detail, by, token, served_by in answer["samples"]:
            samples[index].append(Sample(at, sample_outcome(kind, detail, by, token, served_by)))
        records = []
        for index, taken in samples.items():
            rounds = {attempt // _ROUND for attempt in arrived[index]}
            ordered = enumerate(sorted(taken, key=lambda item: item.at), start=1)
            records.append(FlowRecord(tuple(_in_time(item, turn in rounds) for turn, item in ordered)))
        for index, before, after in answer["established"]:
            asked = any(attempt % _ROUND == _ROUND - 1 for attempt in arrived[index])
            records.append(FlowRecord((), before, after if after is None else after or asked))
        return tuple(records)


def _in_time(sample: Sample, arrived: bool) -> Sample:
    """A sample that reached the listener has passed, even if a busy machine was late with the answer."""
    outcome = sample.outcome
    accepted = outcome.kind is OutcomeKind.ERROR and outcome.detail.startswith(NO_ANSWER)
    if accepted or (outcome.kind is OutcomeKind.TIMEOUT and arrived):
        return replace(sample, outcome=Outcome(OutcomeKind.CONNECTED, token=True))
    return sample
