"""`netcheck init`: from a folder of policies to a scenario."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli import options
from harness.cli.app import cli
from harness.cli.exits import CliError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.author.bundle import Bundle
    from harness.author.draft import Draft
    from harness.model.policy import Policy
    from harness.model.topology import Topology


@cli.command(short_help="Write a scenario for policies that have none.")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Where to write; `-` is standard output. [default: scenarios/NAME.yaml, after the first path]",
)
@click.option(
    "-n", "--namespace", default="default", show_default=True, help="Namespace of policies that name none."
)
@options.color_option
def init(paths: tuple[str, ...], output: str | None, namespace: str, color: str) -> int:
    """Write a scenario for policies that have none.

    PATH is a file or folder with policies, plain or rendered by Helm or kustomize; `-` is standard input. The
    scenario has a pod for each label class that the policies tell apart, listeners for their ports, externals
    for their CIDRs, and as expectation what the oracle predicts, with the rule that decides as a comment.

    A file that is there already keeps all that stands in it; what new policies speak of is added.
    """
    from harness.author.bundle import read_bundle
    from harness.author.declared import declared_policies
    from harness.author.draft import draft, whole
    from harness.author.guess import guess
    from harness.cli import reading
    from harness.model.topology import Topology
    from harness.report.text import count
    from harness.source.diagnostics import Severity

    files = [Path(item) for item in paths if item != "-"]
    for path in files:
        if not path.exists():
            raise CliError(f"{path}: there is no such file or folder", "check the path")
    stdin = reading.standard_input(color=color) if "-" in paths else None
    bundle = read_bundle(files, stdin=stdin, namespace=namespace)
    problems = bundle.problems.sorted()
    if any(item.severity is Severity.ERROR for item in problems):
        shade = reading.wants_color(color, sys.stderr)
        reading.print_diagnostics(problems, bundle.sources, sys.stderr, color=shade)
        raise reading.InvalidFilesError(reading.tally(problems))
    if not bundle.policies:
        raise CliError("there is no policy in what was named", "name a file or folder with policies")
    name = _name(files)
    target = None if output == "-" else Path(output or f"scenarios/{name}.yaml")
    old = _existing(target) if target is not None and target.exists() else None
    standing = declared_policies(target) if old is not None and target is not None else []
    known = {policy.ref: policy for policy in standing}
    fresh = [policy for policy in bundle.policies if policy.ref not in known]
    inforce = [*standing, *fresh]
    whole_world = guess(inforce, old or bundle.topology)
    world = _ipv4(whole_world)
    made = draft(world, inforce, old or Topology())
    if old is not None and target is not None:
        for policy in bundle.policies:
            copy = known.get(policy.ref)
            if copy is not None and copy.place.file == str(target) and copy.manifest != policy.manifest:
                click.echo(
                    f"{target} has a copy of its own of {policy}, and it differs from {policy.place.short}",
                    err=True,
                )
        if not made.cells and not fresh:
            click.echo(f"{target}: the policies speak of nothing that is not there already")
            return ExitCode.OK
        text = _extend(target, made, _policy_lines(bundle, fresh, files, target) if fresh else [])
    else:
        source = ", ".join(paths)
        nameless = any("namespace" not in policy.manifest["metadata"] for policy in bundle.policies)
        default = namespace if nameless else ""
        text = whole(name, source, _policy_lines(bundle, fresh, files, target), made, default)
    if target is None:
        click.echo(text, nl=False)
        return ExitCode.OK
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    added = f", {_policies(len(fresh))}" if old is not None and fresh else ""
    click.echo(f"{target}: {count(len(made.pods), 'pod')} and {count(made.cells, 'cell')}{added} written")
    for note in _notes(whole_world, world):
        click.echo(f"note: {note}", err=True)
    click.echo(f"read it, then: netcheck run {target}")
    return ExitCode.OK


def _policies(number: int) -> str:
    return "1 policy" if number == 1 else f"{number} policies"


def _notes(whole_world: Topology, world: Topology) -> Iterator[str]:
    """What a person would otherwise wonder about."""
    if len(world.externals) < len(whole_world.externals):
        yield "blocks of IPv6 addresses are passed over, as the scenario probes IPv4"
    listeners = [item for pod in world.pods.values() for item in pod.listeners]
    listeners += [item for external in world.externals.values() for item in external.listeners]
    if any(item.protocol == "SCTP" for item in listeners):
        yield "the policies name SCTP: a cluster without it skips the scenario (see netcheck doctor)"


def _name(files: Sequence[Path]) -> str:
    first = files[0] if files else Path("policies")
    text = first.resolve().stem if first.is_file() else first.resolve().name
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:50].strip("-") or "policies"


def _existing(target: Path) -> Topology:
    """The world of the scenario that stands in the file; its policies may have changed since.

    Raises:
        CliError: It is no valid scenario file with one scenario.
    """
    from harness.scenario.loader import declared_world
    from harness.source.diagnostics import Problems

    world = declared_world(target, Problems())
    if world is None:
        raise CliError(
            f"{target} is there, and is no valid file with one scenario",
            f"`netcheck lint {target}` says what is wrong; or choose another file with --output",
        )
    return world


def _extend(target: Path, made: Draft, policies: Sequence[str]) -> str:
    from harness.author.extend import CannotExtendError, extended

    try:
        return extended(target.read_text(encoding="utf-8"), str(target), made, policies)
    except CannotExtendError as trouble:
        raise CliError(str(trouble), "or choose another file with --output") from trouble


def _ipv4(world: Topology) -> Topology:
    """Externals with IPv4 addresses only: a scenario probes IPv4 unless it asks for more."""
    from dataclasses import replace

    from harness.model.topology import Family

    kept = {name: item for name, item in world.externals.items() if Family.IPV4 in item.addresses}
    return replace(world, externals=kept)


def _policy_lines(
    bundle: Bundle, wanted: Sequence[Policy], files: Sequence[Path], target: Path | None
) -> list[str]:
    """The policies by path where their files hold nothing else and lie in the project, others as they are."""
    import yaml

    from harness.author.draft import scalar

    folder = (target.parent if target is not None else Path()).resolve()
    root = _project(folder)
    pure = {str(path): path for path in bundle.pure if path.resolve().is_relative_to(root)}
    named: dict[Path, None] = {}
    lines = []
    for policy in wanted:
        path = pure.get(policy.place.file)
        if path is not None:
            named[_flat(path, files, bundle) or path] = None
            continue
        text = yaml.safe_dump(dict(policy.manifest), sort_keys=False, width=100)
        first, *rest = text.rstrip().splitlines()
        lines += [f"  - {first}", *(f"    {item}" if item else "" for item in rest)]
    relative = [os.path.relpath(path.resolve(), folder) for path in named]
    return [*(f"  - {scalar(item)}" for item in relative), *lines]


def _flat(path: Path, files: Sequence[Path], bundle: Bundle) -> Path | None:
    """The folder that was named and holds the file, if a scenario can take all of it."""
    if path.parent not in files or any(item.is_dir() for item in path.parent.iterdir()):
        return None
    here = [item for item in bundle.files if item.parent == path.parent]
    return path.parent if all(item in bundle.pure for item in here) else None


def _project(folder: Path) -> Path:
    markers = ("netcheck.toml", "pyproject.toml", ".git")
    places = (folder, *folder.parents)
    return next((place for place in places if any((place / name).exists() for name in markers)), folder)
