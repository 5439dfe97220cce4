"""Scenario files → the model: schema, matrices, expansion; scenario and policy errors in one pass.

Importing this package is cheap; YAML and pydantic are loaded with the first file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from harness.model.scenario import Scenario
    from harness.source.diagnostics import Diagnostic
    from harness.source.sources import Sources

__all__ = ["Loaded", "find_files", "json_schema", "load"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was read.

    Attributes:
        scenarios: In the order of the files; a file with errors contributes none.
        problems: Everything that is wrong, by place; warnings included.
        files: Every file that was read: scenarios, policies and shared worlds.
        sources: The files' texts, for excerpts.
        uses: By the name of each scenario file, what it is made of: every file that it was read from, and the
            files and folders that it names (of a glob the folder where it begins), there or not.
    """

    scenarios: tuple[Scenario, ...]
    problems: list[Diagnostic]
    files: tuple[Path, ...]
    sources: Sources
    uses: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)


def find_files(paths: Iterable[Path]) -> list[Path]:
    """The scenario files among `paths`: `.yaml` or `.yml` with a document that has a top-level `scenario:`.

    Folders are searched; other YAML in them is passed over. Nothing is reported: `load` does that.
    """
    from harness.scenario.loader import find_files as find

    return find(paths)


def load(paths: Iterable[Path]) -> Loaded:
    """Read the scenarios of files and folders; never raises for what the files contain.

    A file named outright that is no scenario file is an error; in a folder it is passed over.
    """
    from harness.scenario.loader import load as read

    return read(paths)


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a scenario document, for editors."""
    from harness.scenario.jsonschema import build

    return build()
