"""Sends the probes of a sweep through the agents and gathers everything that an observation needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from harness.clusters.certificates import guards_of, strict
from harness.clusters.kube.addresses import Addresses
from harness.clusters.kube.draws import SECONDS, draw
from harness.clusters.kube.external_agents import ExternalAgents, UnwitnessedError
from harness.clusters.kube.fleet import Arrived, Fleet
from harness.clusters.kube.fleet_svids import KubeSvids
from harness.clusters.kube.svids import WorkloadApi
from harness.clusters.request_options import UnresolvedError
from harness.clusters.resolve import Proof, Resolved, Resolver
from harness.clusters.results import KIND, LOOKUP, TOKEN, Outcomes, undecided
from harness.clusters.tours import Results, tour
from harness.model.builtin import CLUSTER_DOMAIN, DNS_POD
from harness.model.outcome import Observation, Outcome, OutcomeKind
from harness.model.probe import Probe, TargetKind, TlsRequest
from harness.model.topology import Protocol, Topology

ATTEMPTS = 2
"""Per probe: the first SYN is repeated after one second (semantics.md 1.7)."""

AGAIN = 3
"""How often a probe is sent anew whose outcome says neither yes nor no."""

PROOF_SECONDS = 3.0
DNS_PORT = 53
NO_AGENT = (
    "{} has no agent of netcheck's on a cluster: "
    "only questions to port 53, over UDP or TCP, can be judged there"
)
DOUBT = "no answer, but maybe the service does not lead to its pods yet: {}"
OVERFLOW = "datagrams were lost at the destination, whose buffer was full: the node is too busy"


class Sweeper:
    """Of one world; see `engine.cluster.World.sweep`.

    Attributes:
        doubt: Why services may not lead to their pods yet; empty when they are known to.
    """

    doubt = ""

    def __init__(
        self,
        fleet: Fleet,
        addresses: Addresses,
        externals: ExternalAgents,
        hub: str,
        workload_api: WorkloadApi | None = None,
    ) -> None:
        self._fleet = fleet
        self._svids = KubeSvids(fleet, workload_api or WorkloadApi())
        self._addresses = addresses
        self._externals = externals
        self._hub = hub
        self._fates: dict[str, str] = {}

    def sweep(self, topology: Topology, probes: Sequence[Probe], timeout: float) -> tuple[Observation, ...]:
        """Send all probes side by side; one observation per probe, in order."""
        resolver = Resolver(topology, self._addresses)
        resolved: dict[int, Resolved] = {}
        found: dict[int, Observation] = {}
        for index, probe in enumerate(probes):
            try:
                resolved[index] = self.resolve(resolver, topology, probe)
            except UnwitnessedError as trouble:
                found[index] = Observation(Outcome(OutcomeKind.ERROR, str(trouble)))
            except (UnresolvedError, KeyError) as trouble:
                found[index] = Observation(Outcome(OutcomeKind.ERROR, f"no address: {trouble}"))
        results: Results = {}
        receipts: dict[int, int] = {}
        self._fates = {}
        self._certify(topology, probes)
        left = set(resolved)
        lost: set[int] = set()
        for _ in range(AGAIN):
            specs = [[index, *resolved[index].spec] for index in sorted(left)]
            again, counts, left, lost = self._send(specs, resolved, timeout, ATTEMPTS, resolver)
            results.update(again)
            receipts.update(counts)
            if not left:
                break
        for index in lost:
            results[index] = _failed(results[index], OVERFLOW)
        splits = self._meet_all(resolved, results, receipts, timeout)
        if self.doubt:
            for index, result in results.items():
                behind = probes[index].target.kind in (TargetKind.SERVICE, TargetKind.NODEPORT)
                denied = result[KIND] != "error" and not result[TOKEN]
                if behind and (denied or index in splits):
                    results[index] = _failed(result, DOUBT.format(self.doubt))
                    splits.pop(index, None)
        listening = self._prove(resolved, results)
        outcomes = Outcomes()
        for index, result in results.items():
            seen = outcomes.observation(
                result,
                receipts.get(index, 0),
                listening.get(index),
                resolved[index].servers,
                self._fates,
                resolved[index].identity,
            )
            found[index] = replace(
                seen, unwitnessed=_unwitnessed(resolved[index]), split=splits.get(index, "")
            )
        whole = [found[index] for index in range(len(probes))]
        return self._svids.checked(probes, whole, topology)

    def _certify(self, topology: Topology, probes: Sequence[Probe]) -> None:
        """Have every listener guard its ports; worlds without TLS have nothing to guard."""
        speaks = any(isinstance(probe.request, TlsRequest) for probe in probes)
        if speaks or any(strict(pod) for pod in topology.pods.values()):
            self._svids.renew(topology.pods)
            missing, sources = self._svids.missing, self._fleet.sources
            self._fleet.certify(guards_of(topology, self._fleet.authority, missing, sources))

    # -- from probes to packets ------------------------------------------------------------------------

    def resolve(self, resolver: Resolver, topology: Topology, probe: Probe) -> Resolved:
        """As the resolver says, but the cluster's own DNS answers questions, not tokens.

        Raises:
            UnresolvedError: The probe has no address to go to, or what it asks cannot be judged.
        """
        dns = (self._dns_proof(),) if self._addresses.dns else ()
        if probe.target.name == DNS_POD and probe.target.kind in (TargetKind.POD, TargetKind.SERVICE):
            asks = probe.target.protocol in (Protocol.UDP, Protocol.TCP) and probe.request is None
            if probe.target.port != DNS_PORT or not asks:
                raise UnresolvedError(NO_AGENT.format(probe.target))
            if not dns:
                raise UnresolvedError(f"the cluster's DNS has no {probe.family} address")
            options = {
                "names": [f"kubernetes.default.svc.{CLUSTER_DOMAIN}"],
                "type": "A",
                "tcp": probe.target.protocol is Protocol.TCP,
            }
            return Resolved([str(probe.source), "dns", self._addresses.dns[0], DNS_PORT, options], (), dns)
        found = self._externals.adapted(probe, resolver.resolve(probe), topology, self._hub)
        if found.spec[1] in ("dns", "host"):
            own = tuple(proof for proof in found.proofs if proof.place != DNS_POD)
            return replace(found, proofs=dns + own)
        return found

    def _dns_proof(self) -> Proof:
        names = (f"kubernetes.default.svc.{CLUSTER_DOMAIN}",)
        options: tuple[tuple[str, Any], ...] = (("names", names), ("type", "A"))
        return Proof(self._hub, "dns", self._addresses.dns[0], DNS_PORT, options)

    def _send(
        self,
        specs: list[list[Any]],
        resolved: dict[int, Resolved],
        timeout: float,
        attempts: int,
        resolver: Resolver | None = None,
    ) -> tuple[Results, dict[int, int], set[int], set[int]]:
        """Send specs once and ask their destinations for receipts.

        Args:
            specs: What to send, each with its number in front.
            resolved: Probes by the same numbers; those of names learn whom the name led to.
            timeout: Seconds that a probe may take, all attempts together.
            attempts: How many they are.
            resolver: Knows whose addresses names lead to; None = no names are among them.

        Returns:
            Results and receipts by number; which of them say neither yes nor no, and which of these may have
            been thrown away by the destination's kernel.
        """
        number = self._fleet.number()
        results = self._fleet.sweep(by_source(specs), number, timeout, attempts)
        for index, result in results.items():
            if resolver is not None and resolved[index].spec[1] == "host" and result[LOOKUP]:
                # Only now it is known whose receipts and listener count.
                resolved[index] = resolver.dialled(resolved[index], result[LOOKUP].split()[-1])
        servers = {server for index in results for server in resolved[index].servers}
        arrived = self._fleet.receipts(servers, number)
        self._fates.update(arrived.fates)
        receipts = {index: arrived.counts.get(index, 0) for index in results}
        late = {index for index, result in results.items() if undecided(result, receipts[index])}
        lost = {index for index, result in results.items() if _overflowed(resolved[index], result, arrived)}
        for index, result in results.items():
            unknown = _why_unknown(resolved[index], arrived)
            if unknown:
                results[index] = _failed(result, unknown)
        return results, receipts, late | lost, lost

    def _meet_all(
        self, resolved: dict[int, Resolved], results: Results, receipts: dict[int, int], timeout: float
    ) -> dict[int, str]:
        """Meet every pod behind the services; how the answers differ from pod to pod, by index."""
        direct: dict[int, Resolved] = {}
        drawn: dict[int, Resolved] = {}
        for index in results:
            if resolved[index].tour:
                (drawn if resolved[index].one_address else direct)[index] = resolved[index]
        if not direct and not drawn:
            return {}

        def gather(
            timeout: float, attempts: int, specs: list[list[Any]], owners: Mapping[int, Resolved]
        ) -> tuple[Results, dict[int, int], set[int]]:
            # Names were looked up before: what is sent now goes to addresses.
            plain = {number: replace(owners[number], spec=[source, *rest]) for number, source, *rest in specs}
            found, counts, late, _ = self._send(specs, plain, timeout, attempts)
            return found, counts, late

        toured = {index: results[index] for index in direct}
        splits = tour(direct, toured, receipts, partial(gather, timeout, ATTEMPTS), AGAIN)
        results.update(toured)
        splits |= draw(drawn, results, receipts, partial(gather, min(SECONDS, timeout), 1))
        return splits

    # -- proofs ----------------------------------------------------------------------------------------

    def _prove(self, resolved: Mapping[int, Resolved], results: Results) -> dict[int, bool]:
        """Ask every listener behind a probe that got no answer, from inside its own pod."""
        doubtful = [index for index, result in results.items() if not result[TOKEN]]
        proofs: dict[Proof, int] = {}
        for index in doubtful:
            for proof in resolved[index].proofs:
                proofs.setdefault(proof, len(proofs))
        if not proofs:
            return {}
        if any(proof.place == self._hub for proof in proofs):
            self.need_hub()
        plan: dict[str, list[list[Any]]] = {}
        for proof, index in proofs.items():
            plan.setdefault(proof.place, []).append(proof.spec(index))
        answers = self._fleet.sweep(plan, self._fleet.number(), PROOF_SECONDS, 1)
        living = {proof for proof, index in proofs.items() if _answers(proof, answers[index])}
        return {
            index: living.issuperset(resolved[index].proofs) for index in doubtful if resolved[index].proofs
        }

    def need_hub(self) -> None:
        """Have a stream to the pod that no policy selects."""
        if not self._fleet.has(self._hub):
            self._fleet.connect([self._hub])


def by_source(specs: Iterable[list[Any]]) -> dict[str, list[list[Any]]]:
    """A plan for each source, of numbered specs."""
    plan: dict[str, list[list[Any]]] = {}
    for spec in specs:
        plan.setdefault(spec[1], []).append(spec)
    return plan


def _failed(result: list[Any], why: str) -> list[Any]:
    """The same result, but as an error."""
    return [result[0], "error", why, "", False, "", *result[LOOKUP:]]


def _answers(proof: Proof, result: list[Any]) -> bool:
    """Whether something listens: it gave the token back, or accepted a connection where there is no token."""
    return bool(result[TOKEN]) or (proof.kind == "connect" and result[KIND] == "connected")


def _unwitnessed(resolved: Resolved) -> bool:
    return any(proof.kind == "connect" for proof in resolved.proofs)


def _why_unknown(resolved: Resolved, arrived: Arrived) -> str:
    """Why nobody can say whether a probe arrived; empty when its destination can."""
    mute = [pod for pod in resolved.servers if pod in arrived.silent]
    return "; ".join(f"the receipts of {pod} cannot be had: {arrived.silent[pod]}" for pod in sorted(mute))


def _overflowed(resolved: Resolved, result: list[Any], arrived: Arrived) -> bool:
    """Whether a datagram without an answer may have been thrown away by its destination's kernel."""
    silent = result[KIND] == "timeout" and resolved.spec[1] in ("udp", "dns", "host")
    return silent and not arrived.overflowed.isdisjoint(resolved.servers)
