"""Manifests without a scenario: policies, and the world that workloads and services beside them tell of.

Takes what people have: folders of policies, rendered Helm charts and kustomizations, `kubectl get -o yaml`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from harness.dialects.registry import concerns, kinds, parse_manifest
from harness.model.policy import Policy
from harness.model.topology import (
    METADATA_NAME,
    Listener,
    Namespace,
    Pod,
    Protocol,
    Service,
    ServicePort,
    ServiceType,
    Topology,
)
from harness.source.diagnostics import Problems
from harness.source.nodes import MappingNode, Node, ScalarNode, SequenceNode
from harness.source.reader import Document, read_file, read_text
from harness.source.sources import Sources
from harness.source.values import manifest_value

STDIN = "<stdin>"
YAML = (".yaml", ".yml")
_TEMPLATED = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job")
_SYSTEM = "kube-system"

Json = Mapping[str, Any]
_Value = TypeVar("_Value", str, int)


@dataclass(slots=True)
class Bundle:
    """What stood in some manifests.

    Attributes:
        policies: Policies of every dialect, in the order of the files.
        topology: What workloads, services and namespaces tell of the world; may be empty.
        problems: What is wrong with the policies.
        sources: The texts, for excerpts.
        files: The files that were read.
        others: How many documents were neither policy nor of use for the world.
        pure: Files that hold policies and nothing else, as a scenario can name them.
    """

    policies: list[Policy] = field(default_factory=list)
    topology: Topology = field(default_factory=Topology)
    problems: Problems = field(default_factory=Problems)
    sources: Sources = field(default_factory=Sources)
    files: list[Path] = field(default_factory=list)
    others: int = 0
    pure: list[Path] = field(default_factory=list)


def read_bundle(paths: Iterable[Path], *, stdin: str | None = None, namespace: str = "default") -> Bundle:
    """Read manifests; never raises for what they contain.

    Args:
        paths: Files, and folders whose YAML files are read.
        stdin: Text of standard input, read besides the paths.
        namespace: Namespace of manifests that name none.
    """
    return read_files(files_of(paths), Sources(), stdin=stdin, namespace=namespace)


def read_files(
    files: Iterable[tuple[Path, bool]],
    sources: Sources,
    *,
    stdin: str | None = None,
    namespace: str = "default",
) -> Bundle:
    """Read manifests; see `read_bundle`.

    Args:
        files: Each file, and whether it was named outright: then it is an error when it holds nothing of use,
            while in a folder that is other people's YAML.
        sources: Receives the texts.
        stdin: Text of standard input, read besides the files.
        namespace: Namespace of manifests that name none.
    """
    bundle = Bundle(sources=sources)
    world = _World(namespace)
    for path, named in files:
        bundle.files.append(path)
        problems = Problems()
        documents = read_file(path, problems, sources=sources)
        if named or _meant(path, sources):
            bundle.problems.found += problems.found
        if _documents(documents, bundle, world, everything=named):
            bundle.pure.append(path)
    if stdin is not None:
        documents = read_text(stdin, STDIN, bundle.problems, sources=bundle.sources)
        _documents(documents, bundle, world, everything=False)
    bundle.topology = world.topology()
    return bundle


def _meant(path: Path, sources: Sources) -> bool:
    """Whether a file was meant to hold a policy: what cannot be parsed has no documents to tell."""
    text = next((found for name, found in sources.texts.items() if Path(name) == path), "")
    groups = {api_version.partition("/")[0] for api_version, _ in kinds()}
    return any(re.search(rf"^apiVersion:\s*[\"']?{re.escape(group)}/", text, re.M) for group in groups)


def files_of(paths: Iterable[Path]) -> Iterator[tuple[Path, bool]]:
    """Each YAML file, and whether it was named outright; the others stand in folders that were."""
    for path in paths:
        if path.is_dir():
            inside = (item for item in path.rglob("*") if item.suffix in YAML and item.is_file())
            yield from ((item, False) for item in sorted(inside))
        else:
            yield path, True


def _documents(documents: Sequence[Document], bundle: Bundle, world: _World, *, everything: bool) -> bool:
    """Take what is of use; whether there were policies and nothing else."""
    found = [(document.place, node) for document in documents for node in flattened(document.root)]
    mappings = [node for _, node in found if isinstance(node, MappingNode) and "scenario" not in node]
    policies = {id(node) for node in mappings if concerns(node)}
    of_use = {id(node) for node in mappings if id(node) in policies or world.takes(node)}
    # Where a file was named and nothing in it is of use, it is likely the wrong one, or misspelt.
    wrong = everything and not of_use
    for place, node in found:
        if not isinstance(node, MappingNode):
            if everything:
                bundle.problems.error("manifest-type", "a manifest is a mapping", place)
        elif "scenario" not in node and (wrong or id(node) in policies):
            policy = parse_manifest(node, world.namespace, bundle.problems)
            if policy is not None:
                bundle.policies.append(policy)
        else:
            bundle.others += id(node) not in of_use
    return bool(policies) and len(policies) == len(found) == len({id(item.root) for item in documents})


def flattened(node: Node) -> Iterator[Node]:
    """The items of `kind: List`, else the document itself."""
    items = node.get("items") if isinstance(node, MappingNode) else None
    if (
        isinstance(node, MappingNode)
        and _word(node, "kind").endswith("List")
        and isinstance(items, SequenceNode)
    ):
        for item in items.items:
            yield from flattened(item)
    else:
        yield node


def _word(node: MappingNode, key: str) -> str:
    found = node.get(key)
    return found.text if isinstance(found, ScalarNode) else ""


class _World:
    """Workloads become pods; what cannot be read is passed over, since it is no policy."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self._namespaces: dict[str, Namespace] = {}
        self._pods: dict[str, Pod] = {}
        self._services: dict[str, Service] = {}

    def takes(self, node: MappingNode) -> bool:
        """Whether the manifest tells something of the world."""
        kind = _word(node, "kind")
        if kind not in ("Namespace", "Pod", "Service", "CronJob", *_TEMPLATED):
            return False
        try:
            self._take(kind, manifest_value(node))
        except (TypeError, ValueError, KeyError, AttributeError):
            # A workload that the API server would refuse has no pods.
            return False
        return True

    def _take(self, kind: str, manifest: Json) -> None:
        metadata = manifest.get("metadata") or {}
        name = str(metadata["name"])
        if kind == "Namespace":
            labels = _labels(metadata)
            self._namespaces[name] = Namespace(name, {**labels, METADATA_NAME: name})
            return
        namespace = str(metadata.get("namespace") or self.namespace)
        if namespace == _SYSTEM:
            return
        spec = manifest.get("spec") or {}
        if kind == "Service":
            self._service(namespace, name, _labels(metadata), spec)
        elif kind == "Pod":
            self._pod(namespace, name, metadata, spec)
        else:
            if kind == "CronJob":
                spec = spec["jobTemplate"]["spec"]
            template = spec["template"]
            self._pod(namespace, name, template.get("metadata") or {}, template["spec"])

    def _pod(self, namespace: str, name: str, metadata: Json, spec: Json) -> None:
        listeners: dict[tuple[int, Protocol], Listener] = {}
        for container in spec.get("containers") or ():
            for port in container.get("ports") or ():
                protocol = Protocol(port.get("protocol") or "TCP")
                number = int(port["containerPort"])
                name_of_port = _optional(port.get("name"), str)
                listeners.setdefault((number, protocol), Listener(number, protocol, name_of_port))
        pod = Pod(
            namespace,
            name,
            _labels(metadata),
            listeners=tuple(listeners.values()),
            service_account=str(spec.get("serviceAccountName") or "default"),
            host_network=spec.get("hostNetwork") is True,
        )
        self._pods[pod.id] = pod

    def _service(self, namespace: str, name: str, own: Mapping[str, str], spec: Json) -> None:
        selector = spec.get("selector")
        ports = []
        for port in spec.get("ports") or ():
            number = int(port["port"])
            target = port.get("targetPort", number)
            ports.append(
                ServicePort(
                    number,
                    target if isinstance(target, int) else str(target),
                    Protocol(port.get("protocol") or "TCP"),
                    _optional(port.get("name"), str),
                    _optional(port.get("nodePort"), int),
                )
            )
        if not selector or not ports or spec.get("type") == "ExternalName":
            return
        kind = ServiceType.NODE_PORT if spec.get("type") == "NodePort" else ServiceType.CLUSTER_IP
        if spec.get("clusterIP") == "None":
            kind = ServiceType.HEADLESS
        labels = {str(key): str(value) for key, value in selector.items()}
        service = Service(namespace, name, labels, tuple(ports), kind, own)
        self._services[service.id] = service

    def topology(self) -> Topology:
        """The world; services without a pod behind a port are left out, ports that pods forgot are added."""
        for pod in self._pods.values():
            self._namespaces.setdefault(
                pod.namespace, Namespace(pod.namespace, {METADATA_NAME: pod.namespace})
            )
        pods = dict(self._pods)
        services = {}
        for service in self._services.values():
            behind = [
                pod
                for pod in pods.values()
                if pod.namespace == service.namespace
                and all(pod.labels.get(key) == value for key, value in service.selector.items())
            ]
            if not behind:
                continue
            for pod in behind:
                pods[pod.id] = replace(pod, listeners=_served(pod, service))
            services[service.id] = service
        return Topology(self._namespaces, pods, services, {})


def _served(pod: Pod, service: Service) -> tuple[Listener, ...]:
    """A container need not declare the port that a service targets by number; it listens all the same."""
    forgotten = dict.fromkeys(
        Listener(port.target, port.protocol)
        for port in service.ports
        if isinstance(port.target, int) and not pod.listens(port.target, port.protocol)
    )
    return (*pod.listeners, *forgotten)


def _optional(value: object, kind: type[_Value]) -> _Value | None:
    """A value that may be absent, and is of this kind otherwise.

    Raises:
        TypeError: It is of another one.
    """
    if value is None or (isinstance(value, kind) and not isinstance(value, bool)):
        return value
    raise TypeError(f"{value!r} is no {kind.__name__}")


def _labels(metadata: Json) -> dict[str, str]:
    labels = metadata.get("labels") or {}
    return {str(key): str(value) for key, value in labels.items()}
