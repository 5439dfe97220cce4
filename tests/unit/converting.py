"""What tests of conversions share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import yaml

from harness.author.agreement import Proof, agreement, readings
from harness.author.convert import Conversion, convert
from harness.author.guess import guess
from harness.author.kinds_of_flows import label_classes, of_world
from harness.dialects.registry import parse_manifest
from harness.model.policy import Policy
from harness.source.diagnostics import Problems
from harness.source.nodes import MappingNode
from harness.source.reader import read_text

Json = dict[str, Any]
API: Json = {"matchLabels": {"app": "api"}}
WEB: Json = {"matchLabels": {"app": "web"}}


def kubernetes(spec: Json, name: str = "p", namespace: str = "shop") -> Json:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"podSelector": API, **spec},
    }


def cilium(spec: Json, name: str = "p", namespace: str = "shop") -> Json:
    kind = "CiliumNetworkPolicy" if namespace else "CiliumClusterwideNetworkPolicy"
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {
        "apiVersion": "cilium.io/v2",
        "kind": kind,
        "metadata": metadata,
        "spec": {"endpointSelector": API, **spec},
    }


def read(manifests: Iterable[Json]) -> list[Policy]:
    """The policies as they would stand in one file; places are those of its lines."""
    problems = Problems()
    found = []
    for document in read_text(yaml.safe_dump_all(manifests, sort_keys=False), "in.yaml", problems):
        assert isinstance(document.root, MappingNode)
        found.append(parse_manifest(document.root, "shop", problems))
    assert not problems.errors, problems.found
    return [policy for policy in found if policy is not None]


def converted(manifests: Iterable[Json], to: str) -> list[Json]:
    found = convert(read(manifests), to)
    assert not found.problems.errors, found.problems.found
    return [item.written.manifest for item in found.items]


def refusals(manifests: Iterable[Json], to: str) -> list[str]:
    found = convert(read(manifests), to)
    assert not found.items
    assert {item.id for item in found.problems.found} <= {"cannot-convert"}
    assert all(item.help for item in found.problems.found)
    return [item.message for item in found.problems.found]


def prove(before: Sequence[Policy], found: Conversion, *, everything: bool = True) -> Proof:
    """The proof; every label class must have been asked, unless said otherwise."""
    classes = label_classes(before, found.policies)
    assert not everything or not classes.gap, classes.gap
    world = guess([*before, *found.policies])
    askings = (of_world(world, before, found.policies), classes)
    return agreement(askings, readings(before, found.to))


def proof_of(manifests: Iterable[Json], to: str) -> Proof:
    before = read(manifests)
    found = convert(before, to)
    assert not found.problems.errors, found.problems.found
    return prove(before, found)
