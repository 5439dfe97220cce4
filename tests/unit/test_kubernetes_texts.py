"""What people see of a manifest that is wrong, and that no manifest breaks the reader."""

from __future__ import annotations

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from harness.dialects.registry import parse_manifest
from harness.source.diagnostics import Problems
from harness.source.nodes import MappingNode
from harness.source.reader import read_text
from harness.source.render import render
from harness.source.sources import Sources

MISTAKES = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: Shop
  namespace: shop
spec:
  podSelector:
    app: web
  policyTypes: [ingress]
  ingress:
    - to:
        - podSelector: {}
    - from:
        - podSelector:
            matchLabels: {tier: 1, trusted: yes, id: "spiffe://shop/web"}
        - podSelector:
        - ipBlock: {cidr: 10.0.0.1, except: [10.0.0.0/8]}
          namespaceSelector: {matchLabels: {name: shop}}
      ports:
        - port: "8080"
        - {port: 80, endPort: "90"}
        - {protocol: tcp, port: 70000}
  egress:
    to: []
---
apiVersion: extensions/v1beta1
kind: NetworkPolicy
metadata: {name: old}
---
apiVersion: networking.k8s.io/v1
kind: networkpolicies
metadata: {name: plural}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: empty}
"""


def check(text: str, problems: Problems, sources: Sources | None = None) -> list[bool]:
    """Whether each document became a policy."""
    found = []
    for document in read_text(text, "shop.yaml", problems, sources=sources):
        assert isinstance(document.root, MappingNode)
        before = problems.errors
        policy = parse_manifest(document.root, "default", problems)
        assert (policy is None) is (problems.errors > before)
        found.append(policy is not None)
    return found


def test_diagnostics(snapshot: SnapshotAssertion) -> None:
    problems, sources = Problems(), Sources()
    assert check(MISTAKES, problems, sources) == [False, False, False, True]
    assert render(problems.sorted(), sources) == snapshot


WORDS = (
    "metadata",
    "name",
    "namespace",
    "labels",
    "spec",
    "podSelector",
    "matchLabels",
    "matchExpressions",
    "key",
    "operator",
    "values",
    "In",
    "Exists",
    "policyTypes",
    "Ingress",
    "Egress",
    "ingress",
    "egress",
    "from",
    "to",
    "ports",
    "port",
    "endPort",
    "protocol",
    "TCP",
    "ipBlock",
    "cidr",
    "except",
    "10.0.0.0/8",
    "10.1.0.0/16",
    "::/0",
    "a",
    "web",
    "yes",
)
LEAVES = (
    st.sampled_from(WORDS) | st.none() | st.booleans() | st.integers(-1, 70000) | st.floats(0, 9) | st.text()
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=12,
)
NEAR = st.fixed_dictionaries(
    {"metadata": st.just({"name": "p"}) | TREES},
    optional={
        "spec": st.fixed_dictionaries(
            {},
            optional={
                "podSelector": TREES,
                "policyTypes": TREES,
                "ingress": st.lists(st.fixed_dictionaries({}, optional={"from": TREES, "ports": TREES})),
                "egress": st.lists(TREES, max_size=2),
            },
        )
        | TREES
    },
)


@given(NEAR)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_stands_in_a_manifest_it_is_a_policy_or_has_an_error(tree: dict[str, object]) -> None:
    manifest = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", **tree}
    check(json.dumps(manifest), Problems())
