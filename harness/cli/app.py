"""The group of commands, and the last word on every error: never a traceback, always an exit code."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from harness import __version__
from harness.cli.config import Config, load
from harness.cli.exits import CliError, ExitCode
from harness.report.streams import silence

ENVIRONMENT = "NETCHECK"
"""Options also come from `NETCHECK_<OPTION>`."""
CONTEXT = {"help_option_names": ["-h", "--help"], "auto_envvar_prefix": ENVIRONMENT, "max_content_width": 100}
_ORDER = (
    "run",
    "watch",
    "init",
    "lint",
    "predict",
    "explain",
    "audit",
    "coverage",
    "mutate",
    "convert",
    "list",
    "show",
    "report",
    "diff",
    "compare",
    "schema",
    "cluster",
    "image",
    "doctor",
    "cleanup",
)


class _ClosedPipeError(Exception):
    """Whoever read our output has gone; click would turn this into exit code 1, a wrong verdict."""


class State:
    """What the commands share: the configuration, or what is wrong with it."""

    def __init__(self) -> None:
        self.config = Config()
        self.problem: CliError | None = None


class Command(click.Command):
    """A command that refuses to start on a broken configuration file; `--help` works all the same."""

    def __init__(self, *args: Any, tolerant: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.context_settings = {**CONTEXT, **self.context_settings}
        self.tolerant = tolerant

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command's function."""
        state = ctx.find_object(State)
        if state is not None and state.problem is not None and not self.tolerant:
            raise state.problem
        return super().invoke(ctx)


class Group(click.Group):
    """`netcheck`."""

    command_class = Command

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The order of the help: by how often they are needed."""
        return sorted(self.commands, key=_ORDER.index)

    def main(
        self, args: Sequence[str] | None = None, *_: Any, standalone_mode: bool = True, **extra: Any
    ) -> NoReturn:
        """Run a command line and exit with a code of `ExitCode`."""
        extra["prog_name"] = "netcheck"
        sys.exit(self._guarded(args, extra))

    def _guarded(self, args: Sequence[str] | None, extra: dict[str, Any]) -> int:
        try:
            code = super().main(args, standalone_mode=False, **extra)
            sys.stdout.flush()
        except click.UsageError as error:
            error.show()
            return ExitCode.USAGE
        except click.ClickException as error:
            error.show()
            return error.code if isinstance(error, CliError) else ExitCode.USAGE
        except (click.Abort, KeyboardInterrupt):
            click.echo("interrupted", err=True)
            return ExitCode.INTERRUPTED
        except (_ClosedPipeError, BrokenPipeError):
            silence(sys.stdout)
            return ExitCode.OK
        except Exception as error:
            return _apologise(error)
        return code if isinstance(code, int) else ExitCode.OK

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Parse the command line; `--help` and `--version` print here."""
        try:
            return super().make_context(*args, **kwargs)
        except BrokenPipeError as error:
            raise _ClosedPipeError from error

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _ClosedPipeError from error


def _apologise(error: Exception) -> int:
    from harness.source.render import printable

    if os.environ.get("NETCHECK_DEBUG"):
        import traceback

        traceback.print_exception(error)
    text = printable(f"{type(error).__name__}: {error}")
    click.echo(f"netcheck itself failed, sorry; this is a bug: {text}", err=True)
    if not os.environ.get("NETCHECK_DEBUG"):
        click.echo("  help: run it again with NETCHECK_DEBUG=1 for the traceback to report", err=True)
    return ExitCode.INTERNAL


@click.group(cls=Group, context_settings=CONTEXT, no_args_is_help=False, invoke_without_command=True)
@click.version_option(
    __version__, message=f"netcheck %(version)s (Python {platform.python_version()}, {platform.system()})"
)
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Active connectivity tests for Kubernetes network policies.

    Write the allow/deny matrix that you expect; netcheck builds the pods, applies the policies, sends the
    packets, and reports expected against observed.
    """
    state = ctx.ensure_object(State)
    try:
        state.config = load(Path.cwd())
    except CliError as error:
        state.problem = error
    values = {name: value for name, value in state.config.values.items() if name != "paths"}
    ctx.default_map = {
        name: dict.fromkeys(command.commands, values) if isinstance(command, click.Group) else values
        for name, command in cli.commands.items()
    }
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
