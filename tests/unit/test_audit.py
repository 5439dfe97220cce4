"""`netcheck audit` on paper: what staged policies stand for, and what would become of flows."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.author.audit import Change, enforcing, observing, staged_policies, telling, told
from harness.cli import cli
from harness.dialects.registry import staged
from harness.dialects.staged import enforced
from harness.model.policy import Policy
from harness.model.result import CellResult, ScenarioResult, StepResult
from harness.model.scenario import Scenario
from harness.model.verdict import Expected, Status, Verdict
from harness.scenario import load
from tests.unit.kubernetes_worlds import read

WORLD = """
scenario: shop
pods:
  shop/web: {labels: {app: web}}
  shop/batch: {labels: {app: batch}}
  shop/api: {labels: {app: api}, listen: [8080]}
policies:
  - apiVersion: projectcalico.org/v3
    kind: StagedNetworkPolicy
    metadata: {name: only-web, namespace: shop}
    spec:
      selector: app == 'api'
      types: [Ingress]
      ingress: [{action: Allow, source: {selector: app == 'web'}}]
expect:
  - {from: [shop/web, shop/batch], to: "shop/api:8080", verdict: allow}
"""


def manifests(text: str) -> tuple[Policy, ...]:
    found, problems = read(textwrap.dedent(text), "shop")
    assert problems.errors == 0, [str(item) for item in problems.found]
    return tuple(item for item in found if item is not None)


def one(kind: str, spec: str, name: str = "p") -> str:
    head = f"apiVersion: projectcalico.org/v3\nkind: {kind}\n"
    return head + f"metadata: {{name: {name}, namespace: shop}}\nspec: {spec}\n"


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        (one("StagedNetworkPolicy", "{selector: all()}"), [("calico", "NetworkPolicy")]),
        (
            one("StagedNetworkPolicy", "{stagedAction: Set, selector: all()}"),
            [("calico", "NetworkPolicy")],
        ),
        (one("StagedNetworkPolicy", "{stagedAction: Learn, selector: all()}"), []),
        (one("StagedNetworkPolicy", "{stagedAction: Ignore, selector: all()}"), []),
        (one("StagedNetworkPolicy", "{stagedAction: Delete}"), []),
        (
            one("StagedKubernetesNetworkPolicy", "{podSelector: {}, ingress: []}"),
            [("kubernetes", "NetworkPolicy")],
        ),
        (one("NetworkPolicy", "{selector: all()}"), [("calico", "NetworkPolicy")]),
    ],
)
def test_what_a_staged_policy_becomes(text: str, kinds: list[tuple[str, str]]) -> None:
    made = enforced(manifests(text), staged)
    assert [(item.dialect, item.kind) for item in made] == kinds
    assert all(staged(item) is None for item in made)
    assert all("stagedAction" not in item.manifest["spec"] for item in made)
    assert all(item.needs == () for item in made)


def test_a_staged_policy_changes_the_one_of_its_name_and_dialect_only() -> None:
    standing = (
        one("NetworkPolicy", "{selector: app == 'a'}")
        + "---\n"
        + one("NetworkPolicy", "{selector: app == 'b'}", "q")
    )
    change = one("StagedNetworkPolicy", "{selector: app == 'c'}")
    first, second = enforced(manifests(f"{standing}---\n{change}"), staged)
    assert (first.name, first.manifest["spec"]) == ("p", {"selector": "app == 'c'"})
    assert second.name == "q"
    gone = one("StagedNetworkPolicy", "{stagedAction: Delete}")
    (left,) = enforced(manifests(f"{standing}---\n{gone}"), staged)
    assert left.name == "q"
    other = one("StagedKubernetesNetworkPolicy", "{stagedAction: Delete}")
    assert len(enforced(manifests(f"{standing}---\n{other}"), staged)) == 2


def loaded(tmp_path: Path, text: str = WORLD) -> Scenario:
    file = tmp_path / "shop.yaml"
    file.write_text(text)
    (scenario,) = load([file]).scenarios
    return scenario


def test_the_two_worlds(tmp_path: Path) -> None:
    scenario = loaded(tmp_path)
    assert [str(item) for item in staged_policies(scenario)] == ["StagedNetworkPolicy shop/only-web"]
    now, then = observing(scenario), enforcing(scenario)
    assert [item.kind for item in now.steps[0].apply] == ["StagedNetworkPolicy"]
    assert [item.kind for item in then.steps[0].apply] == ["NetworkPolicy"]
    assert (now.name, then.name) == ("shop", "shop-enforced")
    assert {str(cell.expectation.default) for step in (*now.steps, *then.steps) for cell in step.cells} == {
        "observe"
    }


def audit(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["audit", "--predict", *words])
    return done.exit_code, done.output


def test_what_would_be_denied_and_by_which_rule(tmp_path: Path) -> None:
    loaded(tmp_path)
    code, text = audit(str(tmp_path / "shop.yaml"))
    assert code == 1, text
    lines = [line.strip() for line in text.splitlines()]
    assert lines[0] == "shop  2 flows"
    denied = lines.index("1 flow would be denied")
    assert lines[denied + 1] == "shop/batch->shop/api:8080/TCP"
    assert "shop/only-web" in lines[denied + 2]
    assert "shop.yaml:8" in lines[denied + 2]
    assert "1 flow stays as it is" in lines


@pytest.mark.parametrize(("fail_on", "code"), [("denied", 1), ("opened", 0), ("any", 1), ("none", 0)])
def test_what_counts_as_a_failure(tmp_path: Path, fail_on: str, code: int) -> None:
    loaded(tmp_path)
    assert audit(str(tmp_path / "shop.yaml"), "--fail-on", fail_on)[0] == code


def test_a_policy_that_would_open_flows(tmp_path: Path) -> None:
    deny = one("NetworkPolicy", "{selector: app == 'api', types: [Ingress]}", "only-web")
    world = WORLD.replace("policies:\n", "policies:\n" + textwrap.indent(f"- {_flow(deny)}\n", "  "))
    loaded(tmp_path, world)
    code, text = audit(str(tmp_path / "shop.yaml"), "--fail-on", "opened", "--json")
    assert code == 1, text
    flows = {item["id"]: item for item in json.loads(text)["flows"]}
    assert flows["shop/web->shop/api:8080/TCP"]["change"] == "opened"
    assert flows["shop/web->shop/api:8080/TCP"]["predicted"] == {"today": "deny", "enforced": "allow"}
    assert flows["shop/batch->shop/api:8080/TCP"]["change"] == "same"
    assert flows["shop/batch->shop/api:8080/TCP"]["observed"] is None


def _flow(text: str) -> str:
    """A manifest on one line."""
    import yaml

    return yaml.safe_dump(yaml.safe_load(text), default_flow_style=True, width=10000).strip()


def test_policies_without_a_scenario_get_a_world(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(one("StagedNetworkPolicy", "{selector: app == 'api', types: [Ingress]}"))
    code, text = audit(str(tmp_path / "p.yaml"))
    assert code == 1, text
    assert "would be denied" in text


def test_nothing_that_is_staged(tmp_path: Path) -> None:
    loaded(tmp_path, WORLD.replace("StagedNetworkPolicy", "NetworkPolicy"))
    code, text = audit(str(tmp_path / "shop.yaml"))
    assert code == 4
    assert "no policy here is staged" in text
    assert "StagedKubernetesNetworkPolicy" in text


PENDING = (
    "Calico's flow log on b: Allow at Dst shop/batch -> shop/api tcp(8080): kind:Profile name:kns.shop "
    "action:Allow, staged kind:StagedNetworkPolicy namespace:shop name:only-web tier:default action:Deny"
)


def ran(scenario: Scenario, verdict: Verdict, evidence: tuple[str, ...]) -> ScenarioResult:
    """What a cluster that tells of staged policies makes of it; all cells get one verdict."""
    made = telling(scenario)
    steps = []
    for step in made.steps:
        cells = tuple(
            CellResult(
                cell.id,
                cell,
                Status.FAILED if cell.expectation.default is Expected.DENY else Status.PASSED,
                cell.expectation.default,
                verdict,
                evidence=evidence if cell.expectation.default is Expected.DENY else (),
            )
            for cell in step.cells
        )
        steps.append(StepResult(step.name, cells))
    return ScenarioResult(made, tuple(steps))


def test_evidence_is_wanted_of_what_would_be_denied(tmp_path: Path) -> None:
    (step,) = telling(loaded(tmp_path)).steps
    wanted = {cell.id: cell.expectation.default for cell in step.cells}
    assert wanted == {
        "shop/web->shop/api:8080/TCP": Expected.OBSERVE,
        "shop/batch->shop/api:8080/TCP": Expected.DENY,
    }


def test_many_flows_are_told_of_in_several_steps(tmp_path: Path) -> None:
    many = ", ".join(f"shop/b{number}" for number in range(60))
    pods = "".join(f"  shop/b{number}: {{labels: {{app: batch}}}}\n" for number in range(60))
    world = WORLD.replace("  shop/batch: {labels: {app: batch}}\n", pods).replace("shop/batch", many)
    scenario = loaded(tmp_path, world)
    made = telling(scenario)
    assert [len(step.cells) for step in made.steps] == [26, 25, 10]
    assert [bool(step.apply) for step in made.steps] == [True, False, False]
    flows = told(scenario, ran(scenario, Verdict.ALLOW, (PENDING,)))
    assert len(flows) == 61
    assert not any(flow.trouble or flow.disagreement for flow in flows)


def test_what_a_cluster_told(tmp_path: Path) -> None:
    scenario = loaded(tmp_path)
    flows = {flow.cell.id: flow for flow in told(scenario, ran(scenario, Verdict.ALLOW, (PENDING, "other")))}
    batch = flows["shop/batch->shop/api:8080/TCP"]
    assert (batch.change, batch.told, batch.trouble, batch.disagreement) == (
        Change.DENIED,
        (PENDING,),
        "",
        "",
    )
    web = flows["shop/web->shop/api:8080/TCP"]
    assert (web.change, web.told, web.trouble, web.disagreement) == (Change.SAME, (), "", "")


def test_a_cluster_that_tells_nothing_or_denies_already_leaves_it_open(tmp_path: Path) -> None:
    scenario = loaded(tmp_path)
    silent = told(scenario, ran(scenario, Verdict.ALLOW, ("the flow log is written each 300 s",)))
    assert [flow.trouble for flow in silent] == [
        "",
        "the cluster told of no staged policy that would deny it: the flow log is written each 300 s",
    ]
    denied = told(scenario, ran(scenario, Verdict.DROP, (PENDING,)))
    assert {flow.disagreement for flow in denied} == {"today the packets say drop and paper says allow"}
    assert {flow.trouble for flow in told(scenario, None)} == {"it was not begun"}


def test_what_was_not_measured_in_a_step_is_not_taken_from_another(tmp_path: Path) -> None:
    body, cells = WORLD.split("policies:\n")[1].split("expect:\n")
    steps = "".join(
        f"  - name: {name}\n    apply:\n{textwrap.indent(body, '    ')}"
        f"    expect:\n{textwrap.indent(cells, '    ')}"
        for name in ("first", "second")
    )
    scenario = loaded(tmp_path, WORLD.split("policies:\n")[0] + "steps:\n" + steps)
    whole = ran(scenario, Verdict.ALLOW, (PENDING,))
    flows = told(scenario, ScenarioResult(whole.scenario, whole.steps[:1], error="the node went away"))
    assert [(flow.step, flow.trouble) for flow in flows] == [
        ("first", ""),
        ("first", ""),
        ("second", "the node went away"),
        ("second", "the node went away"),
    ]
