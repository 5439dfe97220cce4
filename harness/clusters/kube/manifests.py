"""From a topology to Kubernetes objects: pure, so that tests can read what would be created."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.clusters.kube import owners, svids
from harness.clusters.kube.bundle import Agent
from harness.clusters.kube.images import DEFAULT_IMAGE, START_SECONDS
from harness.clusters.kube.meshes import ANNOTATIONS
from harness.clusters.kube.nodes import CONTROL_PLANE
from harness.clusters.kube.pulling import PullSecret
from harness.clusters.kube.template import PodTemplate
from harness.model.topology import METADATA_NAME, Namespace, Pod, Protocol, Service, ServicePort, ServiceType

RUN_LABEL = "netcheck.dev/run"
"""Carried by every object that netcheck makes; nothing without it is ever changed or deleted."""

CONTAINER = "netcheck"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PodOptions:
    """How pods are made on a cluster.

    Attributes:
        image: With netcheck's agent, or any with python3 from 3.9 on.
        agent_inside: The image has the agent; it is not sent along.
        pull_policy: `IfNotPresent`, `Always` or `Never`.
        pull_secrets: Image pull secrets of the cluster, as `NAMESPACE/NAME`.
        secrets: Their copies for the run's namespaces, once they were read.
        template: What the cluster asks of pods.
        tolerate_control_plane: Pods may run on control-plane nodes (small clusters have too few others).
        labels: Beside those of the scenario, which must not notice them.
        start_seconds: How long pods may take to run, their image pulled included.
    """

    image: str = DEFAULT_IMAGE
    agent_inside: bool = False
    pull_policy: str = "IfNotPresent"
    pull_secrets: tuple[str, ...] = ()
    secrets: tuple[PullSecret, ...] = ()
    template: PodTemplate = field(default_factory=PodTemplate)
    tolerate_control_plane: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    start_seconds: float = START_SECONDS

    @property
    def agent(self) -> Agent:
        """How the agent comes into the pods."""
        return Agent(self.agent_inside, self.image)


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
        "command": options.agent.serve(item.id, ports),
        # Why it ended, such as a port that is taken, is what it said last.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "env": [{"name": "PYTHONDONTWRITEBYTECODE", "value": "1"}],
        "ports": [_container_port(each.port, each.protocol, each.name) for each in item.listeners],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "resources": options.template.resources or {"requests": {"cpu": "5m", "memory": "32Mi"}},
    }
    template = options.template
    volumes, mounts = svids.mounted(item, template.spiffe, template.svid_files)
    if mounts:
        container["volumeMounts"] = mounts
    security: Json = {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
        **template.security,
    }
    security = {key: value for key, value in security.items() if value is not None}
    if not item.host_network:
        # Both are safe sysctls: listening below 1024 and echo requests need no capability then.
        security["sysctls"] = [
            {"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"},
            {"name": "net.ipv4.ping_group_range", "value": "0 2147483647"},
        ]
    spec: Json = {
        **template.spec,
        "containers": [container],
        "serviceAccountName": item.service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 1,
        "nodeSelector": {**template.node_selector, "kubernetes.io/hostname": node},
        "securityContext": security,
    }
    if item.host_network:
        spec |= {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}
    if volumes:
        spec["volumes"] = volumes
    if options.secrets:
        spec["imagePullSecrets"] = [{"name": secret.name} for secret in options.secrets]
    tolerations = list(template.tolerations)
    if options.tolerate_control_plane:
        tolerations.append({"key": CONTROL_PLANE, "operator": "Exists"})
    if tolerations:
        spec["tolerations"] = tolerations
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": item.name,
            "namespace": item.namespace,
            "labels": {**options.labels, **item.labels, RUN_LABEL: run},
            "annotations": {**template.annotations, **item.annotations, **ANNOTATIONS},
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
        # Addresses of both families where the cluster has them, as pods have.
        "ipFamilyPolicy": "PreferDualStack",
    }
    if item.type is ServiceType.HEADLESS:
        spec["clusterIP"] = "None"
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": item.name,
            "namespace": item.namespace,
            "labels": {**item.labels, RUN_LABEL: run},
        },
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
