"""Policies of one dialect as policies of another: written, and read again as a cluster would read them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.dialects.converting import ROOMS
from harness.dialects.meaning import Meaning, Written, refuse
from harness.dialects.registry import parse_manifest
from harness.model.policy import Policy
from harness.source.diagnostics import Problems, Severity
from harness.source.nodes import MappingNode
from harness.source.reader import read_text
from harness.source.render import printable
from harness.source.sources import Sources

OUTPUT = "<converted>"
"""The file's name where there is none."""
SEPARATOR = "---\n"


@dataclass(frozen=True, slots=True)
class Converted:
    """One object of the dialect that was asked for.

    Attributes:
        text: YAML with comments, without `---`.
        written: Its manifest and where it comes from; the policy itself where it is of that dialect already.
        policy: What the dialect's parser makes of the text.
    """

    text: str
    written: Written
    policy: Policy


@dataclass(slots=True)
class Conversion:
    """What came out; with errors among the problems there is nothing to use."""

    to: str
    items: list[Converted] = field(default_factory=list)
    problems: Problems = field(default_factory=Problems)

    @property
    def text(self) -> str:
        """All objects as one stream of YAML documents."""
        return SEPARATOR.join(item.text for item in self.items)

    @property
    def policies(self) -> list[Policy]:
        """The objects as policies in force."""
        return [item.policy for item in self.items]


def convert(policies: Sequence[Policy], to: str, output: str = OUTPUT) -> Conversion:
    """Say in the dialect `to` what `policies` say; nothing is left out silently.

    Args:
        policies: Of any dialects; those of `to` stay as they are.
        to: A key of `ROOMS`.
        output: What places in the new policies call their file.
    """
    found = Conversion(to)
    kept = [policy for policy in policies if policy.dialect == to]
    others = [policy for policy in policies if policy.dialect != to]
    meanings = list(_told(others, found.problems))
    written = list(ROOMS[to].write(meanings, found.problems))
    if found.problems.errors:
        return found
    unchanged = [Written(dict(policy.manifest), [policy], ["it is unchanged"]) for policy in kept]
    items = list(_named_apart([*unchanged, *written]))
    texts = [yaml_text(item) for item in items]
    for item, text, policy in zip(
        items, texts, _read_again(texts, items, found.problems, output), strict=True
    ):
        if policy is not None:
            found.items.append(Converted(text, item, policy))
    return found


def _told(policies: Sequence[Policy], problems: Problems) -> Iterator[Meaning]:
    for dialect in dict.fromkeys(policy.dialect for policy in policies):
        mine = [policy for policy in policies if policy.dialect == dialect]
        if dialect in ROOMS:
            yield from ROOMS[dialect].tell(mine, problems)
            continue
        for policy in mine:
            refuse(
                problems,
                policy.place,
                f"{policy} is of the dialect {dialect}, whose rules are not converted",
                f"policies of {', '.join(ROOMS)} are",
            )


def _named_apart(items: Iterable[Written]) -> Iterator[Written]:
    """Objects whose names differ: two policies of one name may come of two dialects."""
    seen: set[tuple[str, str, str]] = set()
    for item in items:
        metadata = item.manifest["metadata"]
        name, number = metadata["name"], 1
        while (item.manifest["kind"], metadata.get("namespace", ""), name) in seen:
            number += 1
            name = f"{metadata['name']}-{number}"
        seen.add((item.manifest["kind"], metadata.get("namespace", ""), name))
        if name == metadata["name"]:
            yield item
            continue
        note = f"it has another name, since there are two called {metadata['name']}"
        manifest = {**item.manifest, "metadata": {**metadata, "name": name}}
        yield replace(item, manifest=manifest, notes=[*item.notes, note])


def yaml_text(item: Written) -> str:
    """The object as YAML, with where it comes from and what should be known of it as comments."""
    import yaml

    lines = [f"from {policy}, {policy.place.short}" for policy in item.policies] + list(
        dict.fromkeys(item.notes)
    )
    comments = "".join(f"# {printable(line)}\n" for line in lines)
    dump: str = yaml.dump(
        item.manifest, Dumper=_dumper(), sort_keys=False, allow_unicode=True, width=100, indent=2
    )
    return comments + dump


def _dumper() -> Any:
    """As people write manifests: lists are indented, nothing is an alias."""
    import yaml

    class Dumper(yaml.SafeDumper):
        def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
            super().increase_indent(flow, False)

        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: Any, data: str) -> Any:
        style = '"' if _READ_OTHERWISE.fullmatch(data) else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", data, style=style)

    Dumper.add_representer(str, text)
    return Dumper


_READ_OTHERWISE = re.compile(r"[-+.]?[0-9].*|\.(nan|inf)|y|n|yes|no|on|off|true|false|null|~|", re.I)
"""Texts that some reader of YAML takes for a number, a truth value or nothing at all."""


def _read_again(
    texts: Sequence[str], items: Sequence[Written], problems: Problems, output: str
) -> Iterator[Policy | None]:
    """The objects as their API server takes them; what it refuses is an error where the object comes from."""
    documents = read_text(SEPARATOR.join(texts), output, Problems(), sources=Sources())
    for document, item in zip(documents, items, strict=True):
        inner = Problems()
        assert isinstance(document.root, MappingNode)
        policy = parse_manifest(document.root, "default", inner)
        source = item.policies[0]
        for found in inner.found:
            if found.severity is Severity.ERROR:
                refuse(
                    problems,
                    source.place,
                    f"{source} cannot be written as {item.manifest['kind']}: {found.message}",
                    found.help,
                )
        yield policy
