"""Strict reading of manifests: every field knows its path and place, and complains in the user's words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.source.diagnostics import Fix, Problems, did_you_mean
from harness.source.nodes import MappingNode, Node, ScalarNode, SequenceNode
from harness.source.place import Place
from harness.source.values import manifest_key, manifest_value

_NO_HINTS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a manifest.

    `null` means what it means to the API server: an absent field, and in a list an empty item.

    Attributes:
        path: As in `spec.ingress[0].from[1]`; empty for the document itself.
        key: The key's own place, for problems about the key; None for list items.
    """

    node: Node
    path: str
    problems: Problems
    key: Place | None = None

    @property
    def place(self) -> Place:
        """Where the value stands."""
        return self.node.place

    @property
    def null(self) -> bool:
        """Whether the value is YAML's null."""
        return isinstance(self.node, ScalarNode) and manifest_value(self.node) is None

    def error(
        self, id: str, message: str, *, help: str = "", fix: str | None = None, instead: str = ""
    ) -> None:
        """Report an error at this field.

        Args:
            id: Of the diagnostic.
            message: What is wrong.
            help: What to do.
            fix: The text that certainly belongs here instead.
            instead: What may be meant, for a person to choose from.
        """
        found = None if fix is None else Fix(self.place, fix)
        text = f"{self.path or 'the manifest'}: {message}"
        self.problems.error(id, text, self.place, help=help, fix=found, instead=instead)

    def warning(self, id: str, message: str, *, help: str = "", fix: str | None = None) -> None:
        """Report a warning at this field; `fix` is the text that certainly belongs here instead."""
        found = None if fix is None else Fix(self.place, fix)
        self.problems.warning(
            id, f"{self.path or 'the manifest'}: {message}", self.place, help=help, fix=found
        )

    def section(
        self, known: Iterable[str], hints: Mapping[str, str] = _NO_HINTS, other: str = ""
    ) -> dict[str, Field]:
        """The fields of a mapping, absent ones left out.

        Args:
            known: Names that may stand here; every other one is an error with a suggestion.
            hints: What to say about particular unknown names.
            other: What to say about an unknown name that resembles nothing.
        """
        known = tuple(known)
        found = {}
        for name, field in self.entries().items():
            if name in known:
                if not field.null:
                    found[name] = field
                continue
            help = hints.get(name) or did_you_mean(name, known) or other or f"fields here: {', '.join(known)}"
            self.problems.error(
                "unknown-field",
                f"{self.path or 'the manifest'}: unknown field `{name}`",
                field.key or field.place,
                help=help,
            )
        return found

    def entries(self) -> dict[str, Field]:
        """All entries of a mapping whose keys are free; keys become texts (an unquoted `on` is `true`)."""
        if self.null:
            return {}
        if not isinstance(self.node, MappingNode):
            self.error("wrong-type", f"must be a mapping, not {describe(self.node)}")
            return {}
        prefix = f"{self.path}." if self.path else ""
        return {
            manifest_key(key): Field(value, f"{prefix}{key.text}", self.problems, key.place)
            for key, value in self.node.items
        }

    def items(self) -> tuple[Field, ...]:
        """The items of a list."""
        if self.null:
            return ()
        if not isinstance(self.node, SequenceNode):
            help = "begin each item with `- `" if isinstance(self.node, MappingNode) else ""
            self.error("wrong-type", f"must be a list, not {describe(self.node)}", help=help)
            return ()
        return tuple(
            Field(item, f"{self.path}[{number}]", self.problems)
            for number, item in enumerate(self.node.items)
        )

    def text(self) -> str | None:
        """A string; None after an error."""
        if isinstance(self.node, ScalarNode):
            value = manifest_value(self.node)
            if isinstance(value, str):
                return value
            self.error(
                "wrong-type",
                f"must be a string, but YAML reads `{self.node.text}` as {describe(self.node)}",
                help=f'write it in quotes: "{self.node.text}"',
                fix=f'"{self.node.text}"' if re.fullmatch(r"[\w.+-]+", self.node.text) else None,
            )
            return None
        self.error("wrong-type", f"must be a string, not {describe(self.node)}")
        return None

    def integer(self) -> int | None:
        """A whole number; None after an error."""
        value = manifest_value(self.node) if isinstance(self.node, ScalarNode) else None
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        help, fix = "", None
        if isinstance(value, str) and value.strip().isdecimal():
            fix = value.strip()
            help = f"write {fix} without quotes"
        self.error("wrong-type", f"must be a whole number, not {describe(self.node)}", help=help, fix=fix)
        return None

    def integer_or_text(self) -> int | str | None:
        """A whole number or a string; None after an error."""
        if isinstance(self.node, ScalarNode):
            value = manifest_value(self.node)
            if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
                return value
        self.error("wrong-type", f"must be a whole number or a string, not {describe(self.node)}")
        return None


def describe(node: Node) -> str:
    """What a node is, in words."""
    if isinstance(node, MappingNode):
        return "a mapping"
    if isinstance(node, SequenceNode):
        return "a list"
    value = manifest_value(node)
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"the truth value {str(value).lower()}"
    if isinstance(value, int | float):
        return f"the number {value}"
    return f'the string "{value}"'
