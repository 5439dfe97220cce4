"""Cilium's objects under the names that namespaces have on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harness.dialects.cilium.groups import KIND
from harness.dialects.cilium.parse import CLUSTERWIDE
from harness.dialects.cilium.selectors import ANY, K8S, NAMESPACE, NAMESPACE_LABELS
from harness.dialects.renamed_selectors import rename_selector
from harness.model.renaming import Renaming
from harness.model.topology import METADATA_NAME

_KEYS = frozenset(
    f"{source}{key}"
    for source in ("", f"{K8S}:", f"{ANY}:")
    for key in (NAMESPACE, NAMESPACE_LABELS + METADATA_NAME)
)
_SECTIONS = ("ingress", "ingressDeny", "egress", "egressDeny")


def rename(manifest: Mapping[str, Any], renaming: Renaming) -> dict[str, Any]:
    """See `harness.dialects.base.Dialect.rename`."""
    found = dict(manifest)
    metadata = found.get("metadata")
    if isinstance(metadata, Mapping):
        metadata = dict(metadata)
        if found.get("kind") in (CLUSTERWIDE, KIND):
            metadata["name"] = renaming.cluster_scoped(str(metadata["name"]))
        elif isinstance(metadata.get("namespace"), str):
            metadata["namespace"] = renaming.namespace(metadata["namespace"])
        found["metadata"] = metadata
    if found.get("kind") == KIND:
        return found
    if isinstance(found.get("spec"), Mapping):
        found["spec"] = _spec(found["spec"], renaming)
    found |= _each(found, ("specs",), lambda item: _spec(item, renaming))
    return found


def _each(value: Mapping[str, Any], names: tuple[str, ...], change: Callable[[Any], Any]) -> dict[str, Any]:
    """The lists of these names with every item changed."""
    return {
        name: [change(item) if isinstance(item, Mapping) else item for item in value[name]]
        for name in names
        if isinstance(value.get(name), list)
    }


def _spec(spec: Mapping[str, Any], renaming: Renaming) -> dict[str, Any]:
    found = dict(spec)
    if "endpointSelector" in found:
        found["endpointSelector"] = rename_selector(found["endpointSelector"], renaming, _KEYS)
    return found | _each(found, _SECTIONS, lambda rule: _rule(rule, renaming))


def _rule(rule: Mapping[str, Any], renaming: Renaming) -> dict[str, Any]:
    return (
        dict(rule)
        | _each(rule, ("fromEndpoints", "toEndpoints"), lambda item: rename_selector(item, renaming, _KEYS))
        | _each(rule, ("toServices",), lambda item: _service(item, renaming))
        | _each(rule, ("fromCIDRSet", "toCIDRSet"), lambda item: _cidr(item, renaming))
        | _each(rule, ("toFQDNs",), lambda item: _name(item, renaming))
        | _each(rule, ("toPorts",), lambda item: _ports(item, renaming))
    )


def _service(item: Mapping[str, Any], renaming: Renaming) -> dict[str, Any]:
    return {
        key: {**value, "namespace": renaming.namespace(value["namespace"])}
        if isinstance(value, Mapping) and isinstance(value.get("namespace"), str) and value["namespace"]
        else value
        for key, value in item.items()
    }


def _cidr(item: Mapping[str, Any], renaming: Renaming) -> dict[str, Any]:
    name = item.get("cidrGroupRef")
    return {**item, "cidrGroupRef": renaming.cluster_scoped(name)} if isinstance(name, str) else dict(item)


def _name(item: Mapping[str, Any], renaming: Renaming) -> dict[str, Any]:
    return {key: renaming.host(value) if isinstance(value, str) else value for key, value in item.items()}


def _ports(item: Mapping[str, Any], renaming: Renaming) -> dict[str, Any]:
    """DNS rules know names of the cluster; Host headers and server names stay as requests have them."""
    rules = item.get("rules")
    if not isinstance(rules, Mapping):
        return dict(item)
    return {**item, "rules": {**rules, **_each(rules, ("dns",), lambda name: _name(name, renaming))}}
