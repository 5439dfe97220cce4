"""What a session says of its cluster and its files before the first test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import __version__
from harness.cli.kinds import is_kind
from harness.cli.reading import tally
from harness.source.render import printable
from harness.testing.session import Scenarios

if TYPE_CHECKING:
    from harness.model.result import Backend


def about(scenarios: Scenarios, *, offline: bool) -> str:
    """One line: netcheck, the cluster, what it is, versions.

    Args:
        scenarios: The session's.
        offline: Nothing may be opened, nothing is asked.
    """
    spec = printable(scenarios.settings.place.cluster)
    head = f"netcheck: {__version__}, cluster {spec}"
    # A kind cluster is made with the first scenario: nobody waits for it before tests have begun.
    shared = scenarios.config.getoption("dist", "no") != "no" and not spec.startswith("lab")
    if offline or shared or is_kind(spec):
        return head
    backend = scenarios.measurement.backend()
    return f"{head} ({_known(backend)})" if backend is not None else f"{head} (cannot be used)"


def _known(backend: Backend) -> str:
    names = [name for name in backend.names if name != backend.spec]
    versions = [f"{name} {version}" for name, version in backend.versions.items()]
    assumed = [f"assumed {feature}" for feature in sorted(backend.assumed)]
    return printable(", ".join((*names, *versions, *assumed)))


def warned(scenarios: Scenarios) -> str:
    """What linting would say, by number; empty when it would say nothing."""
    found = scenarios.warnings
    return f"netcheck: {tally(found)}: `netcheck lint` shows them" if found else ""
