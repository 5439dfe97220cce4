"""What reports quote of policies: the deciding ones, once each, and nothing that is not theirs to tell."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.model.prediction import Answer, Predicted
from harness.model.result import RunResult, ScenarioResult, StepResult
from harness.model.rules import Origin
from harness.model.scenario import Scenario
from harness.oracle.predict import predict
from harness.report import excerpts
from harness.report.json import JsonReportError, from_json, to_json, to_text
from harness.scenario.loader import load
from tests.unit import report_samples as samples

POLICY = """\
# not part of the policy
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web
  namespace: ns
  annotations:
    owner: hunter2
    kubectl.kubernetes.io/last-applied-configuration: |
      {"token": "hunter2",
       "more": "hunter2"}
    after: 'hunter2'
spec:
  podSelector:
    matchLabels: {app: web}
  policyTypes: [Ingress]
  ingress:
    - from:
        - podSelector: {matchLabels: {app: client}}   # the shop

      ports:
        - port: 80
    - ports: [{port: 81}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: idle, namespace: ns}
spec: {podSelector: {matchLabels: {app: nobody}}, policyTypes: [Egress]}
"""

SCENARIO = """\
scenario: quoted
namespaces: {ns: {}}
pods:
  ns/web: {labels: {app: web}, listen: [80, 81, 82]}
  ns/client: {labels: {app: client}}
  ns/other: {}
policies: [POLICY]
expect:
  - {from: ns/client, to: "ns/web:80", verdict: allow}
  - {from: [ns/client, ns/other], to: "ns/web:81", verdict: allow}
  - {from: [ns/client, ns/other], to: "ns/web:82", verdict: deny}
"""


def finished(scenario: Scenario) -> ScenarioResult:
    """All cells as paper predicts them."""
    steps = []
    for step in scenario.steps:
        cells = []
        for cell in step.cells:
            found = predict(step.topology, step.policies, cell.probe)
            paper = Predicted(found.verdict, found.reason, found.deciding)
            cells.append(replace(samples.judged(cell), predicted=paper))
        steps.append(StepResult(step.name, tuple(cells)))
    return ScenarioResult(scenario, tuple(steps))


def measured(folder: Path, policy: str = POLICY, text: str = SCENARIO) -> RunResult:
    (folder / "policy.yaml").write_text(policy)
    (folder / "scenario.yaml").write_text(text.replace("[POLICY]", "[policy.yaml]"))
    loaded = load([folder / "scenario.yaml"])
    assert loaded.scenarios, loaded.problems
    return samples.run(*map(finished, loaded.scenarios))


def origins(result: RunResult) -> list[Origin]:
    found = [cell.predicted for item in result.scenarios for cell in item.cells]
    return [origin for one in found if one is not None for origin in one.deciding]


def test_a_deciding_policy_is_quoted_once_and_others_are_not(tmp_path: Path) -> None:
    result = measured(tmp_path)
    (excerpt,) = excerpts.of(result)
    assert excerpt.policy == "NetworkPolicy ns/web"
    ((first, lines),) = excerpt.parts
    assert first == excerpt.place.line == 2
    assert lines[0] == "apiVersion: networking.k8s.io/v1"
    assert lines[-1].strip() == "- ports: [{port: 81}]"
    assert to_text(result).count("app: client}}   # the shop") == 1


def test_lines_of_the_deciding_rule_are_found(tmp_path: Path) -> None:
    result = measured(tmp_path)
    (excerpt,) = excerpts.of(result)
    by_rule = {origin.rule: origin for origin in origins(result)}
    first, second = (
        excerpts.marked(excerpt, by_rule["ingress[0]"]),
        excerpts.marked(excerpt, by_rule["ingress[1]"]),
    )
    assert (first, second) == (range(18, 23), range(23, 24))
    assert excerpts.marked(excerpt, by_rule[""]) is None
    assert excerpts.subject(excerpt) == [range(14, 16), range(16, 17)]
    assert all(excerpts.find([excerpt], origin) is excerpt for origin in by_rule.values())


def test_what_may_be_a_secret_is_left_out(tmp_path: Path) -> None:
    result = measured(tmp_path)
    text = to_text(result)
    assert "hunter2" not in text
    ((_, lines),) = excerpts.of(result)[0].parts
    assert [line for line in lines if "owner" in line or "after" in line] == ["    owner: …", "    after: …"]
    assert lines[7] == "    kubectl.kubernetes.io/last-applied-configuration: …"
    assert lines[10] == "    after: …", "line numbers stay what they are in the file"


def test_an_inline_policy_is_quoted_from_the_scenario(tmp_path: Path) -> None:
    inline = (
        "\n  - {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy,\n"
        "     metadata: {name: web, namespace: ns}, spec: "
        "{podSelector: {}, ingress: [{ports: [{port: 81}, {port: 80}]}]}}"
    )
    result = measured(tmp_path, text=SCENARIO.replace("[POLICY]", inline))
    (excerpt,) = excerpts.of(result)
    ((first, lines),) = excerpt.parts
    assert (first, len(lines)) == (8, 2)
    rule = next(origin for origin in origins(result) if origin.rule)
    assert excerpts.marked(excerpt, rule) == range(9, 10)
    assert excerpts.subject(excerpt) == [range(9, 10)]


def test_a_long_policy_is_cut_to_its_head_and_the_deciding_rules(tmp_path: Path) -> None:
    rules = "".join(f"    - ports: [{{port: {number}}}]\n" for number in range(1000, 2000))
    head, tail = POLICY.split("    - ports: [{port: 81}]\n")
    result = measured(tmp_path, policy=f"{head}{rules}    - ports: [{{port: 81}}]\n{tail}")
    (excerpt,) = excerpts.of(result)
    assert sum(len(lines) for _, lines in excerpt.parts) < excerpts.WHOLE
    assert excerpt.parts[-1] == (1023, ("    - ports: [{port: 81}]",))
    last = next(origin for origin in origins(result) if origin.rule == "ingress[1001]")
    assert excerpts.find([excerpt], last) is excerpt
    assert excerpts.marked(excerpt, last) == range(1023, 1024)


def test_a_manifest_on_one_endless_line_is_cut(tmp_path: Path) -> None:
    blocks = ", ".join(f"{{ipBlock: {{cidr: 10.{a}.{b}.0/24}}}}" for a in range(20) for b in range(20))
    policy = (
        "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: w, namespace: ns}, spec: "
        f"{{podSelector: {{}}, ingress: [{{ports: [{{port: 81}}, {{port: 80}}]}}, {{from: [{blocks}]}}]}}}}"
    )
    (excerpt,) = excerpts.of(measured(tmp_path, policy=policy))
    ((_, (line,)),) = excerpt.parts
    assert len(line) == excerpts.WIDTH + 1


def test_json_alone_gives_the_same_excerpts(tmp_path: Path) -> None:
    result = measured(tmp_path)
    again = from_json(json.loads(to_text(result)))
    assert excerpts.of(again) == excerpts.of(result) != ()


def test_earlier_reports_quote_nothing(tmp_path: Path) -> None:
    document = to_json(measured(tmp_path))
    del document["excerpts"]
    assert excerpts.of(from_json(document)) == ()


@pytest.mark.parametrize(
    "part", [{"line": "7", "lines": ["a"]}, {"line": 7, "lines": [7]}, {"line": [], "lines": []}]
)
def test_an_excerpt_of_something_else_is_refused(tmp_path: Path, part: dict[str, object]) -> None:
    document = to_json(measured(tmp_path))
    document["excerpts"][0]["parts"] = [part]
    with pytest.raises(JsonReportError):
        from_json(document)


def test_without_places_nothing_is_quoted() -> None:
    paper = Predicted(Answer.ALLOW, "a rule allows it", (Origin("NetworkPolicy n/x", "ingress[0]"),))
    cell = replace(samples.judged(samples.cell("n/a", "n/b", samples.A)), predicted=paper)
    assert excerpts.of(samples.run(samples.finished("x", {"expect": [cell]}))) == ()
    assert excerpts.find([], paper.deciding[0]) is None
