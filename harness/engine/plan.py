"""What has to be probed: cells, controls, features."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from harness.model.builtin import DNS_POD
from harness.model.probe import (
    NO_CERTIFICATE,
    DnsQuery,
    MutualTls,
    Probe,
    SourceKind,
    TargetKind,
    TlsRequest,
)
from harness.model.scenario import Cell, Scenario, Step
from harness.model.serving import allowed
from harness.model.topology import Family, Protocol, ServiceType, Topology

ControlKey = tuple[Probe, tuple[tuple[str, int], ...]]
"""What is probed for control, and the backends of its service: it holds for as long as both stay the same."""


def all_cells(step: Step) -> Iterator[Cell]:
    """The step's cells and those of its transition."""
    yield from step.cells
    yield from step.transition_cells()


def control_key(probe: Probe, topology: Topology) -> ControlKey:
    """What the control of a probe rests on; its first part is the probe that is sent."""
    backends: list[tuple[str, int]] = []
    if probe.target.kind in (TargetKind.SERVICE, TargetKind.NODEPORT):
        for service in topology.services.values():
            for port in service.ports:
                if probe.target.kind is TargetKind.SERVICE and service.id != probe.target.name:
                    continue
                if probe.target.kind is TargetKind.NODEPORT and port.node_port != probe.target.port:
                    continue
                backends += [(pod.id, number) for pod, number in topology.backends(service, port)]
    return control_probe(probe, topology), tuple(backends)


def control_probe(probe: Probe, topology: Topology) -> Probe:
    """What proves that the path of a probe works.

    It is the probe itself, unless the destination takes some identities only, or the probe is about them:
    then it is the same path as one whom the destination takes. A refusal of anybody else is a verdict.
    """
    takes = allowed(probe.target, topology)
    mutual = isinstance(probe.request, TlsRequest) and probe.request.mutual is not None
    if isinstance(probe.request, DnsQuery) or (takes is None and not mutual):
        return probe
    sni = probe.request.sni if isinstance(probe.request, TlsRequest) else None
    shows = takes[0] if takes else NO_CERTIFICATE
    return replace(probe, request=TlsRequest(sni, MutualTls(shows)))


@dataclass(frozen=True, slots=True)
class ControlSweep:
    """Controls that are taken in one topology, without policies."""

    topology: Topology
    probes: dict[ControlKey, Probe]


def controls(scenario: Scenario) -> tuple[ControlSweep, ...]:
    """The control sweeps of a scenario.

    Every cell of every step is controlled once for each set of backends that it meets, in a world that has
    the topology of its step; pods that a later step adds are built for it first. Steps that bring nothing new
    cost nothing.
    """
    seen: set[ControlKey] = set()
    sweeps: list[ControlSweep] = []
    topology = scenario.topology
    for step in scenario.steps:
        before = _keys(step.transition_cells(), topology)
        fresh = {**before, **_keys(step.cells, step.topology)}
        here = {key: probe for key, probe in fresh.items() if key not in seen}
        # Flows begin before the step's change: their control belongs to the world before it.
        early = {key: probe for key, probe in here.items() if key in before}
        late = {key: probe for key, probe in here.items() if key not in before}
        for place, found in ((topology, early), (step.topology, late)):
            if not found:
                continue
            seen.update(found)
            if sweeps and sweeps[-1].topology == place:
                sweeps[-1].probes.update(found)
            else:
                sweeps.append(ControlSweep(place, dict(found)))
        topology = step.topology
    return tuple(sweeps)


def _keys(cells: tuple[Cell, ...], topology: Topology) -> dict[ControlKey, Probe]:
    keys = (control_key(cell.probe, topology) for cell in cells)
    return {key: key[0] for key in keys}


_DIALECT_FEATURES = {"admin": ("admin",), "cilium": ("cilium-policies",), "calico": ("calico-policies",)}


def needs(scenario: Scenario) -> dict[str, str]:
    """Features that a cluster must have, with the reason for each."""
    found = dict.fromkeys(scenario.needs, "the scenario says so (needs)")

    def need(feature: str, reason: str) -> None:
        found.setdefault(feature, reason)

    if Family.IPV6 in scenario.families:
        need("ipv6", "families names ipv6")
    for topology in (scenario.topology, *(step.topology for step in scenario.steps)):
        for pod in topology.pods.values():
            if any(item.protocol is Protocol.SCTP for item in pod.listeners):
                need("sctp", f"{pod.id} listens on SCTP")
            if pod.host_network:
                need("host-network", f"{pod.id} has hostNetwork")
            if pod.svid is not None:
                need(pod.svid.feature, f"{pod.id} has its identity from {pod.svid}")
        for external in topology.externals.values():
            need("external", f"external {external.name}")
            if external.names:
                need("external-names", f"external {external.name} has names")
        for service in topology.services.values():
            if service.type is ServiceType.NODE_PORT:
                need("nodeport", f"service {service.id} is a NodePort")
    for step in scenario.steps:
        for policy in step.policies:
            for feature in (*_DIALECT_FEATURES.get(policy.dialect, ()), *policy.needs):
                need(feature, str(policy))
        for cell in all_cells(step):
            _cell_needs(cell, need)
    return found


def _cell_needs(cell: Cell, need: Callable[[str, str], None]) -> None:
    probe = cell.probe
    if probe.target.protocol is Protocol.SCTP:
        need("sctp", f"cell {cell.id}")
    if probe.target.protocol is Protocol.ICMP:
        need("icmp", f"cell {cell.id}")
    if probe.family is Family.IPV6:
        need("ipv6", f"cell {cell.id}")
    if probe.source.kind is SourceKind.NODE or probe.target.kind is TargetKind.NODE:
        need("node-probes", f"cell {cell.id}")
    at_dns = probe.target.name == DNS_POD and probe.target.kind in (TargetKind.POD, TargetKind.SERVICE)
    if isinstance(probe.request, DnsQuery) or probe.target.kind is TargetKind.HOST or at_dns:
        need("dns", f"cell {cell.id}")
