"""YAML nodes that know where they stand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from harness.source.place import Place


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """A scalar as written.

    Attributes:
        text: The characters, after YAML's own escapes and folding.
        plain: Written without quotes and not as a block, so that YAML readers guess its type.
        block_indent: For a literal block (`|`): how many columns YAML took off its lines, the first of
            which stands on the line after `place.line`; None for every other scalar.
    """

    text: str
    plain: bool
    place: Place
    block_indent: int | None = None


@dataclass(frozen=True, slots=True)
class SequenceNode:
    """A list."""

    items: tuple[Node, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class MappingNode:
    """A mapping; keys are scalars, unique, in the order of the file."""

    items: tuple[tuple[ScalarNode, Node], ...]
    place: Place
    _index: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        index = {key.text: number for number, (key, _) in enumerate(self.items)}
        object.__setattr__(self, "_index", index)

    def get(self, key: str) -> Node | None:
        """The value under `key`, or None."""
        number = self._index.get(key)
        return None if number is None else self.items[number][1]

    def key(self, key: str) -> ScalarNode | None:
        """The key's own node, for diagnostics about the key."""
        number = self._index.get(key)
        return None if number is None else self.items[number][0]

    def __contains__(self, key: str) -> bool:
        return key in self._index

    def __iter__(self) -> Iterator[str]:
        return iter(self._index)


Node = ScalarNode | SequenceNode | MappingNode


def last_line(node: Node) -> int:
    """The last line that has text of the node; where it begins when that is not known."""
    last = 0
    pending: list[Node] = [node]
    while pending:
        one = pending.pop()
        place = one.place
        # A place that ends in the first column ends with the line before.
        end = place.end_line - (place.end_column == 1) if place.end_line else place.line
        last = max(last, place.line, end)
        if isinstance(one, MappingNode):
            pending += [part for pair in one.items for part in pair]
        elif isinstance(one, SequenceNode):
            pending += one.items
    return last
