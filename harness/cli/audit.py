"""`netcheck audit`: what staged policies would deny, without denying it."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli import measuring, options
from harness.cli.app import cli
from harness.cli.exits import CliError, ExitCode
from harness.cli.kinds import tell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.author.audit import Flow
    from harness.model.scenario import Scenario
    from harness.report.text import Line

SCHEMA = "netcheck.dev/audit/v1"
_NONE = (
    "write StagedNetworkPolicy, StagedGlobalNetworkPolicy or StagedKubernetesNetworkPolicy "
    "(projectcalico.org/v3) instead of the kind that is enforced"
)


@cli.command(short_help="What staged policies would deny, without denying it.")
@click.argument("paths", nargs=-1, required=True, metavar="FILE...")
@options.selection_options
@click.option(
    "--predict", "paper", is_flag=True, help="Ask the oracle alone; no packet is sent and no lab is made."
)
@click.option(
    "--fail-on",
    type=click.Choice(["denied", "opened", "any", "none"]),
    default="denied",
    show_default=True,
    help="Exit code 1 when a flow would be denied, opened, either, or never.",
)
@measuring.place_options
@measuring.jobs_option
@options.json_option
@options.verbose_option("Also list the flows that stay as they are.")
@options.color_option
@click.pass_context
def audit(
    ctx: click.Context,
    paths: tuple[str, ...],
    k: str,
    tag: tuple[str, ...],
    paper: bool,
    fail_on: str,
    place: measuring.Place,
    jobs: int,
    as_json: bool,
    verbose: bool,
    color: str,
) -> int:
    """Say what staged policies would deny, and prove it on the lab.

    FILE is a scenario file, or policies alone (files, folders, `-` for standard input): these get a world
    with a pod for each label class that they can tell apart, and every flow of it is looked at.

    The lab sends every flow two times: with the staged policies told of, when it must pass as if they were
    not there, and with them enforced, when exactly the flows must fail that the oracle names. On a cluster
    whose Calico serves staged policies (3.30 and later) nothing is enforced: its flow log tells of each flow
    what they would have done.

    Exit codes: 0 nothing would be denied (see --fail-on), 1 something would, 2 interrupted, 4 usage or
    invalid file, 5 nothing selected, 6 inconclusive: a flow could not be measured, or packets and oracle do
    not agree.
    """
    from harness.author import audit as author
    from harness.report.printer import printer

    scenarios = [item for item in _scenarios(paths, k, tag, color) if author.staged_policies(item)]
    if not scenarios:
        raise CliError("no policy here is staged", _NONE)
    if paper:
        flows = [flow for item in scenarios for flow in author.on_paper(item)]
        interrupted = False
    else:
        place.check(ctx)
        flows, interrupted = _measured(scenarios, place, jobs)
    if as_json:
        click.echo(json.dumps(_document(scenarios, flows, packets=not paper), indent=1))
    else:
        printer(sys.stdout, color).print(_lines(scenarios, flows, verbose=verbose))
    if interrupted:
        return ExitCode.INTERRUPTED
    return _exit_code(flows, fail_on)


def _scenarios(paths: Sequence[str], k: str, tag: Sequence[str], color: str) -> Sequence[Scenario]:
    from harness.cli import reading
    from harness.cli.predict import read_policies
    from harness.cli.select import select
    from harness.oracle import resolve
    from harness.scenario import find_files

    files = [Path(item) for item in paths if item != "-"]
    for path in files:
        if not path.exists():
            raise CliError(f"{path}: there is no such file or folder", "check the path")
    if find_files(files) and "-" not in paths:
        read = reading.read(files, color=reading.wants_color(color, sys.stderr))
        chosen = select(read, k, tag)
        if not chosen:
            raise reading.nothing_selected(k, tag)
        return [resolve(item) for item in chosen]
    from harness.author.audit import whole_world

    topology, policies = read_policies(files, stdin="-" in paths, color=color)
    return [whole_world(topology, policies)]


def _measured(scenarios: Sequence[Scenario], place: measuring.Place, jobs: int) -> tuple[list[Flow], bool]:
    from harness.author import audit as author
    from harness.cli.clusters import parse_spec
    from harness.cli.measure import measure
    from harness.model.personality import of_scenario
    from harness.report.progress import progress
    from harness.report.streams import shown_together

    together = shown_together(sys.stdout, sys.stderr, os.environ)
    bar = progress(sys.stderr, quiet=False, environ=os.environ, told=together)
    lab = parse_spec(place.cluster)
    if lab is None:
        sent = [author.telling(item) for item in scenarios]
    else:
        if lab.personality is None:
            place = replace(place, cluster=f"lab?as={of_scenario(scenarios[0]).name}")
        sent = [made for item in scenarios for made in (author.observing(item), author.enforcing(item))]
    opening = place.opening(keep=False, say=tell)
    result = measure(place.ready(sent), place, opening, bar, bar.close, jobs=jobs, revision="")
    by_name = {item.scenario.name: item for item in result.scenarios}
    if lab is not None:
        return [flow for item in scenarios for flow in author.with_packets(item, by_name)], result.interrupted
    if result.scenarios and all("feature staged" in item.skipped for item in result.scenarios):
        raise CliError(
            f"{place.cluster} serves no staged policies, so nothing tells what they would do there",
            "they came with Calico 3.30; `netcheck audit --predict`, or the lab without --cluster, says what "
            "they would deny",
            ExitCode.INCONCLUSIVE,
        )
    flows = [flow for item in scenarios for flow in author.told(item, by_name.get(item.name))]
    return flows, result.interrupted


def _exit_code(flows: Sequence[Flow], fail_on: str) -> ExitCode:
    from harness.author.audit import Change, of_kind

    if any(flow.trouble or flow.disagreement for flow in flows):
        return ExitCode.INCONCLUSIVE
    wanted = {
        "denied": (Change.DENIED,),
        "opened": (Change.OPENED,),
        "any": (Change.DENIED, Change.OPENED),
        "none": (),
    }[fail_on]
    return ExitCode.DIFFERENT if any(of_kind(flows, change) for change in wanted) else ExitCode.OK


def _lines(scenarios: Sequence[Scenario], flows: Sequence[Flow], *, verbose: bool) -> list[Line]:
    from harness.author.audit import Change, of_kind, staged_policies
    from harness.report.text import EMPTY, count, line

    lines: list[Line] = []
    for scenario in scenarios:
        mine = [flow for flow in flows if flow.scenario == scenario.name]
        lines.append(line((scenario.name, "bold"), f"  {count(len(mine), 'flow')}"))
        lines += [line(f"  staged: {item} at {item.place.short}") for item in staged_policies(scenario)]
        for change, one, many, style in (
            (Change.DENIED, "would be denied", "would be denied", "bad"),
            (Change.OPENED, "would be allowed, denied today", "would be allowed, denied today", "error"),
            (Change.OPEN, "is undefined by the specification", "are undefined by the specification", "skip"),
            *(((Change.SAME, "stays as it is", "stay as they are", "dim"),) if verbose else ()),
        ):
            found = of_kind(mine, change)
            if not found:
                continue
            lines += [
                EMPTY,
                line(f"  {count(len(found), 'flow')} ", (one if len(found) == 1 else many, style)),
            ]
            for flow in found:
                lines.append(line(f"    {_name(flow)}"))
                if change is not Change.SAME:
                    lines.append(line((f"      {_rule(flow)}", "dim")))
                lines += [line((f"      {text}", "dim")) for text in flow.told]
        same = len(of_kind(mine, Change.SAME))
        if same and not verbose:
            words = "stays as it is" if same == 1 else "stay as they are"
            lines += [EMPTY, line((f"  {count(same, 'flow')} {words}", "dim"))]
        for flow in mine:
            why = flow.trouble or flow.disagreement
            if why:
                lines.append(line("  ", ("ERROR", "error"), f" {_name(flow)}: {why}"))
        lines.append(EMPTY)
    return lines


def _observed(flow: Flow) -> dict[str, str] | None:
    if flow.seen is not None:
        return {"today": str(flow.seen[0]), "enforced": str(flow.seen[1])}
    return None if flow.today is None else {"today": str(flow.today)}


def _name(flow: Flow) -> str:
    return f"{flow.step}::{flow.cell.id}" if flow.step != "expect" else flow.cell.id


def _rule(flow: Flow) -> str:
    rules = ", ".join(str(origin) for origin in flow.after.deciding)
    return f"{flow.after.reason} [{rules}]" if rules else flow.after.reason


def _document(scenarios: Sequence[Scenario], flows: Sequence[Flow], *, packets: bool) -> dict[str, Any]:
    from harness.author.audit import staged_policies

    return {
        "schema": SCHEMA,
        "packets": packets,
        "staged": [
            {"scenario": item.name, "policy": str(policy), "place": policy.place.short}
            for item in scenarios
            for policy in staged_policies(item)
        ],
        "flows": [
            {
                "scenario": flow.scenario,
                "step": flow.step,
                "id": flow.cell.id,
                "change": None if flow.trouble else str(flow.change),
                "predicted": {"today": flow.before.word, "enforced": flow.after.word},
                "observed": _observed(flow),
                "told": list(flow.told),
                "reason": flow.after.reason,
                "deciding": [str(origin) for origin in flow.after.deciding],
                "error": flow.trouble or flow.disagreement or None,
            }
            for flow in flows
        ],
    }
