"""Worlds for policies that have none: `init` and `predict` on bare manifests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.author.bundle import Bundle, read_bundle
from harness.author.draft import scalar
from harness.author.guess import guess
from harness.cli import cli
from harness.model.topology import Protocol
from harness.scenario import load
from tests.lab.random_policies import manifests

POLICY = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: api, namespace: shop}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Ingress, Egress]
  ingress:
    - from:
        - podSelector: {matchExpressions: [{key: role, operator: In, values: [web, admin]}]}
        - namespaceSelector: {matchLabels: {team: ops}}
          podSelector: {matchExpressions: [{key: batch, operator: DoesNotExist}]}
      ports: [{port: http}, {port: 9000, protocol: UDP}]
  egress:
    - to: [{ipBlock: {cidr: 198.51.100.0/24, except: [198.51.100.128/25]}}]
      ports: [{port: 443}]
"""
RENDERED = """\
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {tier: gold}}
---
apiVersion: v1
kind: List
items:
  - apiVersion: apps/v1
    kind: Deployment
    metadata: {name: api, namespace: shop}
    spec:
      template:
        metadata: {labels: {app: api, release: r1}}
        spec:
          serviceAccountName: robot
          containers: [{name: api, ports: [{containerPort: 8080, name: http}]}]
  - apiVersion: v1
    kind: Service
    metadata: {name: api, namespace: shop}
    spec: {selector: {app: api}, ports: [{port: 80, targetPort: 8443}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: other}
"""


def bundle(tmp_path: Path, *texts: str) -> Bundle:
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.yaml").write_text(text, encoding="utf-8")
    return read_bundle([tmp_path])


def invoke(*args: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(cli, list(args), input=stdin, env={"COLUMNS": "120"})


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a folder of policies, and the working directory in it."""
    (tmp_path / "netcheck.toml").touch()
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "api.yaml").write_text(POLICY, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_pod_for_each_label_class(tmp_path: Path) -> None:
    world = guess(bundle(tmp_path, POLICY).policies)
    labels = {(pod.namespace, tuple(sorted(pod.labels.items()))) for pod in world.pods.values()}
    assert labels == {
        ("shop", (("app", "api"),)),
        ("shop", (("role", "web"),)),
        ("shop", (("role", "admin"),)),
        ("ops", ()),
        ("shop", ()),
        ("elsewhere", ()),
    }
    assert world.namespaces["ops"].labels["team"] == "ops"


def test_listeners_for_each_port_and_one_more(tmp_path: Path) -> None:
    world = guess(bundle(tmp_path, POLICY).policies)
    api = world.pods["shop/api"]
    assert [(item.name, item.protocol) for item in api.listeners] == [
        ("http", Protocol.TCP),
        (None, Protocol.UDP),
        (None, Protocol.TCP),
    ]
    assert len({item.port for item in api.listeners}) == 3


def test_of_a_range_of_ports_the_first_and_the_last_are_open(tmp_path: Path) -> None:
    text = POLICY.replace("{port: 9000, protocol: UDP}", "{port: 9000, endPort: 9010, protocol: UDP}")
    api = guess(bundle(tmp_path, text).policies).pods["shop/api"]
    assert [item.port for item in api.listeners if item.protocol is Protocol.UDP] == [9000, 9010]


def test_externals_inside_inside_each_exception_and_beside_both(tmp_path: Path) -> None:
    world = guess(bundle(tmp_path, POLICY).policies)
    found = sorted(text for item in world.externals.values() for text in item.addresses.values())
    # Beside: what a prefix shorter by one bit would take in.
    assert found == ["198.51.100.127", "198.51.100.137", "198.51.100.9", "198.51.101.0"]
    assert all([item.port for item in external.listeners] == [443] for external in world.externals.values())


def test_rendered_charts_tell_the_world(tmp_path: Path) -> None:
    found = bundle(tmp_path, RENDERED, POLICY)
    pod = found.topology.pods["shop/api"]
    assert dict(pod.labels) == {"app": "api", "release": "r1"}
    assert pod.service_account == "robot"
    assert pod.listens(8080, Protocol.TCP)
    assert pod.listens(8443, Protocol.TCP)  # the service's target, which the container does not declare
    assert found.topology.namespaces["shop"].labels["tier"] == "gold"
    assert list(found.topology.services) == ["shop/api"]
    assert found.others == 1


@pytest.mark.parametrize("field", ["name: [http]", "name: 5", "name: {a: b}"])
def test_ports_with_damaged_names_are_of_no_workload(tmp_path: Path, field: str) -> None:
    broken = (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: x, namespace: shop, labels: {app: api}}\n"
        f"spec: {{containers: [{{ports: [{{containerPort: 80, {field}}}]}}]}}\n"
    )
    assert bundle(tmp_path, broken).topology.pods == {}
    assert invoke("lint", "-", stdin=f"{broken}---\n{POLICY}").exit_code == 0
    assert invoke("predict", "-", stdin=f"{broken}---\n{POLICY}").exit_code == 0


def test_workloads_that_cannot_be_read_are_passed_over(tmp_path: Path) -> None:
    broken = "kind: Deployment\napiVersion: apps/v1\nmetadata: {name: x}\nspec: {template: [1]}\n"
    assert bundle(tmp_path, broken).topology.pods == {}


@given(st.text(max_size=30))
def test_scalars_read_back(text: str) -> None:
    assert str(yaml.load(f"[{scalar(text)}]", yaml.BaseLoader)[0]) == text
    assert str(yaml.load(f"key: {scalar(text)}", yaml.BaseLoader)["key"]) == text


def test_init_writes_a_file_that_lints_clean_and_says_what_the_oracle_says(project: Path) -> None:
    result = invoke("init", "policies")
    assert result.exit_code == 0, result.output
    written = project / "scenarios" / "policies.yaml"
    loaded = load([written])
    assert loaded.problems == []
    (scenario,) = loaded.scenarios
    assert f"{len(scenario.cells)} cells written" in result.output
    assert invoke("predict", str(written)).exit_code == 0
    text = written.read_text(encoding="utf-8")
    assert "# NetworkPolicy shop/api ingress[0] at policies/api.yaml:8" in text
    assert '"../policies"' in text


def test_init_again_keeps_every_line_and_adds_what_is_new(project: Path) -> None:
    invoke("init", "policies")
    written = project / "scenarios" / "policies.yaml"
    lines = written.read_text(encoding="utf-8").splitlines()
    edited = [line for line in lines if "elsewhere/bystander" not in line or "from" not in line]
    edited.insert(3, "# a remark of mine")
    edited = [line.replace("verdict: deny}", "verdict: drop}") for line in edited]
    written.write_text("\n".join(edited) + "\n", encoding="utf-8")
    assert "nothing that is not there already" in invoke("init", "policies").output
    assert written.read_text(encoding="utf-8").splitlines() == edited

    new = POLICY.replace("name: api, namespace: shop", "name: db, namespace: data").replace(
        "app: api", "app: db"
    )
    (project / "policies" / "db.yaml").write_text(new, encoding="utf-8")
    result = invoke("init", "policies")
    assert result.exit_code == 0, result.output
    now = written.read_text(encoding="utf-8").splitlines()
    kept = iter(now)
    assert all(line in kept for line in edited), "a line was lost or moved"
    assert any(line.startswith("  data/db:") for line in now)
    assert load([written]).problems == []
    assert invoke("predict", str(written)).exit_code == 0


EVERYWHERE = """\
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: baseline}
spec:
  tier: Baseline
  priority: 10
  subject: {namespaces: {}}
  ingress:
    - action: Deny
      from: [{namespaces: {}}, {namespaces: {matchExpressions: [{key: a, operator: DoesNotExist}]}}]
"""


def test_init_again_with_selectors_that_any_namespace_meets_adds_nothing(project: Path) -> None:
    (project / "policies" / "all.yaml").write_text(EVERYWHERE, encoding="utf-8")
    invoke("init", "policies")
    before = (project / "scenarios" / "policies.yaml").read_text(encoding="utf-8")
    assert "nothing that is not there already" in invoke("init", "policies").output
    assert (project / "scenarios" / "policies.yaml").read_text(encoding="utf-8") == before


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_init_of_any_policies_holds_and_is_complete(project: Path, first: int) -> None:
    for seed in range(first, first + 20):
        folder = project / f"random-{seed}"
        folder.mkdir()
        found = yaml.safe_dump_all(manifests(seed))
        (folder / "all.yaml").write_text(found, encoding="utf-8")
        result = invoke("init", str(folder), "--output", f"scenarios/{seed}.yaml")
        assert result.exit_code == 0, f"seed {seed}: {result.output}"
        written = project / "scenarios" / f"{seed}.yaml"
        problems = [item for item in load([written]).problems if item.place.file == str(written)]
        assert problems == [], f"seed {seed}"
        assert invoke("predict", str(written)).exit_code == 0, f"seed {seed}"
        text = written.read_text(encoding="utf-8")
        again = invoke("init", str(folder), "--output", f"scenarios/{seed}.yaml")
        assert "nothing that is not there already" in again.output, f"seed {seed}: {again.output}"
        assert written.read_text(encoding="utf-8") == text


def test_folders_in_folders_are_named_file_by_file(project: Path) -> None:
    (project / "policies" / "sub").mkdir()
    new = POLICY.replace("name: api,", "name: more,")
    (project / "policies" / "sub" / "more.yaml").write_text(new, encoding="utf-8")
    (project / "policies" / "values.yaml").write_text("replicas: 2\n", encoding="utf-8")
    assert invoke("init", "policies").exit_code == 0
    text = (project / "scenarios" / "policies.yaml").read_text(encoding="utf-8")
    assert 'policies:\n  - "../policies/api.yaml"\n  - "../policies/sub/more.yaml"\n' in text
    assert "kind:" not in text


def test_init_again_adds_policies_that_the_file_has_not(project: Path) -> None:
    """Those of standard input stand in the file itself."""
    invoke("init", "-", stdin=POLICY)
    written = project / "scenarios" / "policies.yaml"
    before = written.read_text(encoding="utf-8")
    more = POLICY.replace("name: api,", "name: more,").replace("app: api", "app: db")
    result = invoke("init", "-", stdin=f"{POLICY}---\n{more}")
    assert result.exit_code == 0, result.output
    assert "1 policy written" in result.output
    now = written.read_text(encoding="utf-8")
    kept = iter(now.splitlines())
    assert all(line in kept for line in before.splitlines())
    assert "name: more" in now
    assert load([written]).problems == []
    assert invoke("predict", str(written)).exit_code == 0
    assert "nothing that is not there already" in invoke("init", "-", stdin=f"{POLICY}---\n{more}").output


def test_policies_of_a_file_count_whatever_init_is_given(project: Path) -> None:
    closed = POLICY.split("spec:")[0].replace("name: api,", "name: closed,") + "spec: {podSelector: {}}\n"
    (project / "policies" / "closed.yaml").write_text(closed, encoding="utf-8")
    invoke("init", "policies")
    written = project / "scenarios" / "policies.yaml"
    other = project / "other.yaml"
    other.write_text(POLICY.replace("name: api,", "name: more,").replace("role", "part"), encoding="utf-8")
    result = invoke("init", "other.yaml", "--output", str(written))
    assert result.exit_code == 0, result.output
    assert '  - "../other.yaml"' in written.read_text(encoding="utf-8")
    assert invoke("predict", str(written)).exit_code == 0


def test_a_copy_that_differs_from_the_policy_is_said(project: Path) -> None:
    invoke("init", "-", stdin=POLICY)
    result = invoke("init", "-", stdin=POLICY.replace("9000", "9001"))
    assert "has a copy of its own of NetworkPolicy shop/api, and it differs from <stdin>:1" in result.output


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("198.51.100.0/24, except: [198.51.100.128/25]", '"2001:db8::/32"', "blocks of IPv6 addresses"),
        ("port: 9000, protocol: UDP", "port: 9000, protocol: SCTP", "the policies name SCTP"),
    ],
)
def test_what_init_leaves_to_the_reader_is_said(project: Path, old: str, new: str, expected: str) -> None:
    assert "note:" not in invoke("init", "policies", "--output", "scenarios/plain.yaml").output
    (project / "policies" / "api.yaml").write_text(POLICY.replace(old, new), encoding="utf-8")
    assert f"note: {expected}" in invoke("init", "policies").output


def test_init_does_not_add_to_steps(project: Path) -> None:
    (project / "scenarios").mkdir()
    text = (
        "scenario: x\npods:\n  shop/b: {listen: [80]}\nsteps:\n  - name: one\n"
        "    expect: [{from: shop/b, dns: x.example, verdict: allow}]\n"
    )
    (project / "scenarios" / "policies.yaml").write_text(text, encoding="utf-8")
    result = invoke("init", "policies")
    assert result.exit_code == 4
    assert "has steps" in result.output


def test_init_of_rendered_charts_takes_the_policies_in(project: Path) -> None:
    result = invoke("init", "-", stdin=f"{RENDERED}---\n{POLICY}")
    assert result.exit_code == 0, result.output
    written = project / "scenarios" / "policies.yaml"
    loaded = load([written])
    assert loaded.problems == []
    assert "kind: NetworkPolicy" in written.read_text(encoding="utf-8")
    assert "shop/api" in loaded.scenarios[0].topology.services


def test_init_refuses_to_add_to_what_is_written_in_braces(project: Path) -> None:
    (project / "scenarios").mkdir()
    written = project / "scenarios" / "policies.yaml"
    text = "scenario: x\npods: {n/b: {listen: [80]}}\nexpect: [{from: n/b, dns: x.example, verdict: allow}]\n"
    written.write_text(text, encoding="utf-8")
    result = invoke("init", "policies")
    assert result.exit_code == 4
    assert "pods stands on one line" in result.output
    assert written.read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["init", "nowhere"], "there is no such file or folder"),
        (["predict", "nowhere"], "there is no such file or folder"),
        (["init", "netcheck.toml"], "there is no policy"),
        (["predict", "netcheck.toml"], "neither a scenario nor a policy"),
    ],
)
def test_mistakes_are_one_line_each(project: Path, args: list[str], expected: str) -> None:
    result = invoke(*args)
    assert result.exit_code == 4
    assert expected in result.output


def test_predict_of_bare_policies_has_a_world(project: Path) -> None:
    result = invoke("predict", "policies")
    assert result.exit_code == 0
    assert "shop/api" in result.output
    assert "no labels" in result.output
    document = json.loads(invoke("predict", "--json", "policies").output)
    answers = {item["id"]: item["predicted"] for item in document["worlds"][0]["cells"]}
    assert answers["shop/web->shop/api:80/TCP"] == "allow"
    assert answers["shop/bystander->shop/api:80/TCP"] == "deny"


def test_predict_of_a_scenario_shows_where_it_differs(project: Path) -> None:
    invoke("init", "policies")
    written = project / "scenarios" / "policies.yaml"
    text = written.read_text(encoding="utf-8")
    written.write_text(text.replace("verdict: allow}", "verdict: deny}", 1), encoding="utf-8")
    result = invoke("predict", "scenarios")
    assert result.exit_code == 1
    assert "although the scenario expects deny" in result.output
    assert "predicted[expected]" in result.output


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=200))
def test_any_text_is_a_bundle(tmp_path: Path, text: str) -> None:
    read_bundle([], stdin=text)
