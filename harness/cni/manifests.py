"""Manifests of a network plugin: read, checked, and applied in an order that works."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from harness.clusters.kind.process import Stop
from harness.clusters.kind.ready import Found, until
from harness.clusters.kube.api import Api, ApiError
from harness.engine.cluster import ClusterError

ESTABLISHED_SECONDS = 120.0
"""How long the API server may take to serve a new kind."""

_FIRST = ("CustomResourceDefinition", "Namespace", "PriorityClass", "ServiceAccount")
_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

Json = dict[str, Any]


def read(text: bytes, where: str) -> list[Json]:
    """The objects of a manifest, lists taken apart.

    Args:
        text: YAML.
        where: Its file or address, for the errors.

    Raises:
        ClusterError: It is no manifest.
    """
    import yaml

    try:
        documents = list(yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as trouble:
        why = (str(trouble).splitlines() or [type(trouble).__name__])[0]
        raise ClusterError(f"{where} is no YAML: {why}", "name a Kubernetes manifest") from trouble
    objects = [item for document in documents if document is not None for item in _flat(document)]
    for item in objects:
        metadata = item.get("metadata") if isinstance(item, dict) else None
        name = metadata.get("name") if isinstance(metadata, dict) else None
        if not name or not isinstance(item.get("kind"), str) or not isinstance(item.get("apiVersion"), str):
            raise ClusterError(
                f"{where} has a document that is no object of Kubernetes",
                "every document needs apiVersion, kind and metadata.name",
            )
    if not objects:
        raise ClusterError(f"{where} has no objects", "name a Kubernetes manifest")
    return objects


def _flat(document: Any) -> Iterator[Any]:
    if isinstance(document, dict) and document.get("kind") == "List" and "items" in document:
        yield from document["items"] or ()
    else:
        yield document


def images(objects: Iterable[Json]) -> tuple[str, ...]:
    """The images of all pods that the objects bring."""
    found: dict[str, None] = {}
    for container in containers(objects):
        image = container.get("image")
        if isinstance(image, str):
            found[image] = None
    return tuple(found)


def containers(objects: Iterable[Json]) -> Iterator[Json]:
    """The containers of all pods that the objects bring, init containers included."""
    for item in objects:
        spec = item.get("spec")
        if not isinstance(spec, dict):
            continue
        template = spec.get("template")
        pod = template.get("spec") if isinstance(template, dict) else spec if item["kind"] == "Pod" else None
        if isinstance(pod, dict):
            for key in ("initContainers", "containers"):
                yield from (each for each in pod.get(key) or () if isinstance(each, dict))


def apply(api: Api, objects: Sequence[Json], say: Callable[[str], None], stop: Stop | None = None) -> None:
    """Apply objects by server-side apply: definitions of kinds first, and served before the rest follows.

    Raises:
        ClusterError: One is refused; the text says which.
    """
    first = [item for item in objects if item["kind"] in _FIRST]
    rest = [item for item in objects if item["kind"] not in _FIRST]
    say(f"applying {len(objects)} objects")
    for item in sorted(first, key=lambda item: _FIRST.index(item["kind"])):
        _apply(api, item)
    defined = [item["metadata"]["name"] for item in first if item["kind"] == "CustomResourceDefinition"]
    if defined:
        until(api, _CRDS, _established(defined), time.monotonic() + ESTABLISHED_SECONDS, stop)
        # What the server says of its kinds was asked before it had these.
        api.forget_resources()
    for item in rest:
        _apply(api, item)


def _apply(api: Api, item: Json) -> None:
    try:
        api.apply(item, namespace="default")
    except ApiError as trouble:
        name = f"{item['kind']} {item['metadata']['name']}"
        raise ClusterError(f"{name} cannot be applied: {trouble}", trouble.advice) from trouble


def _established(names: Sequence[str]) -> Callable[[Found], str]:
    def missing(found: Found) -> str:
        for name in names:
            conditions = found.get(("", name), {}).get("status", {}).get("conditions", ())
            if not any(each["type"] == "Established" and each["status"] == "True" for each in conditions):
                return f"the kind {name} is not served yet"
        return ""

    return missing
