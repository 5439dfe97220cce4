"""One scenario's world on a Kubernetes cluster; see `engine.cluster.World`."""

from __future__ import annotations

import select
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress

from harness.clusters.kube.addresses import Addresses
from harness.clusters.kube.api import Api, ApiError
from harness.clusters.kube.blockers import blockers
from harness.clusters.kube.canary import Canary
from harness.clusters.kube.canary_policies import NETWORK_POLICY
from harness.clusters.kube.cni import Cni, Kind, LabelChange, PodPlace, Question, Sent
from harness.clusters.kube.external_agents import ExternalAgents
from harness.clusters.kube.fleet import Fleet
from harness.clusters.kube.flows import KubeFlows
from harness.clusters.kube.grounds import Grounds
from harness.clusters.kube.manifests import PodOptions
from harness.clusters.kube.node_agents import NodeAgents
from harness.clusters.kube.objects import Objects
from harness.clusters.kube.service_ways import ServiceWays, ways
from harness.clusters.kube.standing import Standing
from harness.clusters.kube.sweeper import Sweeper, by_source
from harness.clusters.kube.tenancy import Stay
from harness.clusters.request_options import UnresolvedError
from harness.clusters.resolve import Resolved, Resolver
from harness.clusters.results import LOCAL, REMOTE
from harness.engine.cluster import ClusterError, Flows, InForce
from harness.model.builtin import DNS_POD, with_builtins
from harness.model.outcome import Observation
from harness.model.policy import Policy, PolicyRef
from harness.model.probe import Probe
from harness.model.topology import METADATA_NAME, Pod, Topology

CONNECT_TIMEOUT = 2.0
"""Seconds per probe, all attempts together."""

EVIDENCE_SECONDS = 20.0
"""How long the CNI may be asked about all failed cells of a step together."""

UNSHOWN_SECONDS = 5.0
"""How long after a change its sweeps begin at the soonest where a kind has no canary: several times the
longest that a plugin was seen to take (calico-measured.md 5), and no proof; the report says so."""

CLOSE_SECONDS = 120.0
"""How long the API server may be away when a world is to be removed."""


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
        stay: Stay,
        *,
        keep: bool = False,
    ) -> None:
        self._api = api
        self._keep = keep
        self._run = run
        self._cni = cni
        self._addresses = addresses
        # The cluster's DNS is no pod of ours: its service's address stands for both.
        addresses.pods[DNS_POD] = addresses.services[DNS_POD] = addresses.dns
        self._objects = Objects(api, run, options, grounds)
        self._fleet = Fleet(api, run, options.agent)
        self._canary = canary
        self._kinds = frozenset(kinds)
        self._agents = agents
        self._externals = externals
        self._ways = ServiceWays(api, canary, run)
        self._sweeper = Sweeper(self._fleet, addresses, externals, canary.hub, options.template.spiffe)
        self._topology = Topology()
        self._standing = Standing(api, run)
        self._stay = stay
        self._began = time.monotonic()
        self._changed = 0.0
        self._spread = 0
        self._built = False
        self._reshaped = False
        self._wide = False
        self._unshown: frozenset[Kind] = frozenset()
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
        self._ways.learnt(ways(self._topology, self._addresses.pod))
        if topology.externals:
            self._sweeper.need_hub()
            server = next(iter(self._addresses.dns), "")
            self._externals.join(self._fleet, self._canary.hub, server)
            self._externals.learn(self._fleet, self._addresses.ways())
        if self._objects.on_used_grounds or self._stay.doubtful:
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
            self._objects.remove_pods(before.pods[item] for item in gone)
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
        changes = {
            identity: LabelChange(
                self._place(identity), {}, pod.labels, {}, topology.namespaces[pod.namespace].labels
            )
            for identity, pod in fresh.items()
            if not pod.host_network
        }
        if changes:
            self._cni.relabelled(changes, sorted(set(self._addresses.nodes.values())))
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
            self._cni.relabelled(changes, sorted(set(self._addresses.nodes.values())))

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
        if not self._wide and any(not policy.namespace for policy in policies):
            self._wide = True
            # Whether anything is enforced here, and how fast, is seen before that policy has a part in it.
            self._canary.flip(self._canary.turn())
        self._changed = time.monotonic()
        self._unshown |= self._without_canary(policies)
        for policy in policies:
            self._standing.apply(policy)

    def delete(self, policies: Sequence[PolicyRef]) -> None:
        """See `engine.cluster.World`."""
        self._changed = time.monotonic()
        self._unshown |= self._without_canary(
            policy for policy in self._standing.policies if policy.ref in policies
        )
        for ref in policies:
            self._standing.delete(ref)

    def in_force(self) -> InForce:
        """The CNI's own signal where it has one, and the canaries on every node."""
        self._sweeper.doubt = self._ways.settle(ways(self._topology, self._addresses.pod))
        wide = [str(policy) for policy in self._standing.policies if not policy.namespace]
        labels = self._reshaped and not self._cni.knows_labels
        turn = self._canary.turn(labels=labels, reach=wide if self._wide else None)
        pods = {
            identity: self._place(identity)
            for identity, pod in self._topology.pods.items()
            if identity != DNS_POD and not pod.host_network
        }
        places = {**pods, **self._canary.places()}
        signal = self._cni.settle(
            lambda: self._canary.marks, places, self._standing.policies, self._standing.gone
        )
        if signal.trouble:
            return InForce(time.monotonic() - self._changed, signal.by, signal.trouble)
        sight = self._canary.flip(turn, vouched=signal.sure)
        if not sight.trouble:
            # What was not seen is still to be seen after the next change.
            self._standing.forget_gone()
            self._reshaped = False
        by = f"{signal.by}, {sight.by}" if signal.by else sight.by
        if self._unshown and not sight.trouble:
            kinds = " and ".join(sorted(kind for _, kind in self._unshown))
            by += f", {UNSHOWN_SECONDS:.0f} s because no canary shows {kinds}"
            select.select([], [], [], max(0.0, self._changed + UNSHOWN_SECONDS - time.monotonic()))
            self._unshown = frozenset()
        return InForce(time.monotonic() - self._changed, by, sight.trouble, sight.enforced)

    def _without_canary(self, policies: Iterable[Policy]) -> frozenset[Kind]:
        """Kinds among these that packets meet, but of which there can be no policy of the run's own."""
        kinds = frozenset((policy.api_version, policy.kind) for policy in policies)
        return kinds - {NETWORK_POLICY} - self._cni.cuts.keys() - self._cni.idle

    # -- probing ---------------------------------------------------------------------------------------

    def sweep(self, probes: Sequence[Probe], timeout: float) -> tuple[Observation, ...]:
        """See `engine.cluster.World`."""
        seen = self._sweeper.sweep(self._topology, probes, timeout)
        self._stay.check()
        return seen

    def lifted(self) -> AbstractContextManager[None]:
        """A cluster's own mode stays as it is; where it isolates pods, controls say so."""
        return nullcontext()

    def blockers(self, probes: Sequence[Probe]) -> tuple[str, ...]:
        """See `engine.cluster.World`."""
        try:
            return blockers(self._api, self._run, self._topology, probes)
        except ClusterError:
            return ("",) * len(probes)  # what is known of the controls stays as it is

    def start_flows(self, probes: Sequence[Probe], established: Sequence[Probe], timeout: float) -> Flows:
        """See `engine.cluster.World`."""
        resolver = Resolver(self._topology, self._addresses)
        specs = [
            self._sweeper.resolve(resolver, self._topology, probe).spec for probe in (*probes, *established)
        ]
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
                resolved[index] = self._sweeper.resolve(resolver, self._topology, probe)
                places = {
                    pod: self._place(pod) for pod in resolved[index].servers if pod in self._addresses.homes
                }
                questions.append(Question(source, self._place(source), places))
                asked.append(index)

        def send(wanted: Sequence[int]) -> dict[int, Sent]:
            chosen = (asked[number] for number in sorted(wanted))
            plan = by_source([index, *resolved[index].spec] for index in chosen)
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
            if not self._standing.wide:
                self._end_stay()
            return
        try:
            self._externals.close()
        except ClusterError as trouble:
            self.left_behind = str(trouble)
        doubt = False
        try:
            # It may be starting anew; and when it is not, one wait is enough for all that there is to delete.
            self._api.reach(seconds=CLOSE_SECONDS)
            wide = self._standing.wide
            try:
                self._standing.delete_all()
                if wide:
                    doubt = self._may_be_in_force()
            finally:
                self._objects.remove_everything(empty=not self._standing.policies)
        except ClusterError as trouble:
            self.left_behind = str(trouble)
        self._end_stay(doubt=doubt)

    def _may_be_in_force(self) -> bool:
        """Whether policies of the whole cluster that are deleted are not known to be out of force."""
        try:
            return bool(self.in_force().trouble)
        except ClusterError:
            return True

    def _end_stay(self, *, doubt: bool = False) -> None:
        standing = self.left_behind if self._standing.wide else ""
        try:
            self._stay.end(standing=standing, doubt=doubt)
        except ClusterError as trouble:
            self.left_behind = self.left_behind or str(trouble)

    left_behind = ""
    """Why something could not be removed; `netcheck cleanup` finds it by its label."""

    kept: frozenset[str] = frozenset()
    """Namespaces that were left standing on purpose."""


__all__ = ["ApiError", "KubeWorld"]
