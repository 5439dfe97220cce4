"""`netcheck mutate`: would the cells notice a broken policy?"""

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

    from harness.author.mutate import Noticed
    from harness.model.scenario import Scenario
    from harness.report.text import Line

SCHEMA = "netcheck.dev/mutation/v1"


@cli.command()
@options.paths_argument
@options.selection_options
@click.option("--observe", is_flag=True, help="Enforce every mistake on the lab and probe, too.")
@click.option(
    "-j",
    "--jobs",
    default="auto",
    show_default=True,
    callback=options.jobs_value,
    help="Worlds at the same time.",
)
@click.option(
    "--fail-under",
    type=click.FloatRange(0, 100),
    metavar="PERCENT",
    help="Exit code 1 when fewer are noticed.",
)
@options.json_option
@options.verbose_option("Also list the mistakes that are noticed, with the cell that does.")
@options.color_option
@click.pass_context
def mutate(
    ctx: click.Context,
    paths: tuple[str, ...],
    k: str,
    tag: tuple[str, ...],
    observe: bool,
    jobs: int,
    fail_under: float | None,
    as_json: bool,
    verbose: bool,
    color: str,
) -> int:
    """Make every small mistake in the policies, one at a time, and list those that no cell notices.

    A rule dropped, a port off by one, a label lost, AND for OR, a wider CIDR: the oracle says what the
    cells would see; with --observe the lab enforces it. Mistakes that nothing can notice do not count.
    """
    from harness.author.mutate import on_paper
    from harness.cli import reading
    from harness.cli.select import select
    from harness.report.printer import printer

    files = options.chosen_paths(ctx, paths)
    scenarios = select(reading.read(files, color=reading.wants_color(color, sys.stderr)), k, tag)
    if not scenarios:
        raise reading.nothing_selected(k, tag)
    if observe:
        found = _observed(scenarios, jobs)
    else:
        found = [item for scenario in scenarios for item in on_paper(scenario)]
    if not found:
        raise CliError("no scenario has a policy in which a mistake could be made", "there is nothing to do")
    counted = [item for item in found if not item.equivalent and not item.error]
    noticed = [item for item in counted if item.cell]
    errors = [item for item in found if item.error]
    # Where nothing could be looked at, nothing was noticed either.
    share = 100 * len(noticed) / len(counted) if counted else 0.0 if errors else 100.0
    if as_json:
        document = {
            "schema": SCHEMA,
            "observed": observe,
            "mistakes": len(found),
            "noticed": len(noticed),
            "equivalent": sum(item.equivalent for item in found),
            "errors": len(errors),
            "percent": round(share, 1),
            "gaps": [_entry(item) for item in counted if not item.cell],
        }
        click.echo(json.dumps(document, indent=1))
    else:
        printer(sys.stdout, color).print(_lines(found, share, verbose=verbose))
    if fail_under is not None and share < fail_under:
        return ExitCode.DIFFERENT
    return ExitCode.INCONCLUSIVE if errors else ExitCode.OK


def _observed(scenarios: Sequence[Scenario], jobs: int) -> list[Noticed]:
    from harness.author.mutate import observed
    from harness.clusters.lab.cluster import LabCluster

    cluster = LabCluster("lab")
    try:
        return observed(scenarios, cluster, jobs=jobs, emit=lambda _event: None)
    finally:
        cluster.close()


def _entry(item: Noticed) -> dict[str, object]:
    return {
        "scenario": item.scenario.name,
        "mistake": item.mutant.id,
        "policy": str(item.mutant.original),
        "place": str(item.mutant.original.place),
        "would_notice": item.witness or item.words,
        "needs": list(item.needs),
    }


def _remedy(item: Noticed) -> list[Line]:
    """What would close a gap: a probe, with what the world lacks for it, or a connection in words."""
    from harness.report.text import line

    room = " " * 13
    if not item.witness:
        return [line((f"{room}it could be seen from {item.words}", "dim"))]
    tail = ", with" if item.needs else ""
    texts = [f"a cell {item.witness} would notice it{tail}", *(f"  {text}" for text in item.needs)]
    return [line((f"{room}{text}", "dim")) for text in texts]


def _lines(found: Sequence[Noticed], share: float, *, verbose: bool) -> list[Line]:
    from harness.report.text import EMPTY, count, line

    lines: list[Line] = []
    by_scenario: dict[str, list[Noticed]] = {}
    for item in found:
        by_scenario.setdefault(item.scenario.name, []).append(item)
    for name, items in by_scenario.items():
        gaps = [item for item in items if not item.cell and not item.equivalent]
        if not gaps and not verbose:
            continue
        lines.append(line((name, "bold"), (f"  {count(len(items), 'mistake')}", "dim")))
        for text in dict.fromkeys(item.error for item in items if item.error):
            same = count(sum(item.error == text for item in items), "mistake")
            lines.append(line(("  error      ", "error"), f"{same} not looked at: {text}"))
        for item in items:
            if item.error:
                continue
            if not item.cell and not item.equivalent:
                lines.append(line(("  unnoticed  ", "bad"), item.mutant.id))
                lines += _remedy(item)
            elif verbose:
                word = "by " + item.cell if item.cell else "nothing can notice it"
                lines.append(
                    line(("  noticed    " if item.cell else "  no change  ", "good"), item.mutant.id)
                )
                lines.append(line((f"             {word}", "dim")))
        lines.append(EMPTY)
    noticed = sum(bool(item.cell) for item in found)
    equal = sum(item.equivalent for item in found)
    errors = sum(bool(item.error) for item in found)
    text = f"{noticed} of {count(len(found) - equal - errors, 'mistake')} noticed"
    if len(found) > errors:
        text += f", {share:.0f} %"
    tail = f"; {equal} more change nothing" if equal else ""
    lines.append(line((text, "good" if share == 100 and not errors else "skip"), (tail, "dim")))
    if errors:
        lines.append(line((f"{count(errors, 'mistake')} could not be looked at", "error")))
    return lines
