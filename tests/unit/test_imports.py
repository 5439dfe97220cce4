"""Who may import whom (design section 10), and what the command line must not load before it is needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]

ROOMS = (
    "source",
    "model",
    "dialects",
    "scenario",
    "oracle",
    "engine",
    "clusters",
    "cni",
    "author",
    "live",
    "report",
    "cli",
    "testing",
)
"""From top to bottom; a room imports itself and what stands above it."""

FORBIDDEN = {
    "engine": {"clusters", "dialects", "report"},
    "report": {"clusters"},
}
"""Beyond the order: what a room must not know although it stands above."""

DIALECTS = ("admin", "calico", "cilium", "kubernetes")
HEAVY = ("pydantic", "yaml", "rich", "jinja2", "junit_xml", "kubernetes")


class Import(NamedTuple):
    """One import of a module of this repository."""

    file: str
    line: int
    module: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.module}"


def imports(path: Path) -> Iterator[Import]:
    """Everything that a file imports, wherever in it, as absolute names."""
    tree = ast.parse(path.read_text(), path.name)
    package = path.relative_to(ROOT).with_suffix("").parts
    package = package[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [item.name for item in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            head = ".".join((*base, *filter(None, [node.module])))
            names = [f"{head}.{item.name}" for item in node.names]
        else:
            continue
        for name in names:
            yield Import(str(path.relative_to(ROOT)), node.lineno, name)


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def own(folder: str) -> list[Import]:
    return [item for path in files(folder) for item in imports(path)]


def room(file_or_module: str) -> str:
    """The room of `harness/ROOM/…` or `harness.ROOM.…`; what stands beside the rooms wires them, like cli."""
    parts = file_or_module.removesuffix(".py").replace("/", ".").split(".")
    if parts[1] == "pytest_plugin":
        return "testing"
    return parts[1] if len(parts) > 2 and parts[1] in ROOMS else "cli"


HARNESS = [item for item in own("harness") if item.module.split(".")[0] == "harness"]


def _rooms(found: Import) -> tuple[str, str]:
    parts = found.module.split(".")
    # `from harness import __version__` is no room.
    theirs = parts[1] if len(parts) > 1 and parts[1] in ROOMS else ""
    return room(found.file), theirs


def test_every_folder_is_a_room() -> None:
    folders = {item.name for item in (ROOT / "harness").iterdir() if (item / "__init__.py").exists()}
    assert folders <= set(ROOMS)
    assert {"source", "model", "engine", "clusters", "report", "cli"} <= folders


def test_imports_point_upwards_only() -> None:
    wrong = []
    for found in HARNESS:
        here, there = _rooms(found)
        if there and ROOMS.index(there) > ROOMS.index(here):
            wrong.append(str(found))
    assert wrong == []


@pytest.mark.parametrize("name", sorted(FORBIDDEN))
def test_rooms_that_must_not_know_each_other(name: str) -> None:
    wrong = [
        str(found)
        for found in HARNESS
        for here, there in [_rooms(found)]
        if here == name and there in FORBIDDEN[name]
    ]
    assert wrong == []


def test_dialects_do_not_import_each_other() -> None:
    wrong = []
    for found in HARNESS:
        here = found.file.split("/")
        there = found.module.split(".")
        if here[1] != "dialects" or here[2] not in DIALECTS or there[:2] != ["harness", "dialects"]:
            continue
        if len(there) > 2 and there[2] in DIALECTS and there[2] != here[2]:
            wrong.append(str(found))
    assert wrong == []


def test_probes_stand_on_the_standard_library_alone() -> None:
    found = own("probes")
    assert found
    wrong = [
        str(item)
        for item in found
        if item.module.split(".")[0] not in sys.stdlib_module_names | {"probes", "__future__"}
    ]
    assert wrong == []


@pytest.mark.parametrize("path", files("probes"), ids=lambda path: path.name)
def test_probes_are_written_for_python_3_9(path: Path) -> None:
    tree = ast.parse(path.read_text(), path.name, feature_version=(3, 9))
    # Names that are evaluated at run time although they look like annotations.
    assert not [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Match)]
    assert _late_annotations(tree) or not _annotated(tree)


def _late_annotations(tree: ast.Module) -> bool:
    return any(
        isinstance(node, ast.ImportFrom)
        and node.module == "__future__"
        and any(item.name == "annotations" for item in node.names)
        for node in tree.body
    )


def _annotated(tree: ast.Module) -> bool:
    return any(isinstance(node, (ast.AnnAssign, ast.FunctionDef)) for node in ast.walk(tree))


def test_the_engine_imports_no_more_than_it_says() -> None:
    """Importing the engine loads no cluster, no report and no YAML."""
    assert not [name for name in loaded("harness.engine.run") if name.startswith(FAR)]


FAR = ("harness.clusters", "harness.report", "harness.cli", "harness.scenario", "yaml", "rich", "pydantic")


def loaded(module: str) -> set[str]:
    """Names of the modules that are there after importing one in a fresh interpreter."""
    code = f"import sys, {module}; print(chr(10).join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, timeout=60
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["harness.cli", "harness.cli.app"])
def test_the_command_line_starts_light(module: str) -> None:
    found = loaded(module)
    assert "click" in found or module == "harness.cli"
    assert not [name for name in found if name.split(".")[0] in HEAVY]


def test_the_prober_starts_light() -> None:
    assert not [name for name in loaded("probes.client, probes.server, probes.flows") if "harness" in name]


def test_this_test_sees_imports_everywhere_in_a_file(tmp_path: Path) -> None:
    path = ROOT / "harness" / "engine" / "run.py"
    assert "harness.engine.cluster.Cluster" in {item.module for item in imports(path)}
    assert room("harness/engine/run.py") == "engine"
    assert room("harness/pytest_plugin.py") == "testing"
    assert room("harness/cli/app.py") == "cli"
