"""What a scenario may not do on a cluster that is not its own: put things into the cluster's namespaces.

In the lab every world has a `default` and a `kube-system`; a cluster has one of each, with others' pods.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from harness.clusters.kube.claims import topologies
from harness.clusters.kube.grounds import BUILTIN
from harness.engine.cluster import ClusterError
from harness.model.builtin import DNS_POD
from harness.model.scenario import Scenario
from harness.model.topology import METADATA_NAME

_ADVICE = "give it a namespace of the scenario's own"


def refuse(scenario: Scenario, labels_of: Callable[[str], Mapping[str, str]]) -> None:
    """Refuse a scenario that would change a namespace of the cluster, or that takes one for what it is not.

    Args:
        scenario: With the names that its namespaces have on the cluster.
        labels_of: The labels that a namespace of the cluster really has; asked only where the scenario says
            something of them.

    Raises:
        ClusterError: It would.
    """
    for step in scenario.steps:
        for policy in (*step.policies, *step.apply):
            if policy.namespace in BUILTIN:
                raise ClusterError(
                    f"{policy} would stand in namespace {policy.namespace}, which belongs to the cluster",
                    f"{_ADVICE} (metadata.namespace, or `defaults`)",
                )
    for text in _things(scenario):
        raise ClusterError(f"{text}, which belongs to the cluster", _ADVICE)
    for name, wanted in _labelled(scenario):
        real = labels_of(name)
        for key, value in wanted.items():
            if real.get(key) != value:
                there = f"{key}={real[key]}" if key in real else f"no label {key}"
                raise ClusterError(
                    f"the scenario says that namespace {name} has the label {key}={value}; it has {there}, "
                    "and belongs to the cluster",
                    "netcheck labels only namespaces of its own",
                )


def _things(scenario: Scenario) -> Iterator[str]:
    """Pods, services and labels of the cluster's own things, which the scenario would add or change."""
    first: dict[str, Mapping[str, str]] = {}
    for topology in topologies(scenario):
        for pod in topology.pods.values():
            if pod.id != DNS_POD and pod.namespace in BUILTIN:
                yield f"pod {pod.id} would stand in namespace {pod.namespace}"
        for service in topology.services.values():
            if service.id != DNS_POD and service.namespace in BUILTIN:
                yield f"service {service.id} would stand in namespace {service.namespace}"
        for name in BUILTIN & topology.namespaces.keys():
            labels = topology.namespaces[name].labels
            if dict(first.setdefault(name, labels)) != dict(labels):
                yield f"a step changes the labels of namespace {name}"


def _labelled(scenario: Scenario) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Namespaces of the cluster of whose labels the scenario says something."""
    for name in sorted(BUILTIN & scenario.topology.namespaces.keys()):
        labels = scenario.topology.namespaces[name].labels
        said = {key: value for key, value in labels.items() if key != METADATA_NAME}
        if said:
            yield name, said
