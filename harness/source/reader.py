"""YAML text → nodes with places.

Built on the events of libyaml. The composer of PyYAML's C loader recurses and ends the process on deep
nesting, so nodes are put together here, with an explicit stack and limits: scenario files are untrusted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.source.diagnostics import Problems, Related
from harness.source.limits import MAX_BYTES
from harness.source.nodes import MappingNode, Node, ScalarNode, SequenceNode
from harness.source.place import Place
from harness.source.sources import Sources
from harness.source.text import allowed, decode, position, read_bytes

if TYPE_CHECKING:
    import yaml

MAX_DEPTH = 100
"""How deep lists and mappings may be nested, aliases counted as if written out."""

MAX_NODES = 500_000
"""How many nodes a file may have, aliases counted as if written out."""

_FLATTER = "write it flatter"
_TAG = "tag:yaml.org,2002:"
_GUESSED = frozenset(_TAG + name for name in ("int", "float", "bool", "null", "timestamp"))


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document; `number` counts from 1 within its file."""

    root: Node
    name: str
    number: int

    @property
    def place(self) -> Place:
        """Where its first node begins."""
        return self.root.place


class _RefusedError(Exception):
    """A problem was reported that ends the reading of the file."""


def read_file(
    path: Path,
    problems: Problems,
    *,
    display: str | None = None,
    sources: Sources | None = None,
    limit: int = MAX_BYTES,
) -> list[Document]:
    """Read all documents of a YAML file.

    Args:
        path: The file.
        problems: Receives what is wrong with it; nothing is raised.
        display: Name of the file in places; the path as given when absent.
        sources: Keeps the text for excerpts.
        limit: Largest size in bytes.

    Returns:
        The documents that could be read; empty documents are left out.
    """
    name = display if display is not None else str(path)
    data = read_bytes(path, problems, name, limit)
    if data is None:
        return []
    text = decode(data, name, problems)
    if text is None:
        return []
    return read_text(text, name, problems, sources=sources)


def read_text(text: str, name: str, problems: Problems, *, sources: Sources | None = None) -> list[Document]:
    """Read all documents of a YAML text; `name` stands in the places. Never raises for any text."""
    if sources is not None:
        sources.add(name, text)
    if not allowed(text, name, problems):
        return []
    import yaml

    documents: list[Document] = []
    composer = _Composer(name, text, problems)
    try:
        for number, root in enumerate(composer.documents(yaml.parse(text, Loader=yaml.CSafeLoader)), start=1):
            empty = isinstance(root, ScalarNode) and root.plain and root.text == ""
            if not empty:
                documents.append(Document(root, name, number))
    except _RefusedError:
        pass
    except yaml.YAMLError as error:
        _syntax_error(error, text, name, problems)
    return documents


def _syntax_error(error: yaml.YAMLError, text: str, name: str, problems: Problems) -> None:
    mark = getattr(error, "problem_mark", None)
    place = Place(name, mark.line + 1, mark.column + 1) if mark else Place(name)
    end = position(text, len(text), name)
    if place.line > end.line:
        # libyaml ends the last line of a text even if nothing else does.
        place = end
    what = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be parsed"
    if "nesting depth" in what:
        # Newer versions of libyaml have a limit of their own, and look ahead: they may meet it first.
        problems.error("yaml-too-deep", f"nested more than {MAX_DEPTH} levels deep", place, help=_FLATTER)
        return
    sources = Sources({name: text})
    line = sources.line(name, place.line) or ""
    indent = line[: len(line) - len(line.lstrip())]
    if "\t" in indent and place.column <= len(indent) + 1:
        place = Place(name, place.line, indent.index("\t") + 1)
        problems.error(
            "yaml-tab", "YAML does not allow tabs for indentation", place, help="indent with spaces"
        )
        return
    related: tuple[Related, ...] = ()
    context, start = getattr(error, "context", None), getattr(error, "context_mark", None)
    if context and mark and start is not None and (start.line, start.column) != (mark.line, mark.column):
        related = (Related(Place(name, start.line + 1, start.column + 1), context),)
    advice = "check quotes, brackets and indentation here and in the lines before"
    if "mapping values are not allowed" in what:
        advice = "put a text with `: ` in quotes, and check the indentation"
    elif "cannot start any token" in what:
        advice = "put a text that begins with @, ` or % in quotes"
    elif "undefined alias" in what:
        advice = "define the anchor (&name) before the alias; put a text that begins with * in quotes"
    problems.error("yaml-syntax", f"not valid YAML: {what}", place, help=advice, related=related)


@dataclass(slots=True)
class _Open:
    """A collection under construction; `key` is the key that waits for its value."""

    mapping: bool
    start: Any
    items: list[Node] = field(default_factory=list)
    pairs: dict[str, tuple[ScalarNode, Node]] = field(default_factory=dict)
    merges: list[tuple[int, ScalarNode, Node]] = field(default_factory=list)
    key: ScalarNode | None = None
    merge_key: bool = False
    size: int = 1
    depth: int = 1


class _Composer:
    """Puts nodes together from events."""

    def __init__(self, name: str, text: str, problems: Problems) -> None:
        self.name = name
        self.sources = Sources({name: text})
        self.problems = problems
        self.stack: list[_Open] = []
        self.total = 0
        self.anchors: dict[str, tuple[Node, int, int] | None] = {}

    def documents(self, events: Iterator[Any]) -> Iterator[Node]:
        """The root of every document, as soon as it is complete."""
        import yaml

        root: Node | None = None
        for event in events:
            kind = type(event)
            if kind is yaml.ScalarEvent:
                done = self._put(self._scalar(event), 1, 0, event.anchor)
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                self._open(event, kind is yaml.MappingStartEvent)
                continue
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                done = self._close(event)
            elif kind is yaml.AliasEvent:
                done = self._alias(event)
            elif kind is yaml.DocumentStartEvent:
                self.anchors = {}
                continue
            elif kind is yaml.DocumentEndEvent:
                if root is not None:
                    yield root
                root = None
                continue
            else:
                continue
            if done is not None:
                root = done

    def _place(self, event: Any) -> Place:
        start, end = event.start_mark, event.end_mark
        return Place(self.name, start.line + 1, start.column + 1, end.line + 1, end.column + 1)

    def _refuse(self, id: str, message: str, place: Place, help: str) -> _RefusedError:
        self.problems.error(id, message, place, help=help)
        return _RefusedError()

    def _check_tag(self, tag: str | None, place: Place, known: frozenset[str]) -> None:
        if tag is not None and tag != "!" and tag not in known:
            shown = "!!" + tag.removeprefix(_TAG) if tag.startswith(_TAG) else tag
            self.problems.error(
                "yaml-tag", f"the YAML tag {shown} is not understood here", place, help="remove the tag"
            )

    def _scalar(self, event: Any) -> ScalarNode:
        place = self._place(event)
        tag = event.tag
        plain = event.style == "" or event.style is None
        if tag is not None:
            self._check_tag(tag, place, _GUESSED | {_TAG + "str"})
            plain = plain and tag in _GUESSED
        indent = self._block_indent(event) if event.style == "|" else None
        return ScalarNode(event.value, plain, place, indent)

    def _block_indent(self, event: Any) -> int:
        """Columns that YAML took off each line, found at the first line that has text."""
        first = event.start_mark.line + 2
        for number, line in enumerate(event.value.split("\n")):
            if line.strip():
                written = self.sources.line(self.name, first + number) or ""
                return max(0, len(written) - len(line))
        return 0

    def _open(self, event: Any, mapping: bool) -> None:
        place = self._place(event)
        if len(self.stack) >= MAX_DEPTH:
            raise self._refuse("yaml-too-deep", f"nested more than {MAX_DEPTH} levels deep", place, _FLATTER)
        self._no_key(place, "mapping" if mapping else "list")
        self._check_tag(event.tag, place, frozenset({_TAG + ("map" if mapping else "seq")}))
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        self.stack.append(_Open(mapping, event))

    def _no_key(self, place: Place, what: str) -> None:
        top = self.stack[-1] if self.stack else None
        if top is not None and top.mapping and top.key is None:
            raise self._refuse(
                "yaml-key",
                f"a key must be a text, not a {what}",
                place,
                "put the key in quotes; a value that begins with { or [ needs quotes, too",
            )

    def _close(self, end: Any) -> Node | None:
        top = self.stack.pop()
        start, stop = top.start.start_mark, end.end_mark
        flow = bool(getattr(top.start, "flow_style", False))
        place = Place(
            self.name,
            start.line + 1,
            start.column + 1,
            stop.line + 1 if flow else 0,
            stop.column + 1 if flow else 0,
        )
        node: Node
        if top.mapping:
            node = MappingNode(self._merged(top) if top.merges else tuple(top.pairs.values()), place)
        else:
            node = SequenceNode(tuple(top.items), place)
        return self._put(node, top.size, top.depth, getattr(top.start, "anchor", None))

    def _alias(self, event: Any) -> Node | None:
        place = self._place(event)
        if event.anchor not in self.anchors:
            raise self._refuse(
                "yaml-syntax",
                f"not valid YAML: there is no anchor &{event.anchor} before this alias",
                place,
                "define the anchor first; put a text that begins with * in quotes",
            )
        known = self.anchors[event.anchor]
        if known is None:
            raise self._refuse(
                "yaml-recursive",
                f"the alias *{event.anchor} stands inside of what it repeats",
                place,
                "write the content out",
            )
        node, size, depth = known
        if len(self.stack) + depth > MAX_DEPTH:
            raise self._refuse(
                "yaml-too-deep",
                f"nested more than {MAX_DEPTH} levels deep by aliases",
                place,
                _FLATTER,
            )
        if not isinstance(node, ScalarNode):
            self._no_key(place, "mapping" if isinstance(node, MappingNode) else "list")
        return self._put(node, size, depth, None, place)

    def _put(
        self, node: Node, size: int, depth: int, anchor: str | None, alias: Place | None = None
    ) -> Node | None:
        """Hand a finished node to the collection around it; without one it is the document's root."""
        # A collection's children were counted when they were put; an alias repeats all of its nodes.
        self.total += size if alias is not None else 1
        if self.total > MAX_NODES:
            raise self._refuse(
                "yaml-too-many-nodes",
                f"more than {MAX_NODES} nodes, aliases written out",
                alias or node.place,
                "use fewer aliases, or split the file",
            )
        if anchor is not None:
            self.anchors[anchor] = (node, size, depth)
        if not self.stack:
            return node
        top = self.stack[-1]
        top.size += size
        top.depth = max(top.depth, depth + 1)
        if not top.mapping:
            top.items.append(node)
        elif top.key is None:
            if not isinstance(node, ScalarNode):  # _no_key has refused every other node
                raise _RefusedError
            top.key = node
            top.merge_key = node.plain and node.text == "<<"
        else:
            key, top.key = top.key, None
            if top.merge_key:
                top.merges.append((len(top.pairs), key, node))
            elif key.text in top.pairs:
                first = top.pairs[key.text][0]
                self.problems.error(
                    "duplicate-key",
                    f'the key "{key.text}" stands twice in this mapping',
                    key.place,
                    help="remove one of them",
                    related=(Related(first.place, "first written here"),),
                )
            else:
                top.pairs[key.text] = (key, node)
        return None

    def _merged(self, top: _Open) -> tuple[tuple[ScalarNode, Node], ...]:
        """Pairs with `<<` carried out: keys of the mapping itself win, then the earlier merge."""
        pairs = list(top.pairs.items())
        result: dict[str, tuple[ScalarNode, Node]] = {}
        merges = list(top.merges)
        for number in range(len(pairs) + 1):
            while merges and merges[0][0] == number:
                _, key, value = merges.pop(0)
                for name, pair in self._merge_items(key, value):
                    if name not in top.pairs:
                        result.setdefault(name, pair)
            if number < len(pairs):
                name, pair = pairs[number]
                result[name] = pair
        self.total += len(result) - len(pairs)
        return tuple(result.values())

    def _merge_items(self, key: ScalarNode, value: Node) -> Iterator[tuple[str, tuple[ScalarNode, Node]]]:
        parts = value.items if isinstance(value, SequenceNode) else (value,)
        for part in parts:
            if not isinstance(part, MappingNode):
                self.problems.error(
                    "yaml-merge",
                    "`<<` takes a mapping or a list of mappings",
                    key.place,
                    help='write an alias of a mapping, or put the key in quotes: "<<"',
                )
                continue
            for pair in part.items:
                yield pair[0].text, pair
