from __future__ import annotations

import pytest

from harness.dialects.registry import DIALECTS, compile_all, parse_manifest
from harness.model.prediction import Answer
from harness.model.rules import Direction
from harness.oracle import predict
from harness.source.diagnostics import Problems
from harness.source.nodes import MappingNode
from harness.source.reader import read_text
from tests.unit.kubernetes_worlds import pod, policy, probe, read, world

BODY = "metadata: {name: p}\nspec: {podSelector: {}}\n"


@pytest.mark.parametrize(
    ("api_version", "kind", "id", "help"),
    [
        ("extensions/v1beta1", "NetworkPolicy", "unknown-api-version", "apiVersion: networking.k8s.io/v1"),
        ("networking.k8s.io/v1beta1", "NetworkPolicy", "unknown-api-version", "networking.k8s.io/v1`"),
        ("networking.k8s.io/v1", "networkpolicy", "unknown-kind", 'did you mean "NetworkPolicy"?'),
        ("networking.k8s.io/v1", "NetworkPolicies", "unknown-kind", 'did you mean "NetworkPolicy"?'),
        ("networking.k8s.io/v1", "NetworkPolcy", "unknown-kind", 'did you mean "NetworkPolicy"?'),
        (
            "networking.k8s.io/v1",
            "Ingress",
            "unknown-kind",
            "this version reads NetworkPolicy (networking.k8s.io/v1)",
        ),
        ("spiffe.io/v1beta1", "SPIREIdentity", "unknown-kind", "ClusterSPIFFEID"),
        ("v1", "Pod", "unknown-kind", "a scenario declares these under `pods:`"),
        ("v1", "List", "unknown-kind", "documents of their own"),
    ],
)
def test_unknown_kinds_say_what_this_version_reads(api_version: str, kind: str, id: str, help: str) -> None:
    found, problems = read(f"apiVersion: {api_version}\nkind: {kind}\n{BODY}")
    assert found == [None]
    assert [item.id for item in problems.found] == [id]
    assert help in problems.found[0].help
    # The place is that of the word that is wrong.
    assert problems.found[0].place.line == (1 if id == "unknown-api-version" else 2)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (f"kind: NetworkPolicy\n{BODY}", 1),
        (f"apiVersion: networking.k8s.io/v1\n{BODY}", 1),
        (f"apiversion: networking.k8s.io/v1\nkind: NetworkPolicy\n{BODY}", 1),
        (BODY, 2),
        (f"apiVersion: []\nkind: {{}}\n{BODY}", 2),
    ],
)
def test_a_manifest_needs_its_type(text: str, count: int) -> None:
    found, problems = read(text)
    assert found == [None]
    assert [item.id for item in problems.found] == ["manifest-type"] * count


def test_a_misspelled_type_key_gets_a_suggestion() -> None:
    _, problems = read(f"apiversion: networking.k8s.io/v1\nkind: NetworkPolicy\n{BODY}")
    assert "write `apiVersion:` instead of `apiversion:`" in problems.found[0].help


def test_every_dialect_answers_to_its_name() -> None:
    assert all(name == dialect.name for name, dialect in DIALECTS.items())


def test_a_manifest_without_namespace_gets_the_one_given() -> None:
    problems = Problems()
    (document,) = read_text(f"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n{BODY}", "p", problems)
    assert isinstance(document.root, MappingNode)
    found = parse_manifest(document.root, "shop", problems)
    assert found is not None
    assert str(found.ref) == "networkpolicy/shop/p"
    assert found.parsed.namespace == "shop"
    assert "namespace" not in found.manifest["metadata"]


def test_compile_all_without_policies_is_no_stage() -> None:
    assert compile_all([], world(pod("n/a"))) == ()


def test_compile_all_hands_each_dialect_its_own() -> None:
    stages = compile_all([policy("podSelector: {}")], world(pod("n/a")))
    assert [stage.direction for stage in stages] == [Direction.INGRESS]


def test_beside_what_only_a_cluster_understands_paper_is_silent() -> None:
    (policy,), problems = read(
        "apiVersion: projectcalico.org/v3\nkind: HostEndpoint\nmetadata: {name: p}\n"
        'spec: {node: a, interfaceName: "*"}\n'
    )
    assert policy is not None, problems.found
    assert (str(policy.ref), policy.dialect) == ("hostendpoint/p", "calico")
    found = predict(world(pod("n/a"), pod("n/b")), [policy], probe("n/a -> n/b:80"))
    assert (found.verdict, found.reason) == (
        Answer.UNDEFINED,
        "only the cluster knows what comes of HostEndpoint p",
    )
