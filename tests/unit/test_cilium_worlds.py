"""Cilium's policies under other names, what they speak of, what clusters need for them, their parts."""

from __future__ import annotations

from typing import Any

import pytest

from harness.author.guess import guess
from harness.dialects.cilium.classes import plain
from harness.dialects.registry import DIALECTS, material
from harness.dialects.renaming import rename_policy
from harness.model.probe import DnsQuery, Probe, Source, SourceKind, Target, TargetKind
from harness.model.renaming import Renaming
from harness.model.rules import Direction
from harness.model.topology import Protocol
from harness.oracle.predict import predict
from harness.oracle.trace import trace
from tests.unit.cilium_worlds import cnp, group, shop
from tests.unit.kubernetes_worlds import probe

CI = Renaming("ci-", {"shop": "ci-shop", "blue": "ci-blue"})
NS = "io.kubernetes.pod.namespace"

EVERYTHING = f"""
endpointSelector: {{matchLabels: {{app: web}}}}
ingress:
  - fromEndpoints:
      - {{matchLabels: {{{NS}: blue, app: cli}}}}
      - {{matchExpressions: [{{key: k8s:{NS}, operator: In, values: [blue, other]}}]}}
      - {{matchLabels: {{io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name: blue}}}}
      - {{matchLabels: {{io.cilium.k8s.policy.serviceaccount: blue, team: blue}}}}
  - fromCIDRSet: [{{cidrGroupRef: partners}}, {{cidr: 203.0.113.0/24, except: [203.0.113.8/29]}}]
egress:
  - toServices: [{{k8sService: {{serviceName: web, namespace: blue}}}}]
  - toFQDNs: [{{matchName: web.blue.svc.cluster.local}}, {{matchName: example.com}}]
  - toEndpoints: [{{}}]
    toPorts:
      - ports: [{{port: "53"}}]
        rules: {{dns: [{{matchPattern: "*.blue.svc.cluster.local"}}]}}
"""


def test_every_name_of_a_namespace_is_renamed() -> None:
    renamed = rename_policy(cnp(EVERYTHING), CI).manifest
    assert renamed["metadata"] == {"name": "p", "namespace": "ci-shop"}
    first, second = renamed["spec"]["ingress"]
    assert [next(iter(item.values())) for item in first["fromEndpoints"]] == [
        {NS: "ci-blue", "app": "cli"},
        [{"key": f"k8s:{NS}", "operator": "In", "values": ["ci-blue", "other"]}],
        {"io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name": "ci-blue"},
        {"io.cilium.k8s.policy.serviceaccount": "blue", "team": "blue"},
    ]
    assert second["fromCIDRSet"][0] == {"cidrGroupRef": "ci-partners"}
    services, names, dns = renamed["spec"]["egress"]
    assert services["toServices"] == [{"k8sService": {"serviceName": "web", "namespace": "ci-blue"}}]
    assert [item["matchName"] for item in names["toFQDNs"]] == [
        "web.ci-blue.svc.cluster.local",
        "example.com",
    ]
    assert dns["toPorts"][0]["rules"]["dns"] == [{"matchPattern": "*.ci-blue.svc.cluster.local"}]


def test_objects_of_the_cluster_get_other_names() -> None:
    assert rename_policy(group("203.0.113.0/24"), CI).ref.name == "ci-partners"
    policy = rename_policy(cnp("specs: [{endpointSelector: {}, ingress: [{}]}]", namespace=""), CI)
    assert str(policy.ref) == "ciliumclusterwidenetworkpolicy/ci-p"


@pytest.mark.parametrize("question", ["blue/cli -> shop/web:80", "external:in -> shop/web:80"])
def test_predictions_stay_the_same_under_other_names(question: str) -> None:
    policies = [cnp(EVERYTHING), group("203.0.113.0/24")]
    renamed = [rename_policy(policy, CI) for policy in policies]
    asked = probe(question)
    before = predict(shop(), policies, asked)
    after = predict(CI.topology(shop()), renamed, CI.probe(asked, shop()))
    assert before.verdict == after.verdict


def test_policies_tell_which_pods_and_addresses_they_speak_of() -> None:
    found = material([cnp(EVERYTHING), group("198.51.100.0/24")])
    pods = {
        (wish.namespace.name, tuple(sorted(wish.labels.items())), wish.service_account) for wish in found.pods
    }
    assert pods >= {
        ("shop", (("app", "web"),), ""),
        ("blue", (("app", "cli"),), ""),
        ("shop", (("team", "blue"),), "blue"),
    }
    assert {str(wish.network) for wish in found.blocks} == {"198.51.100.0/24", "203.0.113.0/24"}
    assert found.namespaces == ("shop",)


def test_a_world_is_guessed_from_policies() -> None:
    world = guess([cnp(EVERYTHING)])
    accounts = {pod.service_account for pod in world.pods.values()}
    assert "blue" in accounts
    assert {"shop", "blue"} <= set(world.namespaces)


def test_what_is_looked_into_needs_a_proxy() -> None:
    assert cnp("{endpointSelector: {}, ingress: [{}]}").needs == ()
    assert cnp(EVERYTHING).needs == ("fqdn", "l7-dns")
    port = '{port: "80", protocol: TCP}'
    for rules, feature in (
        ("rules: {http: [{path: /a}]}", "l7-http"),
        ("serverNames: [a.b]", "l7-http"),
        ("terminatingTLS: {secret: {name: s}}", "l7-secrets"),
        ("originatingTLS: {secret: {name: s}}", "l7-secrets"),
        ("rules: {http: [{headerMatches: [{name: a, secret: {name: s}}]}]}", "l7-secrets"),
    ):
        found = cnp(f"{{endpointSelector: {{}}, ingress: [{{toPorts: [{{ports: [{port}], {rules}}}]}}]}}")
        assert feature in found.needs


def test_a_listener_of_envoys_needs_its_configuration() -> None:
    listener = "listener: {envoyConfig: {name: c}, name: l}"
    port = 'ports: [{port: "80", protocol: TCP}]'
    found = cnp(f"{{endpointSelector: {{}}, egress: [{{toPorts: [{{{port}, {listener}}}]}}]}}")
    assert found.needs == ("envoy-listeners",)


def test_some_rules_need_settings_of_the_agents() -> None:
    nodes = cnp("{endpointSelector: {}, ingress: [{fromNodes: [{}]}]}")
    assert nodes.needs == ("node-selectors",)
    for mode, needs in (
        ("disabled", ()),
        ("required", ("mutual-auth",)),
        ("test-always-fail", ("mutual-auth",)),
    ):
        rule = f"{{fromEndpoints: [{{}}], authentication: {{mode: {mode}}}}}"
        assert cnp(f"{{endpointSelector: {{}}, ingress: [{rule}]}}").needs == needs


def test_parts_have_the_names_that_traces_use() -> None:
    found = cnp(
        """
        specs:
          - endpointSelector: {}
            ingress:
              - fromEndpoints: [{}]
                toPorts: [{ports: [{port: "80"}, {port: "81"}]}]
              - {}
            ingressDeny:
              - icmps: [{fields: [{type: 8}]}]
        """
    )
    assert [part.name for part in DIALECTS["cilium"].parts(found)] == [
        "ingress",
        "specs[0].ingress[0]",
        "specs[0].ingress[0].fromEndpoints[0]",
        "specs[0].ingress[0].toPorts[0].ports[0]",
        "specs[0].ingress[0].toPorts[0].ports[1]",
        "specs[0].ingressDeny[0]",
        "specs[0].ingressDeny[0].icmps[0]",
    ]


def test_what_is_looked_for_is_a_part() -> None:
    found = cnp(EVERYTHING)
    names = [part.name for part in DIALECTS["cilium"].parts(found)]
    assert "egress[2].toPorts[0].rules.dns[0]" in names
    asked = Probe(
        Source(SourceKind.POD, "shop/web"),
        Target(TargetKind.DNS, "", 53, Protocol.UDP),
        request=DnsQuery("a.blue.svc.cluster.local"),
    )
    (side,) = [item for item in trace(shop(), [found], asked) if item.direction is Direction.EGRESS]
    parts = {
        f"{rule.origin.rule}.{part.name}"
        for each in side.tiers
        for policy in each.policies
        for rule in policy.rules
        for part in (*rule.peers, *rule.ports)
    }
    assert parts <= set(names)


def test_a_manifest_is_not_changed_by_renaming() -> None:
    policy = cnp(EVERYTHING)
    before: dict[str, Any] = {**policy.manifest}
    DIALECTS["cilium"].rename(policy.manifest, CI)
    assert policy.manifest == before


@pytest.mark.parametrize(
    ("rule", "alike"),
    [
        ("{fromEndpoints: [{matchLabels: {app: cli}}]}", True),
        ("{fromEntities: [world, host]}", True),
        ('{fromCIDR: [203.0.113.0/24], toPorts: [{ports: [{port: "80"}]}]}', True),
        (f"{{fromEndpoints: [{{matchLabels: {{{NS}: blue}}}}]}}", True),  # classes know namespaces by name
        ("{fromEndpoints: [{matchLabels: {io.cilium.k8s.policy.serviceaccount: a}}]}", False),
        ("{icmps: [{fields: [{type: 8}]}]}", False),
        ("{fromCIDRSet: [{cidrGroupRef: partners}]}", False),
        ("{fromEntities: [all], authentication: {mode: required}}", False),
        ('{toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {http: [{}]}}]}', False),
    ],
)
def test_nothing_is_proved_over_classes_of_what_they_do_not_tell_apart(rule: str, alike: bool) -> None:
    assert plain(cnp(f"{{endpointSelector: {{}}, ingress: [{rule}]}}")) is alike
    assert not plain(group("203.0.113.0/24"))
