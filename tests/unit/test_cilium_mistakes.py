"""Mistakes in Cilium's objects: each is valid, and another object than it was made from."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import pytest

from harness.dialects.registry import DIALECTS, parse_manifest
from harness.source.diagnostics import Problems
from harness.source.nodes import MappingNode
from harness.source.reader import read_text
from tests.lab.random_cilium import cilium_policies
from tests.unit.cilium_worlds import cnp, group

Json = dict[str, Any]

LOOKING = """
endpointSelector: {matchLabels: {app: web, tier: front}}
ingress:
  - fromEndpoints: [{matchLabels: {app: cli}}]
    toPorts:
      - ports: [{port: "80", protocol: TCP}, {port: web, protocol: TCP}]
        rules:
          http:
            - {method: GET, path: "/api/.*"}
            - {method: POST, path: /orders, headers: ["X-API-Version: 2", X-Any]}
egress:
  - toEndpoints: [{matchLabels: {k8s-app: kube-dns}}]
    toPorts:
      - ports: [{port: "53", protocol: ANY}]
        rules: {dns: [{matchName: example.com}, {matchPattern: "*"}]}
  - toFQDNs: [{matchName: example.com}, {matchPattern: "*.example.com"}]
    toPorts:
      - ports: [{port: "443", protocol: TCP}]
        serverNames: ["*.example.com", example.com]
enableDefaultDeny: {egress: true}
"""


def mistakes(manifest: Json) -> list[tuple[str, Json]]:
    return list(DIALECTS["cilium"].mistakes(manifest, []))


def check(manifest: Json) -> int:
    before = copy.deepcopy(manifest)
    found = mistakes(manifest)
    assert manifest == before
    whats = [what for what, _ in found]
    assert len(set(whats)) == len(whats)
    for what, mutated in found:
        assert mutated != manifest, what
        problems = Problems()
        (document,) = read_text(json.dumps(mutated), "m.yaml", problems)
        assert isinstance(document.root, MappingNode)
        policy = parse_manifest(document.root, "shop", problems)
        assert policy is not None, (what, [str(item) for item in problems.found], mutated)
    return len(found)


def test_mistakes_in_what_is_looked_for() -> None:
    manifest = dict(cnp(LOOKING).manifest)
    assert check(manifest) > 50
    whats = {what for what, _ in mistakes(manifest)}
    assert whats >= {
        "endpointSelector: selects nobody",
        "endpointSelector: no label tier",
        "enableDefaultDeny.ingress: false",
        "ingress[0]: any peer",
        "ingress[0].toPorts[0].rules.http[0]: a path that ends",
        "ingress[0].toPorts[0].rules.http[1]: a path that goes on",
        "ingress[0].toPorts[0].rules.http[1]: another X-API-Version",
        "ingress[0].toPorts[0].rules.http[1]: any X-API-Version",
        "ingress[0].toPorts[0]: no http rules",
        "egress[0].toPorts[0].rules.dns[0]: removed",
        "egress[1].toFQDNs[0]: another name",
        "egress[1].toPorts[0]: any server name",
        "egress[0]: removed",
    }


@pytest.mark.parametrize("seed", range(40))
def test_mistakes_in_random_policies(seed: int) -> None:
    made = [check(manifest) for manifest in cilium_policies(random.Random(seed), 4)]
    assert sum(made) > 8


def test_a_policy_of_one_rule_keeps_isolating() -> None:
    found = mistakes(
        dict(cnp("{endpointSelector: {}, ingress: [{fromEndpoints: [{}]}], egress: [{}]}").manifest)
    )
    (removed,) = [mutated for what, mutated in found if what == "ingress[0]: removed"]
    assert removed["spec"]["ingress"] == [{}]


def test_groups_lose_and_widen_their_addresses() -> None:
    found = dict(mistakes(dict(group("203.0.113.0/24", "0.0.0.0/0").manifest)))
    assert found["externalCIDRs[0]: removed"]["spec"]["externalCIDRs"] == ["0.0.0.0/0"]
    assert found["externalCIDRs[0]: 203.0.112.0/23 instead of 203.0.113.0/24"]
    assert check(dict(group("203.0.113.0/24").manifest)) == 2
