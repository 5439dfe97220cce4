"""All objects of a cluster, so that two moments can be compared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harness.clusters.kube.api import Api, ApiError

Json = dict[str, Any]

_NOISE = frozenset(
    {
        "events",
        "endpoints",
        "endpointslices",
        "componentstatuses",
        "apiservices",
        # Cilium's operator collects those that nobody uses any more a quarter of an hour later.
        "ciliumidentities",
        # Calico's lists of free addresses, in the order in which pods gave them back; users have handles.
        "ipamblocks",
    }
)
"""What every cluster changes all by itself."""

_OWN_METADATA = ("resourceVersion", "managedFields", "generation")


def snapshot(api: Api) -> dict[str, Json]:
    """Every object of every kind that can be listed, by path, without what changes by itself."""
    found: dict[str, Json] = {}
    for path in _collections(api):
        try:
            items = api.get(path).get("items") or ()
        except ApiError as trouble:
            if trouble.status in (404, 405):
                continue
            raise
        for item in items:
            metadata = item["metadata"]
            key = f"{path}: {metadata.get('namespace', '')}/{metadata['name']}"
            # Who holds a lease writes it every few seconds: what counts is that there is one.
            found[key] = {} if path.endswith("/leases") else _normal(item)
    return found


def _collections(api: Api) -> Iterator[str]:
    bases = ["/api/v1"]
    for group in api.get("/apis")["groups"]:
        bases += [f"/apis/{version['groupVersion']}" for version in group["versions"]]
    for base in bases:
        try:
            listed = api.reach(base)
        except ApiError:
            continue
        for resource in listed["resources"]:
            if "/" in resource["name"] or resource["name"] in _NOISE or "list" not in resource["verbs"]:
                continue
            yield f"{base}/{resource['name']}"


def _normal(item: Json) -> Json:
    """The object without what its controllers write at any time."""
    metadata = {key: value for key, value in item["metadata"].items() if key not in _OWN_METADATA}
    annotations = {
        key: value
        for key, value in (metadata.get("annotations") or {}).items()
        if not key.startswith(("node.alpha.kubernetes.io/", "control-plane.alpha.kubernetes.io/"))
    }
    rest = {key: value for key, value in item.items() if key not in ("metadata", "status")}
    return {**rest, "metadata": {**metadata, "annotations": annotations}}


def difference(before: dict[str, Json], after: dict[str, Json]) -> list[str]:
    """What is new, gone or changed, one line each."""
    lines = [f"new: {path}" for path in after.keys() - before.keys()]
    lines += [f"gone: {path}" for path in before.keys() - after.keys()]
    for path in before.keys() & after.keys():
        if before[path] != after[path]:
            lines.append(f"changed: {path}: {before[path]} is now {after[path]}")
    return sorted(lines)
