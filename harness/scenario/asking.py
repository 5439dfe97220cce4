"""One probe by the words of the scenario language, in a world that is already built."""

from __future__ import annotations

from collections.abc import Sequence

from harness.model.probe import DnsQuery, Probe, Target, TargetKind
from harness.model.topology import Family, Protocol, Topology
from harness.scenario import names
from harness.scenario.located import Text
from harness.scenario.resolve import Names
from harness.scenario.targets import Targets
from harness.scenario.world import World
from harness.source import Place
from harness.source.diagnostics import Problems
from harness.source.nodes import ScalarNode
from harness.source.sources import Sources

ARGUMENT = "<arguments>"


def probe_between(
    topology: Topology,
    source: str,
    target: str,
    problems: Problems,
    sources: Sources,
    families: Sequence[Family] = (),
) -> tuple[Probe, ...]:
    """The probes that `from: source` and `to: target` would make.

    Args:
        topology: The world.
        source: A pod, `node:a`, `external:name`, or a pattern.
        target: As in `to:`, or `dns:NAME`.
        problems: Receives what is wrong with the words.
        sources: Receives the words, for excerpts.
        families: Those that the scenario probes; empty = IPv4.

    Returns:
        Nothing when a problem was reported.
    """
    world = World(problems, Place(ARGUMENT))
    world.namespaces.update(topology.namespaces)
    world.pods.update(topology.pods)
    world.services.update(topology.services)
    world.externals.update(topology.externals)
    sources.add(ARGUMENT, f"{source} {target}")
    known = Names(world)
    first = _text(source, 1)
    second = _text(target, len(source) + 2)
    starts = known.sources(first)
    kind, _, name = target.partition(":")
    if kind == "dns":
        complaint = names.host_name(name)
        if complaint:
            problems.error(
                "bad-host", f'"{name}" {complaint}', second.place, help="write dns:api.example.com"
            )
            return ()
        query = DnsQuery(name.removesuffix(".").lower())
        target_of = Target(TargetKind.DNS, "", 53, Protocol.UDP)
        return tuple(
            Probe(item.source, target_of, family, query)
            for family in families or (Family.IPV4,)
            for item in starts
        )
    found = []
    for end in Targets(known).read(second):
        for item in starts:
            itself = end.target.kind is TargetKind.POD and end.target.name == item.source.name
            if not (itself and (item.one_of_many or end.one_of_many)):
                here = _families(topology, item.source.name, end.target, families)
                found += [Probe(item.source, end.target, family) for family in here]
    return tuple(found)


def _text(text: str, column: int) -> Text:
    return Text.of(ScalarNode(text, True, Place(ARGUMENT, 1, column, 1, column + len(text))))


def _families(topology: Topology, source: str, target: Target, wanted: Sequence[Family]) -> Sequence[Family]:
    """The wanted ones, or IPv4; those of an external that takes part where it has no address of them."""
    there = [
        external.addresses for name in (source, target.name) if (external := topology.externals.get(name))
    ]
    for some in (wanted or (Family.IPV4,), tuple(Family)):
        found = [family for family in some if all(family in addresses for addresses in there)]
        if found:
            return found
    return (Family.IPV4,)
