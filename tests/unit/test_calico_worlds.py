"""Calico's policies under other names, with mistakes, in parts, and what a reviewer says of them."""
# ruff: noqa: E501 - a row of a table is a line

from __future__ import annotations

import json

import pytest

from harness.author.classes import classes_among
from harness.dialects.calico.classes import plain
from harness.dialects.calico.expressions import parse
from harness.dialects.calico.material import examples
from harness.dialects.registry import DIALECTS, material
from harness.dialects.renaming import RenameError, rename_policy
from harness.model.policy import Policy
from harness.model.renaming import Renaming
from harness.model.rules import Direction
from harness.oracle.predict import predict
from tests.unit.calico_worlds import calico, made, nets, parsed, shop, tier
from tests.unit.kubernetes_worlds import probe

WORLD = shop()
CALICO = DIALECTS["calico"]
RENAMING = Renaming("run-", {"shop": "run-shop", "blue": "run-blue"})

FULL = """
tier: security
order: 5
selector: app == 'web' && env in {'a', 'b'}
ingress:
  - {action: Log}
  - action: Allow
    protocol: TCP
    source: {selector: app == 'cli', namespaceSelector: "kubernetes.io/metadata.name == 'blue'"}
    destination: {ports: [80, "8000:9000", http], notPorts: [8080]}
  - {action: Deny, source: {nets: [203.0.113.0/24], notNets: [203.0.113.8/29]}}
  - {action: Pass, source: {serviceAccounts: {names: [robot]}, notSelector: "!has(env)"}}
egress:
  - {action: Allow, destination: {services: {name: web, namespace: blue}}}
"""


# -- names -------------------------------------------------------------------------------------------------


def test_namespaces_tiers_and_services_have_other_names() -> None:
    found = rename_policy(calico(FULL, "security.web"), RENAMING)
    assert (found.namespace, found.name) == ("run-shop", "run-security.web")
    assert found.manifest["spec"]["tier"] == "run-security"
    allow = found.manifest["spec"]["ingress"][1]
    assert allow["source"]["namespaceSelector"] == "kubernetes.io/metadata.name == 'run-blue'"
    assert allow["source"]["selector"] == "app == 'cli'"
    service = found.manifest["spec"]["egress"][0]["destination"]["services"]
    assert service == {"name": "web", "namespace": "run-blue"}
    assert found.parsed.egress[0].destination.services.id == "run-blue/web"


@pytest.mark.parametrize(
    ("policy", "name"),
    [
        (calico("{selector: all()}", "p", namespace=""), "run-p"),
        (calico("{selector: all()}", "default.p", namespace=""), "default.run-p"),
        (tier("security", 1), "run-security"),
        (tier("default", 1_000_000), "default"),
        (nets("203.0.113.0/24"), "run-partners"),
        (nets("203.0.113.0/24", namespace="shop"), "partners"),
    ],
)
def test_names_of_what_belongs_to_the_cluster(policy: Policy, name: str) -> None:
    assert rename_policy(policy, RENAMING).name == name


@pytest.mark.parametrize(
    ("selector", "becomes"),
    [
        ("projectcalico.org/namespace == 'shop'", "projectcalico.org/namespace == 'run-shop'"),
        ("!(pcns.projectcalico.org/name in {'shop', 'x'} || has(a))", "!(pcns.projectcalico.org/name in {'run-shop', 'x'} || has(a))"),
        ("app   == 'shop'", "app   == 'shop'"),
    ],
)  # fmt: skip
def test_selectors_by_names_of_namespaces(selector: str, becomes: str) -> None:
    found = rename_policy(calico(f'selector: "{selector}"', namespace=""), RENAMING)
    assert found.manifest["spec"]["selector"] == becomes


def test_what_a_renamed_policy_means() -> None:
    found = [
        calico("{ingress: [{action: Allow, source: {namespaceSelector: projectcalico.org/name == 'blue'}}]}")
    ]
    renamed = [rename_policy(item, RENAMING) for item in found]
    world = RENAMING.topology(WORLD)
    for text in ("shop/cli -> shop/web:80", "blue/cli -> shop/web:80", "external:in -> shop/web:80"):
        one = probe(text)
        before = predict(WORLD, found, one).verdict
        assert predict(world, renamed, RENAMING.probe(one, WORLD)).verdict is before


def test_staged_network_policies_are_renamed_as_network_policies_are() -> None:
    spec = (
        "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: "
        "{kubernetes.io/metadata.name: blue}}}]}]}"
    )
    found = rename_policy(made("StagedKubernetesNetworkPolicy", spec, namespace="shop"), RENAMING)
    (peer,) = found.manifest["spec"]["ingress"][0]["from"]
    assert peer == {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "run-blue"}}}


def test_host_endpoints_keep_their_names() -> None:
    with pytest.raises(RenameError):
        rename_policy(made("HostEndpoint", '{node: a, interfaceName: "*"}'), RENAMING)


# -- mistakes ----------------------------------------------------------------------------------------------


def mistakes(policy: Policy) -> dict[str, dict[str, object]]:
    before = json.dumps(policy.manifest)
    found = dict(CALICO.mistakes(policy.manifest, []))
    assert json.dumps(policy.manifest) == before
    return found


def test_every_mistake_changes_something() -> None:
    found = mistakes(calico(FULL))
    assert len(found) >= 50
    assert len(found) == len(list(CALICO.mistakes(calico(FULL).manifest, [])))
    texts = [json.dumps(item) for item in found.values()]
    assert len(set(texts)) == len(texts)
    assert json.dumps(calico(FULL).manifest) not in texts


@pytest.mark.parametrize(
    "what",
    [
        "selector: selects nobody",
        "selector: selects everybody",
        "selector: || instead of &&",
        "selector: no app == 'web'",
        "selector: env without b",
        "order: none",
        "types: not Ingress",
        "ingress[1]: removed",
        "ingress[1]: behind the next",
        "ingress[1]: Deny instead of Allow",
        "ingress[3]: Allow instead of Pass",
        "ingress[1]: UDP instead of TCP",
        "ingress[1].source: anybody",
        "ingress[1].source: no namespaceSelector",
        "ingress[1].source.selector: another app",
        "ingress[1].destination: no ports",
        "ingress[1].destination.ports[0]: 81 instead of 80",
        "ingress[1].destination.ports[1]: 8000:9001 instead of 8000:9000",
        "ingress[1].destination.ports[2]: another name",
        "ingress[1].destination: no notPorts",
        "ingress[2].source.nets[0]: 203.0.112.0/23 instead of 203.0.113.0/24",
        "ingress[2].source.notNets[0]: 203.0.113.0/28 instead of 203.0.113.8/29",
        "ingress[3].source.serviceAccounts: another robot",
        "ingress[3].source.notSelector: no ! before has(env)",
        "egress[0].destination.services: another service",
    ],
)
def test_mistakes(what: str) -> None:
    assert what in mistakes(calico(FULL))


def test_mistakes_in_other_objects() -> None:
    assert set(mistakes(tier("a", 1))) == {"defaultAction: Pass"}
    assert set(mistakes(nets("203.0.113.0/24", "198.51.100.1"))) == {
        "nets[0]: removed",
        "nets[1]: removed",
        "nets[0]: 203.0.112.0/23 instead of 203.0.113.0/24",
        "nets[1]: 198.51.100.0/31 instead of 198.51.100.1/32",
    }
    assert not mistakes(calico("selector: all()", staged=True))


# -- parts, classes, material ------------------------------------------------------------------------------


def test_parts_are_called_as_in_traces() -> None:
    names = [part.name for part in CALICO.parts(calico(FULL))]
    assert names == [
        *("ingress[1]", "ingress[1].source", "ingress[1].protocol"),
        *("ingress[2]", "ingress[2].source", "ingress[2].protocol"),
        *("ingress[3]", "ingress[3].source", "egress[0]", "egress[0].destination"),
    ]
    default = [part.name for part in CALICO.parts(calico("{ingress: [{action: Allow}]}"))]
    assert default == ["ingress", "ingress[0]"]
    assert not list(CALICO.parts(calico("{ingress: [{action: Allow}]}", staged=True)))
    assert not list(CALICO.parts(tier("a", 1)))


@pytest.mark.parametrize(
    ("spec", "is_plain"),
    [
        (
            "{selector: app == 'web', ingress: [{action: Allow, source: {selector: has(env) || !has(x)}}]}",
            True,
        ),
        (
            "{ingress: [{action: Deny, source: {namespaceSelector: team == 'red', nets: [203.0.113.0/24]}}]}",
            True,
        ),
        ("{ingress: [{action: Allow, source: {namespaceSelector: all()}}]}", True),
        ("{selector: app contains 'w'}", False),
        ("{ingress: [{action: Allow, source: {serviceAccounts: {names: [a]}}}]}", False),
        ("{ingress: [{action: Allow, source: {services: {name: a}}}]}", False),
        ("{ingress: [{action: Allow, protocol: ICMP, icmp: {type: 8}}]}", False),
        ("{ingress: [{action: Allow, source: {namespaceSelector: projectcalico.org/name == 'x'}}]}", True),
    ],
)
def test_whether_classes_of_pods_tell_everything(spec: str, is_plain: bool) -> None:
    found = calico(spec)
    assert plain(found) is is_plain
    assert (classes_among([found], WORLD.namespaces) is not None) is is_plain


@pytest.mark.parametrize(
    ("text", "sets"),
    [
        ("app == 'web'", [{"app": "web"}]),
        ("app in {'a', 'b'} && has(env)", [{"app": "a", "env": "any"}, {"app": "b", "env": "any"}]),
        ("app == 'a' || env == 'b'", [{"app": "a"}, {"env": "b"}]),
        ("!(app == 'a' || has(env))", [{}, {"app": "any"}]),
        ("!app not in {'a'}", [{"app": "a"}]),
        ("!all()", []),
    ],
)
def test_examples_of_what_expressions_select(text: str, sets: list[dict[str, str]]) -> None:
    assert list(examples(parse(text))) == sets


def test_material_of_policies() -> None:
    found = material([calico(FULL), nets("198.51.100.0/24")])
    assert "shop" in found.namespaces
    assert {str(item.network) for item in found.blocks} == {
        "203.0.113.0/24",
        "203.0.113.8/29",
        "198.51.100.0/24",
    }
    subjects = [item for item in found.pods if item.labels == {"app": "web", "env": "a"}]
    assert subjects
    assert subjects[0].namespace.name == "shop"
    assert {(port.number, port.end, port.name) for port in subjects[0].listen} >= {
        (80, None, None),
        (8000, 9000, None),
        (None, None, "http"),
    }
    assert any(item.labels == {"app": "cli"} and item.namespace.name == "blue" for item in found.pods)


# -- advice ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "namespace", "ids"),
    [
        ("{ingress: [{action: Allow}, {action: Deny}]}", "shop", ["rules-never-reached"]),
        ("{ingress: [{action: Log}, {action: Deny}]}", "shop", []),
        ("{ingress: [{action: Allow, protocol: TCP}, {action: Deny}]}", "shop", []),
        ("{ingress: [{action: Allow, http: {methods: [GET]}}]}", "shop", ["needs-setting"]),
        ("{applyOnForward: true}", "", ["hosts-only"]),
        ("{doNotTrack: true, applyOnForward: true}", "", ["hosts-only"]),
    ],
)
def test_advice_without_a_world(spec: str, namespace: str, ids: list[str]) -> None:
    assert [item.id for item in CALICO.advice(calico(spec, namespace=namespace), None)] == ids


@pytest.mark.parametrize(
    ("spec", "ids"),
    [
        (
            "{selector: app == 'web', ingress: [{action: Allow, protocol: TCP, destination: {ports: [80]}}]}",
            [],
        ),
        ("{selector: app == 'none'}", ["selects-no-pod"]),
        (
            "{selector: app == 'web', ingress: [{action: Allow, protocol: TCP, destination: {ports: [81]}}]}",
            ["port-without-listener"],
        ),
        (
            "{selector: app == 'web', ingress: [{action: Deny, protocol: TCP, destination: {ports: [81]}}]}",
            [],
        ),
        (
            "{egress: [{action: Allow, protocol: TCP, destination: {selector: app == 'web', ports: [dns]}}]}",
            ["port-without-listener"],
        ),
    ],
)
def test_advice_in_a_world(spec: str, ids: list[str]) -> None:
    assert [item.id for item in CALICO.advice(calico(spec), WORLD)] == ids


def test_needs() -> None:
    assert calico("selector: all()").needs == ()
    assert parsed("{tier: x}", staged=True)[0].needs == ("tiers", "staged")  # type: ignore[union-attr]
    assert Direction.INGRESS in calico("selector: all()").parsed.directions
