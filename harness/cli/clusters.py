"""From a cluster spec to a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.cli.exits import CliError

if TYPE_CHECKING:
    from harness.engine.cluster import Cluster

PERSONALITIES = ("generic",)
_HAS = "this version has `lab` and `lab?as=generic`"


def parse_spec(spec: str) -> str:
    """The personality of a lab spec.

    Raises:
        CliError: Anything that this version has not; the advice names what it has.
    """
    name, question, query = spec.partition("?")
    if name != "lab":
        raise CliError(f"unknown cluster {spec!r}", _HAS)
    if not question:
        return PERSONALITIES[0]
    key, _, value = query.partition("=")
    if key != "as":
        raise CliError(f"cluster {spec!r}: the lab has no setting {key!r}", _HAS)
    if value not in PERSONALITIES:
        raise CliError(f"cluster {spec!r}: unknown personality {value!r}", _HAS)
    return value


def open_cluster(spec: str, *, keep: bool) -> Cluster:
    """The cluster that `spec` names.

    Args:
        spec: As on the command line.
        keep: Leave worlds standing after the run.

    Raises:
        CliError: The spec cannot be understood.
        ClusterError: The machine cannot do it.
    """
    personality = parse_spec(spec)
    from harness.clusters.lab.cluster import LabCluster

    return LabCluster(spec, personality, keep)
