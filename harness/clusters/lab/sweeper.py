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
from harness.clusters.lab.resolve import Proof, Resolved, UnresolvedError, resolve
from harness.clusters.lab.wiring import node_place
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
        for index, probe in enumerate(probes):
            try:
                resolved[index] = resolve(probe, topology, addressing)
            except (UnresolvedError, KeyError) as trouble:
                found[index] = Observation(Outcome(OutcomeKind.ERROR, f"no address: {trouble}"))
                continue
            specs.append([index, *resolved[index].spec])
            if len(specs) == CHUNK:
                # The first packets leave while the rest of the plan is still being made.
                self._plan(number, specs, last=False)
                specs = []
        self._plan(number, specs, last=True)
        seen = self._gather(number, resolved, timeout)
        found.update(seen)
        for _ in range(AGAIN):
            left = [index for index in seen if _undecided(seen[index])]
            if not left:
                break
            seen = self._once({index: resolved[index] for index in left}, timeout)
            found.update(seen)
        self._prove(resolved, found)
        self._mark_open(probes, found, watched)
        return tuple(found[index] for index in range(len(probes)))

    def _once(self, plan: Mapping[int, Resolved], timeout: float) -> dict[int, Observation]:
        if not plan:
            return {}
        number = next(self._numbers)
        self._begin(number, timeout, ATTEMPTS)
        self._plan(number, [[index, *item.spec] for index, item in plan.items()], last=True)
        return self._gather(number, plan, timeout)

    def _gather(self, number: int, plan: Mapping[int, Resolved], timeout: float) -> dict[int, Observation]:
        """Results of a sweep, with the receipts of the listeners."""
        results = self._results(timeout)
        answer = self._listener.ask({"op": "receipts", "id": number})
        receipts = {int(index): int(count) for index, count in answer["counts"]}
        return {
            result[0]: _observation(result, receipts.get(result[0], 0), plan[result[0]].servers)
            for result in results
        }

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

    def _prove(self, resolved: Mapping[int, Resolved], found: dict[int, Observation]) -> None:
        """Ask every listener behind a cell that did not connect, from inside: a dead one makes no denial."""
        doubtful = [index for index in resolved if not found[index].outcome.token]
        proofs: dict[Proof, int] = {}
        for index in doubtful:
            for proof in resolved[index].proofs:
                proofs.setdefault(proof, len(proofs))
        if not proofs:
            return
        specs = [proof.spec(index) for proof, index in proofs.items()]
        number = next(self._numbers)
        self._begin(number, PROOF_TIMEOUT, 1)
        self._plan(number, specs, last=True)
        results = self._results(PROOF_TIMEOUT)
        self._listener.ask({"op": "receipts", "id": number})
        alive = {result[0]: bool(result[4]) for result in results}
        for index in doubtful:
            needed = resolved[index].proofs
            if needed:
                listening = all(alive[proofs[proof]] for proof in needed)
                found[index] = replace(found[index], listening=listening)

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
        specs = [[index, *resolve(probe, topology, addressing).spec] for index, probe in enumerate(probes)]
        offset = len(probes)
        held = [
            [offset + index, *resolve(probe, topology, addressing).spec]
            for index, probe in enumerate(established)
        ]
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
            outcome = Outcome(OutcomeKind(kind), detail, by, token, served_by)
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


_OUTCOMES = {kind.value: kind for kind in OutcomeKind}


def _observation(result: list[Any], receipts: int, servers: tuple[str, ...]) -> Observation:
    _, kind, detail, by, token, served_by, lookup, attempts, seconds, local, remote = result
    return Observation(
        Outcome(_OUTCOMES[kind], detail, by, token, served_by, lookup),
        receipts=receipts,
        attempts=attempts,
        seconds=seconds,
        expected_servers=servers,
        source_address=local,
        destination=remote,
    )


def _undecided(observation: Observation) -> bool:
    """Arrived, but the answer came too late: a busy machine, not a verdict."""
    outcome = observation.outcome
    if outcome.token:
        return False
    if outcome.kind is OutcomeKind.TIMEOUT and observation.receipts:
        return True
    return outcome.kind is OutcomeKind.ERROR and outcome.detail.startswith("connected, but no answer")


def _concatenated(element: Any) -> Sequence[Any]:
    if isinstance(element, dict) and "elem" in element:
        element = element["elem"]["val"]
    if isinstance(element, dict) and "concat" in element:
        return list(element["concat"])
    return [element]
