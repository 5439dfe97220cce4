"""From a cluster spec to a cluster."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from harness.cli.exits import CliError

if TYPE_CHECKING:
    from harness.clusters.kube.api import Api
    from harness.engine.cluster import Cluster

PERSONALITIES = ("generic",)
_HAS = "this version has `lab`, `lab?as=generic`, `context:NAME` and `kubeconfig:PATH`"


def parse_spec(spec: str) -> str | None:
    """The personality of a lab spec; None for a cluster that exists.

    Raises:
        CliError: Anything that this version has not; the advice names what it has.
    """
    if spec.startswith(("context:", "kubeconfig:")):
        if not spec.partition(":")[2]:
            raise CliError(f"cluster {spec!r} names nothing", _HAS)
        return None
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
    if personality is None:
        return _open_kube(spec)
    from harness.clusters.lab.cluster import LabCluster

    return LabCluster(spec, personality, keep)


def connect(spec: str) -> Api:
    """The API server that `context:NAME` or `kubeconfig:PATH` names.

    Raises:
        CliError: There is no such file or context.
    """
    from harness.clusters.kube.api import SpecError, open_api

    kind, _, value = spec.partition(":")
    try:
        if kind == "context":
            return open_api(None, value)
        return open_api(value, None)
    except SpecError as trouble:
        raise CliError(str(trouble), trouble.advice) from trouble


def _open_kube(spec: str) -> Cluster:
    from harness.clusters.kube.cluster import KubeCluster
    from harness.clusters.kube.manifests import DEFAULT_IMAGE, PodOptions
    from harness.cni.detect import detect

    image = os.environ.get("NETCHECK_PROBE_IMAGE", DEFAULT_IMAGE)
    return KubeCluster(spec, connect(spec), detect, PodOptions(image=image))
