"""`netcheck convert`: policies in another dialect, and the proof that they mean the same."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli import options
from harness.cli.app import cli
from harness.cli.exits import CliError, ExitCode

if TYPE_CHECKING:
    from harness.author.agreement import Proof
    from harness.author.bundle import Bundle
    from harness.author.convert import Conversion, Converted
    from harness.author.observing import Observed
    from harness.model.topology import Topology

SCHEMA = "netcheck.dev/conversion/v1"
_DIALECTS = ("kubernetes", "cilium", "calico", "admin")


@cli.command(short_help="Policies of one dialect as policies of another, with proof.")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--to",
    required=True,
    type=click.Choice(_DIALECTS),
    allow_from_autoenv=False,
    help="The dialect that is wanted.",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE|DIR",
    allow_from_autoenv=False,
    help="Write there instead of to standard output; into a folder, one file for each policy.",
)
@click.option(
    "--scenario",
    metavar="FILE",
    allow_from_autoenv=False,
    help="Compare in the world of this scenario file.  [default: a world guessed from the policies]",
)
@click.option(
    "--observe",
    is_flag=True,
    allow_from_autoenv=False,
    help="Also enforce both on the lab, and compare what real packets do.",
)
@options.json_option
@options.verbose_option("List every flow that is not kept, not only some of each kind.")
@options.color_option
def convert(
    paths: tuple[str, ...],
    to: str,
    output: str | None,
    scenario: str | None,
    observe: bool,
    as_json: bool,
    verbose: bool,
    color: str,
) -> int:
    """Write policies in another dialect, and prove on paper that they mean the same.

    PATH is a file or folder with policies, or `-` for standard input. The proof holds every kind of
    connection against both: pods of all label classes, nodes, the edges of all address blocks and port
    ranges. What has no form in the other dialect is an error; nothing is left out.

    Exit codes: 0 the meaning is kept (or depends on the network, which is said), 1 some flow differs, or
    something cannot be converted, 4 usage or invalid file, 6 nothing could be compared,
    or packets could not.
    """
    from harness.cli import reading
    from harness.report import conversion as told
    from harness.report.printer import printer

    files = [Path(item) for item in paths if item != "-"]
    bundle = _bundle(files, stdin="-" in paths, color=color)
    target = _target(output, bundle)
    found = _convert(bundle, to, target, color)
    world = _world(scenario, bundle, found, color)
    proof = _prove(bundle, found, world)
    observed = _observe(bundle, found, world) if observe else None
    if target is not None:
        _write(found, target, bundle)
    if as_json:
        click.echo(json.dumps(_document(found, proof, observed), indent=1))
    elif target is None:
        click.echo(found.text, nl=False)
    if not as_json:
        shade = "always" if reading.wants_color(color, sys.stderr) else "never"
        lines = told.lines(proof, to, everything=verbose)
        if observed is not None:
            lines += told.observed_lines(observed, everything=verbose)
        printer(sys.stderr, shade).print(lines)
    if proof.differing or (observed is not None and observed.differing):
        return ExitCode.DIFFERENT
    unsure = not proof.compared or (observed is not None and observed.unmeasured)
    return ExitCode.INCONCLUSIVE if unsure else ExitCode.OK


def _bundle(files: Sequence[Path], *, stdin: bool, color: str) -> Bundle:
    from harness.author.bundle import read_bundle
    from harness.cli import reading
    from harness.source.diagnostics import Severity

    for path in files:
        if not path.exists():
            raise CliError(f"{path}: there is no such file or folder", "check the path")
    bundle = read_bundle(files, stdin=reading.standard_input(color=color) if stdin else None)
    problems = bundle.problems.sorted()
    if any(item.severity is Severity.ERROR for item in problems):
        shade = reading.wants_color(color, sys.stderr)
        reading.print_diagnostics(problems, bundle.sources, sys.stderr, color=shade)
        raise reading.InvalidFilesError(reading.tally(problems))
    if not bundle.policies:
        raise CliError("there is no policy in what was named", "name files or folders with manifests")
    twice = {policy.ref for policy in bundle.policies}
    if len(twice) < len(bundle.policies):
        raise CliError("a policy stands twice in what was named", "name each file once")
    return bundle


def _target(output: str | None, bundle: Bundle) -> Path | None:
    """The file or folder that is written; never a file that was read."""
    if output is None:
        return None
    path = Path(output)
    if path.exists() and not path.is_dir() and any(path.samefile(item) for item in bundle.files):
        raise CliError(f"{path}: the policies are read from there", "write to another file")
    if output.endswith("/") and not path.exists():
        try:
            path.mkdir(parents=True)
        except OSError as error:
            raise CliError(f"{output}: {error.strerror}", "name a folder that can be made") from error
    return path


def _convert(bundle: Bundle, to: str, target: Path | None, color: str) -> Conversion:
    from harness.author.convert import OUTPUT, convert
    from harness.cli import reading

    found = convert(bundle.policies, to, OUTPUT if target is None else str(target))
    if found.problems.errors:
        problems = found.problems.sorted()
        shade = reading.wants_color(color, sys.stderr)
        reading.print_diagnostics(problems, bundle.sources, sys.stderr, color=shade)
        raise reading.InvalidFilesError(reading.tally(problems), code=ExitCode.DIFFERENT)
    return found


def _world(scenario: str | None, bundle: Bundle, found: Conversion, color: str) -> Topology:
    """The last state of the world of a scenario; without one, a world guessed from both sets."""
    from harness.author.guess import guess
    from harness.cli import reading

    if scenario is None:
        return guess([*bundle.policies, *found.policies], bundle.topology)
    path = Path(scenario)
    if not path.exists():
        raise CliError(f"{path}: there is no such file or folder", "check the path")
    read = reading.read([path], color=reading.wants_color(color, sys.stderr))
    if not read:
        raise CliError(f"{path} has no scenario", "name a scenario file, or leave --scenario out")
    return read[0].steps[-1].topology


def _prove(bundle: Bundle, found: Conversion, world: Topology) -> Proof:
    from harness.author.agreement import agreement, readings
    from harness.author.kinds_of_flows import label_classes, of_world
    from harness.dialects.registry import carried

    before, after = bundle.policies, found.policies
    every = label_classes(before, after)
    unread = carried([*before, *after])
    askings = () if unread is not None else (of_world(world, before, after), every)
    proof = agreement(askings, readings(before, found.to))
    if unread is not None:
        proof.gaps.append(f"anything: only the cluster reads the rules of {unread}")
        return proof
    if every.gap:
        proof.gaps.append(f"classes of labels: {every.gap}")
    return proof


def _observe(bundle: Bundle, found: Conversion, world: Topology) -> Observed:
    """Both sets on one lab; where the dialects do not say how it reads, as the specification has it."""
    from harness.author.observing import observe
    from harness.cli.signals import stop_on_signal
    from harness.clusters.lab.cluster import LabCluster
    from harness.engine.cluster import ClusterError
    from harness.model.personality import asked_for

    before, after = bundle.policies, found.policies
    personality = asked_for([*before, *after])
    try:
        cluster = LabCluster(f"lab?as={personality.name}", personality)
    except ClusterError as error:
        raise CliError(str(error), error.advice, ExitCode.INCONCLUSIVE) from error
    try:
        with stop_on_signal() as stop:
            observed = observe(world, before, after, cluster, lambda _event: None, stop)
        if stop.is_set():
            raise CliError("interrupted", "what was converted is not written", ExitCode.INTERRUPTED)
        return observed
    finally:
        cluster.close()


def _write(found: Conversion, target: Path, bundle: Bundle) -> None:
    texts = {target: found.text}
    if target.is_dir():
        texts = {target / _name(item): item.text for item in found.items}
    for path, text in texts.items():
        if path.exists() and any(path.samefile(item) for item in bundle.files):
            raise CliError(f"{path}: the policies are read from there", "write to another folder")
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            advice = "name a file or folder that can be written"
            raise CliError(f"{path}: {error.strerror}", advice) from error


def _name(item: Converted) -> str:
    return f"{item.policy.ref}.yaml".replace("/", "-")


def _document(found: Conversion, proof: Proof, observed: Observed | None) -> dict[str, Any]:
    from harness.report import conversion as told

    return {
        "schema": SCHEMA,
        "to": found.to,
        "policies": [
            {
                "manifest": item.written.manifest,
                "from": [
                    {"policy": str(policy), "place": policy.place.short} for policy in item.written.policies
                ],
                "notes": list(item.written.notes),
            }
            for item in found.items
        ],
        **told.document(proof),
        "observed": None if observed is None else told.observed_document(observed),
    }
