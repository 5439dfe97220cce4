"""Cilium: identities of relabelled pods are read from its endpoints."""

from __future__ import annotations

import select
import time
from collections.abc import Mapping

from harness.clusters.kube.api import Api, ApiError
from harness.engine.cluster import ClusterError

IDENTITY_SECONDS = 60.0
"""How long a new identity may take; Cilium waits up to 30 s to batch label changes (semantics.md 3.3)."""

_LOOK = 0.2
_ENDPOINTS = "/apis/cilium.io/v2/namespaces/{}/ciliumendpoints/{}"


class Cilium:
    """See `clusters.kube.cni.Cni`."""

    name = "cilium"

    def __init__(self, api: Api, version: str) -> None:
        self._api = api
        self.version = version
        self.features: frozenset[str] = frozenset()

    def relabelled(self, pods: Mapping[str, Mapping[str, str]]) -> None:
        """Wait until each pod's endpoint has an identity with exactly its labels.

        Raises:
            ClusterError: One did not get it in time.
        """
        deadline = time.monotonic() + IDENTITY_SECONDS
        for pod, labels in pods.items():
            wanted = {f"k8s:{key}={value}" for key, value in labels.items()}
            while not wanted <= self._labels(pod):
                if time.monotonic() > deadline:
                    raise ClusterError(f"Cilium gave pod {pod} no identity for its new labels in time")
                select.select([], [], [], _LOOK)

    def _labels(self, pod: str) -> set[str]:
        namespace, name = pod.split("/")
        try:
            found = self._api.get(_ENDPOINTS.format(namespace, name))
        except ApiError as trouble:
            if trouble.status != 404:
                raise
            return set()
        return set(found.get("status", {}).get("identity", {}).get("labels", ()))

    def settle(self, pod: str) -> str:
        """The canaries have to do: agents are asked for nothing here."""
        return ""
