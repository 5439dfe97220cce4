"""`netcheck convert --observe`: what was converted does to packets what it did before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from harness.author.guess import guess
from harness.author.observing import observe
from harness.cli import cli
from harness.clusters.lab.cluster import LabCluster
from harness.model.personality import CILIUM
from tests.unit.converting import WEB, Json, cilium, kubernetes, read

pytestmark = pytest.mark.lab

DNS: Json = {
    "to": [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        }
    ],
    "ports": [{"port": 53, "protocol": "UDP"}],
}
API = kubernetes(
    {
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            {"from": [{"podSelector": WEB}], "ports": [{"port": 8080, "endPort": 8082}, {"port": "metrics"}]},
            {"from": [{"namespaceSelector": {"matchLabels": {"team": "ops"}}}]},
        ],
        "egress": [DNS, {"to": [{"ipBlock": {"cidr": "203.0.113.0/24", "except": ["203.0.113.8/30"]}}]}],
    }
)
EVERYBODY = kubernetes({"podSelector": {}, "policyTypes": ["Ingress"]}, "default-deny")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*args: str) -> Result:
    return CliRunner().invoke(cli, ["convert", *args, "--observe"])


def test_there_and_back_with_packets(folder: Path) -> None:
    Path("in.yaml").write_text(yaml.safe_dump_all([API, EVERYBODY]))
    there = invoke("in.yaml", "--to", "cilium", "-o", "there.yaml")
    assert there.exit_code == 0, there.output
    assert "observed on lab?as=cilium" in there.stderr
    assert "sent, all agree" in there.stderr
    back = invoke("there.yaml", "--to", "kubernetes", "--json")
    assert back.exit_code == 0, back.output
    document = json.loads(back.stdout)
    assert document["differing"] == document["observed"]["differing"] == []
    assert document["observed"]["notObserved"] == []
    assert document["observed"]["compared"] > 50


@pytest.mark.parametrize("to", ["calico", "admin"])
def test_other_dialects_with_packets(folder: Path, to: str) -> None:
    egress = {**API, "spec": {**API["spec"], "policyTypes": ["Egress"]}}
    Path("in.yaml").write_text(yaml.safe_dump_all([API, EVERYBODY] if to == "calico" else [egress]))
    found = invoke("in.yaml", "--to", to, "-o", "out.yaml")
    assert found.exit_code == 0, found.output
    assert "sent, all agree" in found.stderr


def test_a_difference_is_seen() -> None:
    before = read([kubernetes({"ingress": [{"from": [{"podSelector": WEB}]}]})])
    after = read([cilium({"ingress": [{"fromEndpoints": [{}]}]})])
    cluster = LabCluster("lab?as=cilium", CILIUM)
    try:
        found = observe(guess([*before, *after]), before, after, cluster, lambda _event: None)
    finally:
        cluster.close()
    assert found.unmeasured == []
    assert ("shop/bystander->shop/api:8081/TCP", "drop", "allow") in found.differing
    assert {before_after[1:] for before_after in found.differing} == {("drop", "allow")}
