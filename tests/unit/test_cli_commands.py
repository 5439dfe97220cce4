"""`list`, `show`, `lint`, `schema`, `doctor`, `cleanup`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from syrupy.assertion import SnapshotAssertion

from harness.cli import cli
from harness.cli.machine import check_lines, problem_lines
from harness.clusters.checks import Check
from harness.clusters.lab import doctor, kept
from harness.report.text import plain

SHOP = """\
scenario: shop
description: Only the gateway reaches the API server.
tags: [ingress, tutorial]
namespaces:
  production: {labels: {project: production}}
pods:
  production/api: {labels: {app: api}, listen: [8080, 8081]}
  production/gateway: {labels: {app: gateway}}
  production/db: {listen: [5432]}
policies:
  - apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata: {name: api, namespace: production}
    spec:
      podSelector: {matchLabels: {app: api}}
      ingress:
        - from: [{podSelector: {matchLabels: {app: gateway}}}]
          ports: [{port: 8080}]
expect:
  - {from: production/gateway, to: "production/api:8080", verdict: allow}
  - {from: production/db, to: "production/api:8081", verdict: {default: deny, cilium: drop}}
  - {from: production/api, to: "production/db:5432", verdict: observe}
  - {all: oracle, ports: [8080]}
"""
CHANGES = """\
scenario: changes
pods:
  n/web: {listen: [80]}
  n/cli: {labels: {ok: "yes", old: "1"}}
steps:
  - name: open
    expect: [{from: n/cli, to: "n/web:80", verdict: allow}]
  - name: relabel
    label: [{pod: n/cli, set: {ok: "no"}, unset: [old]}]
    restart: [n/web]
    keep: true
"""
POLICY = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: shop}
spec:
  podSelector: {}
  polcyTypes: [Ingress]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("NETCHECK_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "shop.yaml").write_text(SHOP)
    (tmp_path / "scenarios" / "changes.yml").write_text(CHANGES)
    return tmp_path


def netcheck(*args: str, columns: int = 80) -> Result:
    return CliRunner().invoke(cli, list(args), env={"COLUMNS": str(columns)})


@pytest.mark.parametrize(
    "args", [["list"], ["list", "-v"], ["list", "--tag", "tutorial"], ["list", "-k", "open"]]
)
def test_list(args: list[str], snapshot: SnapshotAssertion) -> None:
    result = netcheck(*args)
    assert result.exit_code == 0, result.output
    assert result.stdout == snapshot


def test_list_as_json() -> None:
    document = json.loads(netcheck("list", "--json").stdout)
    assert document["schema"] == "netcheck.dev/list/v1"
    by_name = {item["name"]: item for item in document["scenarios"]}
    assert by_name["changes"]["steps"] == ["open", "relabel"]
    assert by_name["changes"]["cells"] == 2
    assert by_name["shop"]["tags"] == ["ingress", "tutorial"]


def test_list_of_nothing() -> None:
    assert netcheck("list", "--tag", "nobody").exit_code == 5


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("name", ["shop", "changes"])
def test_show(name: str, columns: int, snapshot: SnapshotAssertion) -> None:
    result = netcheck("show", name, columns=columns)
    assert result.exit_code == 0, result.output
    assert result.stdout == snapshot


def test_show_as_json() -> None:
    document = json.loads(netcheck("show", "shop", "--json").stdout)
    assert document["schema"] == "netcheck.dev/scenario/v1"
    assert {cell["expectation"]["default"] for cell in document["steps"][0]["cells"]} == {
        "allow",
        "deny",
        "observe",
    }


def test_show_an_unknown_name() -> None:
    result = netcheck("show", "shup")
    assert result.exit_code == 4
    assert result.stderr == (
        "error: there is no scenario 'shup' among 2 in the files\n  help: did you mean \"shop\"?\n"
    )


def test_lint_of_good_files() -> None:
    result = netcheck("lint")
    assert result.exit_code == 0
    assert result.stdout == "no problems in 2 files, 2 scenarios\n"


def test_lint_shows_everything_at_once(folder: Path, snapshot: SnapshotAssertion) -> None:
    (folder / "scenarios" / "bad.yaml").write_text(SHOP.replace("verdict: allow", "verdict: alow"))
    (folder / "scenarios" / "policy.yaml").write_text(POLICY)
    (folder / "scenarios" / "chart.yaml").write_text("apiVersion: v2\nname: chart\n")
    (folder / "scenarios" / "broken.yaml").write_text(POLICY + "  ingress: [\n")
    (folder / "scenarios" / "template.yaml").write_text("a: [1\n")
    result = netcheck("lint")
    assert result.exit_code == 4
    assert result.stdout == snapshot


def test_lint_of_a_named_file_is_about_all_of_it(folder: Path) -> None:
    (folder / "deployment.yaml").write_text("apiVersion: apps/v1\nkind: Deployment\n---\n- a list\n")
    result = netcheck("lint", "deployment.yaml")
    assert result.exit_code == 4
    assert "deployment.yaml:2:7: error[unknown-kind]" in result.stdout
    assert "deployment.yaml:4:1: error[manifest-type]" in result.stdout
    assert result.stdout.endswith("2 errors in 1 file\n")


def test_lint_of_warnings_alone_is_good(folder: Path) -> None:
    (folder / "policy.yaml").write_text(
        POLICY.replace("  polcyTypes: [Ingress]\n", "  policyTypes: [Ingress]\n  egress: [{}]\n")
    )
    result = netcheck("lint", "policy.yaml")
    assert result.exit_code == 0
    assert "1 warning in 1 file" in result.stdout


def test_lint_in_colour() -> None:
    Path("bad.yaml").write_text("a: [1\n")
    assert "\x1b[1;31m" in netcheck("lint", "bad.yaml", "--color", "always").stdout
    assert "\x1b" not in netcheck("lint", "bad.yaml").stdout


def test_schema_is_json() -> None:
    document = json.loads(netcheck("schema").stdout)
    assert "scenario" in document["properties"]


CHECKS = [
    Check("kernel", True, "6.1.0", ""),
    Check("nft", False, "not found", "apt-get install nftables"),
    Check("sctp", None, "no module \x1b[2J", "modprobe sctp"),
]


def test_doctor_screen(snapshot: SnapshotAssertion) -> None:
    assert plain(check_lines(CHECKS)) == snapshot


@pytest.mark.parametrize(("checks", "code"), [(CHECKS[:1], 0), (CHECKS, 6), ([CHECKS[0], CHECKS[2]], 0)])
def test_doctor_exit_codes(checks: list[Check], code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "check", lambda: checks)
    result = netcheck("doctor", "-v")
    assert result.exit_code == code
    assert "configuration file  none" in result.stdout


def test_doctor_tells_about_a_broken_configuration(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "check", lambda: CHECKS[:1])
    (folder / "netcheck.toml").write_text("x = 1\n")
    result = netcheck("doctor")
    assert result.exit_code == 4
    assert "FAIL  configuration" in result.stdout
    assert "unknown key 'x'" in plain(problem_lines("unknown key 'x'", ""))


def test_cleanup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "cleanup", lambda: ["shop\x1b (run 1)"])
    assert netcheck("cleanup").stdout == "removed shop\\x1b (run 1)\n1 world removed\n"
    monkeypatch.setattr(kept, "cleanup", list)
    assert netcheck("cleanup").stdout == "nothing to remove\n"
