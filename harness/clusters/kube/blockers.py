"""Whose policies stand in the way of a control: read only when one was denied, and never a verdict.

Where the oracle reads a policy it can say which one denies the probe; of others only their names are known.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from harness.clusters.kube.api import Api, ApiError
from harness.clusters.kube.manifests import RUN_LABEL
from harness.dialects.registry import carried, kinds, parse_manifest
from harness.model.policy import Policy
from harness.model.prediction import Answer
from harness.model.probe import Probe
from harness.model.topology import Topology
from harness.oracle import predict
from harness.source.diagnostics import Problems
from harness.source.nodes import MappingNode
from harness.source.reader import read_text

NAMED = 5
"""So many policies are named where it is not known which one it is."""

_HARMLESS = frozenset({"Tier", "NetworkSet", "GlobalNetworkSet"})
"""Kinds that deny nothing by themselves, but to which policies refer; staged ones are told by their names."""

_TWICE = frozenset({"crd.projectcalico.org/v1"})
"""API versions under which objects are found again that another one serves."""

Json = dict[str, Any]


def blockers(api: Api, run: str, topology: Topology, probes: Sequence[Probe]) -> tuple[str, ...]:
    """What the policies of others have to do with probes that were denied before any policy was applied.

    Args:
        api: The API server.
        run: Id of the run, whose own policies are none of these.
        topology: The world, by its names on the cluster.
        probes: What was denied.

    Returns:
        For each probe `blocked by policy KIND NAME`, or which policies stand on the cluster, or nothing.
    """
    known = [item for item in kinds() if not item[1].startswith("Staged") and item[0] not in _TWICE]
    wide = _found(api, run, known, "")
    inside: dict[str, list[Json]] = {}
    said = []
    for probe in probes:
        ends = {end.name.partition("/")[0] for end in (probe.source, probe.target) if "/" in end.name}
        for namespace in ends - inside.keys():
            inside[namespace] = _found(api, run, known, namespace)
        own = [item for name in sorted(ends) for item in inside[name]]
        said.append(_said([*wide, *own], topology, probe))
    return tuple(said)


def _found(api: Api, run: str, known: Iterable[tuple[str, str]], namespace: str) -> list[Json]:
    """Policies of others in a namespace, or those that belong to none; as far as they may be read."""

    def listed(api_version: str, kind: str) -> list[Json]:
        try:
            resource = api.resource(api_version, kind)
            if resource.namespaced is not bool(namespace):
                return []
            items = api.get(resource.path(namespace)).get("items", ())
        except ApiError as trouble:
            if trouble.status not in (403, 404):
                raise
            return []
        return [
            {"apiVersion": api_version, "kind": kind, **item}
            for item in items
            if item["metadata"].get("labels", {}).get(RUN_LABEL) != run
        ]

    found = api.together([partial(listed, *item) for item in known])
    return [item for items in found for item in items]


def _said(items: Sequence[Json], topology: Topology, probe: Probe) -> str:
    read = [policy for item in items if (policy := _parsed(item)) is not None]
    legible = [policy for policy in read if carried([policy]) is None]
    predicted = predict(topology, legible, probe)
    if predicted.verdict is Answer.DENY:
        names = dict.fromkeys(origin.policy for origin in predicted.deciding)
        return f"blocked by policy {' and '.join(names)}"
    # Those that paper has read leave the probe alone.
    known = {str(policy) for policy in legible}
    standing = [_name(item) for item in items if item["kind"] not in _HARMLESS]
    left = [name for name in standing if name not in known]
    if predicted.verdict is Answer.UNDEFINED:
        left += [origin.policy for origin in predicted.deciding]
    if not left:
        return ""
    more = f" and {len(left) - NAMED} more" if len(left) > NAMED else ""
    return f"on the cluster stand {', '.join(sorted(left)[:NAMED])}{more}"


def _name(item: Json) -> str:
    metadata = item["metadata"]
    name = "/".join(filter(None, (metadata.get("namespace"), metadata["name"])))
    return f"{item['kind']} {name}"


def _parsed(item: Json) -> Policy | None:
    """The policy as a dialect reads it; None where it does not."""
    metadata = {key: item["metadata"][key] for key in ("name", "namespace") if key in item["metadata"]}
    bodies = {key: item[key] for key in ("apiVersion", "kind", "spec", "specs") if key in item}
    problems = Problems()
    text = json.dumps({**bodies, "metadata": metadata}, indent=1)
    for document in read_text(text, _name(item), problems):
        if isinstance(document.root, MappingNode):
            return parse_manifest(document.root, str(metadata.get("namespace", "")), problems)
    return None


__all__ = ["blockers"]
