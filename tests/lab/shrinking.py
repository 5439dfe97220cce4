"""From policies on which paper and packets differ to the smallest ones that still show it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import yaml

from harness.model.probe import DnsQuery, HttpRequest, Probe, TlsRequest
from harness.model.topology import Topology

Json = dict[str, Any]


def shrink(manifests: Sequence[Json], still: Callable[[list[Json]], bool]) -> list[Json]:
    """The manifests without what can be left out; `still` says whether the fault is still there."""
    found = list(manifests)
    again = True
    while again:
        again = False
        for smaller in _smaller(found):
            if still(smaller):
                found, again = smaller, True
                break
    return found


def _smaller(manifests: list[Json]) -> Iterator[list[Json]]:
    """Each with one thing less, the big things first: policies, then whatever stands in their specs."""
    for number in range(len(manifests)):
        yield [*manifests[:number], *manifests[number + 1 :]]
    for number, manifest in enumerate(manifests):
        body = {key: manifest[key] for key in ("spec", "specs") if key in manifest}
        for path in sorted(_paths(body), key=len):
            smaller = copy.deepcopy(manifests)
            inner: Any = smaller[number]
            for key in path[:-1]:
                inner = inner[key]
            del inner[path[-1]]
            yield smaller


def _paths(value: Any, prefix: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    keys = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in keys:
        yield (*prefix, key)
        yield from _paths(inner, (*prefix, key))


def as_scenario(manifests: Sequence[Json], topology: Topology, probe: Probe, predicted: str) -> str:
    """A scenario file that shows the fault: one cell, expected as the policies say on paper."""
    pods = {
        pod.id: {
            "labels": dict(pod.labels),
            "listen": [
                f"{item.name}={item.port}/{item.protocol}" if item.name else f"{item.port}/{item.protocol}"
                for item in pod.listeners
            ],
            **({"node": pod.node} if pod.node else {}),
            **({"hostNetwork": True} if pod.host_network else {}),
        }
        for pod in topology.pods.values()
        if pod.namespace != "kube-system"
    }
    services = {
        service.id: {
            "selector": dict(service.selector),
            "type": str(service.type),
            "ports": [
                ":".join(str(part) for part in (item.port, item.target, item.node_port) if part)
                for item in service.ports
            ],
        }
        for service in topology.services.values()
        if service.namespace != "kube-system"
    }
    text: Json = {
        "scenario": "paper-and-packets-differ",
        "families": [str(probe.family)],
        "namespaces": {
            name: {"labels": {k: v for k, v in item.labels.items() if not k.startswith("kubernetes.io/")}}
            for name, item in topology.namespaces.items()
            if name != "kube-system"
        },
        "pods": pods,
        "services": services,
        "externals": {
            item.name: {
                "address": list(item.addresses.values()),
                "listen": [listener.port for listener in item.listeners],
            }
            for item in topology.externals.values()
        },
        "policies": list(manifests),
        "expect": [_cell(probe) | {"verdict": predicted}],
    }
    return yaml.safe_dump(text, sort_keys=False, width=100)


def _cell(probe: Probe) -> Json:
    found: Json = {"from": str(probe.source)}
    if isinstance(probe.request, HttpRequest):
        request = probe.request
        url = f"http://{str(probe.target).removesuffix('/TCP')}{request.path}"
        return found | {"http": {"url": url, "method": request.method, "headers": dict(request.headers)}}
    if isinstance(probe.request, DnsQuery):
        return found | {"dns": probe.request.name, "tcp": probe.request.tcp}
    found["to"] = str(probe.target)
    if isinstance(probe.request, TlsRequest):
        found["tls"] = {"sni": probe.request.sni} if probe.request.sni else True
    return found
