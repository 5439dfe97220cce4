"""`--namespace-prefix`: what it may be, and whether the scenarios' names have room for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from harness.cli.exits import CliError

if TYPE_CHECKING:
    from harness.model.scenario import Scenario

AUTO = "auto"
_Command = TypeVar("_Command", bound=Callable[..., Any])
_PREFIX = re.compile(r"[a-z0-9][-a-z0-9]*")
_RESERVED = "kube-"
_SHOWN = 5


def namespace_prefix_option(command: _Command) -> _Command:
    """`--namespace-prefix`."""
    return click.option(
        "--namespace-prefix",
        callback=_value,
        default="",
        metavar="PREFIX",
        help="Put PREFIX before every namespace of the scenarios; auto: another one for each scenario.",
    )(command)


def _value(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if not value or value == AUTO:
        return value
    if not _PREFIX.fullmatch(value):
        raise click.BadParameter(
            f"{value!r} cannot begin a namespace's name; write lower case letters, digits and -, such as ci-",
            ctx,
            param,
        )
    if value.startswith(_RESERVED):
        raise click.BadParameter(
            f"{value!r}: Kubernetes keeps names that begin with {_RESERVED} for itself; write another prefix",
            ctx,
            param,
        )
    return value


def check_prefix(prefix: str, scenarios: Sequence[Scenario]) -> None:
    """Refuse a prefix that makes a namespace's name too long, or another's name, before anything runs.

    Raises:
        CliError: With the scenarios' places and the longest prefix that would do.
    """
    if not prefix:
        return
    from harness.clusters.renamed import auto_prefix
    from harness.model.builtin import BUILTIN_NAMESPACES
    from harness.report.text import count
    from harness.scenario.renaming import MAX_NAME, renaming_of

    longest = auto_prefix("0" * 8, len(scenarios)) if prefix == AUTO else prefix
    wrong = []
    room = MAX_NAME
    for scenario in scenarios:
        for name, real in renaming_of(scenario, longest).namespaces.items():
            if len(real) > MAX_NAME:
                room = min(room, MAX_NAME - len(name))
                text = f"{scenario.place.short}: namespace {name} would be called {real}"
                wrong.append(f"{text}, which has {len(real)} characters")
            elif real in BUILTIN_NAMESPACES:
                text = f"{scenario.place.short}: namespace {name} would be called {real}"
                raise CliError(f"{text}, which every cluster has", "choose another --namespace-prefix")
    if not wrong:
        return
    more = f"; and {count(len(wrong) - _SHOWN, 'more name')}" if len(wrong) > _SHOWN else ""
    advice = f"a namespace's name has at most {MAX_NAME} characters: choose a prefix of at most {room}"
    if room < 1 or prefix == AUTO:
        advice = f"a namespace's name has at most {MAX_NAME} characters: give the namespaces shorter names"
    raise CliError("; ".join(wrong[:_SHOWN]) + more, advice)
