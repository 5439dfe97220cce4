"""Plain data that remembers where it stands: what pydantic sees of a scenario file.

Scalars stay texts, whatever YAML would make of them: the scenario language reads them where a type is known.
"""

from __future__ import annotations

from typing import Any

from harness.source.nodes import MappingNode, Node, ScalarNode, SequenceNode
from harness.source.place import Place


class Text(str):
    """A scalar's text with its place."""

    __slots__ = ("node",)
    node: ScalarNode

    @classmethod
    def of(cls, node: ScalarNode) -> Text:
        """The text of `node`."""
        text = cls(node.text)
        text.node = node
        return text

    @property
    def place(self) -> Place:
        """Where the whole scalar stands, quotes included."""
        return self.node.place

    def span(self, start: int, end: int) -> Place:
        """Where characters `start` to `end` stand, or the whole scalar where that cannot be told."""
        place = self.place
        if place.end_line != place.line or end <= start:
            return place
        extra = place.end_column - place.column - len(self)
        # Quotes add two columns; anything else (escapes, tags) moves characters about.
        if extra not in (0, 2) or (extra == 2) == self.node.plain:
            return place
        column = place.column + extra // 2
        return Place(place.file, place.line, column + start, place.line, column + end)

    def part(self, word: str) -> Place:
        """Where `word` stands in the text."""
        start = self.find(word)
        return self.span(start, start + len(word)) if start >= 0 else self.place


class Items(list[Any]):
    """A list with its place."""

    __slots__ = ("node",)
    node: SequenceNode


class Table(dict[Text, Any]):
    """A mapping with its place."""

    __slots__ = ("node",)
    node: MappingNode


def located(node: Node) -> Text | Items | Table | None:
    """A node as located data; an empty plain scalar (`key:` and nothing after it) is None."""
    if isinstance(node, ScalarNode):
        return None if node.plain and node.text == "" else Text.of(node)
    if isinstance(node, SequenceNode):
        items = Items(located(item) for item in node.items)
        items.node = node
        return items
    table = Table((Text.of(key), located(value)) for key, value in node.items)
    table.node = node
    return table


def kind_of(value: object) -> str:
    """What a person calls it, for messages."""
    if value is None:
        return "nothing"
    if isinstance(value, Table | MappingNode):
        return "a mapping"
    if isinstance(value, Items | SequenceNode):
        return "a list"
    return "a text"
