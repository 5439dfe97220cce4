"""What `netcheck watch` looks at: which files there are, which of them changed, whom that touches."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from harness.scenario.sniff import YAML

if TYPE_CHECKING:
    from harness.model.scenario import Scenario
    from harness.scenario import Loaded

_SUFFIXES = (*YAML, ".json")
Signature = tuple[int, int, int]
"""What changes when a file is saved, whether over the old one or by renaming a new one: time, size, inode."""


@dataclass(frozen=True, slots=True)
class Ground:
    """Where files are looked for.

    Attributes:
        deep: Folders with everything below them, hidden folders left out.
        flat: Folders themselves.
    """

    deep: frozenset[Path] = frozenset()
    flat: frozenset[Path] = frozenset()

    def folders(self) -> set[Path]:
        """Every folder that there is of it."""
        found = {path for path in self.flat if path.is_dir()}
        for path in self.deep:
            found |= {Path(here) for here, _ in _walk(path)}
        return found

    def files(self) -> dict[Path, Signature]:
        """Every file that could be a scenario or a policy."""
        found: dict[Path, Signature] = {}
        for folder in self.folders():
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        if entry.name.endswith(_SUFFIXES) and entry.is_file():
                            status = entry.stat()
                            found[folder / entry.name] = (
                                status.st_mtime_ns,
                                status.st_size,
                                status.st_ino,
                            )
            except OSError:
                # Gone since, or not ours to read: loading says so where it matters.
                continue
        return found


def ground(paths: Iterable[Path], uses: Iterable[Path]) -> Ground:
    """Where what was named, and what the scenarios use, can change or appear.

    Args:
        paths: As on the command line.
        uses: Files and folders that scenario files name; of those that do not exist, where they would be.
    """
    deep: set[Path] = set()
    flat: set[Path] = set()
    for path in map(_absolute, (*paths, *uses)):
        if path.is_dir():
            deep.add(path)
        else:
            flat.add(next(folder for folder in path.parents if folder.is_dir()))
    outer = {path for path in deep if not any(other in deep for other in path.parents)}
    return Ground(frozenset(outer), frozenset(flat))


def changed(before: Mapping[Path, Signature], now: Mapping[Path, Signature]) -> set[Path]:
    """The files that were written, made or removed in between."""
    return {path for path in before.keys() | now.keys() if before.get(path) != now.get(path)}


@dataclass(slots=True)
class Known:
    """The scenarios as they were last read; tells which ones a change touches."""

    _scenarios: dict[str, Scenario] = field(default_factory=dict)
    _uses: dict[str, set[Path]] = field(default_factory=dict)

    def touched(self, loaded: Loaded, paths: Iterable[Path]) -> list[Scenario]:
        """The scenarios to run after files have changed, in order; remembers all.

        Of a file that was saved, those scenarios that read differently now; when none does, all of the file:
        whoever saves wants to see something.
        """
        found: list[Scenario] = []
        saved = {_absolute(path) for path in paths}
        uses = {file: set(map(_absolute, each)) for file, each in loaded.uses.items()}
        files: dict[str, list[Scenario]] = {}
        for scenario in loaded.scenarios:
            files.setdefault(scenario.place.file, []).append(scenario)
        for file, scenarios in files.items():
            other = [item for item in scenarios if self._scenarios.get(item.name) != item]
            if other:
                found += other
            # What was one of its files and is gone counts, too.
            elif saved & (uses.get(file, set()) | self._uses.get(file, set())):
                found += scenarios
        self._uses = uses
        self._scenarios = {item.name: item for item in loaded.scenarios}
        return found


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - links stay what the user calls them


def _walk(folder: Path) -> Iterator[tuple[str, list[str]]]:
    for here, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield here, names
