"""The command line. Importing it imports click and little else; every command brings its own needs."""

from __future__ import annotations

from typing import NoReturn

from harness.cli import audit as _audit
from harness.cli import cluster as _cluster
from harness.cli import compare as _compare
from harness.cli import convert as _convert
from harness.cli import coverage as _coverage
from harness.cli import diff as _diff
from harness.cli import explain as _explain
from harness.cli import image as _image
from harness.cli import init as _init
from harness.cli import lint as _lint
from harness.cli import listing as _listing
from harness.cli import machine as _machine
from harness.cli import mutate as _mutate
from harness.cli import predict as _predict
from harness.cli import report as _report
from harness.cli import run as _run
from harness.cli import watch as _watch
from harness.cli.app import cli

__all__ = ["cli", "main"]

_ = (
    _audit,
    _cluster,
    _compare,
    _convert,
    _coverage,
    _diff,
    _explain,
    _image,
    _init,
    _lint,
    _listing,
    _machine,
    _mutate,
    _predict,
    _report,
    _run,
    _watch,
)
"""The modules whose import adds their commands to `cli`."""


def main() -> NoReturn:
    """Entry point of `netcheck`."""
    cli.main()
