"""Label selectors of manifests under the names that namespaces have on a cluster; most dialects have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.model.renaming import Renaming
from harness.model.topology import METADATA_NAME


def rename_selector(
    selector: Any, renaming: Renaming, keys: frozenset[str] = frozenset({METADATA_NAME})
) -> Any:
    """A selector whose requirements on `keys` name namespaces as they are called on the cluster.

    Args:
        selector: `matchLabels` and `matchExpressions`, or anything that stands where they belong.
        renaming: The names on the cluster.
        keys: Labels whose values are names of namespaces.
    """
    if not isinstance(selector, Mapping):
        return selector
    found = dict(selector)
    labels = found.get("matchLabels")
    if isinstance(labels, Mapping):
        found["matchLabels"] = {
            key: renaming.namespace(value) if key in keys and isinstance(value, str) else value
            for key, value in labels.items()
        }
    expressions = found.get("matchExpressions")
    if isinstance(expressions, list):
        found["matchExpressions"] = [_requirement(item, renaming, keys) for item in expressions]
    return found


def _requirement(item: Any, renaming: Renaming, keys: frozenset[str]) -> Any:
    if (
        not isinstance(item, Mapping)
        or item.get("key") not in keys
        or not isinstance(item.get("values"), list)
    ):
        return item
    values = [renaming.namespace(value) if isinstance(value, str) else value for value in item["values"]]
    return {**item, "values": values}
