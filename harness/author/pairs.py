"""Every probe that a world offers, and what the oracle says of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.model.builtin import DNS_POD
from harness.model.personality import Personality
from harness.model.policy import Policy
from harness.model.probe import Probe, Source, SourceKind, Target, TargetKind
from harness.model.topology import External, Family, Listener, Pod, Protocol, Topology
from harness.oracle import Prediction, predict


@dataclass(frozen=True, slots=True)
class Pair:
    """A probe with its prediction."""

    probe: Probe
    prediction: Prediction


def probes(topology: Topology, *, dns: bool = True) -> Iterator[Probe]:
    """From every pod and external to every listener of every other pod and external.

    Args:
        topology: The world.
        dns: Also from every pod to the cluster's DNS, over UDP and TCP.
    """
    pods = [pod for pod in topology.pods.values() if pod.id != DNS_POD]
    sources = [(Source(SourceKind.POD, pod.id), Family.IPV4) for pod in pods]
    sources += [
        (Source(SourceKind.EXTERNAL, external.name), family)
        for external in topology.externals.values()
        for family in external.addresses
    ]
    for source, family in sources:
        for pod in pods:
            if source.name != pod.id:
                for listener in _listeners(pod):
                    yield Probe(source, _target(TargetKind.POD, pod.id, listener), family)
        if source.kind is not SourceKind.POD:
            continue
        for external in topology.externals.values():
            for address_family in external.addresses:
                for listener in _listeners(external):
                    yield Probe(source, _target(TargetKind.EXTERNAL, external.name, listener), address_family)
        if dns:
            for protocol in (Protocol.UDP, Protocol.TCP):
                yield Probe(source, Target(TargetKind.SERVICE, DNS_POD, 53, protocol))


def predictions(
    topology: Topology,
    policies: Sequence[Policy],
    wanted: Iterable[Probe],
    personality: Personality | None = None,
) -> list[Pair]:
    """What the oracle says of each probe."""
    return [Pair(probe, predict(topology, policies, probe, personality)) for probe in wanted]


def _listeners(item: Pod | External) -> Iterator[Listener]:
    return (listener for listener in item.listeners if listener.protocol is not Protocol.ICMP)


def _target(kind: TargetKind, name: str, listener: Listener) -> Target:
    return Target(kind, name, listener.port, listener.protocol, listener.name)
