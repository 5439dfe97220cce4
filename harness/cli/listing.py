"""`netcheck list` and `netcheck show`: what there is, before any packet."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from harness.cli import options
from harness.cli.app import cli
from harness.cli.exits import CliError, ExitCode

if TYPE_CHECKING:
    from harness.model.scenario import Scenario, Step
    from harness.report.text import Line

LIST_SCHEMA = "netcheck.dev/list/v1"
SHOW_SCHEMA = "netcheck.dev/scenario/v1"


@cli.command("list")
@options.paths_argument
@options.selection_options
@options.json_option
@options.verbose_option("Show the descriptions too.")
@options.color_option
@click.pass_context
def list_scenarios(
    ctx: click.Context,
    paths: tuple[str, ...],
    k: str,
    tag: tuple[str, ...],
    as_json: bool,
    verbose: bool,
    color: str,
) -> int:
    """List scenarios with their cells, places and tags."""
    from harness.cli import reading
    from harness.cli.select import select
    from harness.report.printer import printer

    files = options.chosen_paths(ctx, paths)
    read = reading.read(files, color=reading.wants_color(color, sys.stderr))
    scenarios = select(read, k, tag)
    if not scenarios:
        raise reading.nothing_selected(k, tag)
    if as_json:
        document = {"schema": LIST_SCHEMA, "scenarios": [_entry(item) for item in scenarios]}
        click.echo(json.dumps(document, indent=1))
    else:
        printer(sys.stdout, color).print(list_lines(scenarios, verbose=verbose))
    return ExitCode.OK


@cli.command(short_help="One scenario expanded: its matrix and every cell.")
@click.argument("name")
@options.paths_argument
@options.json_option
@options.color_option
@click.pass_context
def show(ctx: click.Context, name: str, paths: tuple[str, ...], as_json: bool, color: str) -> int:
    """Show the scenario NAME expanded: its matrix, and every cell with its expectation and place."""
    from harness.cli import reading
    from harness.oracle import resolve
    from harness.report.printer import printer
    from harness.source.diagnostics import did_you_mean

    files = options.chosen_paths(ctx, paths)
    read = reading.read(files, color=reading.wants_color(color, sys.stderr))
    found = next((item for item in read if item.name == name), None)
    if found is None:
        names = [item.name for item in read]
        hint = did_you_mean(name, names) or "`netcheck list` shows their names"
        raise CliError(f"there is no scenario {name!r} among {len(names)} in the files", hint)
    scenario = resolve(found)
    if as_json:
        click.echo(json.dumps(_document(scenario), indent=1))
    else:
        out = printer(sys.stdout, color)
        out.print(show_lines(scenario, out.columns))
    return ExitCode.OK


def list_lines(scenarios: Sequence[Scenario], *, verbose: bool = False) -> list[Line]:
    """A line per scenario, the columns under each other; descriptions below when `verbose`."""
    from harness.cli.select import count_cells
    from harness.report.text import count, line, pad, width

    names = max(width(item.name) for item in scenarios)
    places = max(width(item.place.short) for item in scenarios)
    lines = []
    for item in scenarios:
        cells = f"{count(count_cells([item]), 'cell'):>9}"
        tags = (" ".join(item.tags), "dim")
        lines.append(
            line((pad(item.name, names), "bold"), f"  {cells}  {pad(item.place.short, places)}  ", tags)
        )
        if verbose and item.description:
            lines.append(line("  ", (" ".join(item.description.split()), "dim")))
    total = f"{count(len(scenarios), 'scenario')}, {count(count_cells(scenarios), 'cell')}"
    return [*lines, (), line((total, "dim"))]


def show_lines(scenario: Scenario, columns: int) -> list[Line]:
    """One scenario, expanded."""
    from harness.report.text import line

    facts = [
        ("place", scenario.place.short),
        ("about", " ".join(scenario.description.split())),
        ("tags", " ".join(scenario.tags)),
        ("needs", " ".join(scenario.needs)),
        ("families", " ".join(scenario.families)),
    ]
    lines = [line((scenario.name, "bold"))]
    for label, text in facts:
        for number, part in enumerate(textwrap.wrap(text, columns - 12, break_on_hyphens=False)):
            lines.append(line((f"  {'' if number else label:<10}", "dim"), part))
    for step in scenario.steps:
        lines += _step_lines(step, columns, named=len(scenario.steps) > 1 or step.name != "expect")
    return lines


def _step_lines(step: Step, columns: int, *, named: bool) -> list[Line]:
    from harness.report import matrix, symbols
    from harness.report.text import EMPTY, indent, line, pad, width

    lines: list[Line] = [EMPTY]
    if named:
        lines.append(line("  step ", (step.name, "bold")))
        lines += [line((f"    {word:<9} ", "dim"), text) for word, text in _changes(step)]
    lines += [line(("  in force  ", "dim"), str(policy)) for policy in step.policies]
    cells = [*step.cells, *step.transition_cells()]
    if not cells:
        return lines
    both = len({cell.probe.family for cell in cells}) > 1
    fields = [
        matrix.field(cell.probe, cell.id, symbols.of_expectation(cell), both_families=both) for cell in cells
    ]
    lines += [EMPTY, *indent(matrix.render(fields, columns - 4), 4), EMPTY]
    verdicts = [_expectation(cell.expectation) for cell in cells]
    wide = max(width(text) for text in verdicts)
    places = max(width(cell.place.short) for cell in cells)
    for cell, verdict in zip(cells, verdicts, strict=True):
        place = (pad(cell.place.short, places), "dim")
        style = symbols.of_expectation(cell).style
        lines.append(line("    ", (pad(verdict, wide), style), "  ", place, "  ", cell.id))
    return lines


def _expectation(expectation: Any) -> str:
    parts = [str(expectation.default)]
    parts += [f"{name}={verdict}" for name, verdict in expectation.backends.items()]
    parts += [f"known {item.backend}={item.verdict}" for item in expectation.known]
    return ", ".join(parts)


def _changes(step: Step) -> list[tuple[str, str]]:
    changes = [("apply", str(policy)) for policy in step.apply]
    changes += [("delete", str(ref)) for ref in step.delete]
    for item in step.label:
        sets = [f"{key}={value}" for key, value in item.set.items()] + [f"{key}-" for key in item.unset]
        changes.append(("label", f"{item.kind} {item.target} {' '.join(sets)}"))
    changes += [("add", name) for name in step.add]
    changes += [("remove", name) for name in step.remove]
    changes += [("restart", name) for name in step.restart]
    return changes


def _entry(scenario: Scenario) -> dict[str, Any]:
    from harness.cli.select import count_cells
    from harness.report.json_parts import place_out

    return {
        "name": scenario.name,
        "place": place_out(scenario.place),
        "description": scenario.description,
        "tags": list(scenario.tags),
        "needs": list(scenario.needs),
        "families": [str(family) for family in scenario.families],
        "steps": [step.name for step in scenario.steps],
        "cells": count_cells([scenario]),
    }


def _document(scenario: Scenario) -> dict[str, Any]:
    from harness.report.json_parts import settings_out, step_out

    entry = _entry(scenario)
    entry["settings"] = settings_out(scenario.settings)
    entry["steps"] = [step_out(step) for step in scenario.steps]
    return {"schema": SHOW_SCHEMA, **entry}
