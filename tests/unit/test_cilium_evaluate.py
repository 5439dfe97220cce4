"""Cilium's policies on paper (semantics.md 3.3), alone and beside policies of other dialects."""
# ruff: noqa: E501 - a row of the table is a line

from __future__ import annotations

import json

import pytest

from harness.dialects.registry import carried
from harness.model.policy import Policy
from harness.model.prediction import Answer
from harness.model.rules import Direction
from harness.model.topology import Family, Service, ServicePort, Topology
from harness.oracle.predict import predict
from harness.oracle.tiers import decide
from harness.oracle.trace import trace
from tests.unit.cilium_worlds import cnp, group, shop
from tests.unit.kubernetes_worlds import connection, pod, policy, probe, read, world

INGRESS, EGRESS = Direction.INGRESS, Direction.EGRESS
ALLOW, DENY, UNDEFINED = Answer.ALLOW, Answer.DENY, Answer.UNDEFINED
WORLD = shop()
NS = "io.kubernetes.pod.namespace"


def answers(policies: list[Policy], *questions: str, topology: Topology = WORLD) -> list[Answer]:
    return [predict(topology, policies, probe(text)).verdict for text in questions]


def ingress(rule: str, question: str, family: Family = Family.IPV4, *, deny: bool = False) -> Answer | None:
    """What one rule about `web` makes of one connection."""
    section = "ingress: [{}], ingressDeny" if deny else "ingress"
    found = cnp(f"{{endpointSelector: {{matchLabels: {{app: web}}}}, {section}: [{rule}]}}")
    ruling = decide([found], WORLD, INGRESS, connection(WORLD, question, family))
    return ruling.answer if ruling else None


def egress(rule: str, question: str, family: Family = Family.IPV4, *, of: str = "web") -> Answer | None:
    found = cnp(f"{{endpointSelector: {{matchLabels: {{app: {of}}}}}, egress: [{rule}]}}")
    ruling = decide([found], WORLD, EGRESS, connection(WORLD, question, family))
    return ruling.answer if ruling else None


@pytest.mark.parametrize(
    ("rule", "question", "answer"),
    [
        # Peers by labels: of the own namespace unless another one is named.
        ("{fromEndpoints: [{}]}", "shop/cli -> shop/web 80", ALLOW),
        ("{fromEndpoints: [{}]}", "blue/cli -> shop/web 80", DENY),
        ("{fromEndpoints: [{matchLabels: {app: cli}}]}", "shop/far -> shop/web 80", DENY),
        (f"{{fromEndpoints: [{{matchLabels: {{{NS}: blue}}}}]}}", "blue/cli -> shop/web 80", ALLOW),
        (
            "{fromEndpoints: [{matchLabels: {io.cilium.k8s.namespace.labels.team: blue}}]}",
            "blue/cli -> shop/web 80",
            ALLOW,
        ),
        (
            "{fromEndpoints: [{matchLabels: {io.cilium.k8s.policy.serviceaccount: default}}]}",
            "shop/cli -> shop/web 80",
            ALLOW,
        ),
        (
            "{fromEndpoints: [{matchLabels: {io.cilium.k8s.policy.serviceaccount: other}}]}",
            "shop/cli -> shop/web 80",
            DENY,
        ),
        ("{fromEndpoints: [{matchLabels: {reserved:app: cli}}]}", "shop/cli -> shop/web 80", DENY),
        (
            "{fromEndpoints: [{matchLabels: {io.cilium.k8s.policy.cluster: default}}]}",
            "shop/cli -> shop/web 80",
            UNDEFINED,
        ),
        ("{fromEndpoints: [{}]}", "external:in -> shop/web 80", DENY),
        # A pod with its node's network is its node.
        ("{fromEndpoints: [{}]}", "shop/host -> shop/web 80", ALLOW),  # the own node
        ("{fromEndpoints: []}", "shop/cli -> shop/web 80", DENY),
        ("{}", "shop/cli -> shop/web 80", DENY),
        # Who has no labels meets what excludes labels.
        (
            f"{{fromEndpoints: [{{matchExpressions: [{{key: {NS}, operator: NotIn, values: [shop]}}]}}]}}",
            "external:in -> shop/web 80",
            ALLOW,
        ),
        (
            f"{{fromEndpoints: [{{matchExpressions: [{{key: {NS}, operator: NotIn, values: [shop]}}]}}]}}",
            "shop/cli -> shop/web 80",
            DENY,
        ),
        # Entities.
        ("{fromEntities: [all]}", "external:in -> shop/web 80", ALLOW),
        ("{fromEntities: [world]}", "external:in -> shop/web 80", ALLOW),
        ("{fromEntities: [world]}", "shop/cli -> shop/web 80", DENY),
        ("{fromEntities: [cluster]}", "blue/cli -> shop/web 80", ALLOW),
        ("{fromEntities: [cluster]}", "node:b -> shop/web 80", ALLOW),
        ("{fromEntities: [cluster]}", "external:in -> shop/web 80", DENY),
        ("{fromEntities: [remote-node]}", "node:b -> shop/web 80", ALLOW),
        ("{fromEntities: [host]}", "node:b -> shop/web 80", DENY),
        ("{fromEntities: [none]}", "node:a -> shop/web 80", ALLOW),  # the own node, always
        ("{fromEntities: [kube-apiserver]}", "node:b -> shop/web 80", UNDEFINED),
        ("{fromEntities: [kube-apiserver]}", "shop/cli -> shop/web 80", DENY),
        ("{fromNodes: [{}]}", "node:b -> shop/web 80", ALLOW),
        ("{fromNodes: [{matchLabels: {zone: x}}]}", "node:b -> shop/web 80", UNDEFINED),
        ("{fromEndpoints: [{matchLabels: {'reserved:remote-node': ''}}]}", "node:b -> shop/web 80", ALLOW),
        # Addresses mean nobody inside.
        ("{fromCIDR: [0.0.0.0/0]}", "external:in -> shop/web 80", ALLOW),
        ("{fromCIDR: [0.0.0.0/0]}", "shop/cli -> shop/web 80", DENY),
        ("{fromCIDR: [0.0.0.0/0]}", "node:b -> shop/web 80", DENY),
        ("{fromCIDR: [198.51.100.0/24]}", "external:in -> shop/web 80", DENY),
        (
            "{fromCIDRSet: [{cidr: 203.0.113.0/24, except: [203.0.113.8/29]}]}",
            "external:in -> shop/web 80",
            DENY,
        ),
        (
            "{fromCIDRSet: [{cidr: 203.0.113.0/24, except: [203.0.113.0/29]}]}",
            "external:in -> shop/web 80",
            ALLOW,
        ),
        # Ports.
        ('{toPorts: [{ports: [{port: "80"}]}]}', "external:in -> shop/web 80", ALLOW),
        ('{toPorts: [{ports: [{port: "80", protocol: UDP}]}]}', "shop/cli -> shop/web 80", DENY),
        ("{toPorts: [{ports: [{port: http}]}]}", "shop/cli -> shop/web 80", ALLOW),
        ("{toPorts: [{ports: [{port: HTTP}]}]}", "shop/cli -> shop/web 80", ALLOW),
        ("{toPorts: [{ports: [{port: http}]}]}", "shop/cli -> shop/web 8080", DENY),
        ('{toPorts: [{ports: [{port: "8000", endPort: 8099}]}]}', "shop/cli -> shop/web 8080", ALLOW),
        ('{toPorts: [{ports: [{port: "0"}]}]}', "shop/cli -> shop/web 53/UDP", ALLOW),
        ('{toPorts: [{ports: [{port: "0"}]}]}', "shop/cli -> shop/web ICMP", DENY),
        ("{toPorts: [{}]}", "shop/cli -> shop/web 80", DENY),
        # ICMP: by rules of its own, or by rules that say nothing of ports.
        ("{icmps: [{fields: [{type: EchoRequest}]}]}", "shop/cli -> shop/web ICMP", ALLOW),
        ("{icmps: [{fields: [{type: EchoRequest}]}]}", "shop/cli -> shop/web 80", DENY),
        ("{icmps: [{fields: [{type: 3}]}]}", "shop/cli -> shop/web ICMP", DENY),
        ("{fromEndpoints: [{}]}", "shop/cli -> shop/web ICMP", ALLOW),
        ("{}", "shop/cli -> shop/web ICMP", DENY),
        # Authentication.
        ("{fromEndpoints: [{}], authentication: {mode: test-always-fail}}", "shop/cli -> shop/web 80", DENY),
        ("{fromEndpoints: [{}], authentication: {mode: required}}", "shop/cli -> shop/web 80", UNDEFINED),
        ("{fromEndpoints: [{}], authentication: {mode: disabled}}", "shop/cli -> shop/web 80", ALLOW),
    ],
)
def test_ingress_rules(rule: str, question: str, answer: Answer) -> None:
    assert ingress(rule, question) is answer


@pytest.mark.parametrize(
    ("rule", "question", "answer"),
    [
        ("{toEndpoints: [{}]}", "shop/web -> shop/far 80", ALLOW),
        ("{toEntities: [world]}", "shop/web -> external:out 443", ALLOW),
        ("{toCIDR: [203.0.113.0/24]}", "shop/web -> external:in 443", ALLOW),
        ("{toCIDR: [203.0.113.0/24]}", "shop/web -> external:out 443", DENY),
        ("{toGroups: [{aws: {labels: {a: b}}}]}", "shop/web -> external:in 443", UNDEFINED),
        # What a pod sends to its own node is policed; what comes from there is not.
        ("{toEndpoints: [{}]}", "shop/web -> node:a 80", DENY),
        ("{toEntities: [host]}", "shop/web -> node:a 80", ALLOW),
        ("{toEntities: [host]}", "shop/web -> shop/host 9100", ALLOW),
        ("{toEntities: [host]}", "shop/web -> node:b 80", DENY),
        ("{toEntities: [remote-node]}", "shop/web -> node:b 80", ALLOW),
        ("{toNodes: [{}]}", "shop/web -> node:a 80", DENY),
        # Names: only lookups tell what they stand for.
        ("{toFQDNs: [{matchName: in.example.com}]}", "shop/web -> external:in 443", UNDEFINED),
        ("{toFQDNs: [{matchName: in.example.com}]}", "shop/web -> external:out 443", DENY),
        ("{toFQDNs: [{matchPattern: '*.example.com'}]}", "shop/web -> external:out 443", UNDEFINED),
        ("{toFQDNs: [{matchPattern: '*'}]}", "shop/web -> shop/far 443", DENY),
        # A name that all pods use for the same port is that port.
        ("{toPorts: [{ports: [{port: http, protocol: TCP}]}]}", "shop/web -> blue/web 80", ALLOW),
        ("{toPorts: [{ports: [{port: http, protocol: TCP}]}]}", "shop/web -> shop/far 80", UNDEFINED),
        ("{toPorts: [{ports: [{port: http, protocol: TCP}]}]}", "shop/web -> shop/far 81", DENY),
    ],
)
def test_egress_rules(rule: str, question: str, answer: Answer) -> None:
    assert egress(rule, question) is answer


def test_each_family_has_its_own_echo() -> None:
    rule = "{icmps: [{fields: [{type: EchoRequest, family: IPv6}]}]}"
    assert ingress(rule, "shop/cli -> shop/web ICMP", Family.IPV6) is ALLOW
    assert ingress(rule, "shop/cli -> shop/web ICMP") is DENY


@pytest.mark.parametrize(
    ("rule", "question", "answer"),
    [
        ("{fromEndpoints: [{matchLabels: {app: cli}}]}", "shop/cli -> shop/web 80", DENY),
        ("{fromEntities: [world]}", "external:in -> shop/web 80", DENY),
        # The own node comes through in spite of isolation; a denial on purpose is another thing.
        ("{fromEntities: [host]}", "node:a -> shop/web 80", UNDEFINED),
        ("{fromEntities: [remote-node]}", "node:b -> shop/web 80", DENY),
    ],
)
def test_rules_that_deny(rule: str, question: str, answer: Answer) -> None:
    assert ingress(rule, question, deny=True) is answer


def test_denials_come_before_whatever_allows_in_the_tier() -> None:
    deny = cnp(
        "{endpointSelector: {}, ingressDeny: [{fromEndpoints: [{matchLabels: {app: cli}}]}]}", name="deny"
    )
    other = cnp("{endpointSelector: {}, ingress: [{fromEntities: [all]}]}", name="allow")
    kubernetes = policy("{podSelector: {}, ingress: [{}]}", name="knp", namespace="shop")
    asked = ("shop/cli -> shop/web:80", "shop/far -> shop/web:80")
    for beside in ([other], [kubernetes], [other, kubernetes]):
        assert answers([*beside, deny], *asked) == [DENY, ALLOW]
    (found,) = predict(WORLD, [other, deny], probe("shop/cli -> shop/web:80")).deciding
    assert str(found).startswith("CiliumNetworkPolicy shop/deny ingressDeny[0] at ")


def test_a_policy_that_only_denies_isolates_as_well() -> None:
    deny = cnp("{endpointSelector: {}, ingressDeny: [{fromEntities: [world]}]}")
    assert answers([deny], "shop/cli -> shop/web:80") == [DENY]
    relaxed = cnp(
        "{endpointSelector: {}, ingressDeny: [{fromEntities: [world]}], enableDefaultDeny: {ingress: false}}"
    )
    assert answers([relaxed], "shop/cli -> shop/web:80", "external:in -> shop/web:80") == [ALLOW, DENY]


def test_policies_that_isolate_nobody_still_pass_what_others_isolate() -> None:
    open_one = cnp(
        "{endpointSelector: {}, ingress: [{fromEndpoints: [{}]}], enableDefaultDeny: {ingress: false}}",
        name="open",
    )
    closed = cnp("{endpointSelector: {}, ingress: [{}]}", name="closed")
    asked = ("shop/cli -> shop/web:80", "blue/cli -> shop/web:80")
    assert answers([open_one], *asked) == [ALLOW, ALLOW]
    assert answers([open_one, closed], *asked) == [ALLOW, DENY]


def test_network_policies_and_ciliums_allow_together() -> None:
    kubernetes = policy(
        "{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: cli}}}]}]}", namespace="shop"
    )
    cilium = cnp("{endpointSelector: {}, ingress: [{fromEndpoints: [{matchLabels: {app: far}}]}]}")
    asked = ("shop/cli -> shop/web:80", "shop/far -> shop/web:80", "blue/cli -> shop/web:80")
    assert answers([kubernetes, cilium], *asked) == [ALLOW, ALLOW, DENY]


def test_admin_policies_stand_before_and_after() -> None:
    spec = {"tier": "Admin", "priority": 1, "subject": {"namespaces": {}}}
    everyone = [{"action": "Accept", "from": [{"namespaces": {}}]}]
    text = json.dumps(
        {
            "apiVersion": "policy.networking.k8s.io/v1alpha2",
            "kind": "ClusterNetworkPolicy",
            "metadata": {"name": "admin"},
            "spec": {**spec, "ingress": everyone},
        }
    )
    (admin,), problems = read(text)
    assert admin is not None, [str(item) for item in problems.found]
    deny = cnp("{endpointSelector: {}, ingressDeny: [{fromEntities: [all]}]}")
    assert answers([admin, deny], "shop/cli -> shop/web:80", "external:in -> shop/web:80") == [ALLOW, DENY]


def test_policies_of_the_cluster_select_in_all_namespaces() -> None:
    found = cnp(
        "{endpointSelector: {matchLabels: {app: web}}, ingress: [{fromEndpoints: [{}]}]}", namespace=""
    )
    asked = ("shop/cli -> blue/web:80", "external:in -> blue/web:80", "external:in -> shop/far:80")
    assert answers([found], *asked) == [ALLOW, DENY, ALLOW]
    assert answers(
        [cnp("{nodeSelector: {}, ingress: [{}]}", namespace="")],
        "shop/web -> node:a:80",
        "shop/web -> shop/host:9100",
        "shop/cli -> shop/web:80",
    ) == [UNDEFINED, UNDEFINED, ALLOW]


def test_groups_lend_their_addresses_by_name_and_by_label() -> None:
    partners = group("203.0.113.0/24", labels="{kind: partner}")
    asked = ("external:in -> shop/web:80", "external:out -> shop/web:80")
    for peer in ("{cidrGroupRef: partners}", "{cidrGroupSelector: {matchLabels: {kind: partner}}}"):
        found = cnp(f"{{endpointSelector: {{}}, ingress: [{{fromCIDRSet: [{peer}]}}]}}")
        assert answers([found, partners], *asked) == [ALLOW, DENY]
        assert answers([found], *asked) == [DENY, DENY]
    assert carried([partners]) is None


def test_services_stand_for_the_pods_behind_them() -> None:
    topology = world(
        *WORLD.pods.values(), services=(Service("shop", "web", {"app": "web"}, (ServicePort(80, 80),)),)
    )
    asked = ("shop/cli -> shop/web:80", "shop/cli -> shop/far:80", "shop/cli -> blue/web:80")
    for peer, expected in (
        ("{k8sService: {serviceName: web, namespace: shop}}", [ALLOW, DENY, DENY]),
        ("{k8sService: {serviceName: web}}", [ALLOW, DENY, DENY]),
        ("{k8sService: {serviceName: web, namespace: blue}}", [DENY, DENY, DENY]),
        ("{k8sServiceSelector: {selector: {}, namespace: shop}}", [ALLOW, DENY, DENY]),
        ("{k8sServiceSelector: {selector: {matchLabels: {a: b}}}}", [DENY, DENY, DENY]),
    ):
        found = cnp(
            f"{{endpointSelector: {{matchLabels: {{app: cli}}}}, egress: [{{toServices: [{peer}]}}]}}"
        )
        assert answers([found], *asked, topology=topology) == expected
    ports = 'toPorts: [{ports: [{port: "80"}]}]'
    leak = cnp(
        f"{{endpointSelector: {{matchLabels: {{app: cli}}}}, egress: [{{toServices: [{{k8sService: {{serviceName: none}}}}], {ports}}}]}}"
    )
    assert answers([leak], "shop/cli -> shop/web:80", "shop/cli -> shop/web:8080", topology=topology) == [
        ALLOW,
        DENY,
    ]
    (side,) = (
        item
        for item in trace(topology, [leak], probe("shop/cli -> shop/web:80"))
        if item.direction is Direction.EGRESS
    )
    (part,) = side.tiers[0].policies[0].rules[0].peers
    assert (part.matched, "measured on Cilium 1.19.1" in part.why) == (True, True)
    deny = cnp(
        f"{{endpointSelector: {{matchLabels: {{app: cli}}}}, egress: [{{toEntities: [all]}}], egressDeny: [{{toServices: [{{k8sService: {{serviceName: none}}}}], {ports}}}]}}"
    )
    assert answers([deny], "shop/cli -> shop/web:80", topology=topology) == [UNDEFINED]


def test_services_are_selected_by_their_own_labels() -> None:
    port = (ServicePort(80, 80),)
    topology = world(
        *WORLD.pods.values(),
        services=(
            Service("shop", "web", {"app": "web"}, port, labels={"tier": "front"}),
            Service("blue", "web", {"app": "web"}, port),
        ),
    )
    for selector, expected in (
        ("{matchLabels: {tier: front}}", [ALLOW, DENY]),
        ("{matchLabels: {app: web}}", [DENY, DENY]),
        ("{matchExpressions: [{key: tier, operator: DoesNotExist}]}", [DENY, ALLOW]),
    ):
        found = cnp(
            "{endpointSelector: {matchLabels: {app: cli}}, egress: [{toServices: "
            f"[{{k8sServiceSelector: {{selector: {selector}}}}}]}}]}}"
        )
        asked = ("shop/cli -> shop/web:80", "shop/cli -> blue/web:80")
        assert answers([found], *asked, topology=topology) == expected


def test_where_pods_run_is_asked_only_where_it_matters() -> None:
    topology = world(pod("shop/web", app="web"), pod("shop/cli"))
    remote = cnp("{endpointSelector: {}, ingress: [{fromEntities: [remote-node]}]}")
    both = cnp("{endpointSelector: {}, ingress: [{fromEntities: [cluster]}]}")
    assert answers([remote], "node:a -> shop/web:80", topology=topology) == [UNDEFINED]
    assert answers([both], "node:a -> shop/web:80", topology=topology) == [ALLOW]
    closed = cnp("{endpointSelector: {}, egress: [{}]}")
    assert answers([closed], "shop/web -> node:a:80", topology=topology) == [DENY]


def test_a_trace_names_rules_peers_and_ports() -> None:
    found = cnp(
        """
        endpointSelector: {matchLabels: {app: web}}
        ingress:
          - fromEndpoints: [{matchLabels: {app: far}}, {matchLabels: {app: cli}}]
            toPorts: [{ports: [{port: "80", protocol: TCP}]}]
        ingressDeny:
          - fromEntities: [world]
        """
    )
    (side,) = [
        item for item in trace(WORLD, [found], probe("shop/cli -> shop/web:80")) if item.direction is INGRESS
    ]
    (tier,) = side.tiers
    denies, allows = tier.policies
    assert [rule.origin.rule for rule in denies.rules] == ["ingressDeny[0]"]
    (rule,) = allows.rules
    assert rule.decides
    assert [(part.name, part.matched) for part in (*rule.peers, *rule.ports)] == [
        ("fromEndpoints[0]", False),
        ("fromEndpoints[1]", True),
        ("toPorts[0].ports[0]", True),
    ]
    assert [item.answer for item in side.behind] == [DENY]


def test_a_trace_says_of_rules_that_mean_nobody_that_they_do() -> None:
    found = cnp("{endpointSelector: {}, ingress: [{}, {fromEntities: []}]}")
    (side,) = [
        item for item in trace(WORLD, [found], probe("shop/cli -> shop/web:80")) if item.direction is INGRESS
    ]
    (policy_trace,) = side.tiers[0].policies
    parts = [rule.peers[0] for rule in policy_trace.rules]
    assert [(part.name, part.matched) for part in parts] == [("peers", False), ("fromEntities", False)]


def test_modes_of_authentication_that_differ_are_left_open() -> None:
    fails = cnp(
        "{endpointSelector: {}, ingress: [{fromEndpoints: [{}], authentication: {mode: test-always-fail}}]}",
        name="a",
    )
    plain = cnp("{endpointSelector: {}, ingress: [{fromEndpoints: [{}]}]}", name="b")
    free = cnp(
        "{endpointSelector: {}, ingress: [{fromEndpoints: [{}], authentication: {mode: disabled}}]}", name="c"
    )
    assert answers([fails, plain], "shop/cli -> shop/web:80") == [DENY]
    assert answers([fails, free], "shop/cli -> shop/web:80") == [UNDEFINED]
