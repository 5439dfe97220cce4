"""Sends the probes of a sweep and gathers everything that an observation needs."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from harness.clusters.authority import Authority
from harness.clusters.certificates import Wallet
from harness.clusters.lab.addressing import Addressing
from harness.clusters.lab.enforce import Compiled
from harness.clusters.lab.link import Processes
from harness.clusters.lab.open_points import OpenPoints
from harness.clusters.request_options import UnresolvedError
from harness.clusters.resolve import Proof, Resolved, Resolver
from harness.clusters.results import LOOKUP, TOKEN, Outcomes, undecided
from harness.clusters.tours import tour
from harness.model.outcome import Observation, Outcome, OutcomeKind
from harness.model.probe import Probe
from harness.model.topology import Topology

ATTEMPTS = 2
"""A denial is confirmed by one more attempt; answers are believed at once."""

CHUNK = 1000
"""Probes per line of a plan."""

AGAIN = 3
"""How often a probe is sent anew whose outcome says neither yes nor no, because the machine was too busy."""

OVERFLOW = "datagrams were lost at the destination, whose buffer was full: this machine is too busy"
"""Why a probe that may never have been read is no denial, if it stays so."""

PROOF_TIMEOUT = 2.0
"""Seconds in which a listener must answer from inside its own namespace, where nothing denies."""

_MARGIN = 30.0


class Sweeper:
    """Talks to the probers and the listener of one lab."""

    def __init__(self, processes: Processes, nonce: str, authority: Authority) -> None:
        self._probers = processes.probers
        self._listener = processes.listener
        self._keeper = processes.keeper
        self._numbers = itertools.count(1)
        self._turns: dict[str, int] = {}
        self._overflows: dict[str, int] = {}
        self._wallet = Wallet(authority)
        self._fates: dict[str, str] = {}
        for prober in self._probers:
            prober.send({"op": "hello", "nonce": nonce})

    def number(self) -> int:
        """A number that no other sweep or flow of this lab has."""
        return next(self._numbers)

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
        self._fates = {}
        points = OpenPoints(self._keeper, compiled, probes)
        number = self.number()
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
        results, receipts = self._gather(number, timeout, resolved)
        for _ in range(AGAIN):
            left = self._undecided(results, receipts, resolved)
            if not left:
                break
            again, arrived = self._send([[index, *resolved[index].spec] for index in left], timeout, resolved)
            results.update(again)
            receipts.update({index: arrived.get(index, 0) for index in left})
        else:
            for index in self._overflowed(results, receipts, resolved):
                results[index] = [index, "error", OVERFLOW, *results[index][3:]]
        for index, result in results.items():
            if resolved[index].spec[1] == "host" and result[LOOKUP]:
                resolved[index] = resolver.dialled(resolved[index], result[LOOKUP].split()[-1])
        splits = tour(resolved, results, receipts, partial(self._legs, timeout), AGAIN)
        listening = self._prove(resolved, results)
        outcomes = Outcomes()
        for index, result in results.items():
            found[index] = outcomes.observation(
                result,
                receipts.get(index, 0),
                listening.get(index),
                resolved[index].servers,
                self._fates,
                resolved[index].identity,
            )
        for index, split in splits.items():
            found[index] = replace(found[index], split=split)
        points.mark(found, resolved)
        return tuple(found[index] for index in range(len(probes)))

    def _send(
        self, specs: list[list[Any]], timeout: float, resolved: Mapping[int, Resolved]
    ) -> tuple[dict[int, list[Any]], dict[int, int]]:
        """Sweep over what the specs say; results and receipts by their numbers."""
        number = self.number()
        self._begin(number, timeout, ATTEMPTS)
        self._plan(number, specs, last=True)
        return self._gather(number, timeout, resolved)

    def _legs(
        self, timeout: float, specs: list[list[Any]], resolved: Mapping[int, Resolved]
    ) -> tuple[dict[int, list[Any]], dict[int, int], set[int]]:
        results, receipts = self._send(specs, timeout, resolved)
        return results, receipts, self._undecided(results, receipts, resolved)

    def _gather(
        self, number: int, timeout: float, resolved: Mapping[int, Resolved]
    ) -> tuple[dict[int, list[Any]], dict[int, int]]:
        """Results of a sweep by index, and how often the destination saw each probe."""
        results = {result[0]: result for result in self._results(timeout)}
        answer = self._listener.ask({"op": "receipts", "id": number})
        receipts = {int(index): int(count) for index, count in answer["counts"]}
        self._fates.update(answer["fates"])
        if answer["questions"]:
            asked = {tuple(key): int(count) for key, count in answer["questions"]}
            for index, result in results.items():
                if index not in receipts:
                    count = sum(asked.get(key, 0) for key in _questions(resolved[index], result))
                    if count:
                        receipts[index] = count
        return results, receipts

    def _undecided(
        self,
        results: Mapping[int, list[Any]],
        receipts: Mapping[int, int],
        resolved: Mapping[int, Resolved],
    ) -> set[int]:
        """Probes whose outcome says neither yes nor no, because the machine was too busy."""
        late = {index for index, result in results.items() if undecided(result, receipts.get(index, 0))}
        return late | self._overflowed(results, receipts, resolved)

    def _overflowed(
        self,
        results: Mapping[int, list[Any]],
        receipts: Mapping[int, int],
        resolved: Mapping[int, Resolved],
    ) -> set[int]:
        """Datagrams without an answer whose destination threw some away since it was last asked."""
        silent: dict[str, list[int]] = {}
        for index, result in results.items():
            if result[1] == "timeout" and not receipts.get(index) and resolved[index].spec[1] in _DATAGRAMS:
                for proof in resolved[index].proofs:
                    silent.setdefault(proof.place, []).append(index)
        if not silent:
            return set()
        counts = self._listener.ask({"op": "overflows", "places": list(silent)})["counts"]
        full = {place for place, count in counts.items() if count != self._overflows.get(place, 0)}
        self._overflows.update(counts)
        return {index for place in full for index in silent[place]}

    def _begin(self, number: int, timeout: float, attempts: int) -> None:
        for prober in self._probers:
            prober.send({"op": "sweep", "id": number, "timeout": timeout, "attempts": attempts})

    def _plan(self, number: int, specs: list[list[Any]], *, last: bool) -> None:
        """Share a part of a plan among the probers; a source always has the same one."""
        keys = self._wallet.lacking(specs)
        if keys is not None:
            for prober in self._probers:
                prober.send(keys)
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
        number = self.number()
        self._begin(number, PROOF_TIMEOUT, 1)
        self._plan(number, [proof.spec(index) for proof, index in proofs.items()], last=True)
        alive = {result[0]: bool(result[TOKEN]) for result in self._results(PROOF_TIMEOUT)}
        self._listener.ask({"op": "receipts", "id": number})
        living = {proof for proof, index in proofs.items() if alive[index]}
        return {
            index: living.issuperset(resolved[index].proofs) for index in doubtful if resolved[index].proofs
        }


_DATAGRAMS = ("udp", "dns", "host")


def _questions(resolved: Resolved, result: list[Any]) -> list[tuple[str, str, str, bool]]:
    """How the DNS knows the question of a probe (see `arrivals.Question`)."""
    options = resolved.spec[4]
    if "names" not in options or (resolved.spec[1] == "host" and result[LOOKUP]):
        return []
    address = result[9].rpartition(":")[0].strip("[]")
    tcp = bool(options.get("tcp"))
    return [(address, name.lower().rstrip("."), options["type"], tcp) for name in options["names"]]
