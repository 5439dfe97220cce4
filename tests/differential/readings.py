"""Where cyclonus reads the specification otherwise than netcheck, one rewriting of the question for each.

A difference counts as explained only if the oracle, asked in cyclonus' reading, gives cyclonus' answer.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace

from tests.differential.random_worlds import VALUES, Asked, Json, RandomWorld

Question = tuple[RandomWorld, Asked]


def _twin(world: RandomWorld, asked: Asked) -> Question:
    """A pod that talks to itself talks to another one that is just like it."""
    if asked.source != asked.target:
        return world, asked
    pod = world.topology.pods[asked.target]
    twin = replace(pod, name=f"{pod.name}-twin")
    topology = replace(world.topology, pods={**world.topology.pods, twin.id: twin})
    return replace(world, topology=topology), replace(asked, target=twin.id)


def _nodes_apart(world: RandomWorld, asked: Asked) -> Question:
    """No end is on the node that the other end is or runs on."""
    pods = dict(world.topology.pods)
    for id, node in ((asked.source, "s"), (asked.target, "t")):
        if id in pods:
            pods[id] = replace(pods[id], node=node)
    return replace(world, topology=replace(world.topology, pods=pods)), asked


def _absent_key(world: RandomWorld, asked: Asked) -> Question:
    """`NotIn` wants the key as well."""

    def change(selector: Json) -> None:
        extra = [
            {"key": item["key"], "operator": "Exists"}
            for item in selector.get("matchExpressions", ())
            if item["operator"] == "NotIn"
        ]
        if extra:
            selector["matchExpressions"] = [*selector["matchExpressions"], *extra]

    return _selectors(world, change), asked


def _empty_value(world: RandomWorld, asked: Asked) -> Question:
    """An empty value under `matchLabels` is met by an absent label: by all but the other values."""

    def change(selector: Json) -> None:
        labels = selector.get("matchLabels", {})
        selector["matchExpressions"] = [
            *selector.get("matchExpressions", ()),
            *(
                {"key": key, "operator": "NotIn", "values": [item for item in VALUES if item]}
                for key, value in labels.items()
                if value == ""
            ),
        ]
        selector["matchLabels"] = {key: value for key, value in labels.items() if value != ""}

    return _selectors(world, change), asked


def _selectors(world: RandomWorld, change: Callable[[Json], None]) -> RandomWorld:
    """The same world with every selector changed."""
    manifests = copy.deepcopy(world.manifests)
    for manifest in manifests:
        spec = manifest["spec"]
        rules = [*spec.get("ingress", ()), *spec.get("egress", ())]
        holders = [spec, *(peer for rule in rules for peer in (*rule.get("from", ()), *rule.get("to", ())))]
        for holder in holders:
            for name in ("podSelector", "namespaceSelector"):
                if name in holder:
                    change(holder[name])
    return replace(world, manifests=manifests)


@dataclass(frozen=True)
class Reading:
    """One difference.

    Attributes:
        why: What cyclonus does instead, and where semantics.md states the rule that netcheck follows.
        rewrite: The question as cyclonus understands it.
        may_open: Open points that the rewritten question may run into; then the oracle does not answer it.
    """

    name: str
    why: str
    rewrite: Callable[[RandomWorld, Asked], Question]
    may_open: frozenset[str] = frozenset()


_ADDRESSES = frozenset({"host-network", "ipblock-pod", "ipblock-node"})
"""What netcheck leaves open of pods and nodes by their addresses; cyclonus knows their addresses here."""

READINGS = (
    Reading(
        "itself",
        "its matcher does not know which pod is which, so a pod that talks to itself is asked as any other "
        "(semantics.md 3.1 no. 11: no policy can keep a pod from itself)",
        _twin,
        _ADDRESSES,
    ),
    Reading(
        "own node",
        "it knows no nodes (semantics.md 3.1 no. 11: a pod's own node is always allowed)",
        _nodes_apart,
        _ADDRESSES,
    ),
    # Before the next, which writes a NotIn that is meant as Kubernetes reads it.
    Reading(
        "NotIn of an absent key",
        "it takes NotIn as unmet where the label is absent (semantics.md 3.1 no. 7: it is met)",
        _absent_key,
    ),
    Reading(
        "empty value",
        "it takes an absent label for one with an empty value under matchLabels "
        "(labels.Selector of Kubernetes wants the key)",
        _empty_value,
    ),
)
"""Everything in which the two are known to differ; rewritten in this order."""
