"""The policies that a scenario file names or holds, read without its world: whatever else may be wrong."""

from __future__ import annotations

from pathlib import Path

from harness.author.bundle import read_bundle
from harness.dialects.registry import parse_manifest
from harness.model.policy import Policy
from harness.source.diagnostics import Problems
from harness.source.nodes import MappingNode, Node, ScalarNode, SequenceNode
from harness.source.reader import read_file


def declared_policies(path: Path) -> list[Policy]:
    """The policies below `policies:` of a file with one scenario, those with mistakes left out."""
    documents = read_file(path, Problems())
    root = documents[0].root if documents else None
    if not isinstance(root, MappingNode):
        return []
    namespace = _text(_get(root.get("defaults"), "namespace")) or "default"
    section = root.get("policies")
    entries = section.items if isinstance(section, SequenceNode) else [section] if section else []
    found: list[Policy] = []
    for entry in entries:
        if isinstance(entry, MappingNode):
            policy = parse_manifest(entry, namespace, Problems())
            found += [policy] if policy is not None else []
        else:
            found += read_bundle(_paths(path.parent, _text(entry)), namespace=namespace).policies
    return list({policy.ref: policy for policy in found}.values())


def _paths(folder: Path, text: str) -> list[Path]:
    if not text:
        return []
    if any(letter in text for letter in "*?["):
        try:
            return sorted(folder.glob(text))
        except (NotImplementedError, ValueError):
            return []
    return [folder / text] if (folder / text).exists() else []


def _get(node: Node | None, key: str) -> Node | None:
    return node.get(key) if isinstance(node, MappingNode) else None


def _text(node: Node | None) -> str:
    return node.text if isinstance(node, ScalarNode) else ""
