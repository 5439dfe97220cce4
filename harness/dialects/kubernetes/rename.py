"""NetworkPolicies under the names that namespaces have on a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.dialects.renamed_selectors import rename_selector
from harness.model.renaming import Renaming

_SIDES = (("ingress", "from"), ("egress", "to"))


def rename(manifest: Mapping[str, Any], renaming: Renaming) -> dict[str, Any]:
    """See `harness.dialects.base.Dialect.rename`."""
    found = dict(manifest)
    metadata = found.get("metadata")
    if isinstance(metadata, Mapping) and isinstance(metadata.get("namespace"), str):
        found["metadata"] = {**metadata, "namespace": renaming.namespace(metadata["namespace"])}
    spec = found.get("spec")
    if isinstance(spec, Mapping):
        spec = dict(spec)
        for rules, peers in _SIDES:
            if isinstance(spec.get(rules), list):
                spec[rules] = [_rule(rule, peers, renaming) for rule in spec[rules]]
        found["spec"] = spec
    return found


def _rule(rule: Any, peers: str, renaming: Renaming) -> Any:
    if not isinstance(rule, Mapping) or not isinstance(rule.get(peers), list):
        return rule
    return {**rule, peers: [_peer(peer, renaming) for peer in rule[peers]]}


def _peer(peer: Any, renaming: Renaming) -> Any:
    if not isinstance(peer, Mapping) or "namespaceSelector" not in peer:
        return peer
    return {**peer, "namespaceSelector": rename_selector(peer["namespaceSelector"], renaming)}
