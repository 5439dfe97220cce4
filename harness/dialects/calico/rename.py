"""Calico's objects under the names that namespaces have on a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from harness.dialects.calico.expressions import parse
from harness.dialects.calico.parse import NAMESPACED
from harness.dialects.calico.parse_objects import RESERVED
from harness.dialects.calico.selectors import (
    NAME,
    NAMESPACE,
    OF_NAMESPACE,
    And,
    Comparison,
    Expression,
    Not,
    Or,
)
from harness.dialects.renamed_selectors import rename_selector
from harness.model.renaming import Renaming
from harness.model.topology import METADATA_NAME

_OF_PODS = frozenset({NAMESPACE, OF_NAMESPACE + NAME, OF_NAMESPACE + METADATA_NAME})
_OF_NAMESPACES = frozenset({NAME, METADATA_NAME})


def rename(manifest: Mapping[str, Any], renaming: Renaming) -> dict[str, Any]:
    """See `harness.dialects.base.Dialect.rename`; tiers belong to the cluster and get other names, too."""
    found = dict(manifest)
    kind, spec = found.get("kind"), found.get("spec")
    tier = spec.get("tier") if isinstance(spec, Mapping) else None
    if isinstance(found.get("metadata"), Mapping):
        metadata = dict(found["metadata"])
        metadata["name"] = _name(str(metadata["name"]), str(kind), tier, renaming)
        if kind in NAMESPACED and isinstance(metadata.get("namespace"), str):
            metadata["namespace"] = renaming.namespace(metadata["namespace"])
        found["metadata"] = metadata
    if isinstance(spec, Mapping):
        staged = kind == "StagedKubernetesNetworkPolicy"
        found["spec"] = _kubernetes(spec, renaming) if staged else _spec(spec, renaming)
    return found


def _name(name: str, kind: str, tier: Any, renaming: Renaming) -> str:
    """The name of an object; before a policy's may stand the name of its tier."""
    if kind == "Tier":
        return _tier(name, renaming)
    head, dot, rest = name.partition(".")
    if dot and head == (tier or "default"):
        kept = rest if kind in NAMESPACED else renaming.cluster_scoped(rest)
        return f"{_tier(head, renaming)}.{kept}"
    return name if kind in NAMESPACED else renaming.cluster_scoped(name)


def _tier(name: str, renaming: Renaming) -> str:
    return name if name in RESERVED else renaming.cluster_scoped(name)


def _spec(spec: Mapping[str, Any], renaming: Renaming) -> dict[str, Any]:
    found = _selectors(spec, renaming)
    if isinstance(found.get("tier"), str):
        found["tier"] = _tier(found["tier"], renaming)
    for direction in ("ingress", "egress"):
        if isinstance(found.get(direction), list):
            found[direction] = [_rule(item, renaming) for item in found[direction]]
    return found


def _rule(rule: Any, renaming: Renaming) -> Any:
    if not isinstance(rule, Mapping):
        return rule
    return {
        key: _entity(value, renaming)
        if key in ("source", "destination") and isinstance(value, Mapping)
        else value
        for key, value in rule.items()
    }


def _entity(entity: Mapping[str, Any], renaming: Renaming) -> dict[str, Any]:
    found = _selectors(entity, renaming)
    services = found.get("services")
    if isinstance(services, Mapping) and isinstance(services.get("namespace"), str):
        found["services"] = {**services, "namespace": renaming.namespace(services["namespace"])}
    return found


def _selectors(holder: Mapping[str, Any], renaming: Renaming) -> dict[str, Any]:
    found = dict(holder)
    for name, keys in (
        ("selector", _OF_PODS),
        ("notSelector", _OF_PODS),
        ("namespaceSelector", _OF_NAMESPACES),
    ):
        text = found.get(name)
        if isinstance(text, str):
            before = parse(text)
            after = _renamed(before, keys, renaming)
            found[name] = text if after == before else str(after)
    return found


def _renamed(expression: Expression, keys: frozenset[str], renaming: Renaming) -> Expression:
    match expression:
        case Comparison() if expression.label in keys:
            values = tuple(renaming.namespace(value) for value in expression.values)
            return replace(expression, values=values)
        case Not():
            return Not(_renamed(expression.inner, keys, renaming))
        case And():
            return And(tuple(_renamed(term, keys, renaming) for term in expression.terms))
        case Or():
            return Or(tuple(_renamed(term, keys, renaming) for term in expression.terms))
        case _:
            return expression


def _kubernetes(spec: Mapping[str, Any], renaming: Renaming) -> dict[str, Any]:
    """The spec of a NetworkPolicy, whose selectors are Kubernetes' own."""
    found = dict(spec)
    for direction, side in (("ingress", "from"), ("egress", "to")):
        if not isinstance(found.get(direction), list):
            continue
        found[direction] = [
            {**rule, side: [_peer(peer, renaming) for peer in rule[side]]}
            if isinstance(rule, Mapping) and isinstance(rule.get(side), list)
            else rule
            for rule in found[direction]
        ]
    return found


def _peer(peer: Any, renaming: Renaming) -> Any:
    if not isinstance(peer, Mapping) or "namespaceSelector" not in peer:
        return peer
    return {**peer, "namespaceSelector": rename_selector(peer["namespaceSelector"], renaming)}
