"""Options from `netcheck.toml` or `[tool.netcheck]` of `pyproject.toml`: found, checked, with origins."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import click
from click.core import ParameterSource

from harness.cli.exits import CliError

_STRINGS: Final = "a list of strings"
KEYS: Final[Mapping[str, str]] = {
    "paths": _STRINGS,
    "cluster": "a string",
    "namespace-prefix": "a string",
    "adopt": "true or false",
    "external": _STRINGS,
    "assume": _STRINGS,
    "probe-image": "a string",
    "agent": '"auto", "inject" or "image"',
    "image-pull-policy": '"IfNotPresent", "Always" or "Never"',
    "image-pull-secret": _STRINGS,
    "image-registry": "a string",
    "pod-template": "a string",
    "pod-timeout": "a string",
    "tag": _STRINGS,
    "jobs": 'a number or "auto"',
    "report": _STRINGS,
    "fail-fast": "true or false",
    "keep": "true or false",
    "verbose": "true or false",
    "quiet": "true or false",
    "color": '"auto", "always" or "never"',
    "cni": "a string",
    "nodes": "a number",
    "k8s-version": "a string",
    "node-image": "a string",
    "image-archive": _STRINGS,
    "ip-family": '"ipv4", "ipv6" or "dual"',
    "kind-config": "a string",
    "cni-chart": "a string",
    "cni-manifest": _STRINGS,
    "cni-values": "a string",
    "cni-sha256": _STRINGS,
}
"""Every key that a configuration file may have, and what its value is."""


_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "agent": ("auto", "inject", "image"),
    "color": ("auto", "always", "never"),
    "image-pull-policy": ("IfNotPresent", "Always", "Never"),
    "ip-family": ("ipv4", "ipv6", "dual"),
}


@dataclass(frozen=True, slots=True)
class Config:
    """What the configuration file says; `file` None = there is none."""

    file: Path | None = None
    values: Mapping[str, Any] = field(default_factory=dict)


def find(folder: Path) -> tuple[Path, bool] | None:
    """The nearest configuration upwards from `folder`, and whether it is a `pyproject.toml`.

    In one folder `netcheck.toml` wins; a `pyproject.toml` counts when it has `[tool.netcheck]`.
    """
    for place in (folder, *folder.parents):
        own = place / "netcheck.toml"
        if own.is_file():
            return own, False
        project = place / "pyproject.toml"
        if project.is_file() and "netcheck" in _tables(project):
            return project, True
    return None


def load(folder: Path) -> Config:
    """Read the nearest configuration.

    Raises:
        CliError: It is no TOML, or has an unknown key or a value of the wrong kind.
    """
    found = find(folder)
    if found is None:
        return Config()
    path, in_project = found
    values = _tables(path)["netcheck"] if in_project else _parse(path)
    if not isinstance(values, dict):
        raise CliError(f"{path}: tool.netcheck is no table", "write [tool.netcheck] and the options below it")
    text = path.read_text(encoding="utf-8")
    for key, value in values.items():
        where = f"{path}:{_line_of(key, text)}"
        if key not in KEYS:
            from harness.source.diagnostics import did_you_mean

            known = f"known keys are {', '.join(KEYS)}"
            hint = did_you_mean(key, KEYS)
            raise CliError(f"{where}: unknown key {key!r}", f"{hint} {known}".strip())
        if not _fits(key, value):
            raise CliError(f"{where}: {key} is {value!r}", f"write {KEYS[key]}")
    return Config(path, {key.replace("-", "_"): value for key, value in values.items()})


def _tables(path: Path) -> dict[str, Any]:
    tool = _parse(path).get("tool", {})
    return tool if isinstance(tool, dict) else {}


def _parse(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise CliError(f"{path}: no valid TOML: {error}", "correct the file") from error
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CliError(
            f"{path}: cannot be read: {reason}", "check its permissions and its encoding"
        ) from error


def _line_of(key: str, text: str) -> int:
    pattern = re.compile(rf"""^\s*\[?["']?{re.escape(key)}["']?\s*[=\]]""")
    lines = text.splitlines()
    return next((number for number, line in enumerate(lines, 1) if pattern.match(line)), 1)


def _fits(key: str, value: object) -> bool:
    kind = KEYS[key]
    if kind == _STRINGS:
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if kind == "true or false":
        return isinstance(value, bool)
    if key == "jobs":
        return value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and value >= 1)
    if kind == "a number":
        return isinstance(value, int) and not isinstance(value, bool) and value >= 1
    if key in _CHOICES:
        return value in _CHOICES[key]
    return isinstance(value, str)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the value of one option came from."""

    option: str
    value: str
    source: str


def origins(ctx: click.Context, command: click.Command, config: Config) -> list[Origin]:
    """The value that every option of `command` has when the command line names none, and its source."""
    assert ctx.parent is not None, "a command of the group has the group as parent"
    with command.make_context(command.name, [], parent=ctx.parent) as probe:
        found = []
        for parameter in command.params:
            name = parameter.name
            if not isinstance(parameter, click.Option) or not name or not parameter.expose_value:
                continue
            source = probe.get_parameter_source(name)
            found.append(
                Origin(parameter.opts[-1], _shown(probe.params.get(name)), _source(source, name, config))
            )
        return found


def _shown(value: object) -> str:
    if isinstance(value, dict):
        value = [f"{key}={each}" for key, many in value.items() for each in many]
    if isinstance(value, (tuple, list)):
        return ", ".join(str(item) for item in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None or value == "" else str(value)


def _source(source: ParameterSource | None, name: str, config: Config) -> str:
    if source is ParameterSource.ENVIRONMENT:
        return f"NETCHECK_{name.upper()}"
    if source is ParameterSource.DEFAULT_MAP:
        return str(config.file)
    return "default"
