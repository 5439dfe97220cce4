"""Would the cells notice a mistake: gaps, mistakes that change nothing, the probe that would close a gap."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from harness.author.mutate import observed, on_paper
from harness.cli import cli
from harness.model.scenario import Scenario
from harness.scenario import load
from tests.unit.fake_cluster import FakeCluster

SCENARIO = """\
scenario: shop
namespaces: {shop: {}}
pods:
  shop/api: {labels: {app: api}, listen: [8080, 8081]}
  shop/web: {labels: {app: web}}
  shop/bot: {labels: {app: bot}}
policies:
  - apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata: {name: api, namespace: shop}
    spec:
      podSelector: {matchLabels: {app: api}}
      ingress:
        - from: [{podSelector: {matchLabels: {app: web}}}]
          ports: [{port: 8080}]
expect:
  - {from: shop/web, to: "shop/api:8080", verdict: allow}
"""
CLOSED = """\
  - {from: shop/bot, to: "shop/api:8080", verdict: deny}
  - {from: shop/web, to: "shop/api:8081", verdict: deny}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "shop.yaml"
    path.write_text(SCENARIO, encoding="utf-8")
    return path


def invoke(*args: str) -> Result:
    return CliRunner().invoke(cli, ["mutate", *args], env={"COLUMNS": "110"})


def only(file: Path) -> Scenario:
    loaded = load([file])
    assert loaded.problems == []
    return loaded.scenarios[0]


def test_gaps_have_a_probe_that_would_close_them(file: Path) -> None:
    gaps = {
        item.mutant.id: item.witness for item in on_paper(only(file)) if not item.cell and not item.equivalent
    }
    assert gaps["shop/api ingress[0]: any peer"] == "shop/bot->shop/api:8080/TCP"
    assert gaps["shop/api ingress[0]: any port"] == "shop/web->shop/api:8081/TCP"
    assert "shop/api ingress[0]: removed" not in gaps
    text = invoke("shop.yaml").output
    assert "unnoticed  shop/api ingress[0]: any peer" in text
    assert "a cell shop/bot->shop/api:8080/TCP would notice it" in text


RANGE = SCENARIO.replace("{port: 8080}", "{port: 8080, endPort: 8090}")
NODES = SCENARIO.replace(
    SCENARIO[SCENARIO.index("  - apiVersion") : SCENARIO.index("expect:")],
    """\
  - apiVersion: policy.networking.k8s.io/v1alpha2
    kind: ClusterNetworkPolicy
    metadata: {name: nodes}
    spec:
      tier: Admin
      priority: 1
      subject: {namespaces: {matchLabels: {kubernetes.io/metadata.name: shop}}}
      egress: [{action: Deny, to: [{nodes: {}}]}]
""",
)


@pytest.mark.parametrize(
    ("text", "mistake", "seen"),
    [
        (RANGE, "shop/api ingress[0].ports[0]: to 8091", "shop/web->shop/api:8091/TCP"),
        (RANGE, "shop/api ingress[0].ports[0]: no endPort", "shop/web->shop/api:8081/TCP"),
        (NODES, "nodes egress[0]: removed", "another node, 1/TCP"),
    ],
)
def test_what_small_worlds_do_not_show_is_a_gap_all_the_same(
    file: Path, text: str, mistake: str, seen: str
) -> None:
    file.write_text(text, encoding="utf-8")
    found = {item.mutant.id: item for item in on_paper(only(file))}[mistake]
    assert not found.equivalent
    assert seen in (found.witness or found.words)
    gaps = {item["mistake"]: item for item in json.loads(invoke("--json", "shop.yaml").output)["gaps"]}
    assert seen in gaps[mistake]["would_notice"]


def test_what_a_probe_lacks_is_said(file: Path) -> None:
    file.write_text(RANGE.replace("app: bot", "app: web"), encoding="utf-8")
    text = invoke("shop.yaml").output
    assert "a cell shop/bystander->shop/api:8080/TCP would notice it, with" in text
    assert "  shop/bystander: {listen: [" in text
    assert "# shop/api has to listen on 8091/TCP" in text


def test_closing_gaps_raises_the_score(file: Path) -> None:
    before = json.loads(invoke("--json", "shop.yaml").output)
    file.write_text(SCENARIO + CLOSED, encoding="utf-8")
    after = json.loads(invoke("--json", "shop.yaml").output)
    assert before["percent"] < after["percent"]
    assert len(after["gaps"]) < len(before["gaps"])
    assert invoke("--fail-under", "100", "shop.yaml").exit_code == (1 if after["gaps"] else 0)


def test_a_mistake_beside_a_policy_that_says_the_same_changes_nothing(file: Path) -> None:
    start = SCENARIO.index("  - apiVersion")
    twin = SCENARIO[start : SCENARIO.index("expect:")].replace("name: api,", "name: twin,")
    file.write_text(SCENARIO.replace("expect:", f"{twin}expect:") + CLOSED, encoding="utf-8")
    found = {item.mutant.id: item for item in on_paper(only(file))}
    assert found["shop/api ingress[0]: removed"].equivalent
    assert found["shop/twin ingress[0]: any peer"].cell == "shop/bot->shop/api:8080/TCP"


def test_what_could_not_be_measured_is_neither_noticed_nor_a_gap(file: Path) -> None:
    def refuse(scenario: Scenario) -> None:
        from harness.engine.cluster import ClusterError

        raise ClusterError("no room")

    found = observed([only(file)], FakeCluster(on_open=refuse), jobs=1, emit=lambda _event: None)
    assert found
    assert all(item.error == "no room" and not item.cell and not item.equivalent for item in found)


def test_a_network_that_ignores_mistakes_notices_only_what_it_shows(file: Path) -> None:
    # Everything connects whatever is applied: no cell of this scenario ever fails.
    found = observed([only(file)], FakeCluster(), jobs=1, emit=lambda _event: None)
    assert not any(item.cell or item.error for item in found)


def test_a_scenario_that_does_not_hold_itself_notices_nothing(file: Path) -> None:
    # Its wrong cell would seem to notice every mistake.
    file.write_text(SCENARIO.replace("verdict: allow", "verdict: deny"), encoding="utf-8")
    found = list(on_paper(only(file)))
    assert found
    assert not any(item.cell for item in found)
    assert "shop/web->shop/api:8080/TCP" in found[0].error
    result = invoke("shop.yaml")
    assert result.exit_code == 6
    assert result.output.count("does not hold without any mistake") == 1
    assert "100 %" not in result.output
    assert invoke("--fail-under", "1", "shop.yaml").exit_code == 1
    always = observed([only(file)], FakeCluster(), jobs=1, emit=lambda _event: None)
    assert always
    assert not any(item.cell for item in always)


def test_scenarios_without_policies_are_said(file: Path) -> None:
    head = SCENARIO[: SCENARIO.index("policies:")]
    file.write_text(f"{head}expect:\n  - {{from: shop/web, to: 'shop/api:8080', verdict: allow}}\n")
    result = invoke("shop.yaml")
    assert result.exit_code == 4
    assert "no scenario has a policy" in result.output


def test_steps_are_told_apart(file: Path) -> None:
    scenario = only(file)
    (step,) = scenario.steps
    first = replace(step, name="one", apply=step.policies)
    second = replace(step, name="two", apply=())
    found = list(on_paper(replace(scenario, steps=(first, second))))
    assert all(item.mutant.id.startswith("one: ") for item in found)


@pytest.mark.parametrize(
    "spec",
    [
        "spec: {podSelector: {}, ingress: [{ports: [{port: 65535}, {port: 1, endPort: 65535}]}]}",
        f"spec: {{podSelector: {{matchLabels: {{app: {'x' * 63}}}}}, ingress: []}}",
        "spec: {podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: " + "x" * 63 + "}}}]}]}",
        "spec:",
        "",
    ],
)
def test_mistakes_that_the_api_server_refuses_are_left_out(file: Path, spec: str) -> None:
    start, end = SCENARIO.index("    spec:"), SCENARIO.index("expect:")
    file.write_text(f"{SCENARIO[:start]}    {spec}\n{SCENARIO[end:]}", encoding="utf-8")
    assert list(on_paper(only_with_warnings(file)))


def only_with_warnings(file: Path) -> Scenario:
    (scenario,) = load([file]).scenarios
    return scenario
