"""A whole scenario under the names that its namespaces have on a cluster; what it proves stays the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from harness.dialects.renaming import rename_policy
from harness.model.policy import Policy, PolicyRef
from harness.model.renaming import Renaming
from harness.model.scenario import Cell, Relabel, Scenario, Step
from harness.model.topology import Topology

MAX_NAME = 63
"""Characters of a namespace's name (RFC 1123 label)."""

_CLUSTERS_OWN = "kube-system"
_OPTIONAL = "default"


def renaming_of(scenario: Scenario, prefix: str) -> Renaming:
    """The names of a scenario's namespaces when each gets `prefix`.

    `kube-system` keeps its name, since the cluster's DNS is there; so does `default` where the scenario has
    nothing of its own in it.
    """
    names = {name for topology in _topologies(scenario) for name in topology.namespaces}
    names -= {_CLUSTERS_OWN}
    if not any(_OPTIONAL in used for used in _used(scenario)):
        names -= {_OPTIONAL}
    hosts = {
        host.rstrip(".").lower()
        for topology in _topologies(scenario)
        for external in topology.externals.values()
        for host in external.names
    }
    return Renaming(prefix, {name: prefix + name for name in sorted(names)}, frozenset(hosts))


def _topologies(scenario: Scenario) -> Iterator[Topology]:
    yield scenario.topology
    yield from (step.topology for step in scenario.steps)


def _used(scenario: Scenario) -> Iterator[set[str]]:
    """Namespaces in which the scenario has something of its own."""
    for topology in _topologies(scenario):
        yield {pod.namespace for pod in topology.pods.values()}
        yield {service.namespace for service in topology.services.values()}
    for step in scenario.steps:
        yield {policy.namespace for policy in (*step.policies, *step.apply)}
        yield {item.target for item in step.label if item.kind == "namespace"}


def too_long(renaming: Renaming) -> list[str]:
    """Namespaces whose new names have more characters than Kubernetes allows."""
    return [name for name, real in renaming.namespaces.items() if len(real) > MAX_NAME]


def rename(scenario: Scenario, renaming: Renaming) -> Scenario:
    """The scenario under its names on the cluster; cells keep their ids.

    Raises:
        RenameError: A policy is not valid under its new names.
    """
    policies: dict[int, Policy] = {}

    def renamed(found: Iterable[Policy]) -> tuple[Policy, ...]:
        return tuple(
            policies[id(one)]
            if id(one) in policies
            else policies.setdefault(id(one), rename_policy(one, renaming))
            for one in found
        )

    steps: list[Step] = []
    topology = scenario.topology
    before: tuple[Policy, ...] = ()
    for step in scenario.steps:
        known = {one.ref: real.ref for one in (*before, *step.apply) for real in renamed([one])}
        steps.append(_step(step, renaming, topology, renamed(step.policies), renamed(step.apply), known))
        topology, before = step.topology, step.policies
    return replace(scenario, topology=renaming.topology(scenario.topology), steps=tuple(steps))


def _step(
    step: Step,
    renaming: Renaming,
    before: Topology,
    policies: tuple[Policy, ...],
    applied: tuple[Policy, ...],
    known: dict[PolicyRef, PolicyRef],
) -> Step:
    def ids(found: Iterable[str]) -> tuple[str, ...]:
        return tuple(renaming.identity(item) for item in found)

    def cells(found: Iterable[Cell], topology: Topology) -> tuple[Cell, ...]:
        return tuple(replace(cell, probe=renaming.probe(cell.probe, topology)) for cell in found)

    def relabel(item: Relabel) -> Relabel:
        return replace(item, target=renaming.identity(item.target))

    transition = step.transition
    if transition is not None:
        transition = replace(
            transition, steady=cells(transition.steady, before), cut=cells(transition.cut, before)
        )
    return replace(
        step,
        topology=renaming.topology(step.topology),
        policies=policies,
        cells=cells(step.cells, step.topology),
        apply=applied,
        delete=tuple(known.get(ref, ref) for ref in step.delete),
        label=tuple(relabel(item) for item in step.label),
        add=ids(step.add),
        remove=ids(step.remove),
        restart=ids(step.restart),
        transition=transition,
    )
