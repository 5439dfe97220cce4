"""One scenario's world in the lab."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from harness.clusters.authority import Authority
from harness.clusters.certificates import guards_of, strict
from harness.clusters.lab import enforce, evidence, services, steering
from harness.clusters.lab.addressing import Addressing
from harness.clusters.lab.dns import make_zone
from harness.clusters.lab.flows import LabFlows
from harness.clusters.lab.link import Processes
from harness.clusters.lab.modes import in_mode
from harness.clusters.lab.proxied import Proxied, overdue, stood_still
from harness.clusters.lab.svids import LabSvids
from harness.clusters.lab.sweeper import AGAIN, Sweeper
from harness.clusters.lab.wiring import Wiring
from harness.clusters.resolve import external_place, node_place
from harness.dialects.registry import compile_all
from harness.engine.cluster import ClusterError, Flows, InForce
from harness.model.builtin import DNS_POD, with_builtins
from harness.model.outcome import Observation, OutcomeKind
from harness.model.personality import GENERIC, Enforcement, Personality
from harness.model.policy import Policy, PolicyRef
from harness.model.probe import Probe, TlsRequest
from harness.model.rules import Stage
from harness.model.topology import Pod, Topology

CONNECT_TIMEOUT = 0.5
"""Seconds per probe. Nothing gets lost in a lab; half of it is the confirming attempt (reference lab.md)."""


class LabWorld:
    """Built from a topology, changed step by step; see `engine.cluster.World`."""

    connect_timeout = CONNECT_TIMEOUT
    sweeps = 1

    def __init__(
        self,
        processes: Processes,
        nonce: str,
        personality: Personality = GENERIC,
        workload_api: str = "",
    ) -> None:
        self._processes = processes
        self._personality = personality
        self._addressing = Addressing()
        self._wiring = Wiring(self._addressing)
        self._topology = Topology()
        self._policies: dict[PolicyRef, Policy] = {}
        self._stages: tuple[Stage, ...] = ()
        self._compiled: dict[str, enforce.Compiled] = {}
        self._tables: dict[tuple[str, str], str] = {}
        self._authority = Authority()
        self._svids = LabSvids(self._authority, workload_api)
        self._proxied = Proxied(processes, personality)
        self._sweeper = Sweeper(processes, nonce, self._authority)
        self._certified: set[str] | None = None
        self._lifted = False
        self._changed = 0.0
        self._in_force = 0.0
        self.build_seconds = 0.0

    # -- building --------------------------------------------------------------------------------------

    def reshape(self, topology: Topology) -> None:
        """See `engine.cluster.World`."""
        began = time.monotonic()
        topology = with_builtins(topology)
        before = self._topology
        gone = [
            pod.id
            for pod in before.pods.values()
            if pod.id not in topology.pods or _moved(pod, topology.pods[pod.id])
        ]
        fresh = [
            pod
            for pod in topology.pods.values()
            if pod.id not in before.pods or _moved(pod, before.pods[pod.id])
        ]
        outside = [item for item in topology.externals.values() if item.name not in before.externals]
        if gone:
            self._remove(gone)
        self._topology = topology
        self._addressing.learn(topology, DNS_POD)
        operations = self._wiring.nodes()
        for external in outside:
            operations += self._wiring.external(external)
        for pod in fresh:
            operations += self._wiring.pod(pod)
        if operations:
            self._processes.keeper.ask({"op": "build", "operations": operations})
        listeners = [self._listener(pod) for pod in fresh if pod.listeners]
        listeners += [
            {
                "identity": external_place(item.name),
                "place": external_place(item.name),
                "addresses": list(item.addresses.values()),
                "ports": [[port.port, port.protocol.value] for port in item.listeners],
            }
            for item in outside
            if item.listeners
        ]
        self._listen(listeners)
        if self._certified is not None or any(strict(pod) for pod in topology.pods.values()):
            self._certify()
        self._processes.listener.ask({"op": "zone", "zone": make_zone(topology, self._addressing)})
        self._load()
        self.build_seconds = self.build_seconds or time.monotonic() - began

    def restart(self, pods: Sequence[str]) -> None:
        """See `engine.cluster.World`."""
        kept = {name: pod for name, pod in self._topology.pods.items() if name not in set(pods)}
        whole = self._topology
        self.reshape(Topology(whole.namespaces, kept, whole.services, whole.externals))
        self.reshape(whole)

    def _remove(self, pods: Sequence[str]) -> None:
        self._processes.listener.ask({"op": "close", "identities": list(pods)})
        if self._certified is not None:
            self._certified.difference_update(pods)
        operations = self._wiring.gone(pods)
        for pod in pods:
            self._addressing.renew(self._topology.pods[pod])
        self._processes.keeper.ask({"op": "build", "operations": operations})

    def _listener(self, pod: Pod) -> dict[str, Any]:
        return {
            "identity": pod.id,
            "place": pod.id,
            "addresses": list(self._addressing.pod(pod.id)),
            "ports": [[item.port, item.protocol.value] for item in pod.listeners],
            "dns": pod.id == DNS_POD,
        }

    def _listen(self, listeners: Sequence[Mapping[str, Any]]) -> None:
        if not listeners:
            return
        failures = self._processes.listener.ask({"op": "listen", "listeners": list(listeners)})["failures"]
        if failures:
            raise ClusterError("; ".join(str(why) for _, why in failures[:5]))

    def _certify(self) -> None:
        """Give the listeners certificates that have none yet; worlds without TLS never come here."""
        renewed = self._svids.renew(self._topology.pods)
        self._certified = known = set() if self._certified is None or renewed else self._certified
        guards = guards_of(self._topology, self._authority, {*known, *self._svids.missing})
        if guards:
            self._processes.listener.ask({"op": "certify", "guards": guards})
            known.update(guards)

    # -- policies --------------------------------------------------------------------------------------

    def apply(self, policies: Sequence[Policy]) -> None:
        """See `engine.cluster.World`."""
        self._policies.update({policy.ref: policy for policy in policies})
        self._load()

    def delete(self, policies: Sequence[PolicyRef]) -> None:
        """See `engine.cluster.World`."""
        for ref in policies:
            self._policies.pop(ref, None)
        self._load()

    def in_force(self) -> InForce:
        """The commit of the rules is the moment; it has passed when `apply` returns."""
        return InForce(max(0.0, self._in_force - self._changed), "nft commit on every node")

    def _load(self) -> None:
        """Bring services and policies up to date on every node."""
        self._changed = time.monotonic()
        stages = compile_all(tuple(self._policies.values()), self._placed())
        settled = self._personality.settled(stages)
        self._stages = settled if self._lifted else in_mode(settled, self._topology, self._personality)
        learned = self._proxied.prepare(self._stages, self._topology, self._addressing)
        scripts = []
        for node in self._addressing.nodes:
            interfaces = {
                pod.id: self._wiring.interface(pod.id)
                for pod in self._topology.pods.values()
                if not pod.host_network and self._addressing.homes[pod.id] == node
            }
            table = services.ruleset(self._topology, self._addressing, node)
            compiled = enforce.compile_node(
                self._stages, self._addressing, node, interfaces, self._personality, learned
            )
            self._compiled[node] = compiled
            wanted = {
                services.TABLE: table,
                enforce.TABLE: compiled.script if self._stages else "",
                steering.TABLE: self._proxied.ruleset,
            }
            script = self._replace(node, wanted)
            if script:
                scripts.append([node_place(node), script])
        if scripts:
            self._processes.keeper.ask({"op": "nft", "scripts": scripts})
        self._proxied.commit()
        self._in_force = time.monotonic()

    def _placed(self) -> Topology:
        """The topology with the nodes on which the pods run here; policies may tell nodes apart."""
        homes = self._addressing.homes
        pods = {name: replace(pod, node=homes[name]) for name, pod in self._topology.pods.items()}
        return replace(self._topology, pods=pods)

    def _replace(self, node: str, wanted: Mapping[str, str]) -> str:
        """One transaction that brings the tables of a node up to date; empty when they are.

        A table is deleted only where one is loaded: the kernel takes its time to get rid of the old one.
        """
        script = ""
        for name, text in wanted.items():
            loaded = self._tables.get((node, name), "")
            if loaded == text:
                continue
            if loaded:
                script += f"delete table inet {name}\n"
            script += text
            self._tables[node, name] = text
        return script

    # -- probing ---------------------------------------------------------------------------------------

    def sweep(self, probes: Sequence[Probe], timeout: float) -> tuple[Observation, ...]:
        """See `engine.cluster.World`."""
        if any(isinstance(probe.request, TlsRequest) for probe in probes):
            self._certify()
        for _ in range(AGAIN):
            seen, stood = self._sweep(probes, timeout)
            silent = any(item.outcome.kind in (OutcomeKind.TIMEOUT, OutcomeKind.ERROR) for item in seen)
            if not (silent and overdue(stood, timeout)):
                return self._svids.checked(probes, seen, self._topology)
        raise stood_still(stood)

    def _sweep(self, probes: Sequence[Probe], timeout: float) -> tuple[tuple[Observation, ...], float]:
        """What is seen, and for how long the proxy stood still meanwhile."""
        began = time.monotonic()
        seen = self._sweeper.sweep(probes, timeout, self._topology, self._addressing, self._compiled)
        return seen, self._proxied.check(began)

    def start_flows(self, probes: Sequence[Probe], established: Sequence[Probe], timeout: float) -> Flows:
        """See `engine.cluster.World`."""
        number = self._sweeper.number()
        return LabFlows(
            self._processes,
            self._proxied,
            number,
            probes,
            established,
            timeout,
            self._topology,
            self._addressing,
        )

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """See `engine.cluster.World`."""
        if self._personality.enforcement is not Enforcement.ALWAYS:
            yield
            return
        self._lifted = True
        self._load()
        yield
        # After an error the world is not used any more.
        self._lifted = False
        self._load()

    def blockers(self, probes: Sequence[Probe]) -> tuple[str, ...]:
        """Nobody else has policies in a lab."""
        return ("",) * len(probes)

    def evidence(self, probes: Sequence[Probe], timeout: float) -> Iterator[tuple[str, ...]]:
        """Which counters move when each probe is sent once more, by itself."""
        for probe in probes:
            before = evidence.counters(self._processes, self._compiled)
            self._sweep([probe], timeout)
            after = evidence.counters(self._processes, self._compiled)
            yield evidence.moved(before, after)

    def close(self) -> None:
        """End the lab's processes; the kernel takes down the rest."""
        self._processes.close()

    def detach(self) -> dict[str, int]:
        """Leave the world standing; returns its namespaces as descriptors of the keeper."""
        places = self._processes.detach()
        self._processes.abandon()
        return places

    @property
    def pid(self) -> int:
        """Process that holds the world."""
        return self._processes.pid


def _moved(one: Pod, other: Pod) -> bool:
    """Whether a pod must be built anew: everything but its labels is fixed at its creation."""
    fixed = ((item.listeners, item.node, item.host_network, item.identity) for item in (one, other))
    return next(fixed) != next(fixed)
