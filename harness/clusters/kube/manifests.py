"""From a topology to Kubernetes objects: pure, so that tests can read what would be created."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.clusters.kube import owners
from harness.clusters.kube.bundle import serve_command
from harness.model.topology import METADATA_NAME, Namespace, Pod, Protocol, Service, ServicePort, ServiceType

RUN_LABEL = "netcheck.dev/run"
"""Carried by every object that netcheck makes; nothing without it is ever changed or deleted."""

CONTAINER = "netcheck"
DEFAULT_IMAGE = "python:3.13-alpine"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PodOptions:
    """How pods are made on a cluster.

    Attributes:
        image: Any image with python3 from 3.9 on.
        pull_policy: `IfNotPresent`, `Always` or `Never`.
        pull_secrets: Names of image pull secrets in the scenario's namespaces.
        tolerate_control_plane: Pods may run on control-plane nodes (small clusters have too few others).
    """

    image: str = DEFAULT_IMAGE
    pull_policy: str = "IfNotPresent"
    pull_secrets: tuple[str, ...] = ()
    tolerate_control_plane: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)


def namespace(item: Namespace, run: str) -> Json:
    """A namespace with the run's label and its owner; the automatic label is left to the API server."""
    labels = {key: value for key, value in item.labels.items() if key != METADATA_NAME}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": item.name,
            "labels": {**labels, RUN_LABEL: run},
            "annotations": {owners.OWNER: owners.mark()},
        },
    }


def service_account(namespace_name: str, name: str, run: str) -> Json:
    """A service account."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "namespace": namespace_name, "labels": {RUN_LABEL: run}},
        "automountServiceAccountToken": False,
    }


def pod(item: Pod, run: str, node: str, options: PodOptions) -> Json:
    """A pod that listens; passes PodSecurity `restricted` unless it asks for the host's network.

    Args:
        item: The pod of the scenario.
        run: Id of the run.
        node: Host name label of the node that it shall run on.
        options: Image and the like.
    """
    ports = [[listener.port, listener.protocol.value] for listener in item.listeners]
    container: Json = {
        "name": CONTAINER,
        "image": options.image,
        "imagePullPolicy": options.pull_policy,
        "command": serve_command(item.id, ports),
        # Why it ended, such as a port that is taken, is what it said last.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "env": [{"name": "PYTHONDONTWRITEBYTECODE", "value": "1"}],
        "ports": [_container_port(each.port, each.protocol, each.name) for each in item.listeners],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "resources": {"requests": {"cpu": "5m", "memory": "32Mi"}},
    }
    security: Json = {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if not item.host_network:
        # Both are safe sysctls: listening below 1024 and echo requests need no capability then.
        security["sysctls"] = [
            {"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"},
            {"name": "net.ipv4.ping_group_range", "value": "0 2147483647"},
        ]
    spec: Json = {
        "containers": [container],
        "serviceAccountName": item.service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 1,
        "nodeSelector": {"kubernetes.io/hostname": node},
        "securityContext": security,
    }
    if item.host_network:
        spec |= {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}
    if options.pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in options.pull_secrets]
    if options.tolerate_control_plane:
        spec["tolerations"] = [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}]
    annotations = {
        **item.annotations,
        "sidecar.istio.io/inject": "false",
        "linkerd.io/inject": "disabled",
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": item.name,
            "namespace": item.namespace,
            "labels": {**item.labels, RUN_LABEL: run},
            "annotations": annotations,
        },
        "spec": spec,
    }


def _container_port(port: int, protocol: Protocol, name: str | None) -> Json:
    found: Json = {"containerPort": port, "protocol": protocol.value}
    if name:
        found["name"] = name
    return found


def service(item: Service, run: str) -> Json:
    """A service of any type."""
    spec: Json = {
        "selector": dict(item.selector),
        "ports": [_service_port(port) for port in item.ports],
        "type": "NodePort" if item.type is ServiceType.NODE_PORT else "ClusterIP",
    }
    if item.type is ServiceType.HEADLESS:
        spec["clusterIP"] = "None"
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": item.name, "namespace": item.namespace, "labels": {RUN_LABEL: run}},
        "spec": spec,
    }


def _service_port(port: ServicePort) -> Json:
    found: Json = {
        "name": port.name or f"{port.protocol.value.lower()}-{port.port}",
        "port": port.port,
        "targetPort": port.target,
        "protocol": port.protocol.value,
    }
    if port.node_port:
        found["nodePort"] = port.node_port
    return found
