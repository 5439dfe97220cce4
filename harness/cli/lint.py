"""`netcheck lint`."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli import options
from harness.cli.app import cli
from harness.cli.exits import ExitCode

if TYPE_CHECKING:
    from harness.source.diagnostics import Problems
    from harness.source.nodes import Node
    from harness.source.sources import Sources

_YAML = (".yaml", ".yml")


@cli.command()
@options.paths_argument
@options.color_option
@click.pass_context
def lint(ctx: click.Context, paths: tuple[str, ...], color: str) -> int:
    """Check scenario and policy files without running anything.

    Exit code 4 when a file has errors; warnings alone are 0.
    """
    from harness.cli import reading
    from harness.report.text import count
    from harness.scenario import find_files, load
    from harness.source.diagnostics import Problems, Severity

    chosen = options.chosen_paths(ctx, paths)
    scenario_files = find_files(chosen)
    loaded = load(scenario_files)
    sources = loaded.sources
    problems = Problems(list(loaded.problems))
    read = {path.resolve() for path in (*scenario_files, *loaded.files)}
    policies = [path for path in yaml_files(chosen) if path.resolve() not in read]
    named = {path for path in chosen if path.is_file()}
    for path in policies:
        lint_policies(path, problems, sources, everything=path in named)
    found = problems.sorted()
    if found:
        color_on = reading.wants_color(color, sys.stdout)
        reading.print_diagnostics(found, sources, sys.stdout, color=color_on)
        click.echo(reading.tally(found))
    else:
        files = count(len(read) + len(policies), "file")
        click.echo(f"no problems in {files}, {count(len(loaded.scenarios), 'scenario')}")
    errors = any(item.severity is Severity.ERROR for item in found)
    return ExitCode.USAGE if errors else ExitCode.OK


def yaml_files(paths: Sequence[Path]) -> list[Path]:
    """All YAML files: those that are named, and those in the folders that are named."""
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            inside = (item for item in path.rglob("*") if item.suffix in _YAML and item.is_file())
            found.update(dict.fromkeys(sorted(inside)))
        else:
            found[path] = None
    return list(found)


def lint_policies(path: Path, problems: Problems, sources: Sources, *, everything: bool) -> None:
    """Check a file of manifests.

    Args:
        path: The file.
        problems: Receives what is wrong.
        sources: Receives its text.
        everything: The file was named outright, so that documents which are no policies are errors too;
            in a folder they are other people's YAML.
    """
    from harness.dialects.registry import kinds, parse_manifest
    from harness.source.diagnostics import Problems
    from harness.source.nodes import MappingNode
    from harness.source.reader import read_file

    groups = {api_version.partition("/")[0] for api_version, _ in kinds()}
    reading = Problems()
    documents = read_file(path, reading, sources=sources)
    # What cannot be parsed has no documents; that it was meant for a policy shows in its text.
    text = next((found for name, found in sources.texts.items() if Path(name) == path), "")
    meant = any(re.search(rf"^apiVersion:\s*[\"']?{re.escape(group)}/", text, re.M) for group in groups)
    if everything or meant:
        problems.found += reading.found
    for document in documents:
        if not everything and _group(document.root) not in groups:
            continue
        if isinstance(document.root, MappingNode):
            parse_manifest(document.root, "default", problems)
        else:
            problems.error("manifest-type", "a manifest is a mapping", document.place)


def _group(node: Node) -> str:
    """The API group of a manifest; empty for anything else."""
    from harness.source.nodes import MappingNode, ScalarNode

    version = node.get("apiVersion") if isinstance(node, MappingNode) else None
    return version.text.partition("/")[0] if isinstance(version, ScalarNode) else ""
