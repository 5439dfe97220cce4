"""Steps, policies and transitions."""

from __future__ import annotations

from pathlib import Path

from harness.model.policy import PolicyRef
from harness.model.scenario import Relabel
from harness.model.verdict import Expected
from harness.scenario import load
from harness.source.render import render

POLICY = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: %s, namespace: ns}
spec: {podSelector: {%s}}
"""

STEPS = """\
scenario: s
namespaces: {ns: {}}
pods:
  ns/srv: {listen: 80, labels: {app: srv}}
  ns/cli: {labels: {old: "1"}}
steps:
  - name: first
    apply: [policies/*.yaml]
    expect: [{from: ns/cli, to: "ns/srv:80", verdict: deny}]
  - name: second
    apply:
      - apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: one, namespace: ns}
        spec: {podSelector: {matchLabels: {app: other}}}
    delete: [networkpolicy/ns/two]
    label:
      - {pod: ns/cli, set: {ok: "yes"}, unset: [old]}
      - {namespace: ns, set: {team: blue}}
    add:
      namespaces: {m: }
      pods: {m/new: {listen: [80]}}
      services: {ns/srv: {selector: {app: srv}, ports: 80}}
    restart: ns/srv
    keep: true
    expect: [{from: m/new, to: "ns/srv:80", verdict: allow}]
    transition:
      steady: [{from: ns/cli, to: "ns/srv:80"}]
      cut: [{from: ns/cli, http: {url: "http://ns/srv:80/"}}]
      established: cut
  - name: third
    remove: ns/cli
    keep: true
"""


def prepare(tmp_path: Path, text: str = STEPS) -> Path:
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "one.yaml").write_text(POLICY % ("one", ""))
    (folder / "two.yaml").write_text(POLICY % ("two", ""))
    path = tmp_path / "s.yaml"
    path.write_text(text)
    return path


def test_every_step_has_its_world_its_policies_and_its_cells(tmp_path: Path):
    loaded = load([prepare(tmp_path)])
    assert loaded.problems == [], render(loaded.problems, loaded.sources)
    (scenario,) = loaded.scenarios
    first, second, third = scenario.steps
    assert [policy.name for policy in first.policies] == ["one", "two"]
    assert first.apply == first.policies

    assert [policy.name for policy in second.policies] == ["one"]
    assert second.policies == second.apply
    assert second.delete == (PolicyRef("networkpolicy", "ns", "two"),)
    assert second.label == (
        Relabel("pod", "ns/cli", {"ok": "yes"}, ("old",)),
        Relabel("namespace", "ns", {"team": "blue"}, ()),
    )
    assert second.topology.pods["ns/cli"].labels == {"ok": "yes"}
    assert first.topology.pods["ns/cli"].labels == {"old": "1"}
    assert second.topology.namespaces["ns"].labels["team"] == "blue"
    assert second.add == ("m", "m/new", "ns/srv")
    assert "m/new" not in scenario.topology.pods
    assert second.restart == ("ns/srv",)
    assert [cell.id for cell in second.cells] == ["ns/cli->ns/srv:80/TCP", "m/new->ns/srv:80/TCP"]
    assert second.transition is not None
    assert [cell.id for cell in second.transition.steady] == ["ns/cli->ns/srv:80/TCP~steady"]
    assert [cell.id for cell in second.transition.cut] == ["ns/cli->ns/srv:80/TCP GET /~cut"]
    assert second.transition.cut[0].expectation.default is Expected.DENY
    assert second.transition.established == "cut"

    assert third.remove == ("ns/cli",)
    assert "ns/cli" not in third.topology.pods
    assert [cell.id for cell in third.cells] == ["m/new->ns/srv:80/TCP"]
    assert {path.name for path in loaded.files} == {"s.yaml", "one.yaml", "two.yaml"}


def test_policies_without_steps_are_one_step(tmp_path: Path):
    path = prepare(
        tmp_path,
        "scenario: s\npods: {ns/a: {listen: 80}, ns/b: {}}\npolicies: policies\n"
        "expect: [{from: ns/b, to: 'ns/a:80', verdict: deny}]",
    )
    (scenario,) = load([path]).scenarios
    (step,) = scenario.steps
    assert step.name == "expect"
    assert [policy.name for policy in step.apply] == ["one", "two"]
    assert step.apply == step.policies


def test_lists_and_several_documents_are_flattened(tmp_path: Path):
    path = prepare(
        tmp_path,
        "scenario: s\npods: {ns/a: {listen: 80}, ns/b: {}}\npolicies: [many.yaml]\n"
        "expect: [{from: ns/b, to: 'ns/a:80', verdict: deny}]",
    )
    item = "- " + (POLICY % ("%s", "")).replace("\n", "\n  ").rstrip() + "\n"
    listed = "apiVersion: v1\nkind: List\nitems:\n" + item % "c" + item % "d"
    (tmp_path / "many.yaml").write_text("---\n".join([POLICY % ("a", ""), POLICY % ("b", ""), listed]))
    loaded = load([path])
    assert loaded.problems == [], render(loaded.problems, loaded.sources)
    assert [policy.name for policy in loaded.scenarios[0].steps[0].policies] == ["a", "b", "c", "d"]


def test_a_policy_without_namespace_takes_the_default(tmp_path: Path):
    text = (POLICY % ("a", "")).replace(", namespace: ns", "")
    (tmp_path / "p.yaml").write_text(text)
    (tmp_path / "s.yaml").write_text(
        "scenario: s\ndefaults: {namespace: ns}\npods: {a: {listen: 80}, b: {}}\npolicies: p.yaml\n"
        "expect: [{from: b, to: 'a:80', verdict: deny}]"
    )
    loaded = load([tmp_path / "s.yaml"])
    assert loaded.problems == []
    assert loaded.scenarios[0].steps[0].policies[0].namespace == "ns"
