"""Sends the probes of a sweep and gathers everything that an observation needs."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.clusters.lab.addressing import Addressing
from harness.clusters.lab.enforce import TABLE, Compiled
from harness.clusters.lab.link import Processes
from harness.clusters.resolve import Proof, Resolved, Resolver, UnresolvedError, node_place
from harness.clusters.results import TOKEN, Outcomes, sample_outcome, undecided
from harness.engine.cluster import FlowRecord, Sample
from harness.model.outcome import Observation, Outcome, OutcomeKind
from harness.model.probe import Probe, TargetKind
from harness.model.rules import OPEN_POINTS
from harness.model.topology import Protocol, Topology

ATTEMPTS = 2
"""A denial is confirmed by one more attempt; answers are believed at once."""

CHUNK = 1000
"""Probes per line of a plan."""

AGAIN = 3
"""How often a probe is sent anew whose outcome says neither yes nor no, because the machine was too busy."""

PROOF_TIMEOUT = 2.0
"""Seconds in which a listener must answer from inside its own namespace, where nothing denies."""

FLOW_INTERVAL = 0.01
"""Seconds between two starts of a flow's probe."""

_MARGIN = 30.0


class Sweeper:
    """Talks to the probers and the listener of one lab."""

    def __init__(self, processes: Processes, nonce: str) -> None:
        self._probers = processes.probers
        self._listener = processes.listener
        self._keeper = processes.keeper
        self._numbers = itertools.count(1)
        self._turns: dict[str, int] = {}
        for prober in self._probers:
            prober.send({"op": "hello", "nonce": nonce})

    def sweep(
        self,
        probes: Sequence[Probe],
        timeout: float,
        topology: Topology,
        addressing: Addressing,
        compiled: Mapping[str, Compiled],
    ) -> tuple[Observation, ...]:
        """Send the probes; see `engine.cluster.World.sweep`."""
        resolved: dict[int, Resolved] = {}
        found: dict[int, Observation] = {}
        watched = {node: _watched(table, probes) for node, table in compiled.items()}
        self._forget_open(watched)
        number = next(self._numbers)
        self._begin(number, timeout, ATTEMPTS)
        specs: list[list[Any]] = []
        resolver = Resolver(topology, addressing)
        for index, probe in enumerate(probes):
            try:
                resolved[index] = resolver.resolve(probe)
            except (UnresolvedError, KeyError) as trouble:
                found[index] = Observation(Outcome(OutcomeKind.ERROR, f"no address: {trouble}"))
                continue
            specs.append([index, *resolved[index].spec])
            if len(specs) == CHUNK:
                # The first packets leave while the rest of the plan is still being made.
                self._plan(number, specs, last=False)
                specs = []
        self._plan(number, specs, last=True)
        results, receipts = self._gather(number, timeout)
        for _ in range(AGAIN):
            left = {index for index, result in results.items() if undecided(result, receipts.get(index, 0))}
            if not left:
                break
            number = next(self._numbers)
            self._begin(number, timeout, ATTEMPTS)
            self._plan(number, [[index, *resolved[index].spec] for index in left], last=True)
            again, arrived = self._gather(number, timeout)
            results.update(again)
            receipts.update({index: arrived.get(index, 0) for index in left})
        listening = self._prove(resolved, results)
        outcomes = Outcomes()
        for index, result in results.items():
            found[index] = outcomes.observation(
                result, receipts.get(index, 0), listening.get(index), resolved[index].servers
            )
        self._mark_open(probes, found, watched)
        return tuple(found[index] for index in range(len(probes)))

    def _gather(self, number: int, timeout: float) -> tuple[dict[int, list[Any]], dict[int, int]]:
        """Results of a sweep by index, and the receipts of the listeners."""
        results = {result[0]: result for result in self._results(timeout)}
        answer = self._listener.ask({"op": "receipts", "id": number})
        return results, {int(index): int(count) for index, count in answer["counts"]}

    def _begin(self, number: int, timeout: float, attempts: int) -> None:
        for prober in self._probers:
            prober.send({"op": "sweep", "id": number, "timeout": timeout, "attempts": attempts})

    def _plan(self, number: int, specs: list[list[Any]], *, last: bool) -> None:
        """Share a part of a plan among the probers; a source always has the same one."""
        shares: list[list[list[Any]]] = [[] for _ in self._probers]
        for spec in specs:
            turn = self._turns.setdefault(spec[1], len(self._turns))
            shares[turn % len(shares)].append(spec)
        for prober, share in zip(self._probers, shares, strict=True):
            if share or last:
                prober.send({"op": "probes", "id": number, "probes": share, "last": last})

    def _results(self, timeout: float) -> list[list[Any]]:
        results: list[list[Any]] = []
        for prober in self._probers:
            done = False
            while not done:
                answer = prober.receive(timeout + _MARGIN)
                results += answer["results"]
                done = answer["done"]
        return results

    def _prove(self, resolved: Mapping[int, Resolved], results: Mapping[int, list[Any]]) -> dict[int, bool]:
        """Ask every listener behind a probe that got no answer, from inside: a dead one makes no denial.

        Returns:
            Whether everything that must listen does, by index of the probe; probes that were answered, or
            that nothing can be proven of, are missing.
        """
        doubtful = [index for index, result in results.items() if not result[TOKEN]]
        proofs: dict[Proof, int] = {}
        for index in doubtful:
            for proof in resolved[index].proofs:
                proofs.setdefault(proof, len(proofs))
        if not proofs:
            return {}
        number = next(self._numbers)
        self._begin(number, PROOF_TIMEOUT, 1)
        self._plan(number, [proof.spec(index) for proof, index in proofs.items()], last=True)
        alive = {result[0]: bool(result[TOKEN]) for result in self._results(PROOF_TIMEOUT)}
        self._listener.ask({"op": "receipts", "id": number})
        living = {proof for proof, index in proofs.items() if alive[index]}
        return {
            index: living.issuperset(resolved[index].proofs) for index in doubtful if resolved[index].proofs
        }

    # -- open points -----------------------------------------------------------------------------------

    def _forget_open(self, watched: Mapping[str, Mapping[str, str]]) -> None:
        scripts = []
        for node, names in watched.items():
            if names:
                scripts.append(
                    [node_place(node), "\n".join(f"flush set inet {TABLE} {name}" for name in names)]
                )
        if scripts:
            self._keeper.ask({"op": "nft", "scripts": scripts})

    def _mark_open(
        self,
        probes: Sequence[Probe],
        found: dict[int, Observation],
        watched: Mapping[str, Mapping[str, str]],
    ) -> None:
        """Say of each cell whose packets passed or fell on an open point which one it was."""
        places = {node_place(node): names for node, names in watched.items() if names}
        if not places:
            return
        answer = self._keeper.ask({"op": "list", "places": list(places), "what": ["sets", "inet"]})
        flows: dict[tuple[str, ...], str] = {}
        for place, text in answer["rules"].items():
            for item in json.loads(text)["nftables"]:
                point = places[place].get(item.get("set", {}).get("name", ""))
                if point is None:
                    continue
                for element in item["set"].get("elem", ()):
                    flows[tuple(str(part) for part in _concatenated(element))] = point
        if not flows:
            return
        for index, observation in found.items():
            address, _, port = observation.source_address.rpartition(":")
            address = address.strip("[]")
            target = observation.destination.rpartition(":")[0].strip("[]")
            if probes[index].target.protocol is Protocol.ICMP:
                point = flows.get((address, target))
            else:
                point = next((flows[key] for key in flows if key[:2] == (address, port)), None)
            if point is not None:
                found[index] = replace(observation, open_point=OPEN_POINTS[point])

    # -- flows -----------------------------------------------------------------------------------------

    def start_flow(
        self,
        probes: Sequence[Probe],
        established: Sequence[Probe],
        timeout: float,
        topology: Topology,
        addressing: Addressing,
    ) -> tuple[int, float]:
        """Start flows; returns their number and how many seconds ago they began."""
        number = next(self._numbers)
        resolver = Resolver(topology, addressing)
        specs = [[index, *resolver.resolve(probe).spec] for index, probe in enumerate(probes)]
        offset = len(probes)
        held = [[offset + index, *resolver.resolve(probe).spec] for index, probe in enumerate(established)]
        prober = self._probers[0]
        prober.send(
            {
                "op": "flow",
                "id": number,
                "interval": FLOW_INTERVAL,
                "timeout": timeout,
                "probes": specs,
                "established": held,
            }
        )
        return number, float(prober.receive(timeout + _MARGIN)["elapsed"])

    def stop_flow(self, number: int, probes: int) -> tuple[FlowRecord, ...]:
        """End flows; the records of the probes, then those of the held connections."""
        prober = self._probers[0]
        prober.send({"op": "unflow", "id": number})
        answer = prober.receive(_MARGIN)
        samples: dict[int, list[Sample]] = {index: [] for index in range(probes)}
        for index, at, kind, detail, by, token, served_by in answer["samples"]:
            outcome = sample_outcome(kind, detail, by, token, served_by)
            samples[index].append(Sample(at, outcome))
        self._listener.ask({"op": "receipts", "id": number})
        records = [FlowRecord(tuple(sorted(items, key=lambda item: item.at))) for items in samples.values()]
        records += [FlowRecord((), before, after) for _, before, after in answer["established"]]
        return tuple(records)


def _watched(table: Compiled, probes: Sequence[Probe]) -> dict[str, str]:
    """The table's sets that any of the probes can have got into; asking nft for the others costs time."""
    kinds = {probe.target.kind for probe in probes}
    icmp = any(probe.target.protocol is Protocol.ICMP for probe in probes)
    translated = bool(kinds & {TargetKind.SERVICE, TargetKind.NODEPORT, TargetKind.HOST})
    possible = {"icmp": icmp, "own-service": translated, "nodeport-source": TargetKind.NODEPORT in kinds}
    return {name: point for name, point in table.open_sets.items() if possible.get(point, True)}


def _concatenated(element: Any) -> Sequence[Any]:
    if isinstance(element, dict) and "elem" in element:
        element = element["elem"]["val"]
    if isinstance(element, dict) and "concat" in element:
        return list(element["concat"])
    return [element]
