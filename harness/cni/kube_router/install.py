"""kube-router by its manifest for kubeadm clusters, which kind's are."""

from __future__ import annotations

from typing import Any

from harness.cni import manifests
from harness.cni.installing import Installing

_IMAGE = "docker.io/cloudnativelabs/kube-router"


class KubeRouterInstaller(Installing):
    """The manifest, with the version that was asked for: upstream's has no tag, so it means the newest."""

    def adjust(self, objects: list[dict[str, Any]]) -> None:
        """Name the image's version, and do not pull what the nodes have."""
        for container in manifests.containers(objects):
            if self.version and container.get("image") == _IMAGE:
                container["image"] = f"{_IMAGE}:v{self.version}"
            if container.get("imagePullPolicy") == "Always":
                container["imagePullPolicy"] = "IfNotPresent"
