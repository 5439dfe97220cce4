"""From a cluster spec to a cluster."""

from __future__ import annotations

import threading
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


class Opening:
    """A cluster that is being opened while the files are read.

    Args:
        spec: As on the command line; it has been understood already.
        keep: Leave worlds standing after the run.
    """

    def __init__(self, spec: str, *, keep: bool) -> None:
        self._cluster: Cluster | None = None
        self._trouble: BaseException | None = None

        def work() -> None:
            try:
                self._cluster = open_cluster(spec, keep=keep)
            except BaseException as trouble:  # handed on by `wait`, in the caller's thread
                self._trouble = trouble

        self._thread = threading.Thread(target=work, name="open-cluster")
        self._thread.start()

    def wait(self) -> Cluster:
        """The cluster, once it is there.

        Raises:
            ClusterError: The machine cannot do it.
        """
        self._thread.join()
        if self._trouble is not None:
            raise self._trouble
        assert self._cluster is not None
        return self._cluster

    def abandon(self) -> None:
        """Nobody needs the cluster after all."""
        self._thread.join()
        if self._cluster is not None:
            self._cluster.close()


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
