"""Which cells rest on a point that the specification leaves open: nft has noted their connections."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.clusters.lab.enforce import TABLE, Compiled
from harness.clusters.lab.link import Line
from harness.clusters.resolve import Resolved, node_place
from harness.model.outcome import Observation
from harness.model.probe import Probe, TargetKind
from harness.model.rules import OPEN_POINTS
from harness.model.topology import Protocol


class OpenPoints:
    """The notes of one sweep; what was noted before is forgotten when it begins.

    Args:
        keeper: Who runs nft.
        compiled: The tables of the nodes.
        probes: What will be sent; sets that none of it can get into are left alone.
    """

    def __init__(self, keeper: Line, compiled: Mapping[str, Compiled], probes: Sequence[Probe]) -> None:
        self._keeper = keeper
        self._probes = probes
        watched = {node_place(node): _watched(table, probes) for node, table in compiled.items()}
        self._places = {place: names for place, names in watched.items() if names}
        scripts = [
            [place, "\n".join(f"flush set inet {TABLE} {name}" for name in names)]
            for place, names in self._places.items()
        ]
        if scripts:
            keeper.ask({"op": "nft", "scripts": scripts})

    def mark(self, found: dict[int, Observation], resolved: Mapping[int, Resolved]) -> None:
        """Say of each cell whose packets passed or fell on an open point which one it was."""
        flows = self._noted()
        if not flows:
            return
        for index, observation in found.items():
            address, _, port = observation.source_address.rpartition(":")
            address = address.strip("[]")
            # What is dialled, or what stands behind it: a source may use one port towards several addresses.
            dialled = observation.destination.rpartition(":")[0].strip("[]")
            behind = resolved[index].proofs if index in resolved else ()
            first = (address,) if self._probes[index].target.protocol is Protocol.ICMP else (address, port)
            for target in (dialled, *(proof.address for proof in behind)):
                point = flows.get((*first, target))
                if point is not None:
                    found[index] = replace(observation, open_point=OPEN_POINTS[point])
                    break

    def _noted(self) -> dict[tuple[str, ...], str]:
        """Connections with their open point, as `source address [port] destination address`."""
        flows: dict[tuple[str, ...], str] = {}
        if not self._places:
            return flows
        answer = self._keeper.ask({"op": "list", "places": list(self._places), "what": ["sets", "inet"]})
        for place, text in answer["rules"].items():
            for item in json.loads(text)["nftables"]:
                point = self._places[place].get(item.get("set", {}).get("name", ""))
                if point is None:
                    continue
                for element in item["set"].get("elem", ()):
                    flows[tuple(str(part) for part in _concatenated(element))] = point
        return flows


def _watched(table: Compiled, probes: Sequence[Probe]) -> dict[str, str]:
    """The table's sets that any of the probes can have got into; asking nft for the others costs time."""
    kinds = {probe.target.kind for probe in probes}
    icmp = any(probe.target.protocol is Protocol.ICMP for probe in probes)
    translated = bool(kinds & {TargetKind.SERVICE, TargetKind.NODEPORT, TargetKind.HOST})
    possible = {"icmp": icmp, "own-service": translated, "nodeport-source": TargetKind.NODEPORT in kinds}
    return {name: point for name, point in table.open_sets.items() if possible.get(point, True)}


def _concatenated(element: Any) -> Sequence[Any]:
    if isinstance(element, dict) and "elem" in element:
        element = element["elem"]["val"]
    if isinstance(element, dict) and "concat" in element:
        return list(element["concat"])
    return [element]
