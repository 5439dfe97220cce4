"""Options and arguments that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from harness.cli.app import State
from harness.cli.config import Config
from harness.cli.exits import CliError

if TYPE_CHECKING:
    from harness.model.personality import Personality

DEFAULT_PATH = "scenarios"
CLUSTER_JOBS = 4
_Command = TypeVar("_Command", bound=Callable[..., Any])


def jobs_value(ctx: click.Context, param: click.Parameter, value: object) -> int:
    """The number of scenarios at the same time.

    `auto` is three for each processor, at most 8: a scenario mostly waits for its denied probes to time out.
    On other clusters than the lab it is 4: their nodes do the work, and they have others to work for.
    """
    text = str(value)
    if text == "auto":
        return auto_jobs(str(ctx.params.get("cluster", "lab")))
    if not (text.isascii() and text.isdecimal() and int(text) >= 1):
        raise click.BadParameter(f"{text!r} is no number from 1 upwards; write one, or auto", ctx, param)
    return int(text)


def auto_jobs(cluster: str) -> int:
    """What `auto` means on a cluster; see `jobs_value`."""
    return min(8, 3 * (os.cpu_count() or 1)) if cluster.startswith("lab") else CLUSTER_JOBS


def features_value(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """Names of features that exist."""
    from harness.model.features import FEATURES
    from harness.source.diagnostics import did_you_mean

    for item in value:
        if item not in FEATURES:
            hint = did_you_mean(item, FEATURES) or f"features are {', '.join(FEATURES)}"
            raise click.BadParameter(f"no cluster has a feature {item!r}; {hint}", ctx, param)
    return value


def paths_argument(command: _Command) -> _Command:
    """`[PATH]...`, files and folders."""
    return click.argument("paths", nargs=-1, metavar="[PATH]...")(command)


def selection_options(command: _Command) -> _Command:
    """`-k` and `--tag`."""
    return click.option(
        "-k",
        default="",
        metavar="EXPR",
        help="Only cells whose scenario::step::cell-id matches: substrings with and, or, not; or a full id.",
    )(tag_option(command))


def tag_option(command: _Command) -> _Command:
    """`--tag`."""
    return click.option(
        "--tag",
        multiple=True,
        metavar="TAG",
        help="Only scenarios with TAG; `!TAG` leaves them out. Repeatable: any of the tags is enough.",
    )(command)


def color_option(command: _Command) -> _Command:
    """`--color`."""
    return click.option(
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        default="auto",
        show_default=True,
        help="Colours; auto: on a terminal, unless NO_COLOR is set.",
    )(command)


def verbose_option(text: str) -> Callable[[_Command], _Command]:
    """`-v/--verbose`, with what it adds."""
    return click.option("-v", "--verbose", is_flag=True, help=text)


def json_option(command: _Command) -> _Command:
    """`--json`."""
    return click.option(
        "--json", "as_json", is_flag=True, allow_from_autoenv=False, help="Print JSON instead of text."
    )(command)


def personality_option(command: _Command) -> _Command:
    """`--as`."""
    return click.option(
        "--as",
        "personality",
        metavar="NAME",
        allow_from_autoenv=False,
        callback=_personality_value,
        help="Read what the specification leaves open as NAME does: generic, calico (with settings: "
        "calico&deny=reject), cilium (cilium&cidr=nodes,pods&dns=nxdomain&enforcement=always).  [default: as "
        "the policies ask for]",
    )(command)


def _personality_value(ctx: click.Context, param: click.Parameter, value: str | None) -> Personality | None:
    from harness.cli.personalities import parse_personality

    if value is None:
        return None
    return parse_personality(f"as={value}", f"--as {value}", "write generic, cilium or calico")


def chosen_paths(ctx: click.Context, paths: tuple[str, ...]) -> tuple[Path, ...]:
    """The paths of the command line, else of the configuration file, else `scenarios/`.

    Raises:
        CliError: A path does not exist.
    """
    if paths:
        return tuple(_existing(Path(item), "check the path") for item in paths)
    state = ctx.find_object(State)
    config = state.config if state else Config()
    configured: list[str] = list(config.values.get("paths", ()))
    if config.file is not None and configured:
        seen_from_here = (Path(os.path.relpath(config.file.parent / item)) for item in configured)
        return tuple(_existing(path, f"check paths in {config.file}") for path in seen_from_here)
    return (_existing(Path(DEFAULT_PATH), "name the files or folders with your scenarios"),)


def _existing(path: Path, advice: str) -> Path:
    if not path.exists():
        raise CliError(f"{path}: there is no such file or folder", advice)
    return path


def loudness(ctx: click.Context, verbose: bool, quiet: bool) -> tuple[bool, bool]:
    """`-v` and `-q` when both are set: the command line outranks the environment and the file.

    Raises:
        click.UsageError: Both stand in the same place.
    """
    if not (verbose and quiet):
        return verbose, quiet
    typed = ParameterSource.COMMANDLINE
    verbose = ctx.get_parameter_source("verbose") is typed
    quiet = ctx.get_parameter_source("quiet") is typed
    if verbose is quiet:
        raise click.UsageError("verbose and quiet contradict each other; give one of them")
    return verbose, quiet
