"""Cilium's policies as neutral stages."""

from __future__ import annotations

import ipaddress

from harness.dialects.cilium.compile import compile_policies
from harness.dialects.kubernetes.compile import compile_policies as compile_kubernetes
from harness.model.application import DnsRules, HttpRule, HttpRules
from harness.model.policy import Policy
from harness.model.rules import (
    Action,
    Authentication,
    Block,
    Direction,
    Match,
    PolicyBlock,
    Ports,
    Reach,
    merged,
)
from harness.model.topology import Protocol
from tests.unit.cilium_worlds import cnp, group, shop
from tests.unit.kubernetes_worlds import policy

WORLD = shop()
PODS = frozenset({"shop/web", "shop/cli", "shop/far", "blue/cli", "blue/web"})
"""Pods with their node's network are nodes."""

EVERYWHERE = (Block(ipaddress.ip_network("0.0.0.0/0")), Block(ipaddress.ip_network("::/0")))


def blocks(*policies: Policy, direction: Direction = Direction.INGRESS) -> tuple[PolicyBlock, ...]:
    (stage,) = [item for item in merged(compile_policies(policies, WORLD)) if item.direction is direction]
    assert stage.default is Action.DENY
    assert not stage.ordered
    return stage.blocks


def matches(rule: str, direction: Direction = Direction.INGRESS) -> tuple[Match, ...]:
    found = cnp(f"{{endpointSelector: {{matchLabels: {{app: web}}}}, {direction}: [{rule}]}}")
    (block,) = blocks(found, direction=direction)
    return tuple(match for item in block.rules for match in item.matches)


def test_denials_are_a_block_of_their_own_before_all_others() -> None:
    found = cnp(
        "{endpointSelector: {matchLabels: {app: web}}, "
        "ingress: [{fromEndpoints: [{}]}], ingressDeny: [{fromEntities: [world]}]}"
    )
    kubernetes = policy("{podSelector: {}, ingress: [{}]}", namespace="shop")
    stages = merged([*compile_kubernetes([kubernetes], WORLD), *compile_policies([found], WORLD)])
    (stage,) = stages
    first, *others = stage.blocks
    assert [rule.action for rule in first.rules] == [Action.DENY]
    assert (first.order, first.isolates, first.strict) == (0, False, True)
    assert {rule.action for block in others for rule in block.rules} == {Action.ALLOW}
    assert {(block.isolates, block.strict) for block in others} == {(True, True), (True, False)}
    assert first.subjects == {"shop/web"}


def test_a_policy_that_only_denies_isolates_by_that() -> None:
    (block,) = blocks(cnp("{endpointSelector: {}, ingressDeny: [{fromEntities: [world]}]}"))
    assert block.isolates
    (block,) = blocks(
        cnp("{endpointSelector: {}, ingress: [{}], enableDefaultDeny: {ingress: false}}", namespace="")
    )
    assert not block.isolates
    assert block.subjects == PODS


def test_peers_become_pods_addresses_and_nodes() -> None:
    assert matches("{fromEndpoints: [{}]}") == (Match(pods=frozenset({"shop/web", "shop/cli", "shop/far"})),)
    assert matches("{fromEntities: [world]}") == (Match(blocks=EVERYWHERE),)
    assert matches("{fromEntities: [all]}") == (Match(),)
    assert matches("{fromEntities: [cluster]}") == (Match(pods=PODS, nodes=frozenset("ab")),)
    web = frozenset({"shop/web"})
    assert matches("{fromEntities: [host]}") == (Match(subjects=web, nodes=frozenset("a")),)
    assert matches("{fromEntities: [remote-node]}") == (Match(subjects=web, nodes=frozenset("b")),)
    assert matches("{fromNodes: [{}]}") == (Match(subjects=web, nodes=frozenset("b")),)
    (match,) = matches("{fromCIDRSet: [{cidr: 203.0.113.0/24, except: [203.0.113.8/29]}]}")
    hole = ipaddress.ip_network("203.0.113.8/29")
    assert match.blocks == (Block(ipaddress.ip_network("203.0.113.0/24"), (hole,), Reach.CIDR),)
    assert matches("{fromEntities: [health]}") == matches("{}") == matches("{fromEndpoints: []}") == ()


def test_who_has_no_labels_meets_what_excludes_labels() -> None:
    text = "{key: io.kubernetes.pod.namespace, operator: NotIn, values: [shop]}"
    found = matches(f"{{fromEndpoints: [{{matchExpressions: [{text}]}}]}}")
    assert found == (
        Match(subjects=frozenset({"shop/web"}), nodes=frozenset("ab")),
        Match(blocks=EVERYWHERE),
        Match(pods=frozenset({"blue/cli", "blue/web"})),
    )


def test_groups_become_their_addresses() -> None:
    found = cnp("{endpointSelector: {}, ingress: [{fromCIDRSet: [{cidrGroupRef: partners}]}]}")
    (block,) = blocks(found, group("203.0.113.0/24", "::/0"))
    (match,) = block.rules[0].matches
    assert match.blocks is not None
    assert [str(item.network) for item in match.blocks] == ["203.0.113.0/24", "::/0"]


def test_ports_are_ranges_names_and_types() -> None:
    (match,) = matches('{toPorts: [{ports: [{port: "80"}, {port: "90", endPort: 99, protocol: UDP}]}]}')
    assert match.ports == (
        *(Ports(protocol, 80) for protocol in (Protocol.TCP, Protocol.UDP, Protocol.SCTP)),
        Ports(Protocol.UDP, 90, 99),
    )
    (match,) = matches("{toPorts: [{ports: [{port: http}, {port: dns}]}]}")
    assert match.subjects == {"shop/web"}
    assert match.ports == (Ports(Protocol.TCP, 80, 80), Ports(Protocol.UDP, 53, 53))
    (match,) = matches("{icmps: [{fields: [{type: 8}, {type: 128, family: IPv6}, {type: 3}]}]}")
    assert match.ports == (Ports(Protocol.ICMP, 8, 8), Ports(Protocol.ICMP, 128, 128))
    (match,) = matches('{toPorts: [{ports: [{port: "0", protocol: TCP}]}]}')
    assert match.ports == (Ports(Protocol.TCP),)


def test_what_is_looked_into_is_a_rule_of_its_own() -> None:
    found = cnp(
        """
        endpointSelector: {matchLabels: {app: web}}
        egress:
          - toFQDNs: [{matchName: in.example.com}]
            toPorts:
              - ports: [{port: "80", protocol: TCP}]
                rules: {http: [{path: /a}]}
              - ports: [{port: "53"}]
                rules: {dns: [{matchPattern: "*"}]}
              - ports: [{port: "443", protocol: TCP}]
            authentication: {mode: required}
        """
    )
    (block,) = blocks(found, direction=Direction.EGRESS)
    plain, http, dns = block.rules
    assert plain.application is None
    assert http.application == HttpRules((HttpRule("/a"),))
    assert isinstance(dns.application, DnsRules)
    assert {rule.authentication for rule in block.rules} == {Authentication.REQUIRED}
    (match,) = http.matches
    assert match.names is not None
    assert [name.text for name in match.names] == ["in.example.com"]
    assert match.pods == frozenset()


def test_authentication_that_always_fails_denies() -> None:
    found = cnp(
        "{endpointSelector: {}, ingress: [{fromEndpoints: [{}], authentication: {mode: test-always-fail}}]}"
    )
    (block,) = blocks(found)
    assert [rule.action for rule in block.rules] == [Action.DENY]
    assert block.isolates
