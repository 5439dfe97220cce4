"""Files → scenarios, with everything that is wrong with them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from harness.model.scenario import Scenario
from harness.model.topology import Topology
from harness.scenario import Loaded, sniff
from harness.scenario.expand import scenario
from harness.scenario.policies import Library
from harness.source import Place
from harness.source.diagnostics import Problems, Related, Severity
from harness.source.limits import MAX_BYTES
from harness.source.nodes import MappingNode, ScalarNode
from harness.source.reader import Document, read_file, read_text
from harness.source.sources import Sources


def find_files(paths: Iterable[Path]) -> list[Path]:
    """The scenario files among `paths` and in the folders among them, each once."""
    found: dict[Path, Path] = {}
    for path in paths:
        for file in _walk(path) if _is_dir(path) else (path,):
            if is_scenario_file(file):
                found.setdefault(_real(file), file)
    return list(found.values())


def load(paths: Iterable[Path]) -> Loaded:
    """Read all scenarios of `paths`; see `harness.scenario.load`."""
    files: dict[Path, Path] = {}
    for path in paths:
        if _is_dir(path):
            for file in find_files([path]):
                files.setdefault(_real(file), file)
        else:
            files.setdefault(_real(path), path)
    return FileByFile().read(*files.values())


class FileByFile:
    """Reads files at different times as `load` does at once: no two scenarios of all have the same name."""

    def __init__(self) -> None:
        self._library = Library(Sources())
        self._seen: dict[str, Place] = {}

    def read(self, *files: Path) -> Loaded:
        """Read files that were not read before; never raises for what they contain."""
        problems = Problems()
        scenarios: list[Scenario] = []
        for file in files:
            scenarios += _file(file, self._library, self._seen, problems)
        every = dict.fromkeys((*files, *self._library.files))
        uses = {user: tuple(found) for user, found in self._library.uses.items()}
        return Loaded(tuple(scenarios), problems.sorted(), tuple(every), self._library.sources, uses)


def declared_world(path: Path, problems: Problems) -> Topology | None:
    """The first world of a file with one scenario, whatever its policies say; None when it has errors."""
    before = problems.errors
    documents = read_file(path, problems)
    roots = [item.root for item in documents]
    if len(roots) != 1 or not isinstance(roots[0], MappingNode) or "scenario" not in roots[0]:
        if problems.errors == before:
            problems.error("not-a-scenario", "the file is not one scenario", Place(str(path)))
        return None
    kept = tuple(pair for pair in roots[0].items if pair[0].text != "policies")
    root = MappingNode(kept, roots[0].place)
    found = scenario(root, path, str(path), Library(Sources()), problems)
    return found.topology if found is not None and problems.errors == before else None


def _file(file: Path, library: Library, seen: dict[str, Place], problems: Problems) -> list[Scenario]:
    """The scenarios of one file; none when anything in it is wrong."""
    display = str(file)
    library.user = display
    library.named(file)
    mine = Problems()
    documents = read_file(file, mine, display=display, sources=library.sources)
    broken = mine.errors > 0
    found: list[Scenario] = []
    if not documents and not broken:
        mine.error("not-a-scenario", "the file is empty", Place(display), help="write `scenario: NAME` first")
    for document in documents:
        result = _document(document, file, display, library, seen, mine)
        if result is not None:
            found.append(result)
    problems.found += mine.found
    return [] if mine.errors else found


def _document(
    document: Document,
    file: Path,
    display: str,
    library: Library,
    seen: dict[str, Place],
    problems: Problems,
) -> Scenario | None:
    root = document.root
    if not isinstance(root, MappingNode) or "scenario" not in root:
        advice = "begin it with `scenario: NAME`"
        if isinstance(root, MappingNode) and "kind" in root:
            advice = "this is a manifest: name its file under `policies:` of a scenario"
        elif isinstance(root, MappingNode) and "pods" in root:
            advice = "begin it with `scenario: NAME`, or name it as `world:` in a scenario"
        problems.error("not-a-scenario", "this document is no scenario", document.place, help=advice)
        return None
    name = root.get("scenario")
    if isinstance(name, ScalarNode):
        first = seen.setdefault(name.text, name.place)
        if first is not name.place:
            problems.error(
                "duplicate-scenario",
                f'there is another scenario "{name.text}"',
                name.place,
                help="choose another name; reports and `-k` tell scenarios apart by it",
                related=(Related(first, "the other one"),),
            )
    return scenario(root, file, display, library, problems)


def is_scenario_file(path: Path) -> bool:
    """Whether a YAML file has a document with a top-level `scenario:`, as far as that can be told."""
    data = sniff.mentioning(path)
    if data is None:
        return False
    if len(data) > MAX_BYTES:
        # Too large to be read: when it begins like a scenario, loading it will say so.
        return sniff.declares(data)
    text = data.decode("utf-8", "replace")
    problems = Problems()
    documents = read_text(text, str(path), problems)
    if any(isinstance(item.root, MappingNode) and "scenario" in item.root for item in documents):
        return True
    broken = any(item.severity is Severity.ERROR for item in problems.found)
    return broken and sniff.declares(data)


def _walk(folder: Path) -> Iterator[Path]:
    """YAML files below a folder, in order; hidden folders are passed over, links are not followed."""
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.endswith(sniff.YAML):
                yield Path(here) / name


def _is_dir(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _real(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, ValueError, RuntimeError):
        return path
