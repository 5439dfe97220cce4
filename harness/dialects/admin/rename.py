"""Admin policies under the names that namespaces have on a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.dialects.admin.versions import FORMS
from harness.dialects.renamed_selectors import rename_selector
from harness.model.renaming import Renaming

_SIDES = (("ingress", "from"), ("egress", "to"))


def rename(manifest: Mapping[str, Any], renaming: Renaming) -> dict[str, Any]:
    """See `harness.dialects.base.Dialect.rename`."""
    found = dict(manifest)
    metadata = found.get("metadata")
    form = FORMS[str(found.get("apiVersion")), str(found.get("kind"))]
    # The one BaselineAdminNetworkPolicy of a cluster has its name from the API.
    if isinstance(metadata, Mapping) and isinstance(metadata.get("name"), str) and not form.name:
        found["metadata"] = {**metadata, "name": renaming.cluster_scoped(metadata["name"])}
    spec = found.get("spec")
    if isinstance(spec, Mapping):
        spec = dict(spec)
        if "subject" in spec:
            spec["subject"] = _peer(spec["subject"], renaming)
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
    """A subject or peer; nodes and networks have nothing to do with namespaces."""
    if not isinstance(peer, Mapping):
        return peer
    found = dict(peer)
    pods, names = found.get("pods"), found.get("domainNames")
    if "namespaces" in found:
        found["namespaces"] = rename_selector(found["namespaces"], renaming)
    if isinstance(pods, Mapping) and "namespaceSelector" in pods:
        found["pods"] = {**pods, "namespaceSelector": rename_selector(pods["namespaceSelector"], renaming)}
    if isinstance(names, list):
        found["domainNames"] = [renaming.host(name) if isinstance(name, str) else name for name in names]
    return found
