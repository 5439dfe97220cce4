"""Which parts of policies the cells exercise, and the cells that would exercise the rest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from harness.cli import cli
from harness.scenario import load

SCENARIO = """\
scenario: shop
namespaces: {shop: {}}
pods:
  shop/api: {labels: {app: api}, listen: [8080, 9090]}
  shop/web: {labels: {app: web}}
policies:
  - apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata: {name: api, namespace: shop}
    spec:
      podSelector: {matchLabels: {app: api}}
      ingress:
        - from: [{podSelector: {matchLabels: {app: web}}}, {podSelector: {matchLabels: {app: bot}}}]
          ports: [{port: 8080}, {port: 9090}]
expect:
  - {from: shop/web, to: "shop/api:8080", verdict: allow}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "shop.yaml"
    path.write_text(SCENARIO, encoding="utf-8")
    return path


def invoke(*args: str) -> Result:
    return CliRunner().invoke(cli, ["coverage", *args], env={"COLUMNS": "110"})


def missing(file: Path) -> list[str]:
    return [item["part"] for item in json.loads(invoke("--json", str(file)).output)["missing"]]


def test_what_no_verdict_rests_on(file: Path) -> None:
    assert missing(file) == ["ingress", "ingress[0].from[1]", "ingress[0].ports[1]"]
    text = invoke("shop.yaml").output
    assert "no cell  ingress[0].from[1]  shop.yaml:13" in text
    assert "3 of 6 parts of 1 policy exercised, 50 %" in text


def test_a_rule_behind_another_lock_is_not_exercised(file: Path) -> None:
    lock = (
        "  - apiVersion: networking.k8s.io/v1\n    kind: NetworkPolicy\n"
        "    metadata: {name: web, namespace: shop}\n"
        "    spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Egress]}\n"
    )
    text = SCENARIO.replace("expect:", f"{lock}expect:").replace("verdict: allow", "verdict: deny")
    file.write_text(text, encoding="utf-8")
    found = missing(file)
    assert "ingress[0]" in found
    assert "egress" not in found


def test_suggestions_exercise_everything_when_they_are_pasted(file: Path) -> None:
    result = invoke("--suggest", "shop.yaml")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    start = lines.index("pods:")
    middle = lines.index("expect:")
    pods, cells = lines[start + 1 : middle], lines[middle + 1 :]
    text = SCENARIO.replace("policies:", "\n".join([*pods, "policies:"])) + "\n".join(cells) + "\n"
    file.write_text(text, encoding="utf-8")
    assert load([file]).problems == []
    assert missing(file) == []


def test_suggestions_say_where_someone_has_to_listen(file: Path) -> None:
    file.write_text(SCENARIO.replace("listen: [8080, 9090]", "listen: [8080]"), encoding="utf-8")
    text = invoke("--suggest", "shop.yaml").output
    assert "# shop/api has to listen on 9090/TCP" in text
    assert 'to: "shop/api:9090", verdict: allow' in text


def test_parts_for_which_there_is_no_cell_are_said(file: Path) -> None:
    rule = "        - from: [{podSelector: {matchLabels: {app: web}}}]\n          ports: [{port: 8080}]\n"
    before = (
        "  - apiVersion: policy.networking.k8s.io/v1alpha2\n    kind: ClusterNetworkPolicy\n"
        "    metadata: {name: closed}\n"
        "    spec: {tier: Admin, priority: 1, subject: {namespaces: {}},"
        " ingress: [{action: Deny, from: [{namespaces: {}}]}]}\n"
    )
    text = SCENARIO.replace("expect:", f"{rule}{before}expect:").replace("verdict: allow", "verdict: deny")
    file.write_text(text, encoding="utf-8")
    output = invoke("--suggest", "shop.yaml").output
    assert "no cell was found for these" in output
    assert "#   ingress[1].from[0] of NetworkPolicy shop/api" in output
    document = json.loads(invoke("--suggest", "--json", "shop.yaml").output)
    assert "ingress[1].from[0] of NetworkPolicy shop/api" in document["without_suggestion"]


def test_fail_under(file: Path) -> None:
    assert invoke("--fail-under", "50", "shop.yaml").exit_code == 0
    assert invoke("--fail-under", "51", "shop.yaml").exit_code == 1


def test_nothing_to_exercise_is_said(file: Path) -> None:
    head = SCENARIO[: SCENARIO.index("policies:")]
    file.write_text(f"{head}expect:\n  - {{from: shop/web, to: 'shop/api:8080', verdict: allow}}\n")
    result = invoke("shop.yaml")
    assert result.exit_code == 4
    assert "no scenario has a policy" in result.output
