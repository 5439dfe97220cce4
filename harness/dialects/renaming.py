"""Policies under the names that namespaces have on a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.dialects.registry import DIALECTS, carried
from harness.model.policy import Policy
from harness.model.renaming import Renaming
from harness.source import Place
from harness.source.diagnostics import Problems
from harness.source.nodes import MappingNode, Node, ScalarNode, SequenceNode
from harness.source.values import manifest_key, manifest_value


class RenameError(ValueError):
    """The policy is not valid under its new names; the text says why."""


def rename_policy(policy: Policy, renaming: Renaming) -> Policy:
    """The policy as its dialect would have read it from a file with the new names; places stay.

    Raises:
        RenameError: It is not valid under its new names.
    """
    if carried([policy]) is not None:
        raise RenameError(
            f"{policy} cannot be renamed: only the cluster reads policies of {policy.api_version}"
        )
    dialect = DIALECTS[policy.dialect]
    manifest = dialect.rename(policy.manifest, renaming)
    document = _overlay(policy.document or _node(policy.manifest, policy.place), manifest)
    problems = Problems()
    namespace = renaming.namespace(policy.namespace)
    assert isinstance(document, MappingNode), "a manifest is a mapping"
    renamed = dialect.parse(document, namespace, problems)
    if renamed is None:
        why = "; ".join(item.message for item in problems.found)
        raise RenameError(f"{policy} cannot be renamed: {why}")
    return renamed


def _overlay(node: Node, value: Any) -> Node:
    """Nodes of `value` with the places of the nodes that it was made from."""
    if isinstance(node, MappingNode) and isinstance(value, Mapping):
        old = {manifest_key(key): (key, item) for key, item in node.items}
        items = []
        for name, item in value.items():
            if name in old:
                key, before = old[name]
                items.append((key, _overlay(before, item)))
            else:
                items.append((ScalarNode(name, False, node.place), _node(item, node.place)))
        return MappingNode(tuple(items), node.place)
    if isinstance(node, SequenceNode) and isinstance(value, list) and len(value) == len(node.items):
        pairs = zip(node.items, value, strict=True)
        return SequenceNode(tuple(_overlay(before, item) for before, item in pairs), node.place)
    return node if manifest_value(node) == value else _node(value, node.place)


def _node(value: Any, place: Place) -> Node:
    """Nodes of a plain JSON value, all at one place."""
    if isinstance(value, Mapping):
        items = ((ScalarNode(str(key), False, place), _node(item, place)) for key, item in value.items())
        return MappingNode(tuple(items), place)
    if isinstance(value, list):
        return SequenceNode(tuple(_node(item, place) for item in value), place)
    if isinstance(value, str):
        return ScalarNode(value, False, place)
    words = {None: "null", True: "true", False: "false"}
    word = words[value] if value is None or isinstance(value, bool) else str(value)
    return ScalarNode(word, True, place)
