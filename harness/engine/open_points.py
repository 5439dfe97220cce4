"""Points that the specification leaves open and that packets do not show; they are named from paper."""

from __future__ import annotations

from dataclasses import replace

from harness.model.outcome import Observation
from harness.model.personality import Personality
from harness.model.probe import Probe, SourceKind, TargetKind
from harness.model.rules import OPEN_POINTS
from harness.model.scenario import Step
from harness.model.topology import Topology
from harness.oracle import predict


def named(step: Step, probe: Probe, seen: Observation, personality: Personality) -> Observation:
    """The observation with its open point, where a cluster cannot see that there is one.

    It cannot where a pod has its node's address (which policy means the pod, which the node?), and where a
    node's port may put the node's address in place of the sender's. Of policies that have an order it shows
    one order only.
    """
    ordered = any(policy.dialect != "kubernetes" for policy in step.policies)
    if seen.open_point or not (ordered or _hidden(probe, step.topology)):
        return seen
    point = predict(step.topology, step.policies, probe, personality).open_point
    return replace(seen, open_point=OPEN_POINTS[point]) if point else seen


def _hidden(probe: Probe, topology: Topology) -> bool:
    source, target = probe.source, probe.target
    ends = [source.name] if source.kind is SourceKind.POD else []
    if target.kind is TargetKind.NODEPORT:
        return True
    if target.kind is TargetKind.POD:
        ends.append(target.name)
    if target.kind is TargetKind.SERVICE and target.name in topology.services:
        service = topology.services[target.name]
        ends += [pod.id for port in service.ports for pod, _ in topology.backends(service, port)]
    return any(name in topology.pods and topology.pods[name].host_network for name in ends)
