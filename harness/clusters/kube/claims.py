"""What a scenario must have for itself on a cluster, and which nodes it probes."""

from __future__ import annotations

from collections.abc import Iterator

from harness.engine.plan import all_cells
from harness.model.probe import SourceKind, TargetKind
from harness.model.scenario import Scenario
from harness.model.topology import Topology

BUILTIN = frozenset({"default", "kube-system"})
"""Namespaces in which scenarios put nothing."""


def topologies(scenario: Scenario) -> Iterator[Topology]:
    """The worlds of all steps."""
    yield scenario.topology
    for step in scenario.steps:
        yield step.topology


def wanted(scenario: Scenario) -> frozenset[str]:
    """Namespaces, ports in the nodes' own network, addresses and names outside: there is one of each."""
    found: set[str] = set()
    for topology in topologies(scenario):
        found |= {f"namespace {name}" for name in topology.namespaces if name not in BUILTIN}
        for pod in topology.pods.values():
            if pod.host_network:
                found |= {f"node port {item.port}/{item.protocol}" for item in pod.listeners}
        for service in topology.services.values():
            found |= {
                f"node port {item.node_port}/{item.protocol}" for item in service.ports if item.node_port
            }
        for external in topology.externals.values():
            found |= {f"address {address}" for address in external.addresses.values()}
            # The cluster's DNS can lead a name to one place only, and worlds may want it elsewhere.
            found |= {f"name {name.rstrip('.').lower()}" for name in external.names}
    return frozenset(found)


def probed_nodes(scenario: Scenario) -> frozenset[str]:
    """Letters of the nodes that probes leave from, or whose own listeners they go to."""
    found: set[str] = set()
    for step in scenario.steps:
        for cell in all_cells(step):
            if cell.probe.source.kind is SourceKind.NODE:
                found.add(cell.probe.source.name)
            if cell.probe.target.kind is TargetKind.NODE:
                found.add(cell.probe.target.name)
    return frozenset(found)
