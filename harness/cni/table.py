"""`resources/cni.toml`: which plugins netcheck can bring to a cluster, in which versions, from where."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import resources
from typing import Any

from harness.clusters.kind.cni import Workload

_VERSION = re.compile(r"\d+\.\d+\.\d+(-[a-z0-9.]+)?")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[a-z][a-z0-9-]*")
_KEYS = frozenset(
    {"default", "how", "files", "namespace", "release", "images", "workloads", "sha256", "values"}
)


class How(StrEnum):
    """How a plugin comes to a cluster."""

    CHART = "chart"
    MANIFEST = "manifest"
    KIND = "kind"


class TableError(ValueError):
    """The table is not what it should be: a mistake in netcheck, found by its tests."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One plugin.

    Attributes:
        name: As in `--cni NAME`.
        how: How it comes.
        default: The version that is taken when none is named; empty where it has none of its own.
        files: Addresses of the chart or the manifests, with `{version}`.
        namespace: Where a chart goes.
        release: Name of a chart's release.
        images: Images with `{version}`.
        workloads: What must be rolled out.
        sha256: Digests of the files by version.
        values: Values of the chart.
    """

    name: str
    how: How
    default: str = ""
    files: tuple[str, ...] = ()
    namespace: str = "kube-system"
    release: str = ""
    images: tuple[str, ...] = ()
    workloads: tuple[Workload, ...] = ()
    sha256: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)

    def addresses(self, version: str) -> tuple[str, ...]:
        """Where the files of a version are."""
        return tuple(item.replace("{version}", version) for item in self.files)

    def images_of(self, version: str) -> tuple[str, ...]:
        """The images of a version."""
        return tuple(item.replace("{version}", version) for item in self.images)


@functools.cache
def table() -> Mapping[str, Entry]:
    """All plugins by name.

    Raises:
        TableError: See `read`.
    """
    return read(resources.files("harness").joinpath("resources", "cni.toml").read_text(encoding="utf-8"))


def read(text: str) -> Mapping[str, Entry]:
    """Read and check a table.

    Raises:
        TableError: It is no TOML, or something in it cannot be; the text says what and where.
    """
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as trouble:
        raise TableError(f"no valid TOML: {trouble}") from trouble
    return {name: _entry(name, values) for name, values in found.items()}


def is_version(text: str) -> bool:
    """Whether a text can be the version of a plugin; it becomes part of an address."""
    return _VERSION.fullmatch(text) is not None


def _entry(name: str, values: object) -> Entry:
    if not isinstance(values, dict):
        raise TableError(f"{name}: no table")
    if not _NAME.fullmatch(name):
        raise TableError(f"{name}: no name of a plugin")
    unknown = sorted(set(values) - _KEYS)
    if unknown:
        raise TableError(f"{name}: unknown key {unknown[0]}")
    try:
        how = How(values.get("how", ""))
    except ValueError as trouble:
        raise TableError(f"{name}: how is {values.get('how')!r}") from trouble
    files = _strings(name, "files", values)
    default = str(values.get("default", ""))
    if how is How.KIND:
        if files or default:
            raise TableError(f"{name}: what kind brings has neither files nor a version")
    else:
        if not is_version(default):
            raise TableError(f"{name}: default is {default!r}, no version")
        if not files or (how is How.CHART and len(files) != 1):
            raise TableError(f"{name}: a chart is one file, manifests are one or more")
    for file in files:
        if not file.startswith("https://") or "{version}" not in file:
            raise TableError(f"{name}: {file}: files come by https, and their version is in their address")
    release = str(values.get("release", ""))
    if (how is How.CHART) != bool(release):
        raise TableError(f"{name}: a chart has a release, nothing else has")
    return Entry(
        name=name,
        how=how,
        default=default,
        files=files,
        namespace=str(values.get("namespace", "kube-system")),
        release=release,
        images=_strings(name, "images", values),
        workloads=tuple(_workload(name, item) for item in _strings(name, "workloads", values)),
        sha256=_digests(name, values.get("sha256", {}), len(files)),
        values=_values(name, values.get("values", {})),
    )


def _strings(name: str, key: str, values: Mapping[str, object]) -> tuple[str, ...]:
    found = values.get(key, [])
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise TableError(f"{name}: {key} is no list of strings")
    return tuple(found)


def _workload(name: str, text: str) -> Workload:
    parts = text.split("/")
    if len(parts) != 3 or parts[0] not in ("daemonsets", "deployments") or not all(parts):
        raise TableError(f"{name}: workload {text!r}: write daemonsets/NAMESPACE/NAME")
    return Workload(*parts)


def _digests(name: str, found: object, files: int) -> Mapping[str, tuple[str, ...]]:
    if not isinstance(found, dict):
        raise TableError(f"{name}: sha256 is no table")
    checked: dict[str, tuple[str, ...]] = {}
    for version, digests in found.items():
        if not is_version(version):
            raise TableError(f"{name}: sha256 of {version!r}, no version")
        if not isinstance(digests, list) or len(digests) != files or not all(map(is_digest, digests)):
            raise TableError(f"{name}: sha256 of {version}: one digest of 64 digits for each file")
        checked[version] = tuple(digests)
    return checked


def is_digest(text: object) -> bool:
    """Whether something is a SHA-256 digest in lower-case hexadecimal digits."""
    return isinstance(text, str) and _DIGEST.fullmatch(text) is not None


def _values(name: str, found: object) -> Mapping[str, Any]:
    if not isinstance(found, dict):
        raise TableError(f"{name}: values is no table")
    return found


def merged(base: Mapping[str, Any], *others: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings laid over one another, the last on top, as helm does with values."""
    result = dict(base)
    for other in others:
        for key, value in other.items():
            below = result.get(key)
            both = isinstance(below, Mapping) and isinstance(value, Mapping)
            result[key] = merged(below, value) if both else value  # type: ignore[arg-type]
    return result


def names(entries: Mapping[str, Entry]) -> Sequence[str]:
    """Names of the plugins, in the table's order."""
    return tuple(entries)
