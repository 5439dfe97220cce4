"""Service meshes: kept away from netcheck's pods, and noticed where they come all the same.

A proxy in a pod, or on its node, answers in place of the network plugin: verdicts would be the mesh's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from harness.engine.cluster import ClusterError

ANNOTATIONS: Mapping[str, str] = {
    "sidecar.istio.io/inject": "false",
    "linkerd.io/inject": "disabled",
    "consul.hashicorp.com/connect-inject": "false",
    "kuma.io/sidecar-injection": "disabled",
    "openservicemesh.io/sidecar-injection": "disabled",
    "appmesh.k8s.aws/sidecarInjectorWebhook": "disabled",
}
"""What keeps sidecars out of a pod. No policy selects pods by annotations, so all of them are always set."""

LABELS: Mapping[str, Mapping[str, str]] = {
    "istio.io": {"sidecar.istio.io/inject": "false", "istio.io/dataplane-mode": "none"},
    "kuma.io": {"kuma.io/sidecar-injection": "disabled"},
}
"""What newer versions read, by the API groups that tell of the mesh. Selectors see labels (`NotIn` and
`DoesNotExist` too), so a label is set only where its mesh is installed and nothing mentions its key."""

_AMBIENT = "ambient.istio.io/redirection"
_MODE = "istio.io/dataplane-mode"
_KNOWN = {
    "istio-proxy": "Istio",
    "istio-init": "Istio",
    "istio-validation": "Istio",
    "linkerd-proxy": "Linkerd",
    "linkerd-init": "Linkerd",
    "linkerd-network-validator": "Linkerd",
    "consul-dataplane": "Consul",
    "consul-connect-inject-init": "Consul",
    "kuma-sidecar": "Kuma",
    "kuma-init": "Kuma",
    "envoy": "a mesh (Envoy)",
    "osm-init": "Open Service Mesh",
}


class MeshError(ClusterError):
    """A pod is not alone: what would be measured is not the network plugin."""


def labels_against(groups: Iterable[str]) -> dict[str, str]:
    """Labels that keep the meshes away whose API groups (`networking.istio.io`) a cluster serves."""
    found: dict[str, str] = {}
    for group in groups:
        for mesh, labels in LABELS.items():
            if group == mesh or group.endswith(f".{mesh}"):
                found.update(labels)
    return found


def check(pod: Mapping[str, Any], expected: str, tolerated: Iterable[str]) -> None:
    """Look whether a pod has what netcheck did not put there.

    Args:
        pod: The object, as the API server has it.
        expected: Name of the container that belongs there.
        tolerated: Names of containers that the user allows.

    Raises:
        MeshError: It has another container, or its traffic is redirected.
    """
    metadata, spec = pod["metadata"], pod["spec"]
    name = f"{metadata['namespace']}/{metadata['name']}"
    known = {expected, *tolerated}
    listed = [*spec.get("initContainers", ()), *spec.get("containers", ())]
    added = [item["name"] for item in listed if item["name"] not in known]
    if added:
        meshes = sorted({_KNOWN[item] for item in added if item in _KNOWN})
        whose = f" of {' and '.join(meshes)}" if meshes else ""
        raise MeshError(
            f"the cluster added containers{whose} to pod {name}: {', '.join(added)}; verdicts would be "
            "theirs, not the network plugin's",
            "switch the injection off for the scenario's namespaces; containers that leave the traffic alone "
            "can be allowed by `injected:` in a --pod-template",
        )
    if (metadata.get("annotations") or {}).get(_AMBIENT) == "enabled":
        raise MeshError(
            f"Istio's ambient mesh redirects the traffic of pod {name}; verdicts would be the mesh's, not "
            "the network plugin's",
            f"give the scenario's namespaces the label {_MODE}: none",
        )


def check_namespace(item: Mapping[str, Any]) -> None:
    """Look whether a namespace belongs to a mesh that needs no sidecar.

    Raises:
        MeshError: It does.
    """
    metadata = item["metadata"]
    if (metadata.get("labels") or {}).get(_MODE) == "ambient":
        raise MeshError(
            f"namespace {metadata['name']} belongs to Istio's ambient mesh ({_MODE}: ambient); verdicts "
            "would be the mesh's, not the network plugin's",
            f"take the label away, or write {_MODE}: none in the scenario's namespace",
        )
