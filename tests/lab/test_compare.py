"""`netcheck compare`: the same cells on several clusters, one table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from harness.cli import cli

WORLD = """
scenario: blocks
pods:
  shop/client: {labels: {app: client}}
  shop/near: {listen: [8080]}
externals:
  internet: {address: 203.0.113.7, listen: [8080]}
policies:
  - apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata: {name: all-addresses, namespace: shop}
    spec:
      podSelector: {matchLabels: {app: client}}
      policyTypes: [Egress]
      egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}]}]
expect:
  - {from: shop/client, to: "shop/near:8080", verdict: %s}
  - {from: shop/client, to: "external:internet:8080", verdict: allow}
"""


def compare(*words: str) -> Result:
    return CliRunner().invoke(cli, ["compare", *words])


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("world.yaml").write_text(WORLD % "observe")
    return "world.yaml"


def test_where_personalities_differ_and_why(world: str) -> None:
    done = compare(
        "--cluster=lab?as=cilium", "--cluster=lab?as=calico", world, "--report=json:d.json,md:d.md"
    )
    assert done.exit_code == 1, done.output
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert "shop/client->shop/near:8080/TCP  drop?            allow?" in lines
    assert "1,2: undefined by the specification: an ipBlock that covers pod addresses" in lines
    assert "1: on paper deny: NetworkPolicy shop/all-addresses at world.yaml:9" in lines
    assert "2: on paper allow: NetworkPolicy shop/all-addresses egress[0] at world.yaml:15" in lines
    assert lines[-1] == "1 cell: verdict differs; 1 cell agrees"
    assert "2 of 2: lab?as=calico" in done.stderr
    document = json.loads(Path("d.json").read_text())
    assert [item["name"] for item in document["runs"]] == ["lab?as=cilium", "lab?as=calico"]
    assert document["cells"][0]["open_point"] == "an ipBlock that covers pod addresses"
    text = Path("d.md").read_text()
    assert "| Run | Backend |" in text
    assert "on paper allow" in text


def test_clusters_that_agree(world: str) -> None:
    done = compare("-q", "--cluster=lab", "--cluster=lab?as=calico", world, "--all", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["counts"]["same"] == 2
    assert done.stderr == ""


def test_a_verdict_that_is_expected_on_one_of_them_only(world: str) -> None:
    Path(world).write_text(WORLD % "{default: allow, calico: deny}")
    done = compare("-q", "--cluster=lab", "--cluster=lab?as=calico", world)
    assert done.exit_code == 1, done.output
    assert "1 cell: verdict agrees, its status differs; 1 cell agrees" in done.stdout


def test_a_cluster_that_cannot_be_had_leaves_it_open(world: str) -> None:
    Path("away.yaml").write_text(
        "{apiVersion: v1, kind: Config, current-context: c, users: [{name: u, user: {token: t}}],\n"
        "clusters: [{name: k, cluster: {server: 'http://127.0.0.1:9'}}],\n"
        "contexts: [{name: c, context: {cluster: k, user: u}}]}"
    )
    done = compare("-q", "--cluster=lab", "--cluster=kubeconfig:away.yaml", world)
    assert done.exit_code == 6, done.output
    assert "127.0.0.1:9" in done.stderr
    assert "2 cells of blocks" in done.stdout


def test_a_cluster_that_is_none_is_said_before_anything_is_measured(world: str) -> None:
    done = compare("--cluster=lab", "--cluster=kubeconfig:nowhere.yaml", world)
    assert done.exit_code == 4, done.output
    assert "there is no kubeconfig nowhere.yaml" in done.stderr
    assert "1 of 2" not in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name two clusters at least: --cluster lab?as=cilium --cluster lab?as=calico"),
        (["--cluster=lab"], "name two clusters at least"),
        (["--cluster=lab", "--cluster=lab"], "a cluster is named twice"),
        (["--cluster=lab", "--cluster=lab?as=weave"], "unknown personality 'weave'"),
        (["--cluster=lab", "--cluster=lab?as=cilium", "--cni=calico"], "--cni and its like are for kind"),
        (["--cluster=kind", "--cluster=lab?as=weave", "--cni=calico"], "unknown personality 'weave'"),
        (["--cluster=lab", "--cluster=lab?as=cilium", "-j", "none"], "'none' is no number"),
        (["--cluster=lab", "--cluster=lab?as=cilium", "--report=html:x"], "unknown report format 'html'"),
    ],
)
def test_what_it_does_not_take(world: str, words: list[str], said: str) -> None:
    done = compare(*words, world)
    assert done.exit_code == 4
    assert said in done.stderr


def test_nothing_selected(world: str) -> None:
    done = compare("--cluster=lab", "--cluster=lab?as=calico", world, "-k", "elsewhere")
    assert done.exit_code == 5
