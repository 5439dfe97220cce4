"""`netcheck predict`: the oracle's matrix, without packets."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    from harness.model.topology import Topology
    from harness.oracle import Prediction
    from harness.report.symbols import Mark
    from harness.report.text import Line

SCHEMA = "netcheck.dev/prediction/v1"


@cli.command()
@click.argument("paths", nargs=-1, required=True, metavar="FILE...")
@options.selection_options
@options.personality_option
@options.json_option
@options.verbose_option("Show the deciding rule of every cell.")
@options.color_option
@click.pass_context
def predict(
    ctx: click.Context,
    paths: tuple[str, ...],
    k: str,
    tag: tuple[str, ...],
    personality: Personality | None,
    as_json: bool,
    verbose: bool,
    color: str,
) -> int:
    """Show what the policies mean on paper; no packet is sent.

    FILE is a scenario file, or policies alone (files, folders, `-` for standard input): these get a world
    with a pod for each label class that they can tell apart, and one that no selector matches.

    Exit code 1 when a scenario expects something else than the policies say.
    """
    from harness.report.printer import printer
    from harness.scenario import find_files

    files = [Path(item) for item in paths if item != "-"]
    for path in files:
        if not path.exists():
            raise CliError(f"{path}: there is no such file or folder", "check the path")
    scenarios = find_files(files)
    if scenarios and "-" not in paths:
        found = _of_scenarios(files, k, tag, color, personality)
    else:
        found = _of_policies(files, stdin="-" in paths, color=color, personality=personality)
    if as_json:
        click.echo(json.dumps({"schema": SCHEMA, "worlds": [item.document() for item in found]}, indent=1))
    else:
        out = printer(sys.stdout, color)
        for item in found:
            out.print(item.lines(out.columns, verbose=verbose))
    differs = any(item.differences for item in found)
    return ExitCode.DIFFERENT if differs else ExitCode.OK


class _Matrix:
    """One world with the predictions of some probes, and what an author expects of them, if anything."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.rows: list[tuple[str, Probe, Prediction, Mark, str]] = []
        self.differences = 0
        self.world: list[Line] = []

    def add(self, identity: str, probe: Probe, prediction: Prediction, expected: str, *, right: bool) -> None:
        from harness.report.symbols import of_prediction

        mark = of_prediction(prediction.word, expected, right=right)
        self.differences += not right
        self.rows.append((identity, probe, prediction, mark, expected))

    def document(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "differences": self.differences,
            "cells": [
                {
                    "id": identity,
                    "predicted": prediction.word,
                    "expected": expected or None,
                    "reason": prediction.reason,
                    "deciding": [str(origin) for origin in prediction.deciding],
                }
                for identity, _, prediction, _, expected in self.rows
            ],
        }

    def lines(self, columns: int, *, verbose: bool) -> list[Line]:
        from harness.report import matrix
        from harness.report.text import EMPTY, count, indent, line

        families = len({probe.family for _, probe, *_ in self.rows}) > 1
        fields = [
            matrix.field(probe, identity, mark, both_families=families)
            for identity, probe, _, mark, _ in self.rows
        ]
        lines: list[Line] = [line((self.title, "bold"), f"  {count(len(self.rows), 'cell')} on paper")]
        if self.world:
            lines += [EMPTY, *indent(self.world, 2)]
        lines += [EMPTY, *indent(matrix.render(fields, columns - 4), 4), EMPTY]
        for identity, _, prediction, _, expected in self.rows:
            wrong = bool(expected) and self._differs(prediction, expected)
            if not (verbose or wrong):
                continue
            head = f"  {identity}  {prediction.word}"
            if wrong:
                head += f", although the scenario expects {expected}"
            rules = ", ".join(str(origin) for origin in prediction.deciding)
            lines.append(line((head, "bad" if wrong else "")))
            lines.append(line((f"      {prediction.reason}" + (f" [{rules}]" if rules else ""), "dim")))
        if lines[-1] != EMPTY:
            lines.append(EMPTY)
        return lines

    @staticmethod
    def _differs(prediction: Prediction, expected: str) -> bool:
        return not agrees(prediction, expected)


def agrees(prediction: Prediction, expected: str) -> bool:
    """Whether an expectation fits a prediction; what paper leaves open or nobody expects always fits."""
    from harness.model.prediction import Answer
    from harness.model.verdict import Expected

    if prediction.verdict is Answer.UNDEFINED or expected in ("", "observe", "oracle"):
        return True
    return prediction.fits(Expected(expected))


def _of_scenarios(
    files: Sequence[Path], k: str, tag: tuple[str, ...], color: str, personality: Personality | None
) -> list[_Matrix]:
    from harness.cli import reading
    from harness.cli.select import select

    read = reading.read(files, color=reading.wants_color(color, sys.stderr))
    chosen = select(read, k, tag)
    if not chosen:
        raise reading.nothing_selected(k, tag)
    return [_of_step(scenario, step, personality) for scenario in chosen for step in scenario.steps]


def _of_step(scenario: Scenario, step: Step, personality: Personality | None) -> _Matrix:
    from harness.model.personality import of_scenario
    from harness.oracle import predict as ask

    several = len(scenario.steps) > 1
    reading = personality or of_scenario(scenario)
    found = _Matrix(f"{scenario.name}::{step.name}" if several else scenario.name)
    for cell in step.cells:
        prediction = ask(step.topology, step.policies, cell.probe, reading)
        expected = str(cell.expectation.on(("lab", reading.name)))
        right = agrees(prediction, expected)
        found.add(cell.id, cell.probe, prediction, expected, right=right)
    return found


def read_policies(files: Sequence[Path], *, stdin: bool, color: str) -> tuple[Topology, Sequence[Policy]]:
    """Policies without a scenario, and the world that they are given.

    Raises:
        CliError: There are none, or they have errors, which have been printed.
    """
    from harness.author.bundle import read_bundle
    from harness.author.guess import guess
    from harness.cli import reading
    from harness.source.diagnostics import Severity

    bundle = read_bundle(files, stdin=reading.standard_input(color=color) if stdin else None)
    problems = bundle.problems.sorted()
    if any(item.severity is Severity.ERROR for item in problems):
        shade = reading.wants_color(color, sys.stderr)
        reading.print_diagnostics(problems, bundle.sources, sys.stderr, color=shade)
        raise reading.InvalidFilesError(reading.tally(problems))
    if not bundle.policies:
        raise CliError(
            "there is neither a scenario nor a policy in what was named", "name a file that has one"
        )
    return guess(bundle.policies, bundle.topology), bundle.policies


def _of_policies(
    files: Sequence[Path], *, stdin: bool, color: str, personality: Personality | None
) -> list[_Matrix]:
    from harness.author.pairs import predictions, probes
    from harness.report.text import line

    topology, policies = read_policies(files, stdin=stdin, color=color)
    found = _Matrix(", ".join(str(policy) for policy in policies[:3]))
    if len(policies) > 3:
        found.title += f" and {len(policies) - 3} more"
    for pod in topology.pods.values():
        labels = ", ".join(f"{key}={value}" for key, value in pod.labels.items()) or "no labels"
        found.world.append(line((f"{pod.id}", ""), (f"  {labels}", "dim")))
    for external in topology.externals.values():
        addresses = ", ".join(external.addresses.values())
        found.world.append(line(f"external:{external.name}", (f"  {addresses}", "dim")))
    for pair in predictions(topology, policies, probes(topology), personality):
        found.add(pair.probe.id, pair.probe, pair.prediction, "", right=True)
    return [found]
