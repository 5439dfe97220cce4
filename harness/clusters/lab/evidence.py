"""Counters of the lab's rules, before and after: which rule decided."""

from __future__ import annotations

import json
from collections.abc import Mapping

from harness.clusters.lab.enforce import TABLE, Compiled
from harness.clusters.lab.link import Processes
from harness.clusters.resolve import node_place

Counters = dict[tuple[str, str], int]
"""Packets by node and the rule's text."""


def counters(processes: Processes, compiled: Mapping[str, Compiled]) -> Counters:
    """Packets counted by every rule of every node."""
    places = {node_place(node): node for node in compiled}
    answer = processes.keeper.ask({"op": "list", "places": list(places), "what": ["table", "inet", TABLE]})
    found: Counters = {}
    for place, text in answer["rules"].items():
        node = places[place]
        for item in json.loads(text)["nftables"]:
            rule = item.get("rule")
            if rule is None or "comment" not in rule:
                continue
            meaning = compiled[node].comments.get(rule["comment"], rule["comment"])
            packets = sum(part["counter"]["packets"] for part in rule["expr"] if "counter" in part)
            key = (node, meaning)
            found[key] = found.get(key, 0) + packets
    return found


def moved(before: Counters, after: Counters) -> tuple[str, ...]:
    """One line per rule that counted packets in between."""
    lines = []
    for (node, meaning), packets in after.items():
        gained = packets - before.get((node, meaning), 0)
        if gained > 0:
            lines.append(f"node {node}: {meaning} ({gained} packet{'s' if gained > 1 else ''})")
    return tuple(lines)
