"""`--netcheck-…`: the options of `netcheck run`, read by the same code, from the same places.

pytest must know its options before it knows whether there is a scenario at all, and the library of the
command line takes longer to load than the whole plugin may. So `flags.py` holds their names and texts,
written from the definitions by `python -m harness.testing.settings`, and a test compares both. The values are
read by the definitions themselves: command line, then environment, then configuration file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli import measuring, options
from harness.cli.app import Command, State, cli
from harness.cli.config import load
from harness.cli.exits import CliError
from harness.testing.flags import PREFIX, Flag

if TYPE_CHECKING:
    from harness.report.writers import Report


@dataclass(frozen=True, slots=True)
class Settings:
    """What the options say.

    Attributes:
        place: Where the packets flow.
        tags: Which scenarios are meant.
        jobs: How many scenarios run side by side in one process.
        reports: Files to write.
        keep: Leave the worlds standing.
    """

    place: measuring.Place
    tags: tuple[str, ...]
    jobs: int
    reports: tuple[str, ...]
    keep: bool

    def files(self) -> tuple[Report, ...]:
        """The reports to write; their folders are made.

        Raises:
            SettingsError: They cannot be understood or written.
        """
        try:
            return measuring.parse_reports(self.reports)
        except CliError as error:
            raise SettingsError.of(error) from error


class SettingsError(Exception):
    """Options, environment or configuration that cannot be used: what is wrong, and what to do."""

    @classmethod
    def of(cls, error: click.ClickException) -> SettingsError:
        """An error of the command line, with the options under their names here."""
        advice = error.advice if isinstance(error, CliError) else ""
        text = f"{error.format_message()}; {advice}" if advice else error.format_message()
        return cls(_KNOWN.sub(lambda found: f"--{PREFIX}{found[1]}", text))


@click.command(cls=Command, name="pytest", add_help_option=False)
@measuring.place_options
@options.tag_option
@measuring.run_options
@click.pass_context
def _command(
    ctx: click.Context,
    place: measuring.Place,
    tag: tuple[str, ...],
    jobs: int,
    report: tuple[str, ...],
    keep: bool,
) -> Settings:
    place.check(ctx)
    return Settings(place, tag, jobs, report, keep)


def _definitions() -> Iterator[click.Option]:
    for parameter in _command.params:
        if isinstance(parameter, click.Option):
            yield parameter


def flags() -> tuple[Flag, ...]:
    """The options as pytest has to know them."""
    found = []
    for option in _definitions():
        name = option.opts[-1].removeprefix("--").removeprefix(PREFIX)
        choices = "|".join(option.type.choices) if isinstance(option.type, click.Choice) else ""
        metavar = "" if option.is_flag else option.metavar or choices or option.type.name.upper()
        text = option.help or ""
        if option.show_default and option.default not in (None, ""):
            text = f"{text} Default: {option.default}."
        found.append((name, metavar, text, option.multiple))
    return tuple(found)


_KNOWN = re.compile(rf"(?<![\w-])--({'|'.join(re.escape(name) for name, *_ in flags())})(?![\w-])")

for _option in _definitions():
    # Messages about a value name the option as it is called here.
    _option.opts = [f"--{PREFIX}{_option.opts[-1].removeprefix('--')}"]


def read(words: Iterable[str], folder: Path) -> Settings:
    """What the options say.

    Args:
        words: Those of the command line, `--netcheck-…`.
        folder: Where the search for a configuration file begins.

    Raises:
        SettingsError: Something cannot be understood.
    """
    state = State()
    try:
        state.config = load(folder)
        values: dict[str, Any] = {key: value for key, value in state.config.values.items() if key != "paths"}
        parent = click.Context(cli, info_name="netcheck", obj=state)
        with _command.make_context("pytest", list(words), parent=parent, default_map=values) as ctx:
            found = _command.invoke(ctx)
    except click.ClickException as error:
        raise SettingsError.of(error) from error
    assert isinstance(found, Settings)
    return found


def _source() -> str:
    lines = [
        '"""`--netcheck-…`, for pytest to know before anything else is loaded."""',
        "",
        "# Written by `python -m harness.testing.settings`; the definitions stand in `harness/cli`.",
        "# ruff: noqa: E501",
        "",
        f"PREFIX = {PREFIX!r}",
        "",
        "Flag = tuple[str, str, str, bool]",
        '"""Name without the prefix; metavar, empty where it takes no value; text; whether repeatable."""',
        "",
        "FLAGS: tuple[Flag, ...] = (",
        *(f"    {item!r}," for item in flags()),
        ")",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    Path(__file__).with_name("flags.py").write_text(_source(), encoding="utf-8")
