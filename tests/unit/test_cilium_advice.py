"""What lint says of valid policies of Cilium's."""

from __future__ import annotations

import pytest

from harness.author.review import World, review
from harness.dialects.cilium.groups import unknown
from harness.dialects.registry import DIALECTS
from harness.model.topology import Service, ServicePort, Topology
from harness.source.diagnostics import Diagnostic
from tests.unit.cilium_worlds import cnp, group, shop
from tests.unit.kubernetes_worlds import world


def advice(spec: str, topology: Topology | None = None, namespace: str = "shop") -> list[Diagnostic]:
    return list(DIALECTS["cilium"].advice(cnp(spec, namespace=namespace), topology))


def ids(spec: str, topology: Topology | None = None, namespace: str = "shop") -> list[str]:
    return [item.id for item in advice(spec, topology, namespace)]


SUBJECT = "endpointSelector: {matchLabels: {app: web}}"
DNS = 'toPorts: [{ports: [{port: "53", protocol: UDP}], rules: {dns: [{matchPattern: "*"}]}}]'
ANY = DNS.replace("UDP", "ANY")
HTTP = 'toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {http: [{path: /a}]}}]'
PLAIN = 'toPorts: [{ports: [{port: "80", protocol: TCP}]}]'
CLI = "fromEndpoints: [{matchLabels: {app: cli}}]"


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ("ingress: [{}]", ["empty-rule"]),
        ("ingress: [{fromEntities: [all]}]", []),
        ("ingress: [{fromEntities: [all]}, {}]", ["empty-rule"]),
        ("ingress: [{fromEndpoints: []}]", []),
        ("egress: [{toCIDR: [10.0.0.0/8]}]", ["cidr-means-no-pods"]),
        ("egress: [{toCIDR: [0.0.0.0/0, 203.0.113.0/24]}]", []),
        (f"egress: [{{{DNS}}}]", ["dns-without-tcp", "names-without-connections"]),
        (f"egress: [{{{ANY}}}]", ["names-without-connections"]),
        (f"egress: [{{{ANY}}}, {{toFQDNs: [{{matchName: a.b}}]}}]", []),
        (f"egress: [{{{ANY}}}, {{toEntities: [world]}}]", []),
        (f"egress: [{{{ANY}}}], enableDefaultDeny: {{egress: false}}", []),
        (f"ingress: [{{{CLI}, {HTTP}}}, {{{CLI}, {PLAIN}}}]", ["demands-without-effect"]),
        (f"ingress: [{{{CLI}, {HTTP}}}, {{{CLI}}}]", ["demands-without-effect"]),
        (f"ingress: [{{{CLI}, {HTTP}}}, {{fromEntities: [all]}}]", ["demands-without-effect"]),
        (f"ingress: [{{{CLI}, {HTTP}}}, {{{PLAIN}}}]", ["demands-without-effect"]),
        (f"ingress: [{{{HTTP}}}, {{{CLI}, {PLAIN}}}]", []),
        (f"ingress: [{{{CLI}, {HTTP}}}, {{fromEndpoints: [{{matchLabels: {{app: b}}}}], {PLAIN}}}]", []),
        (f"ingress: [{{{CLI}, {HTTP}}}, {{{CLI}, {PLAIN.replace('80', '81')}}}]", []),
        (f"egress: [{{toServices: [{{k8sService: {{serviceName: x}}}}], {PLAIN}}}]", ["services-with-ports"]),
        ("ingress: [{fromNodes: [{}]}]", ["needs-setting"]),
        ("ingress: [{fromEntities: [all], authentication: {mode: required}}]", ["needs-setting"]),
        ("ingress: [{fromEntities: [all], authentication: {mode: disabled}}]", []),
        (
            "ingress: [{fromEndpoints: [{matchExpressions: "
            "[{key: io.kubernetes.pod.namespace, operator: NotIn, values: [a]}]}]}]",
            ["selector-means-outside"],
        ),
        (
            "ingress: [{fromEndpoints: [{matchExpressions: [{key: app, operator: NotIn, values: [a]}]}]}]",
            [],
        ),
    ],
)
def test_advice_about_a_policy_alone(rules: str, expected: list[str]) -> None:
    assert sorted(ids(f"{{{SUBJECT}, {rules}}}")) == sorted(expected)


def test_policies_of_nodes_need_the_host_firewall() -> None:
    assert ids("{nodeSelector: {}, ingress: [{fromEntities: [all]}]}", namespace="") == ["needs-setting"]


def test_the_rule_that_opens_another_one_is_shown() -> None:
    (found,) = advice(f"{{{SUBJECT}, ingress: [{{{CLI}, {HTTP}}}, {{{CLI}}}]}}")
    assert "ingress[1] allows the same peers" in found.message
    assert [item.label for item in found.related] == ["the rule that allows everything"]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (f"{{{SUBJECT}, ingress: [{{{CLI}, {PLAIN}}}]}}", []),
        ("{endpointSelector: {matchLabels: {app: nobody}}, ingress: [{}]}", ["selects-no-pod"]),
        (
            f"{{{SUBJECT}, ingress: [{{fromEndpoints: [{{matchLabels: {{app: nob}}}}]}}]}}",
            ["peer-matches-nothing"],
        ),
        (f"{{{SUBJECT}, ingress: [{{fromEndpoints: [{{matchLabels: {{'reserved:host': ''}}}}]}}]}}", []),
        (
            f"{{{SUBJECT}, egress: [{{toServices: [{{k8sService: {{serviceName: nob}}}}]}}]}}",
            ["peer-matches-nothing"],
        ),
        (f"{{{SUBJECT}, egress: [{{toServices: [{{k8sService: {{serviceName: web}}}}]}}]}}", []),
        (f"{{{SUBJECT}, ingress: [{{{CLI}, {PLAIN.replace('80', '81')}}}]}}", ["port-without-listener"]),
        (f"{{{SUBJECT}, ingressDeny: [{{{CLI}, {PLAIN.replace('80', '81')}}}]}}", []),
        (
            f"{{{SUBJECT}, egress: [{{toEndpoints: [{{}}], {PLAIN.replace('80', '99')}}}]}}",
            ["port-without-listener"],
        ),
        (f"{{{SUBJECT}, egress: [{{toEntities: [world], {PLAIN.replace('80', '99')}}}]}}", []),
    ],
)
def test_advice_about_a_policy_in_a_world(spec: str, expected: list[str]) -> None:
    topology = world(
        *shop().pods.values(), services=(Service("shop", "web", {"app": "web"}, (ServicePort(80, 80),)),)
    )
    assert ids(spec, topology) == expected


def test_groups_that_are_not_there_are_named() -> None:
    found = cnp(
        f"{{{SUBJECT}, egress: [{{toCIDRSet: [{{cidrGroupRef: partner}}, {{cidrGroupRef: partners}}, "
        "{cidrGroupSelector: {matchLabels: {team: a}}}]}]}"
    )
    known = group("203.0.113.0/24", labels="{team: b}")
    said = unknown([found, known])[found.place]
    assert [(item.id, item.message.split(" among")[0], item.help) for item in said] == [
        ("unknown-cidr-group", "there is no CiliumCIDRGroup partner", 'did you mean "partners"?'),
        (
            "unknown-cidr-group",
            "no CiliumCIDRGroup has these labels",
            "apply the group together with the policy, or correct the reference",
        ),
    ]
    (item,) = review([World(shop(), (found,))])[:1]
    assert item.id == "unknown-cidr-group"
    with_all = (found, known, group("10.0.0.0/8", name="partner", labels="{team: a}"))
    assert unknown(with_all) == {}
    assert not [one for one in review([World(shop(), with_all)]) if one.id == "unknown-cidr-group"]


def test_of_groups_nothing_is_said() -> None:
    found = group("10.0.0.0/8")
    assert DIALECTS["cilium"].advice(found, None) == ()
    assert DIALECTS["cilium"].advice(found, shop()) == ()
