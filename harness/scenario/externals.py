"""Scenarios whose externals stand at other addresses than the author wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from harness.model.scenario import Scenario
from harness.model.topology import External, Family, Topology


def relocate(scenario: Scenario, addresses: Mapping[str, tuple[str, ...]]) -> Scenario:
    """The scenario with these addresses for its externals; policies stay as they are.

    An external that gets an address has no other family than those of its new addresses.

    Args:
        scenario: Before the oracle has filled in its expectations, which depend on addresses.
        addresses: By the external's name, one per family at most.
    """
    if not addresses:
        return scenario
    steps = tuple(replace(step, topology=_moved(step.topology, addresses)) for step in scenario.steps)
    return replace(scenario, topology=_moved(scenario.topology, addresses), steps=steps)


def _moved(topology: Topology, addresses: Mapping[str, tuple[str, ...]]) -> Topology:
    def one(external: External) -> External:
        found = addresses.get(external.name)
        if found is None:
            return external
        families = {Family.IPV6 if ":" in item else Family.IPV4: item for item in found}
        return replace(external, addresses=families)

    return replace(topology, externals={key: one(item) for key, item in topology.externals.items()})
