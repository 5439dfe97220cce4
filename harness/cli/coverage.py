"""`netcheck coverage`: which rules no cell exercises."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from harness.cli import options
from harness.cli.app import cli
from harness.cli.exits import CliError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.author.coverage import Covered, Suggestion
    from harness.report.text import Line

SCHEMA = "netcheck.dev/coverage/v1"


@cli.command()
@options.paths_argument
@options.selection_options
@click.option("--suggest", is_flag=True, help="Write cells that would exercise the rest, as YAML to paste.")
@click.option(
    "--fail-under",
    type=click.FloatRange(0, 100),
    metavar="PERCENT",
    help="Exit code 1 when less than this is exercised.",
)
@options.json_option
@options.verbose_option("Also list what is exercised, with the cell that does.")
@options.color_option
@click.pass_context
def coverage(
    ctx: click.Context,
    paths: tuple[str, ...],
    k: str,
    tag: tuple[str, ...],
    suggest: bool,
    fail_under: float | None,
    as_json: bool,
    verbose: bool,
    color: str,
) -> int:
    """Show which rules, peers and ports of the policies no cell exercises.

    A part is exercised when the verdict of some cell rests on it, by the oracle; no packet is sent.
    """
    from harness.author import coverage as covering
    from harness.cli import reading
    from harness.cli.select import select
    from harness.report.printer import printer

    files = options.chosen_paths(ctx, paths)
    scenarios = select(reading.read(files, color=reading.wants_color(color, sys.stderr)), k, tag)
    if not scenarios:
        raise reading.nothing_selected(k, tag)
    found = covering.coverage(scenarios)
    if not found:
        raise CliError("no scenario has a policy whose rules can be read", "there is nothing to exercise")
    missing = [item for item in found if not item.cell]
    proposed = list(covering.suggestions(scenarios, missing)) if suggest else []
    reached = {part for item in proposed for part in item.parts}
    beyond = [f"{item.name} of {item.policy}" for item in missing] if suggest else []
    beyond = [text for text in beyond if text not in reached]
    share = 100 * (len(found) - len(missing)) / len(found)
    if as_json:
        document = {
            "schema": SCHEMA,
            "parts": len(found),
            "exercised": len(found) - len(missing),
            "percent": round(share, 1),
            "missing": [_entry(item) for item in missing],
            "suggestions": [
                {"scenario": item.scenario.name, "cell": item.probe.id, "parts": list(item.parts)}
                for item in proposed
            ],
            "without_suggestion": beyond,
        }
        click.echo(json.dumps(document, indent=1))
    else:
        printer(sys.stdout, color).print(_lines(found, verbose=verbose))
        for text in _yaml(proposed):
            click.echo(text)
        if beyond:
            click.echo(
                "\n# no cell was found for these: nothing matches them, or other rules decide all the same"
            )
        for text in beyond:
            click.echo(f"#   {text}")
    return ExitCode.DIFFERENT if fail_under is not None and share < fail_under else ExitCode.OK


def _entry(item: Covered) -> dict[str, object]:
    return {"policy": str(item.policy), "part": item.name, "place": str(item.place)}


def _lines(found: Sequence[Covered], *, verbose: bool) -> list[Line]:
    from harness.report.text import EMPTY, count, line

    lines: list[Line] = []
    by_policy: dict[str, list[Covered]] = {}
    for item in found:
        by_policy.setdefault(f"{item.policy} at {item.policy.place.short}", []).append(item)
    for name, items in by_policy.items():
        missing = [item for item in items if not item.cell]
        if not missing and not verbose:
            continue
        tally = f"{len(items) - len(missing)} of {len(items)}"
        lines.append(line((name, "bold"), (f"  {tally} exercised", "dim")))
        for item in items:
            if not item.cell:
                lines.append(line(("  no cell  ", "bad"), f"{item.name}  ", (item.place.short, "place")))
            elif verbose:
                lines.append(line(("  yes      ", "good"), f"{item.name}  ", (item.cell, "dim")))
        lines.append(EMPTY)
    good = sum(bool(item.cell) for item in found)
    share = 100 * good / len(found)
    policies = "1 policy" if len(by_policy) == 1 else f"{len(by_policy)} policies"
    total = f"{good} of {count(len(found), 'part')} of {policies}"
    lines.append(line((f"{total} exercised, {share:.0f} %", "good" if good == len(found) else "skip")))
    return lines


def _yaml(proposed: Sequence[Suggestion]) -> list[str]:
    """The suggestions as lines of scenario files, pods that are missing first."""
    from harness.author.draft import cell_line, missing

    texts: list[str] = []
    for name in dict.fromkeys(item.scenario.name for item in proposed):
        mine = [item for item in proposed if item.scenario.name == name]
        texts += ["", f"# for scenario {name}, {mine[0].scenario.place.file}"]
        known = mine[0].scenario.steps[-1].topology
        texts += missing(mine[-1].world, known, [item.probe for item in mine])
        texts.append("expect:")
        for item in mine:
            texts.append(f"  # {', '.join(item.parts)}")
            texts.append(cell_line(item.probe, "allow" if item.allowed else "deny"))
    return texts
