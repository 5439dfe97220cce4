"""`netcheck explain`: who decides one connection, step by step."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from harness.cli import options
from harness.cli.app import cli
from harness.cli.exits import CliError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.model.personality import Personality
    from harness.model.policy import Policy
    from harness.model.probe import Probe
    from harness.model.scenario import Scenario, Step
    from harness.model.topology import Family, Topology
    from harness.report.text import Line

_Item = TypeVar("_Item", "Scenario", "Step")

SCHEMA = "netcheck.dev/explanation/v1"
MOST = 20
"""Probes that are explained at once; a pattern may stand for many more."""


@cli.command()
@click.argument("file", metavar="FILE")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("--scenario", metavar="NAME", help="Which scenario of the file. [default: the first]")
@click.option("--step", metavar="NAME", help="Which of its steps. [default: the last]")
@options.personality_option
@options.json_option
@options.color_option
def explain(
    file: str,
    source: str,
    target: str,
    scenario: str | None,
    step: str | None,
    personality: Personality | None,
    as_json: bool,
    color: str,
) -> int:
    """Show who decides a connection: every policy that is asked, rule by rule, and what would change it.

    FROM and TO are written as in a scenario (`shop/web`, `shop/api:8080`, `external:internet:443`,
    `service:shop/api:80`, `dns:example.com`). FILE is a scenario file, or policies alone (a file, a folder,
    or `-` for standard input): these get the world that `netcheck predict` shows.
    """
    from harness.cli import reading
    from harness.oracle import flips, predict, trace
    from harness.report.explanation import change_lines, side_lines
    from harness.report.printer import printer
    from harness.report.text import EMPTY, line
    from harness.scenario.asking import probe_between
    from harness.source.diagnostics import Problems
    from harness.source.sources import Sources

    asked = _world(file, scenario, step, color)
    topology, policies = asked.topology, asked.policies
    problems, sources = Problems(), Sources()
    probes = probe_between(topology, source, target, problems, sources, asked.families)
    if problems.errors or not probes:
        shade = reading.wants_color(color, sys.stderr)
        reading.print_diagnostics(problems.sorted(), sources, sys.stderr, color=shade)
        raise CliError(
            f"{source} and {target} make no probe", "write them as `from:` and `to:` of a scenario"
        )
    documents = []
    lines: list[Line] = []
    for probe in probes[:MOST]:
        found = predict(topology, policies, probe, personality)
        sides = trace(topology, policies, probe, personality)
        # Where policies let it through and the ends do not take each other, no policy changes anything.
        refused = bool(sides) and found.denial is not None and all(item.answer == "allow" for item in sides)
        changes = () if refused else flips(sides)
        if as_json:
            documents.append(
                {
                    "id": probe.id,
                    "family": str(probe.family),
                    "predicted": found.word,
                    "reason": found.reason,
                    "sides": [_plain(asdict(item)) for item in sides],
                    "changes": [asdict(item) for item in changes],
                }
            )
            continue
        style = {"allow": "good", "deny": "bad"}.get(str(found.verdict), "skip")
        family = f"  {probe.family}" if probe.family != "ipv4" or len(asked.families) > 1 else ""
        where = f"{family}  {asked.title}"
        lines.append(line((probe.id, "bold"), "  ", (found.word, style), (where, "dim")))
        if _deaf(topology, probe):
            lines.append(
                line(
                    ("note  nobody listens there, so a cell would be an error, whatever the policies", "dim")
                )
            )
        lines += [*_translation(probe, sides), EMPTY]
        for number, side in enumerate(sides, 1):
            lines += side_lines(side, number)
        if refused:
            lines += [line((f"{len(sides) + 1}. identities", "bold"), f"  {found.reason}"), EMPTY]
        if not sides:
            lines += [line(found.reason), EMPTY]
        for change in changes:
            lines += [*change_lines(change.what, change.alternatives), EMPTY]
    if as_json:
        click.echo(json.dumps({"schema": SCHEMA, "probes": documents}, indent=1))
    else:
        printer(sys.stdout, color).print(lines)
        if len(probes) > MOST:
            click.echo(f"{len(probes) - MOST} more probes are meant; name the pods to see them", err=True)
    return ExitCode.OK


def _translation(probe: Probe, sides: Sequence[Any]) -> list[Line]:
    """What becomes of a target that is no pod's own address."""
    from harness.model.builtin import DNS_POD
    from harness.report.text import line

    ends = dict.fromkeys(f"{item.peer} on {item.port}" for item in sides if item.direction == "egress")
    if probe.target.kind in ("service", "nodeport", "host", "dns") and ends:
        name = f"the cluster's DNS ({DNS_POD})" if probe.target.kind == "dns" else str(probe.target)
        return [line(("translation  ", "dim"), f"{name} leads to {', '.join(ends)}")]
    return []


def _plain(value: Any) -> Any:
    """JSON values: places as `file:line:column`, words as texts."""
    if isinstance(value, dict):
        if set(value) == {"file", "line", "column", "end_line", "end_column"}:
            return f"{value['file']}:{value['line']}:{value['column']}"
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class _Asked:
    """The world of which something is asked; `title` says which it is."""

    topology: Topology
    policies: tuple[Policy, ...]
    title: str = ""
    families: tuple[Family, ...] = ()


def _deaf(topology: Topology, probe: Probe) -> bool:
    """Whether a pod or external is asked on a port on which it does not listen."""
    target = probe.target
    listeners = {f"pod:{name}": item.listeners for name, item in topology.pods.items()}
    listeners |= {f"external:{name}": item.listeners for name, item in topology.externals.items()}
    known = listeners.get(f"{target.kind}:{target.name}")
    if known is None or target.protocol == "ICMP":
        return False
    return (target.port, target.protocol) not in [(item.port, item.protocol) for item in known]


def _world(file: str, scenario: str | None, step: str | None, color: str) -> _Asked:
    from harness.cli import reading
    from harness.cli.predict import read_policies
    from harness.scenario import find_files

    path = Path(file)
    stdin = file == "-"
    if not stdin and not path.exists():
        raise CliError(f"{path}: there is no such file or folder", "check the path")
    if stdin or not find_files([path]):
        name = "standard input" if stdin else path
        if scenario or step:
            raise CliError(f"{name} has policies only, no scenario", "leave out --scenario and --step")
        topology, policies = read_policies([] if stdin else [path], stdin=stdin, color=color)
        return _Asked(topology, tuple(policies))
    read = reading.read([path], color=reading.wants_color(color, sys.stderr))
    chosen = _named(read, scenario, "scenario")
    which = _named(chosen.steps, step, "step", last=True)
    title = f"in {chosen.name}" + (f", step {which.name}" if len(chosen.steps) > 1 else "")
    return _Asked(which.topology, which.policies, title, chosen.families)


def _named(items: Sequence[_Item], name: str | None, what: str, *, last: bool = False) -> _Item:
    from harness.source.diagnostics import did_you_mean

    if name is None:
        return items[-1 if last else 0]
    for item in items:
        if item.name == name:
            return item
    names = [item.name for item in items]
    hint = did_you_mean(name, names) or f"there are {', '.join(names[:10])}"
    raise CliError(f"there is no {what} {name!r}", hint)
