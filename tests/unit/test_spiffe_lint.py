"""The tutorial's SPIFFE manifests: what is wrong with them, and forms that the servers take."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from harness.cli import cli
from harness.dialects.registry import parse_manifest
from harness.dialects.spiffe import by_account, cluster_spiffe_id
from harness.source.diagnostics import Problems
from harness.source.nodes import MappingNode
from harness.source.reader import read_text

TUTORIAL = Path(__file__).parent / "tutorial" / "spiffe.yaml"
ID = "spiffe://cluster.local/ns/production/sa/api-gateway"


def node(text: str) -> MappingNode:
    problems = Problems()
    (document,) = read_text(text, "p.yaml", problems)
    assert problems.found == []
    assert isinstance(document.root, MappingNode)
    return document.root


def lint(*more: str) -> str:
    done = CliRunner().invoke(cli, ["lint", str(TUTORIAL), *more], env={"GITHUB_WORKSPACE": ""})
    assert done.exit_code == 4
    return done.output


def test_what_is_wrong_is_named_with_its_place() -> None:
    text = lint()
    assert "spiffe.yaml:3:7: error[unknown-kind]: kind `SPIREIdentity`" in text
    assert "spiffe.yaml:25:26: error[invalid-label]" in text
    assert "2 errors in 1 file" in text


def test_the_forms_are_printed_line_by_line() -> None:
    lines = [line.strip() for line in lint().splitlines()]
    assert "kind: ClusterSPIFFEID" in lines
    assert "- api-server.production.svc.cluster.local" in lines
    assert "k8s:io.cilium.k8s.policy.serviceaccount: api-gateway" in lines
    assert "serviceAccounts: {names: [api-gateway]}" in lines


@pytest.mark.parametrize("form", ["json", "sarif", "github"])
def test_other_formats_carry_them_too(form: str) -> None:
    assert "ClusterSPIFFEID" in lint("--format", form)
    assert "k8s:io.cilium.k8s.policy.serviceaccount: api-gateway" in lint("--format", form)
    if form == "json":
        (_, label) = json.loads(lint("--format", form))["diagnostics"]
        assert label["instead"] == by_account(ID, "spec.ingress[0].from[0]")


def test_the_cluster_spiffe_id_says_what_the_made_up_kind_said() -> None:
    given = yaml.safe_load_all(TUTORIAL.read_text())
    found = yaml.safe_load(cluster_spiffe_id(node(TUTORIAL.read_text().split("---")[0])))
    spec = next(given)["spec"]
    assert found["apiVersion"] == "spire.spiffe.io/v1alpha1"
    assert found["metadata"] == {"name": "api-server"}
    assert found["spec"]["podSelector"] == spec["selector"]
    assert found["spec"]["dnsNameTemplates"] == spec["dnsNames"]
    assert found["spec"]["spiffeIDTemplate"].startswith("spiffe://{{ .TrustDomain }}/ns/")


def test_what_is_not_there_is_left_out_and_texts_stay_texts() -> None:
    bare = yaml.safe_load(cluster_spiffe_id(node("kind: SPIREIdentity\n")))
    assert list(bare["spec"]) == ["spiffeIDTemplate"]
    assert bare["metadata"] == {"name": "NAME"}
    odd = node('spec: {selector: {matchLabels: {"on": "yes", a: "1", b: "x\\"y"}}, dnsNames: 3}\n')
    found = yaml.safe_load(cluster_spiffe_id(odd))
    assert found["spec"]["podSelector"] == {"matchLabels": {"on": "yes", "a": "1", "b": 'x"y'}}


def test_peers_by_service_account_are_read_by_their_dialect() -> None:
    found = yaml.safe_load(by_account(ID, "spec.ingress[0].from[0].podSelector"))
    manifest = {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": "p", "namespace": "production"},
        "spec": {"endpointSelector": {}, "ingress": [{"fromEndpoints": found["fromEndpoints"]}]},
    }
    problems = Problems()
    assert parse_manifest(node(yaml.safe_dump(manifest)), "n", problems) is not None
    assert problems.found == []
    assert found["source"] == {
        "namespaceSelector": "projectcalico.org/name == 'production'",
        "serviceAccounts": {"names": ["api-gateway"]},
    }


@pytest.mark.parametrize(
    ("identity", "path", "keys", "account"),
    [
        (ID, "spec.egress[2].to[0].podSelector", ["toEndpoints", "destination"], "api-gateway"),
        ("spiffe://td/ledger", "spec.ingress[0].from[0]", ["fromEndpoints", "source"], "ACCOUNT"),
        ("spiffe://td/ns/a/sa/b/c", "spec.podSelector", ["fromEndpoints", "source"], "ACCOUNT"),
    ],
)
def test_direction_and_account(identity: str, path: str, keys: list[str], account: str) -> None:
    found = yaml.safe_load(by_account(identity, path))
    assert list(found) == keys
    assert found[keys[1]]["serviceAccounts"] == {"names": [account]}
