"""Names of externals in a cluster's own DNS: put into CoreDNS's configuration, and taken out again.

CoreDNS is never restarted: its pods are touched, so that the kubelet brings the new configuration at once,
and CoreDNS's own `reload` reads it. The signal USR1 would be quicker, but leaves `reload` broken
(coredns#6263).
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.clusters.kube import corefile
from harness.clusters.kube.api import Api, ApiError
from harness.clusters.kube.manifests import RUN_LABEL
from harness.engine.cluster import ClusterError

_MAP = "/api/v1/namespaces/kube-system/configmaps/coredns"
_PODS = "/api/v1/namespaces/kube-system/pods"
_SELECTOR = "k8s-app=kube-dns"
_TRIES = 5


class ClusterNames:
    """The names of one run in one cluster; used from any thread."""

    def __init__(self, api: Api, run: str) -> None:
        self._api = api
        self._run = run
        self._lock = threading.Lock()
        self._put: dict[str, tuple[str, ...]] = {}

    def put(self, names: Mapping[str, Sequence[str]]) -> None:
        """Have the cluster's DNS answer these names too, instead of what it said of them; it takes a while.

        Raises:
            ClusterError: Its configuration cannot be changed.
        """
        # Worlds that open side by side must not write what they read before the other one wrote.
        with self._lock:
            wanted = {**self._put, **{name: tuple(addresses) for name, addresses in names.items()}}
            if wanted == self._put:
                return
            change(self._api, lambda text: corefile.with_names(text, self._run, wanted))
            self._put = wanted
        self.nudge()

    def take_out(self) -> None:
        """Leave the cluster's DNS as it was found.

        Raises:
            ClusterError: Its configuration cannot be changed.
        """
        if self._put:
            change(self._api, lambda text: corefile.without(text, self._run))
            self._put = {}
            self.nudge()

    def servers(self) -> tuple[str, ...]:
        """Addresses of the pods that answer."""
        return tuple(
            str(pod["status"]["podIP"])
            for pod in self._api.get(_PODS, labelSelector=_SELECTOR)["items"]
            if pod["status"].get("podIP") and not pod["metadata"].get("deletionTimestamp")
        )

    def nudge(self) -> None:
        """Have the kubelets bring the configuration to the pods now: they do it when a pod is touched."""
        touch(self._api)


def touch(api: Api) -> None:
    """Touch CoreDNS's pods; nothing of it is left."""
    for pod in api.get(_PODS, labelSelector=_SELECTOR)["items"]:
        path = f"{_PODS}/{pod['metadata']['name']}"
        for value in (str(time.time_ns()), None):
            try:
                api.patch(path, {"metadata": {"annotations": {RUN_LABEL: value}}})
            except ApiError as trouble:
                if trouble.status != 404:
                    raise


def change(api: Api, edit: Callable[[str], str]) -> bool:
    """Edit the Corefile; returns whether there was anything to edit.

    Raises:
        ClusterError: There is none, or it cannot be edited.
    """
    for _ in range(_TRIES):
        found = read(api)
        text = found["data"]["Corefile"]
        try:
            edited = edit(text)
        except corefile.CorefileError as trouble:
            raise ClusterError(
                f"the cluster's DNS cannot be given names: {trouble}",
                "wait for the other run; if it was killed: netcheck cleanup",
            ) from trouble
        if edited == text:
            return False
        # The version makes it fail when somebody else has changed it since.
        version = found["metadata"]["resourceVersion"]
        try:
            api.patch(_MAP, {"metadata": {"resourceVersion": version}, "data": {"Corefile": edited}})
        except ApiError as trouble:
            if trouble.status != 409:
                raise
            continue
        return True
    raise ClusterError("the configuration of the cluster's DNS changes all the time", "try again later")


def read(api: Api) -> dict[str, Any]:
    """The ConfigMap with the Corefile.

    Raises:
        ClusterError: There is none.
    """
    try:
        found = api.get(_MAP)
    except ApiError as trouble:
        if trouble.status != 404:
            raise
        raise ClusterError("the cluster has no ConfigMap kube-system/coredns") from trouble
    if "Corefile" not in (found.get("data") or {}):
        raise ClusterError("the ConfigMap kube-system/coredns has no Corefile")
    return found


def clean_up(api: Api, mine: Callable[[str], bool]) -> list[str]:
    """Take out the names of runs for which `mine` holds; one line for each run."""
    try:
        left = [run for run in corefile.runs(read(api)["data"]["Corefile"]) if mine(run)]
    except ClusterError:
        return []  # a cluster with another DNS, or one whose DNS is none of ours
    for run in left:
        change(api, functools.partial(corefile.without, run=run))
    if left:
        touch(api)
    return [f"names of run {run} in the cluster's DNS" for run in left]
