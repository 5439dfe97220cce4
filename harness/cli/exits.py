"""Exit codes, and the errors that end a command with one of them."""

from __future__ import annotations

from enum import IntEnum
from typing import IO, TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from harness.model.result import RunResult


class ExitCode(IntEnum):
    """How a command ended (design section 8); part of the promise to scripts."""

    OK = 0
    DIFFERENT = 1
    INTERRUPTED = 2
    INTERNAL = 3
    USAGE = 4
    NOTHING_SELECTED = 5
    INCONCLUSIVE = 6


SECOND_SIGNAL = 130
"""Exit code when the user does not wait for the worlds to be taken down."""


class CliError(click.ClickException):
    """Something that the user can mend: what happened, and on the next line what to do."""

    def __init__(self, message: str, advice: str = "", code: ExitCode = ExitCode.USAGE) -> None:
        super().__init__(message)
        self.advice = advice
        self.code = code

    def show(self, file: IO[Any] | None = None) -> None:
        """Print it on stderr; nothing in it reaches the terminal as a control character."""
        from harness.source.render import printable

        click.echo(f"error: {printable(self.message)}", err=True)
        if self.advice:
            click.echo(f"  help: {printable(self.advice)}", err=True)


def exit_code(result: RunResult, selected: int) -> ExitCode:
    """The exit code of a run.

    Args:
        result: What the run found out.
        selected: How many cells were selected to be measured.
    """
    from harness.model.verdict import Status

    if result.interrupted:
        return ExitCode.INTERRUPTED
    if result.count(Status.FAILED):
        return ExitCode.DIFFERENT
    if result.count(Status.ERROR) or any(item.error for item in result.scenarios):
        return ExitCode.INCONCLUSIVE
    return ExitCode.OK if selected else ExitCode.NOTHING_SELECTED
