"""Traces and `netcheck explain`: the same answer as the prediction, told rule by rule."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from syrupy.assertion import SnapshotAssertion

from harness.cli import cli
from harness.model.prediction import Answer
from harness.model.verdict import Verdict
from harness.oracle import flips, predict, trace
from harness.scenario import load

ROOT = Path(__file__).parents[2]
SHIPPED = load([ROOT / "scenarios"]).scenarios
ADMIN = """\
scenario: tiers
namespaces: {shop: {}, dev: {}}
pods:
  shop/api: {labels: {app: api}, listen: [8080]}
  shop/web: {labels: {app: web}}
  dev/cli: {}
services:
  shop/api: {selector: {app: api}, ports: [80:8080]}
policies:
  - apiVersion: policy.networking.k8s.io/v1alpha2
    kind: ClusterNetworkPolicy
    metadata: {name: guard}
    spec:
      tier: Admin
      priority: 10
      subject: {namespaces: {matchLabels: {kubernetes.io/metadata.name: shop}}}
      ingress:
        - name: no-dev
          action: Deny
          from: [{namespaces: {matchLabels: {kubernetes.io/metadata.name: dev}}}]
        - name: rest
          action: Pass
          from: [{namespaces: {}}]
  - apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata: {name: api, namespace: shop}
    spec:
      podSelector: {matchLabels: {app: api}}
      ingress:
        - from: [{podSelector: {matchLabels: {app: web}}}, {namespaceSelector: {}}]
          ports: [{port: 8080}, {port: 9090, protocol: UDP}]
expect:
  - {from: shop/web, to: "service:shop/api:80", verdict: allow}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A scenario in the working directory."""
    (tmp_path / "tiers.yaml").write_text(ADMIN, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return "tiers.yaml"


def invoke(*args: str) -> Result:
    return CliRunner().invoke(cli, ["explain", *args], env={"COLUMNS": "110"})


def test_traces_say_what_predictions_say() -> None:
    asked = 0
    for scenario in SHIPPED:
        for step in scenario.steps:
            for cell in step.cells:
                found = predict(step.topology, step.policies, cell.probe)
                sides = trace(step.topology, step.policies, cell.probe)
                if not sides or len({item.peer for item in sides}) > 2:
                    continue
                answers = [item.answer for item in sides]
                worst = next(
                    (each for each in (Answer.DENY, Answer.UNDEFINED) if each in answers), Answer.ALLOW
                )
                if worst is Answer.ALLOW and found.denial is not None:
                    # What identities refuse, no policy has a say in.
                    assert (found.denial, found.deciding) == (Verdict.TLS_REJECTED, ())
                    continue
                assert worst is found.verdict, f"{scenario.name} {cell.id}"
                told = {
                    rule.origin
                    for side in sides
                    for tier in side.tiers
                    for policy in tier.policies
                    for rule in policy.rules
                    if rule.decides
                } | {
                    policy.origin
                    for side in sides
                    for tier in side.tiers
                    for policy in tier.policies
                    if policy.decides
                }
                assert set(found.deciding) <= told, f"{scenario.name} {cell.id}"
                if found.verdict is not Answer.UNDEFINED:
                    assert all(change.alternatives for change in flips(sides))
                asked += 1
    assert asked > 500


@pytest.mark.parametrize(
    ("source", "target"), [("shop/web", "service:shop/api:80"), ("dev/cli", "shop/api:8080")]
)
def test_screen(file: str, source: str, target: str, snapshot: SnapshotAssertion) -> None:
    result = invoke(file, source, target)
    assert result.exit_code == 0, result.output
    assert result.output == snapshot


def test_rules_behind_the_one_that_decides_are_not_asked(file: str) -> None:
    text = invoke(file, "dev/cli", "shop/api:8080").output
    assert "ingress[0] (deny) at tiers.yaml:18: matches, and decides: deny" in text
    assert "ingress[1]: not asked, a rule before it decides" in text
    assert "tier NetworkPolicy: not asked" in text


def test_json_has_places_and_changes(file: str) -> None:
    (probe,) = json.loads(invoke(file, "dev/cli", "shop/api:8080", "--json").output)["probes"]
    assert probe["predicted"] == "deny"
    ingress = probe["sides"][1]
    assert ingress["deciding"][0]["place"] == "tiers.yaml:18:11"
    assert probe["changes"][0]["what"] == "to allow the ingress of shop/api"


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("nowhere.yaml", "a", "b:1"), "there is no such file or folder"),
        (("tiers.yaml", "shop/wep", "shop/api:80"), 'did you mean "shop/web"?'),
        (("tiers.yaml", "shop/web", "shop/api"), "has no port"),
        (("tiers.yaml", "shop/web", "dns:a b"), "write dns:api.example.com"),
        (("tiers.yaml", "shop/web", "shop/api:80", "--step", "two"), "there is no step 'two'"),
        (("tiers.yaml", "shop/web", "shop/api:80", "--scenario", "tier"), 'did you mean "tiers"?'),
    ],
)
def test_mistakes(file: str, args: tuple[str, ...], expected: str) -> None:
    result = invoke(*args)
    assert result.exit_code == 4
    assert expected in result.output


SIX = """\
scenario: six
families: [%s]
pods:
  six/web: {labels: {app: web}}
externals:
  both: {address: [203.0.113.10, "2001:db8::10"], listen: [443]}
  four: {address: 203.0.113.11, listen: [443]}
policies:
  - apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata: {name: p, namespace: six}
    spec: {podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}
expect:
  - {from: six/web, to: "external:both:443", verdict: observe}
"""


@pytest.mark.parametrize(
    ("families", "target", "expected"),
    [
        ("ipv4", "external:both:443", [("ipv4", "allow")]),
        ("ipv6", "external:both:443", [("ipv6", "deny")]),
        ("ipv4, ipv6", "external:both:443", [("ipv4", "allow"), ("ipv6", "deny")]),
        ("ipv4, ipv6", "external:four:443", [("ipv4", "allow")]),
        ("ipv4, ipv6", "dns:example.com", [("ipv4", "undefined"), ("ipv6", "deny")]),
    ],
)
def test_families_are_those_of_the_scenario(
    file: str, families: str, target: str, expected: list[tuple[str, str]]
) -> None:
    Path("six.yaml").write_text(SIX % families, encoding="utf-8")
    probes = json.loads(invoke("six.yaml", "six/web", target, "--json").output)["probes"]
    assert [(item["family"], item["predicted"]) for item in probes] == expected
    text = invoke("six.yaml", "six/web", target).output
    assert ("ipv6  in six" in text) == any(family == "ipv6" for family, _ in expected)


def test_standard_input_holds_policies(file: str) -> None:
    document = ADMIN.split("  - apiVersion: networking")[1].split("expect:")[0]
    policy = "apiVersion: networking" + document.replace("\n    ", "\n")
    result = CliRunner().invoke(cli, ["explain", "-", "shop/web", "shop/api:8080"], input=policy)
    assert result.exit_code == 0, result.output
    assert "NetworkPolicy shop/api ingress[0] at <stdin>" in result.output
    missing = CliRunner().invoke(cli, ["explain", "-", "a", "b:1"], input="")
    assert missing.exit_code == 4
    assert "neither a scenario nor a policy" in missing.output


def test_a_port_on_which_nobody_listens_is_said(file: str) -> None:
    assert "nobody listens there" in invoke(file, "shop/web", "shop/api:9999").output
    assert "nobody listens there" not in invoke(file, "shop/web", "shop/api:8080").output


def test_what_would_settle_an_open_answer_is_said(file: str) -> None:
    text = invoke(file, "node:a", "shop/api:8080").output
    assert "undefined" in text
    assert "to settle the ingress of shop/api:" in text
    assert "`node:` of shop/api says on which node it runs" in text


TIE = """\
scenario: tie
pods:
  six/web: {labels: {app: web}}
  six/api: {labels: {app: api}, listen: [80]}
policies:
  - apiVersion: policy.networking.k8s.io/v1alpha2
    kind: ClusterNetworkPolicy
    metadata: {name: deny}
    spec: {tier: Admin, priority: 5, subject: {namespaces: {}},
      egress: [{action: Deny, to: [{namespaces: {}}]}]}
  - apiVersion: policy.networking.k8s.io/v1alpha2
    kind: ClusterNetworkPolicy
    metadata: {name: some}
    spec: {tier: Admin, priority: %s, subject: {namespaces: {}},
      egress: [{action: Accept, to: [{networks: [%s]}]}]}
expect:
  - {from: six/web, to: "six/api:80", verdict: observe}
"""


def test_rules_on_which_an_open_answer_rests_do_not_decide(file: str) -> None:
    Path("tie.yaml").write_text(TIE % ("5", "0.0.0.0/0"), encoding="utf-8")
    text = invoke("tie.yaml", "six/web", "six/api:80").output
    assert "egress[0] (deny) at tie.yaml:10: matches, and the answer rests on it" in text
    assert "decides" not in text
    assert "to settle the egress of six/web" in text
    Path("tie.yaml").write_text(TIE % ("1", "10.0.0.0/8"), encoding="utf-8")
    text = invoke("tie.yaml", "six/web", "six/api:80").output.replace("action: Deny", "")
    assert "egress[0] (allow) at tie.yaml:15: depends, and the answer rests on it" in text
    Path("tie.yaml").write_text((TIE % ("1", "10.0.0.0/8")).replace("action: Deny", "action: Accept"))
    text = invoke("tie.yaml", "six/web", "six/api:80").output
    assert "egress[0] (allow) at tie.yaml:10: matches, and decides: allow" in text


def test_what_no_policy_can_deny_has_no_such_advice(file: str) -> None:
    text = invoke(file, "shop/api", "shop/api:8080").output
    assert "no policy can keep a pod from itself" in text
    assert "to deny it" not in text


def test_what_identities_refuse_is_said_and_no_policy_is_blamed() -> None:
    shipped = str(ROOT / "scenarios" / "zero-trust" / "certificates-that-fail.yaml")
    asked = shipped, "production/api-gateway", "production/api:8443"
    told = invoke(*asked).output
    assert "  tls-rejected  " in told
    assert "3. identities  production/api takes on port 8443 only spiffe://" in told
    assert "and the client speaks no TLS" in told
    assert "to deny it" not in told
    (probe,) = json.loads(invoke(*asked, "--json").output)["probes"]
    assert (probe["predicted"], probe["changes"]) == ("tls-rejected", [])


def test_bare_policies_have_the_world_of_predict(tmp_path: Path) -> None:
    policy = tmp_path / "p.yaml"
    policy.write_text(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: shop}\n"
        "spec: {podSelector: {matchLabels: {app: api}}, ingress: [{ports: [{port: 80}]}]}\n",
        encoding="utf-8",
    )
    result = invoke(str(policy), "elsewhere/bystander", "shop/api:80")
    assert result.exit_code == 0, result.output
    assert "allow" in result.output.splitlines()[0]
