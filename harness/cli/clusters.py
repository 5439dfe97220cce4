"""From a cluster spec to a cluster."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.cli.exits import CliError
from harness.cli.kinds import Request, is_kind, kind_name, open_kind
from harness.cli.outside import Wish, outside_of
from harness.cli.personalities import parse_personality
from harness.cli.signals import stop_on_signal

if TYPE_CHECKING:
    from harness.cli.pods import PodSettings
    from harness.clusters.kube.api import Api
    from harness.clusters.kube.cluster import KubeCluster
    from harness.engine.cluster import Cluster
    from harness.model.personality import Personality
    from harness.model.scenario import Scenario

_LOOK = 0.1
"""Seconds between two looks whether the user still waits."""

_HAS = (
    "this version has `lab`, `lab?as=generic`, `lab?as=cilium` (with `&cidr=nodes,pods`, `&dns=nxdomain`, "
    "`&enforcement=always` or `never`), `lab?as=calico` (with `&deny=reject`), `kind`, `kind:NAME`, "
    "`context:NAME` and `kubeconfig:PATH`"
)


@dataclass(frozen=True, slots=True)
class LabSpec:
    """A lab; without a personality it takes on that for which each scenario's policies ask."""

    personality: Personality | None = None

    def reads(self, scenario: Scenario) -> Personality:
        """The personality that it has for a scenario."""
        from harness.model.personality import of_scenario

        return self.personality or of_scenario(scenario)


def parse_spec(spec: str) -> LabSpec | None:
    """What a spec says of a lab; None for a Kubernetes cluster.

    Raises:
        CliError: Anything that this version has not; the advice names what it has.
    """
    if spec.startswith(("context:", "kubeconfig:")):
        if not spec.partition(":")[2]:
            raise CliError(f"cluster {spec!r} names nothing", _HAS)
        return None
    if is_kind(spec):
        kind_name(spec)
        return None
    name, question, query = spec.partition("?")
    if name != "lab":
        raise CliError(f"unknown cluster {spec!r}", _HAS)
    return LabSpec(parse_personality(query, f"cluster {spec!r}", _HAS) if question else None)


class Opening:
    """A cluster that is being opened while the files are read; a kind cluster is made after that only.

    Args:
        spec: As on the command line; it has been understood already.
        keep: Leave worlds standing after the run; of `kind`, the cluster that is made for it.
        pods: How pods are made on a Kubernetes cluster.
        request: The shape of a kind cluster.
        say: Takes lines of progress.
        wish: What the user says of a Kubernetes cluster's outside.
    """

    def __init__(
        self,
        spec: str,
        *,
        keep: bool,
        pods: PodSettings,
        request: Request | None = None,
        say: Callable[[str], None] = lambda line: None,
        wish: Wish | None = None,
    ) -> None:
        self._cluster: Cluster | None = None
        self._trouble: BaseException | None = None
        self._stop = threading.Event()

        def work() -> None:
            try:
                if is_kind(spec):
                    self._cluster = open_kind(
                        spec,
                        request or Request(),
                        image=pods.options().image,
                        keep=keep,
                        say=say,
                        stop=self._stop,
                        furnish=furnish,
                    )
                else:
                    self._cluster = open_cluster(spec, keep=keep, pods=pods, wish=wish)
            except BaseException as trouble:  # handed on by `wait`, in the caller's thread
                self._trouble = trouble

        def furnish(kubeconfig: str) -> KubeCluster:
            return _open_kube(spec, connect(f"kubeconfig:{kubeconfig}"), pods, wish or Wish(), keep=False)

        self._thread = threading.Thread(target=work, name="open-cluster")
        self._started = not is_kind(spec)
        if self._started:
            self._thread.start()

    def wait(self) -> Cluster:
        """The cluster, once it is there.

        Raises:
            ClusterError: The machine cannot do it.
            KeyboardInterrupt: The user does not want to wait; nothing is left of the cluster then.
        """
        with stop_on_signal() as interrupted:
            if not self._started:
                self._started = True
                self._thread.start()
            while self._thread.is_alive():
                self._thread.join(_LOOK)
                if interrupted.is_set():
                    self._stop.set()
        if self._stop.is_set():
            self.abandon()
            raise KeyboardInterrupt
        if self._trouble is not None:
            raise self._trouble
        assert self._cluster is not None
        return self._cluster

    def abandon(self) -> None:
        """Nobody needs the cluster after all."""
        self._stop.set()
        if self._started:
            self._thread.join()
        if self._cluster is not None:
            self._cluster.close()


def open_cluster(spec: str, *, keep: bool, pods: PodSettings, wish: Wish | None = None) -> Cluster:
    """The cluster that `spec` names.

    Args:
        spec: As on the command line.
        keep: Leave worlds standing after the run.
        pods: How pods are made on a Kubernetes cluster.
        wish: What the user says of a Kubernetes cluster's outside.

    Raises:
        CliError: The spec cannot be understood.
        ClusterError: The machine cannot do it.
    """
    lab = parse_spec(spec)
    if lab is None:
        return _open_kube(spec, connect(spec), pods, wish or Wish(), keep=keep)
    from harness.clusters.lab.cluster import LabCluster

    return LabCluster(spec, lab.personality, keep)


def connect(spec: str) -> Api:
    """The API server that `context:NAME`, `kubeconfig:PATH` or `kind:NAME` names.

    Raises:
        CliError: There is no such file, context or cluster.
    """
    from harness.clusters.kube.api import SpecError, open_api

    kind, _, value = spec.partition(":")
    try:
        if is_kind(spec):
            return _kind_api(kind_name(spec))
        if kind == "context":
            return open_api(None, value)
        return open_api(value, None)
    except SpecError as trouble:
        raise CliError(str(trouble), trouble.advice) from trouble


def _kind_api(name: str) -> Api:
    from harness.clusters.kind.maker import Maker
    from harness.clusters.kube.api import SpecError

    maker = Maker()
    found = maker.find(name)
    if found is None or not found.ours:
        state = "netcheck did not make" if found else "there is no"
        raise SpecError(f"{state} kind cluster {name}", f"make it: netcheck cluster up {name}")
    return maker.api(name)


def _open_kube(spec: str, api: Api, pods: PodSettings, wish: Wish, *, keep: bool) -> KubeCluster:
    from harness.clusters.kube.cluster import KubeCluster
    from harness.cni.detect import detect

    cluster = KubeCluster(spec, api, detect, pods.options(), keep=keep)
    cluster.furnish(outside_of(cluster, wish))
    return cluster
