"""Paths in scenario files: relative to the file, and never outside of the project."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from harness.scenario.located import Text
from harness.scenario.sniff import YAML
from harness.source.diagnostics import Problems

_MARKERS = ("netcheck.toml", "pyproject.toml", ".git")
_WILD = frozenset("*?[")
_MANIFESTS = (*YAML, ".json")
_MOST_FILES = 2000


class Folder:
    """Where the paths of one file start.

    Attributes:
        root: The project: the nearest folder upwards with netcheck.toml, pyproject.toml or .git, else the
            file's own folder. Symbolic links are followed before the check.
    """

    def __init__(self, file: Path, display: str, problems: Problems) -> None:
        self.folder = file.parent
        self.shown = os.path.dirname(display)  # noqa: PTH120 - a Path would lose a leading ./
        self.problems = problems
        real = file.resolve().parent
        self.root = next(
            (place for place in (real, *real.parents) if any((place / name).exists() for name in _MARKERS)),
            real,
        )

    def file(self, text: Text) -> tuple[Path, str] | None:
        """One file by its path, with its display name; None when it was reported."""
        if not self._sane(text):
            return None
        path = self.folder / text
        return (path, self._name(text)) if self._inside(path, text) else None

    def contains(self, path: Path) -> bool:
        """Whether a path lies within the project, links followed."""
        try:
            return path.resolve().is_relative_to(self.root)
        except (OSError, ValueError, RuntimeError):
            return False

    def start(self, text: str) -> Path | None:
        """The file or folder that a path names, of a glob where it begins; None outside of the project."""
        parts = Path(text).parts
        first = next((number for number, part in enumerate(parts) if _WILD & set(part)), len(parts))
        start = self.folder.joinpath(*parts[:first])
        return start if self.contains(start) else None

    def files(self, text: Text) -> list[tuple[Path, str]]:
        """All files that a path, folder or glob stands for; empty when it was reported."""
        if not self._sane(text):
            return []
        try:
            found = self._glob(text) if _WILD & set(text) else self._plain(text)
        except (OSError, ValueError, RuntimeError, NotImplementedError) as error:
            reason = getattr(error, "strerror", None) or "it is not valid"
            self.problems.error(
                "bad-path", f"the path cannot be used: {reason}", text.place, help="check the path"
            )
            return []
        return found

    def _plain(self, text: Text) -> list[tuple[Path, str]]:
        path = self.folder / text
        if not self._inside(path, text):
            return []
        if path.is_dir():
            names = sorted(item.name for item in path.iterdir() if item.suffix in _MANIFESTS)
            if not names:
                self.problems.error(
                    "no-files", f'the folder "{text}" has no YAML files', text.place, help="check the path"
                )
            return self._all(((path / name, os.path.join(text, name)) for name in names), text)  # noqa: PTH118
        if not path.exists():
            self.problems.error(
                "file-not-found",
                f'there is no file "{text}"',
                text.place,
                help=f"paths start at the scenario's own folder, {self.shown or '.'}",
            )
            return []
        return [(path, self._name(text))]

    def _glob(self, text: Text) -> list[tuple[Path, str]]:
        parts = Path(text).parts
        first = next(number for number, part in enumerate(parts) if _WILD & set(part))
        # What stands before the first wildcard is checked before anything is listed.
        start = self.folder.joinpath(*parts[:first])
        if not self._inside(start, text):
            return []
        if ".." in parts[first:]:
            self.problems.error(
                "bad-path", "`..` cannot follow a wildcard", text.place, help="write it before the wildcard"
            )
            return []
        matches: list[Path] = []
        for match in start.glob(str(Path(*parts[first:]))):
            if match.is_file():
                matches.append(match)
            if len(matches) > _MOST_FILES:
                self.problems.error(
                    "too-many-files",
                    f'"{text}" matches more than {_MOST_FILES} files',
                    text.place,
                    help="write a narrower glob",
                )
                return []
        if not matches:
            self.problems.error(
                "no-files", f'"{text}" matches no file', text.place, help="check the path and the wildcard"
            )
        prefix = os.path.join(*parts[:first]) if first else ""  # noqa: PTH118
        named = ((one, os.path.join(prefix, one.relative_to(start))) for one in sorted(matches))  # noqa: PTH118
        return self._all(named, text)

    def _all(self, found: Iterator[tuple[Path, str]], text: Text) -> list[tuple[Path, str]]:
        return [(path, self._name(name)) for path, name in found if self._inside(path, text)]

    def _name(self, text: str) -> str:
        return os.path.normpath(os.path.join(self.shown, text))  # noqa: PTH118

    def _sane(self, text: Text) -> bool:
        if text.strip() and text.isprintable():
            return True
        self.problems.error(
            "bad-path", "this is no path", text.place, help="write a path of visible characters"
        )
        return False

    def _inside(self, path: Path, text: Text) -> bool:
        inside = self.contains(path)
        if not inside:
            self.problems.error(
                "path-escape",
                f'"{text}" leads out of the project',
                text.place,
                help=f"only files below {self.root} are read",
            )
        return inside
