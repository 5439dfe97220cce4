"""`--namespace-prefix` on the command line: what it may be, and what is said before anything runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from harness.cli import cli, clusters
from tests.unit.fake_cluster import DROPPED, FakeCluster

LONG = "n" * 60
TEXT = """\
scenario: SCENARIO
pods: {NAMESPACE/a: {listen: [80]}, NAMESPACE/b: {}}
expect: [{from: NAMESPACE/b, to: "NAMESPACE/a:80", verdict: allow}]
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("NETCHECK_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def write(namespace: str, name: str = "shop") -> None:
    Path(f"{name}.yaml").write_text(TEXT.replace("SCENARIO", name).replace("NAMESPACE", namespace))


def run(
    monkeypatch: pytest.MonkeyPatch, *args: str, cluster: FakeCluster | None = None, **env: str
) -> tuple[Result, FakeCluster]:
    fake = cluster or FakeCluster()
    monkeypatch.setattr(clusters, "open_cluster", lambda spec, **how: fake)
    return CliRunner().invoke(cli, ["run", ".", *args], env=env), fake


def test_the_report_has_the_authors_names_and_the_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    write("shop")
    answers = {"ci-shop/b->ci-shop/a:80/TCP": DROPPED}
    result, _ = run(monkeypatch, "--namespace-prefix", "ci-", cluster=FakeCluster(answers))
    assert result.exit_code == 1
    assert "FAILED shop::expect::shop/b->shop/a:80/TCP" in result.stdout
    assert "on the cluster shop is ci-shop" in result.stdout
    assert "netcheck run shop.yaml --namespace-prefix ci- -k " in result.stdout
    assert "namespace-prefix ci-)" in result.stdout


@pytest.mark.parametrize("where", ["variable", "file"])
def test_it_comes_from_elsewhere_too(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write("shop")
    env = {}
    if where == "file":
        Path("netcheck.toml").write_text('namespace-prefix = "ci-"\n')
    else:
        env["NETCHECK_NAMESPACE_PREFIX"] = "ci-"
    result, _ = run(monkeypatch, **env)
    assert result.exit_code == 0
    assert "namespace-prefix ci-)" in result.stdout


@pytest.mark.parametrize("prefix", ["-ci", "CI-", "ci_", "ci.", "ä", "ci-\n"])
def test_a_prefix_that_begins_no_name(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write("shop")
    result, _ = run(monkeypatch, "--namespace-prefix", prefix)
    assert result.exit_code == 4
    assert "cannot begin a namespace's name" in result.stderr
    assert "such as ci-" in result.stderr


def test_names_that_kubernetes_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    write("shop")
    result, _ = run(monkeypatch, "--namespace-prefix", "kube-")
    assert result.exit_code == 4
    assert "Kubernetes keeps names that begin with kube-" in result.stderr


def test_a_name_that_every_cluster_has(monkeypatch: pytest.MonkeyPatch) -> None:
    write("fault")
    result, fake = run(monkeypatch, "--namespace-prefix", "de")
    assert result.exit_code == 4
    assert "shop.yaml:1: namespace fault would be called default, which every cluster has" in result.stderr
    assert "choose another --namespace-prefix" in result.stderr
    assert fake.worlds == {}


def test_names_without_room_are_said_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    write(LONG)
    write("n" * 61, "other")
    write("fine", "third")
    result, fake = run(monkeypatch, "--namespace-prefix", "ci-7-")
    assert result.exit_code == 4
    assert (
        f"shop.yaml:1: namespace {LONG} would be called ci-7-{LONG}, which has 65 characters" in result.stderr
    )
    assert "other.yaml:1: namespace n" in result.stderr
    assert "third.yaml" not in result.stderr
    assert "at most 63 characters: choose a prefix of at most 2" in result.stderr
    assert fake.worlds == {}
    assert run(monkeypatch, "--namespace-prefix", "ci")[0].exit_code == 0


def test_auto_needs_room_too(monkeypatch: pytest.MonkeyPatch) -> None:
    write(LONG)
    result, fake = run(monkeypatch, "--namespace-prefix", "auto")
    assert result.exit_code == 4
    assert "give the namespaces shorter names" in result.stderr
    assert fake.worlds == {}


def test_many_names_without_room_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(8):
        write(LONG, f"s{number}")
    result, _ = run(monkeypatch, "--namespace-prefix", "ci-7-")
    assert "and 3 more names" in result.stderr
