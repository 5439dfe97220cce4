"""One scenario's world on a Kubernetes cluster; see `engine.cluster.World`."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

from harness.clusters.kube.addresses import Addresses
from harness.clusters.kube.api import Api, ApiError
from harness.clusters.kube.canary import Canary
from harness.clusters.kube.cni import Cni, Kind, LabelChange, PodPlace, Question, Sent
from harness.clusters.kube.external_agents import ExternalAgents, UnwitnessedError
from harness.clusters.kube.fleet import Arrived, Fleet
from harness.clusters.kube.flows import KubeFlows
from harness.clusters.kube.grounds import Grounds
from harness.clusters.kube.manifests import RUN_LABEL, PodOptions
from harness.clusters.kube.node_agents import NodeAgents
from harness.clusters.kube.objects import Objects
from harness.clusters.resolve import Proof, Resolved, Resolver, UnresolvedError
from harness.clusters.results import KIND, LOCAL, LOOKUP, REMOTE, TOKEN, Outcomes, undecided
from harness.engine.cluster import ClusterError, Flows, InForce
from harness.model.builtin import CLUSTER_DOMAIN, DNS_POD, with_builtins
from harness.model.outcome import Observation, Outcome, OutcomeKind
from harness.model.policy import Policy, PolicyRef
from harness.model.probe import Probe, TargetKind
from harness.model.topology import METADATA_NAME, Pod, Protocol, Topology

CONNECT_TIMEOUT = 2.0
"""Seconds per probe, two attempts: the first SYN is repeated after one second (semantics.md 1.7)."""

ATTEMPTS = 2
AGAIN = 3
PROOF_SECONDS = 3.0
EVIDENCE_SECONDS = 20.0
"""How long the CNI may be asked about all failed cells of a step together."""

CLOSE_SECONDS = 120.0
"""How long the API server may be away when a world is to be removed."""

OVERFLOW = "datagrams were lost at the destination, whose buffer was full: the node is too busy"


class KubeWorld:
    """Built from a topology, changed step by step."""

    connect_timeout = CONNECT_TIMEOUT
    sweeps = 2

    def __init__(
        self,
        api: Api,
        cni: Cni,
        addresses: Addresses,
        options: PodOptions,
        grounds: Grounds,
        canary: Canary,
        run: str,
        kinds: Iterable[Kind],
        agents: NodeAgents,
        externals: ExternalAgents,
        *,
        keep: bool = False,
    ) -> None:
        self._api = api
        self._keep = keep
        self._cni = cni
        self._run = run
        self._addresses = addresses
        # The cluster's DNS is no pod of ours: its service's address stands for both.
        addresses.pods[DNS_POD] = addresses.services[DNS_POD] = addresses.dns
        self._objects = Objects(api, run, options, grounds)
        self._fleet = Fleet(api, run, options.agent)
        self._canary = canary
        self._kinds = frozenset(kinds)
        self._agents = agents
        self._externals = externals
        self._topology = Topology()
        self._policies: dict[PolicyRef, Policy] = {}
        self._began = time.monotonic()
        self._changed = 0.0
        self._spread = 0
        self._built = False
        self._reshaped = False
        self.build_seconds = 0.0

    # -- building --------------------------------------------------------------------------------------

    def build(self, topology: Topology) -> None:
        """Build the first topology, with canaries beside it.

        Raises:
            ClusterError: It cannot be built.
        """
        with ThreadPoolExecutor(1, thread_name_prefix="canaries") as beside:
            standing = beside.submit(self._canary.stand, set(self._addresses.nodes.values()), self._kinds)
            self._externals.begin(topology.externals)
            self.reshape(topology)
            standing.result()
        if topology.externals:
            self._need_hub()
            self._externals.join(self._fleet, self._canary.hub, self._addresses.dns[0])
            self._externals.learn(self._fleet, self._addresses.ways())
        if self._objects.on_used_grounds:
            # Policies that stood here before are deleted, but may be in force for a moment yet.
            trouble = self.in_force().trouble
            if trouble:
                raise ClusterError(f"policies of an earlier scenario may still be in force: {trouble}")
        self.build_seconds = time.monotonic() - self._began

    def reshape(self, topology: Topology) -> None:
        """See `engine.cluster.World`."""
        topology = with_builtins(topology)
        before, self._topology = self._topology, topology
        self._reshaped = self._built
        self._changed = time.monotonic()
        self._relabel(before, topology)
        gone = [item for item in before.pods if item not in topology.pods and item != DNS_POD]
        fresh = {
            item: pod for item, pod in topology.pods.items() if item not in before.pods and item != DNS_POD
        }
        self._add(before, topology, fresh)
        if gone:
            self._fleet.disconnect(gone)
            self._objects.remove_pods(gone)
            for item in gone:
                self._addresses.forget(item)
        for service in before.services:
            if service not in topology.services:
                self._objects.remove_service(service)

    def _add(self, before: Topology, topology: Topology, fresh: Mapping[str, Pod]) -> None:
        used = {pod.namespace for pod in topology.pods.values()} | {
            service.namespace for service in topology.services.values() if service.id != DNS_POD
        }
        used |= {item for item in topology.namespaces if item not in ("default", "kube-system")}
        for name in sorted(used - self._objects.namespaces - {"kube-system"}):
            self._objects.add_namespace(topology.namespaces[name])
        placed = {item: (pod, self._node(pod)) for item, pod in fresh.items()}
        if not self._built:
            for namespace_of_agents in self._agents.namespaces:
                self._objects.add_namespace(namespace_of_agents)
            placed.update(self._agents.pods(self._addresses.nodes))
            self._built = True
        for namespace, account in sorted(
            {(pod.namespace, pod.service_account) for pod, _ in placed.values()}
        ):
            if account != "default":
                self._objects.add_service_account(namespace, account)
        for service in topology.services.values():
            if service.id not in before.services and service.id != DNS_POD:
                self._addresses.services[service.id] = self._objects.add_service(service)
        self._objects.add_pods(placed.values())
        found = self._objects.await_pods(placed)
        self._addresses.pods.update({item: each for item, each in found.items() if item in fresh})
        self._fleet.connect(placed, self._agents.places)
        self._externals.learn(self._fleet, self._addresses.ways())

    def _node(self, pod: Pod) -> str:
        letters = sorted(self._addresses.nodes)
        letter = pod.node
        if letter is None:
            letter = letters[self._spread % len(letters)]
            self._spread += 1
        self._addresses.homes[pod.id] = letter
        return self._addresses.nodes[letter]

    def _relabel(self, before: Topology, topology: Topology) -> None:
        renamed: set[str] = set()
        for name, item in topology.namespaces.items():
            old = before.namespaces.get(name)
            if old is not None and dict(old.labels) != dict(item.labels):
                labels = {key: value for key, value in item.labels.items() if key != METADATA_NAME}
                self._objects.relabel(f"/api/v1/namespaces/{name}", old.labels, labels)
                renamed.add(name)
        changed: set[str] = set()
        for identity, pod in topology.pods.items():
            was = before.pods.get(identity)
            if was is not None and dict(was.labels) != dict(pod.labels):
                path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}"
                self._objects.relabel(path, was.labels, pod.labels)
                changed.add(identity)
        changes = {
            identity: LabelChange(
                self._place(identity),
                before.pods[identity].labels,
                pod.labels,
                before.namespaces[pod.namespace].labels,
                topology.namespaces[pod.namespace].labels,
            )
            for identity, pod in topology.pods.items()
            if identity in before.pods
            and not pod.host_network
            and (identity in changed or pod.namespace in renamed)
            and identity != DNS_POD
        }
        if changes:
            self._cni.relabelled(changes, self._canary.nodes)

    def _place(self, pod: str) -> PodPlace:
        letter = self._addresses.homes[pod]
        return PodPlace(self._addresses.nodes[letter], self._addresses.pods.get(pod, ()))

    def restart(self, pods: Sequence[str]) -> None:
        """See `engine.cluster.World`."""
        whole = self._topology
        kept = {item: pod for item, pod in whole.pods.items() if item not in set(pods)}
        self.reshape(Topology(whole.namespaces, kept, whole.services, whole.externals))
        self.reshape(whole)

    # -- policies --------------------------------------------------------------------------------------

    def apply(self, policies: Sequence[Policy]) -> None:
        """See `engine.cluster.World`."""
        self._changed = time.monotonic()
        for policy in policies:
            manifest = dict(policy.manifest)
            metadata = dict(manifest.get("metadata", {}))
            if policy.namespace:
                metadata["namespace"] = policy.namespace
            metadata["labels"] = {**(metadata.get("labels") or {}), RUN_LABEL: self._run}
            manifest["metadata"] = metadata
            # Known before it is there: a request may arrive although its answer does not.
            self._policies[policy.ref] = policy
            self._api.apply(manifest)

    def delete(self, policies: Sequence[PolicyRef]) -> None:
        """See `engine.cluster.World`."""
        self._changed = time.monotonic()
        for ref in policies:
            policy = self._policies.get(ref)
            if policy is not None:
                resource = self._api.resource(policy.api_version, policy.kind)
                self._api.delete(resource.path(policy.namespace, policy.name))
                del self._policies[ref]

    def in_force(self) -> InForce:
        """The CNI's own signal where it has one, and the canaries on every node."""
        turn = self._canary.turn(labels=self._reshaped and not self._cni.knows_labels)
        self._reshaped = False
        pods = {
            identity: self._place(identity)
            for identity, pod in self._topology.pods.items()
            if identity != DNS_POD and not pod.host_network
        }
        places = {**pods, **self._canary.places()}
        signal = self._cni.settle(turn.marks, places, tuple(self._policies.values()))
        if signal.trouble:
            return InForce(time.monotonic() - self._changed, signal.by, signal.trouble)
        sight = self._canary.flip(turn)
        by = f"{signal.by}, {sight.by}" if signal.by else sight.by
        return InForce(time.monotonic() - self._changed, by, sight.trouble, sight.enforced)

    # -- probing ---------------------------------------------------------------------------------------

    def sweep(self, probes: Sequence[Probe], timeout: float) -> tuple[Observation, ...]:
        """See `engine.cluster.World`."""
        resolver = Resolver(self._topology, self._addresses)
        resolved: dict[int, Resolved] = {}
        found: dict[int, Observation] = {}
        for index, probe in enumerate(probes):
            try:
                resolved[index] = self._resolve(resolver, probe)
            except UnwitnessedError as trouble:
                found[index] = Observation(Outcome(OutcomeKind.ERROR, str(trouble)))
            except (UnresolvedError, KeyError) as trouble:
                found[index] = Observation(Outcome(OutcomeKind.ERROR, f"no address: {trouble}"))
        results: dict[int, list[Any]] = {}
        receipts: dict[int, int] = {}
        unknown: dict[int, str] = {}
        left = set(resolved)
        for _ in range(AGAIN):
            number = self._fleet.number()
            results.update(self._fleet.sweep(_by_source(resolved, left), number, timeout, ATTEMPTS))
            for index in left:
                if resolved[index].spec[1] == "host" and results[index][LOOKUP]:
                    # Only now it is known whose receipts and listener count.
                    address = results[index][LOOKUP].split()[-1]
                    resolved[index] = resolver.dialled(resolved[index], address)
            servers = {server for index in left for server in resolved[index].servers}
            arrived = self._fleet.receipts(servers, number)
            receipts.update({index: arrived.counts.get(index, 0) for index in left})
            unknown.update({index: _why_unknown(resolved[index], arrived) for index in left})
            full = {index for index in left if _overflowed(resolved[index], results[index], arrived)}
            left = full | {index for index in left if undecided(results[index], receipts[index])}
            if not left:
                break
        else:
            unknown.update({index: unknown[index] or OVERFLOW for index in full})
        listening = self._prove(resolved, results)
        outcomes = Outcomes()
        for index, result in results.items():
            if unknown[index]:
                found[index] = Observation(Outcome(OutcomeKind.ERROR, unknown[index]))
                continue
            seen = outcomes.observation(
                result, receipts.get(index, 0), listening.get(index), resolved[index].servers
            )
            found[index] = replace(seen, unwitnessed=True) if _unwitnessed(resolved[index]) else seen
        return tuple(found[index] for index in range(len(probes)))

    def _resolve(self, resolver: Resolver, probe: Probe) -> Resolved:
        """As the resolver says, but the cluster's own DNS answers questions, not tokens."""
        dns = (self._dns_proof(),)
        if probe.target.name == DNS_POD and probe.target.kind in (TargetKind.POD, TargetKind.SERVICE):
            options = {
                "names": [f"kubernetes.default.svc.{CLUSTER_DOMAIN}"],
                "type": "A",
                "tcp": probe.target.protocol is Protocol.TCP,
            }
            return Resolved([str(probe.source), "dns", self._addresses.dns[0], 53, options], (), dns)
        found = self._externals.adapted(probe, resolver.resolve(probe), self._topology, self._canary.hub)
        if found.spec[1] in ("dns", "host"):
            own = tuple(proof for proof in found.proofs if proof.place != DNS_POD)
            return replace(found, proofs=dns + own)
        return found

    def _dns_proof(self) -> Proof:
        names = (f"kubernetes.default.svc.{CLUSTER_DOMAIN}",)
        options: tuple[tuple[str, Any], ...] = (("names", names), ("type", "A"))
        return Proof(self._canary.hub, "dns", self._addresses.dns[0], 53, options)

    def _prove(self, resolved: Mapping[int, Resolved], results: Mapping[int, list[Any]]) -> dict[int, bool]:
        """Ask every listener behind a probe that got no answer, from inside its own pod."""
        doubtful = [index for index, result in results.items() if not result[TOKEN]]
        proofs: dict[Proof, int] = {}
        for index in doubtful:
            for proof in resolved[index].proofs:
                proofs.setdefault(proof, len(proofs))
        if not proofs:
            return {}
        if any(proof.place == self._canary.hub for proof in proofs):
            self._need_hub()
        plan: dict[str, list[list[Any]]] = {}
        for proof, index in proofs.items():
            plan.setdefault(proof.place, []).append(proof.spec(index))
        answers = self._fleet.sweep(plan, self._fleet.number(), PROOF_SECONDS, 1)
        living = {proof for proof, index in proofs.items() if _answers(proof, answers[index])}
        return {
            index: living.issuperset(resolved[index].proofs) for index in doubtful if resolved[index].proofs
        }

    def _need_hub(self) -> None:
        if not self._fleet.has(self._canary.hub):
            self._fleet.connect([self._canary.hub])

    def start_flows(self, probes: Sequence[Probe], established: Sequence[Probe], timeout: float) -> Flows:
        """See `engine.cluster.World`."""
        resolver = Resolver(self._topology, self._addresses)
        specs = [self._resolve(resolver, probe).spec for probe in (*probes, *established)]
        if any("connect" in (spec[1], spec[4].get("kind")) for spec in specs):
            raise ClusterError("flows to an external need an agent of netcheck's there")
        return KubeFlows(self._fleet, specs[: len(probes)], specs[len(probes) :], timeout)

    def evidence(self, probes: Sequence[Probe], timeout: float) -> Iterator[tuple[str, ...]]:
        """What the CNI says of the probes, sent once more while it is watched."""
        resolver = Resolver(self._topology, self._addresses)
        resolved: dict[int, Resolved] = {}
        asked: list[int] = []
        questions = []
        for index, probe in enumerate(probes):
            source = probe.source.name
            with suppress(UnresolvedError, KeyError):
                resolved[index] = self._resolve(resolver, probe)
                places = {
                    pod: self._place(pod) for pod in resolved[index].servers if pod in self._addresses.homes
                }
                questions.append(Question(source, self._place(source), places))
                asked.append(index)

        def send(wanted: Sequence[int]) -> dict[int, Sent]:
            plan = _by_source(resolved, {asked[number] for number in wanted})
            results = self._fleet.sweep(plan, self._fleet.number(), timeout, 1)
            back = {index: number for number, index in enumerate(asked)}
            return {back[index]: Sent(*(result[LOCAL], result[REMOTE])) for index, result in results.items()}

        said: list[tuple[str, ...]] = [()] * len(probes)
        if questions:
            found = self._cni.evidence(questions, send, time.monotonic() + EVIDENCE_SECONDS)
            for index, lines in zip(asked, found, strict=True):
                said[index] = lines
        yield from said

    # -- the end ---------------------------------------------------------------------------------------

    def close(self) -> None:
        """Delete what this world made, unless it is to be kept; never raises."""
        self._fleet.close()
        if self._keep:
            self._externals.leave()
            self.kept = self._objects.namespaces
            return
        try:
            self._externals.close()
        except ClusterError as trouble:
            self.left_behind = str(trouble)
        try:
            # It may be starting anew; and when it is not, one wait is enough for all that there is to delete.
            self._api.reach(seconds=CLOSE_SECONDS)
            try:
                self.delete(list(reversed(self._policies)))  # a tier goes after what stands in it
            finally:
                self._objects.remove_everything(empty=not self._policies)
        except ClusterError as trouble:
            self.left_behind = str(trouble)

    left_behind = ""
    """Why something could not be removed; `netcheck cleanup` finds it by its label."""

    kept: frozenset[str] = frozenset()
    """Namespaces that were left standing on purpose."""


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


def _by_source(resolved: Mapping[int, Resolved], wanted: set[int]) -> dict[str, list[list[Any]]]:
    plan: dict[str, list[list[Any]]] = {}
    for index in sorted(wanted):
        spec = resolved[index].spec
        plan.setdefault(spec[0], []).append([index, *spec])
    return plan


__all__ = ["ApiError", "KubeWorld"]
