"""Adding to a scenario file without touching what stands in it."""

from __future__ import annotations

from collections.abc import Sequence

from harness.author.draft import Draft
from harness.source.diagnostics import Problems
from harness.source.nodes import MappingNode, Node, SequenceNode
from harness.source.reader import read_text


class CannotExtendError(Exception):
    """The file is written in a way that lines cannot be added to; the text says which part."""


def extended(text: str, name: str, made: Draft, policies: Sequence[str] = ()) -> str:
    """The file's text with the drafted lines at the end of their sections.

    Args:
        text: Of the file.
        name: Of the file, for complaints.
        made: What is new.
        policies: Lines of policies that the file does not have.

    Raises:
        CannotExtendError: A section is written in braces, the file has steps or several documents.
    """
    documents = read_text(text, name, Problems())
    if len(documents) != 1 or not isinstance(documents[0].root, MappingNode):
        raise CannotExtendError(f"{name} has several documents")
    root = documents[0].root
    if "steps" in root:
        raise CannotExtendError(f"{name} has steps: to which of them something new belongs, only you can say")
    lines = text.splitlines()
    sections = [
        ("namespaces", made.namespaces),
        ("pods", made.pods),
        ("services", made.services),
        ("externals", made.externals),
        ("policies", tuple(policies)),
        ("expect", made.expect),
    ]
    insertions: list[tuple[int, list[str]]] = []
    for key, section in sections:
        if not section:
            continue
        node, head = root.get(key), root.key(key)
        if node is None or head is None:
            insertions.append((len(lines), ["", f"{key}:", *section]))
            continue
        end = _last_line(node)
        if _items(node) and end == head.place.line:
            raise CannotExtendError(f"{name}:{end}: {key} stands on one line; write it in lines of its own")
        if lines[end - 1].lstrip().startswith(("}", "]")) or lines[end - 1].rstrip() in ("}", "]"):
            raise CannotExtendError(f"{name}:{end}: {key} is written in braces; write it in lines of its own")
        insertions.append((end, list(section)))
    for position, added in sorted(insertions, key=lambda item: item[0], reverse=True):
        lines[position:position] = added
    return "\n".join(lines) + "\n"


def _items(node: Node) -> int:
    return len(node.items) if isinstance(node, (MappingNode, SequenceNode)) else 0


def _last_line(node: Node) -> int:
    """The line on which the last scalar of a node ends."""
    if isinstance(node, SequenceNode) and node.items:
        return max(_last_line(item) for item in node.items)
    if isinstance(node, MappingNode) and node.items:
        return max(_last_line(item) for _, item in node.items)
    return node.place.end_line or node.place.line
