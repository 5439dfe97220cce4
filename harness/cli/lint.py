"""`netcheck lint`."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli import options
from harness.cli.app import cli
from harness.cli.exits import CliError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.source.diagnostics import Diagnostic
    from harness.source.sources import Sources

SCHEMA = "netcheck.dev/lint/v1"
STANDARD_INPUT = "-"
MOST_ROUNDS = 10
"""How often corrections are made until nothing is left to correct."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was read and what is to say about it."""

    problems: list[Diagnostic]
    sources: Sources
    files: int
    scenarios: int


@cli.command()
@options.paths_argument
@click.option("--fix", is_flag=True, help="Write the corrections that are certain, and show what is left.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "sarif", "json", "github"]),
    default="text",
    show_default=True,
    help="SARIF is what code hosts show beside the lines of a change.",
)
@options.color_option
@click.pass_context
def lint(ctx: click.Context, paths: tuple[str, ...], fix: bool, form: str, color: str) -> int:
    """Check scenario and policy files without running anything.

    Policies are checked in the worlds of the scenarios that use them; those that none uses, among the
    workloads beside them, as in rendered Helm charts and kustomizations (`-` reads standard input).

    Exit code 4 when a file has errors; warnings alone are 0.
    """
    from harness.cli import reading
    from harness.report.text import count
    from harness.source.diagnostics import Severity

    stdin = reading.standard_input(color=color) if STANDARD_INPUT in paths else None
    named = tuple(path for path in paths if path != STANDARD_INPUT)
    chosen = options.chosen_paths(ctx, named) if named or stdin is None else ()
    found = look(chosen, stdin)
    if fix:
        if stdin is not None:
            raise CliError("standard input cannot be corrected", "name files, or leave out --fix")
        written = 0
        # What is corrected lets more be read, which may be corrected in turn.
        for _ in range(MOST_ROUNDS):
            some = _write(found)
            if not some:
                break
            written += some
            found = look(chosen, stdin)
        click.echo(f"corrected {count(written, 'place')}", err=True)
    if form == "sarif":
        from harness import __version__
        from harness.report.sarif import to_sarif

        click.echo(to_sarif(found.problems, __version__), nl=False)
    elif form == "github":
        from harness.report.github import diagnostics_to_github

        click.echo(diagnostics_to_github(found.problems, os.environ), nl=False)
    elif form == "json":
        entries = [_entry(item) for item in found.problems]
        click.echo(json.dumps({"schema": SCHEMA, "diagnostics": entries}, indent=1))
    elif found.problems:
        shade = reading.wants_color(color, sys.stdout)
        reading.print_diagnostics(found.problems, found.sources, sys.stdout, color=shade)
        click.echo(reading.tally(found.problems))
    else:
        click.echo(f"no problems in {count(found.files, 'file')}, {count(found.scenarios, 'scenario')}")
    errors = any(item.severity is Severity.ERROR for item in found.problems)
    return ExitCode.USAGE if errors else ExitCode.OK


def look(chosen: Sequence[Path], stdin: str | None) -> Found:
    """Read everything and say what is to say about it."""
    from harness.author.bundle import files_of, read_files
    from harness.author.review import World, review, worlds
    from harness.model.builtin import with_builtins
    from harness.scenario import find_files, load
    from harness.source.diagnostics import Problems

    scenario_files = find_files(chosen)
    loaded = load(scenario_files)
    read = {path.resolve() for path in (*scenario_files, *loaded.files)}
    rest = {path: named for path, named in files_of(chosen) if path.resolve() not in read}
    bundle = read_files(rest.items(), loaded.sources, stdin=stdin)
    found = list(worlds(loaded.scenarios))
    if bundle.topology.pods and bundle.policies:
        found.append(World(with_builtins(bundle.topology), tuple(bundle.policies)))
    problems = Problems([*loaded.problems, *bundle.problems.found, *review(found, bundle.policies)])
    files = len(read) + len(rest) + (stdin is not None)
    return Found(problems.sorted(), loaded.sources, files, len(loaded.scenarios))


def _write(found: Found) -> int:
    """Make the corrections; returns how many."""
    from harness.author.fix import fixed, fixes

    written = 0
    for name, wanted in fixes(found.problems).items():
        text = found.sources.texts.get(name)
        path = Path(name)
        # Bytes, so that the ends of the lines stay what they are.
        if text is None or path.read_bytes() != text.encode():
            continue
        path.write_bytes(fixed(text, wanted).encode())
        written += len(wanted)
    return written


def _entry(item: Diagnostic) -> dict[str, object]:
    return {
        "id": item.id,
        "severity": str(item.severity),
        "message": item.message,
        "help": item.help,
        "instead": item.instead,
        "file": item.place.file,
        "line": item.place.line,
        "column": item.place.column,
        "fixable": item.fix is not None,
    }
