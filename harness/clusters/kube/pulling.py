"""Image pull secrets, copied into the namespaces of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.clusters.kube.api import Api, ApiError
from harness.engine.cluster import ClusterError

_KINDS = ("kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg")


@dataclass(frozen=True, slots=True)
class PullSecret:
    """A copy of an image pull secret; what it holds is never printed.

    Attributes:
        name: Of the copies in the run's namespaces.
        kind: The secret's type.
        data: Its content, in base64.
    """

    name: str
    kind: str
    data: dict[str, str] = field(repr=False)

    def manifest(self, namespace: str, labels: dict[str, str]) -> dict[str, Any]:
        """The copy in one namespace."""
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": self.name, "namespace": namespace, "labels": labels},
            "type": self.kind,
            "data": self.data,
        }


def read_secrets(api: Api, references: Sequence[str]) -> tuple[PullSecret, ...]:
    """Read the secrets that `NAMESPACE/NAME` name, so that they can be copied into the run's namespaces.

    Raises:
        ClusterError: One is missing, may not be read, or is no image pull secret.
    """
    found = []
    for number, reference in enumerate(references, 1):
        namespace, _, name = reference.partition("/")
        try:
            secret = api.get(f"/api/v1/namespaces/{namespace}/secrets/{name}")
        except ApiError as trouble:
            if trouble.status not in (403, 404):
                raise
            why = "may not be read" if trouble.status == 403 else "does not exist"
            raise ClusterError(
                f"image pull secret {reference} {why}",
                "name it NAMESPACE/NAME; netcheck copies it into the namespaces that it makes, and needs the "
                "right to get it and to create secrets there",
            ) from trouble
        kind = str(secret.get("type", ""))
        if kind not in _KINDS:
            raise ClusterError(
                f"secret {reference} is no image pull secret: its type is {kind or 'not said'}",
                f"make one with: kubectl create secret docker-registry (type {_KINDS[0]})",
            )
        found.append(PullSecret(f"netcheck-pull-{number}", kind, dict(secret.get("data") or {})))
    return tuple(found)
