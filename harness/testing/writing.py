"""Worlds and probes that a test writes in Python, read as the scenario language reads a file.

There is one language and one reader: what a test hands over becomes a document, and what is wrong with it is
said with the same words, at a place in that document.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.model.scenario import Scenario
from harness.scenario.expand import scenario
from harness.scenario.policies import Library
from harness.source.diagnostics import Problems, Severity
from harness.source.nodes import MappingNode
from harness.source.reader import read_text
from harness.source.render import render
from harness.source.sources import Sources

DISPLAY = "<netcheck.lab>"
LOOKUP = "kubernetes.default.svc.cluster.local"
"""A name that every cluster has, asked for where only a world is to be read: a scenario needs a cell."""

__tracebackhide__ = True


class WritingError(Exception):
    """A test says something that the scenario language does not know; the text is a diagnostic."""


def read(document: Mapping[str, Any], folder: Path) -> Scenario:
    """The scenario that a document describes.

    Args:
        document: As a scenario file would have it.
        folder: Where its paths are seen from.

    Raises:
        WritingError: It is none.
    """
    import yaml

    try:
        text = yaml.safe_dump(_plain(document), sort_keys=False, allow_unicode=True, width=1000)
    except yaml.YAMLError as error:
        raise WritingError(f"only texts, numbers, lists and mappings can be written: {error}") from error
    problems = Problems()
    sources = Sources()
    found = None
    for item in read_text(text, DISPLAY, problems, sources=sources):
        assert isinstance(item.root, MappingNode)
        found = scenario(item.root, folder / "netcheck-lab.yaml", DISPLAY, Library(sources), problems)
    errors = [item for item in problems.sorted() if item.severity is Severity.ERROR]
    if errors or found is None:
        raise WritingError(render(errors, sources).rstrip())
    return found


def world(document: Mapping[str, Any], steps: Sequence[Mapping[str, Any]], folder: Path) -> Scenario:
    """The scenario with steps that change the world; its last step asks for nothing that matters.

    Raises:
        WritingError: Something is wrong with the world or with a step.
    """
    source = next(iter(document.get("pods") or ()), None)
    source = source or "*"
    idle = {"name": "idle", "expect": [{"from": source, "dns": LOOKUP, "verdict": "observe"}]}
    return read({**document, "steps": [*steps, idle]}, folder)


def _plain(value: Any) -> Any:
    """Paths, tuples and mappings of any kind as YAML knows them."""
    if isinstance(value, Mapping):
        return {str(key) if isinstance(key, Path) else key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (str, Path)):
        return str(value)
    return value
