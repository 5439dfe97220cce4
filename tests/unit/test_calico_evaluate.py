"""Calico's policies on paper (semantics.md 3.4), alone and beside policies of other dialects."""
# ruff: noqa: E501 - a row of the table is a line

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.dialects.registry import carried
from harness.model.personality import CALICO
from harness.model.policy import Policy
from harness.model.prediction import Answer
from harness.model.probe import HttpRequest
from harness.model.rules import Direction
from harness.model.topology import Family, Topology
from harness.oracle.predict import predict
from harness.oracle.tiers import decide
from harness.oracle.trace import trace
from harness.report.explanation import side_lines
from tests.unit.calico_worlds import calico, made, nets, shop, tier
from tests.unit.kubernetes_worlds import connection, policy, probe, read

INGRESS, EGRESS = Direction.INGRESS, Direction.EGRESS
ALLOW, DENY, UNDEFINED = Answer.ALLOW, Answer.DENY, Answer.UNDEFINED
WORLD = shop()
SETS = (
    nets("203.0.113.0/28", labels="{role: gateway}"),
    nets("198.51.100.0/24", name="local", namespace="shop", labels="{role: local}"),
)


def asked(policies: list[Policy], direction: Direction, question: str, family: Family) -> Answer | None:
    one = replace(connection(WORLD, question, family), personality=CALICO)
    ruling = decide(policies, WORLD, direction, one)
    return ruling.answer if ruling else None


def ingress(rule: str, question: str, family: Family = Family.IPV4, *, own: str = "shop") -> Answer | None:
    """What one rule about `web` makes of one connection; what it does not allow is denied."""
    found = calico(f"{{selector: app == 'web', ingress: [{rule}]}}", namespace=own)
    return asked([found, *SETS], INGRESS, question, family)


def egress(rule: str, question: str, family: Family = Family.IPV4, *, own: str = "shop") -> Answer | None:
    found = calico(f"{{selector: app == 'web', egress: [{rule}]}}", namespace=own)
    return asked([found, *SETS], EGRESS, question, family)


@pytest.mark.parametrize(
    ("source", "question", "answer"),
    [
        ("{}", "external:in -> shop/web 80", ALLOW),
        ("{}", "shop/cli -> shop/web ICMP", ALLOW),
        # Selectors: of the own namespace, unless another one is named.
        ("{selector: app == 'cli'}", "shop/cli -> shop/web 80", ALLOW),
        ("{selector: app == 'cli'}", "blue/cli -> shop/web 80", DENY),
        ("{selector: app == 'far'}", "shop/cli -> shop/web 80", DENY),
        ("{selector: app == 'cli', namespaceSelector: team == 'blue'}", "blue/cli -> shop/web 80", ALLOW),
        ("{selector: app == 'cli', namespaceSelector: team == 'blue'}", "shop/cli -> shop/web 80", DENY),
        ("{namespaceSelector: all()}", "blue/web -> shop/web 80", ALLOW),
        ("{namespaceSelector: all()}", "external:in -> shop/web 80", DENY),
        ("{namespaceSelector: projectcalico.org/name == 'blue'}", "blue/web -> shop/web 80", ALLOW),
        ("{selector: all()}", "external:in -> shop/web 80", DENY),
        ("{selector: pcns.team == 'red'}", "shop/cli -> shop/web 80", ALLOW),
        # Service accounts.
        ("{serviceAccounts: {names: [robot]}}", "shop/far -> shop/web 80", ALLOW),
        ("{serviceAccounts: {names: [robot]}}", "blue/cli -> shop/web 80", DENY),
        ("{serviceAccounts: {names: [robot]}}", "shop/cli -> shop/web 80", DENY),
        ("{serviceAccounts: {names: [robot]}, namespaceSelector: all()}", "blue/cli -> shop/web 80", ALLOW),
        ("{serviceAccounts: {selector: has(role)}}", "shop/far -> shop/web 80", DENY),
        # notSelector keeps a policy's rule within its namespace, too.
        ("{notSelector: app == 'cli'}", "shop/far -> shop/web 80", ALLOW),
        ("{notSelector: app == 'cli'}", "shop/cli -> shop/web 80", DENY),
        ("{notSelector: app == 'cli'}", "external:in -> shop/web 80", DENY),
        # Sets of networks, by labels and with their namespace.
        ("{selector: role == 'gateway', namespaceSelector: global()}", "external:in -> shop/web 80", ALLOW),
        ("{selector: role == 'gateway', namespaceSelector: global()}", "external:out -> shop/web 80", DENY),
        ("{selector: role == 'gateway'}", "external:in -> shop/web 80", DENY),
        ("{selector: role == 'local'}", "external:out -> shop/web 80", ALLOW),
        ("{selector: role == 'local', namespaceSelector: team == 'red'}", "external:out -> shop/web 80", ALLOW),
        ("{selector: role == 'local', namespaceSelector: team == 'blue'}", "external:out -> shop/web 80", DENY),
        # Addresses: pods and nodes have some, too, and nobody knows which.
        ("{nets: [203.0.113.0/24]}", "external:in -> shop/web 80", ALLOW),
        ("{nets: [203.0.113.0/24]}", "external:out -> shop/web 80", DENY),
        ("{nets: [203.0.113.0/24], notNets: [203.0.113.8/29]}", "external:in -> shop/web 80", DENY),
        ("{notNets: [203.0.113.8/29]}", "external:out -> shop/web 80", ALLOW),
        ("{notNets: [203.0.113.8/29]}", "shop/cli -> shop/web 80", ALLOW),
        ("{nets: [10.0.0.0/8]}", "shop/cli -> shop/web 80", UNDEFINED),
        ("{nets: [0.0.0.0/0]}", "shop/cli -> shop/web 80", ALLOW),
        ("{nets: [0.0.0.0/0], notNets: [10.0.0.0/8]}", "shop/cli -> shop/web 80", UNDEFINED),
        ("{nets: [203.0.113.0/24]}", "shop/cli -> shop/web 80", DENY),
        # Everything at once.
        ("{selector: app == 'cli', nets: [203.0.113.0/24]}", "external:in -> shop/web 80", DENY),
        ("{services: {name: web, namespace: blue}}", "blue/web -> shop/web 80", ALLOW),
        ("{services: {name: web, namespace: blue}}", "shop/far -> shop/web 80", DENY),
        ("{services: {name: none}}", "shop/far -> shop/web 80", DENY),
        # A pod's own node always reaches it, another one does not.
        ("{selector: app == 'cli'}", "node:a -> shop/web 80", ALLOW),
        ("{selector: app == 'cli'}", "node:b -> shop/web 80", DENY),
    ],
)  # fmt: skip
def test_sources(source: str, question: str, answer: Answer) -> None:
    assert ingress(f"{{action: Allow, source: {source}}}", question) is answer


def test_selectors_of_global_policies_mean_everybody() -> None:
    for text, question, answer in (
        ("{selector: app == 'cli'}", "blue/cli -> shop/web 80", ALLOW),
        ("{notSelector: app == 'cli'}", "external:in -> shop/web 80", ALLOW),
        ("{notSelector: app == 'cli'}", "blue/cli -> shop/web 80", DENY),
        ("{notSelector: role == 'gateway'}", "external:in -> shop/web 80", DENY),
        ("{notSelector: role == 'gateway'}", "node:b -> shop/web 80", ALLOW),
        ("{selector: role == 'gateway'}", "external:in -> shop/web 80", ALLOW),
        ("{selector: role == 'local'}", "external:out -> shop/web 80", ALLOW),
        # Pods with their node's network have no labels to Calico.
        ("{selector: all()}", "shop/host -> blue/web 80", DENY),
        ("{notSelector: all()}", "shop/host -> blue/web 80", ALLOW),
    ):
        assert ingress(f"{{action: Allow, source: {text}}}", question, own="") is answer


@pytest.mark.parametrize(
    ("rule", "question", "answer"),
    [
        ("protocol: TCP", "shop/cli -> shop/web 80", ALLOW),
        ("protocol: TCP", "shop/cli -> shop/web 53/UDP", DENY),
        ("protocol: TCP", "shop/cli -> shop/web ICMP", DENY),
        ("protocol: 6", "shop/cli -> shop/web 80", ALLOW),
        ("protocol: 17", "shop/cli -> shop/web 53/UDP", ALLOW),
        ("protocol: UDPLite", "shop/cli -> shop/web 53/UDP", DENY),
        ("notProtocol: UDP", "shop/cli -> shop/web 80", ALLOW),
        ("notProtocol: UDP", "shop/cli -> shop/web 53/UDP", DENY),
        ("notProtocol: ICMPv6", "shop/cli -> shop/web ICMP", ALLOW),
        ("protocol: ICMP", "shop/cli -> shop/web ICMP", ALLOW),
        ("protocol: ICMPv6", "shop/cli -> shop/web ICMP", DENY),
        ("protocol: ICMP, icmp: {type: 8}", "shop/cli -> shop/web ICMP", ALLOW),
        ("protocol: ICMP, icmp: {type: 8, code: 0}", "shop/cli -> shop/web ICMP", ALLOW),
        ("protocol: ICMP, icmp: {type: 8, code: 1}", "shop/cli -> shop/web ICMP", DENY),
        ("protocol: ICMP, icmp: {type: 3}", "shop/cli -> shop/web ICMP", DENY),
        ("protocol: ICMP, notICMP: {type: 8}", "shop/cli -> shop/web ICMP", DENY),
        ("protocol: ICMP, notICMP: {type: 3}", "shop/cli -> shop/web ICMP", ALLOW),
        ("notICMP: {type: 8}", "shop/cli -> shop/web ICMP", DENY),
        ("notICMP: {type: 8}", "shop/cli -> shop/web 80", UNDEFINED),
        ("protocol: TCP, destination: {ports: [80]}", "shop/cli -> shop/web 80", ALLOW),
        ("protocol: TCP, destination: {ports: [80]}", "shop/cli -> shop/web 8080", DENY),
        ("protocol: UDP, destination: {ports: [80]}", "shop/cli -> shop/web 80", DENY),
        ('protocol: TCP, destination: {ports: ["8000:8080"]}', "shop/cli -> shop/web 8080", ALLOW),
        ('protocol: TCP, destination: {ports: ["8000:8079"]}', "shop/cli -> shop/web 8080", DENY),
        ("protocol: TCP, destination: {ports: [http]}", "shop/cli -> shop/web 80", ALLOW),
        ("protocol: TCP, destination: {ports: [http]}", "shop/cli -> shop/web 8080", DENY),
        ("protocol: TCP, destination: {ports: [dns]}", "shop/cli -> shop/web 53", DENY),
        ("protocol: UDP, destination: {ports: [dns]}", "shop/cli -> shop/web 53/UDP", ALLOW),
        ("protocol: TCP, destination: {notPorts: [http]}", "shop/cli -> shop/web 80", DENY),
        ("protocol: TCP, destination: {notPorts: [http]}", "shop/cli -> shop/web 8080", ALLOW),
        ('protocol: TCP, destination: {ports: ["1:9000"], notPorts: [8080]}', "shop/cli -> shop/web 8080", DENY),
        ("protocol: TCP, source: {ports: [80]}", "shop/cli -> shop/web 80", DENY),
        ('protocol: TCP, source: {ports: ["1024:65535"]}', "shop/cli -> shop/web 80", ALLOW),
        ('protocol: TCP, source: {ports: ["1:30000"]}', "shop/cli -> shop/web 80", UNDEFINED),
        ('protocol: TCP, source: {notPorts: ["1:1023"]}', "shop/cli -> shop/web 80", ALLOW),
        ("ipVersion: 6", "shop/cli -> shop/web 80", DENY),
        ("ipVersion: 4", "shop/cli -> shop/web 80", ALLOW),
        # What is said of the other end than the peer.
        ("destination: {selector: has(app)}", "shop/cli -> shop/web 80", ALLOW),
        ("destination: {selector: env == 'x'}", "shop/cli -> shop/web 80", DENY),
        ("destination: {nets: [203.0.113.0/24]}", "shop/cli -> shop/web 80", DENY),
        ("destination: {nets: [10.0.0.0/8]}", "shop/cli -> shop/web 80", UNDEFINED),
    ],
)  # fmt: skip
def test_protocols_and_ports(rule: str, question: str, answer: Answer) -> None:
    assert ingress(f"{{action: Allow, {rule}}}", question) is answer


def test_a_rule_is_about_the_family_of_its_nets() -> None:
    rule = "{action: Allow, source: {notNets: [198.51.100.0/24]}}"
    assert ingress(rule, "shop/cli -> shop/web 80") is ALLOW
    assert ingress(rule, "shop/cli -> shop/web 80", Family.IPV6) is DENY
    assert ingress("{action: Allow, protocol: ICMPv6}", "shop/cli -> shop/web ICMP", Family.IPV6) is ALLOW
    assert ingress("{action: Allow, protocol: ICMP}", "shop/cli -> shop/web ICMP", Family.IPV6) is DENY


@pytest.mark.parametrize(
    ("destination", "question", "answer"),
    [
        ("{selector: app == 'cli'}", "shop/web -> shop/cli 80", ALLOW),
        ("{selector: app == 'cli'}", "shop/web -> blue/cli 80", DENY),
        ("{nets: [203.0.113.0/24]}", "shop/web -> external:in 443", ALLOW),
        ("{notNets: [203.0.113.0/24]}", "shop/web -> external:out 443", ALLOW),
        ("{services: {name: web, namespace: blue}}", "shop/web -> blue/web 81", ALLOW),
        ("{services: {name: web, namespace: blue}}", "shop/web -> blue/web 80", DENY),
        ("{services: {name: web, namespace: blue}}", "shop/web -> blue/cli 81", DENY),
        ("{services: {name: web, namespace: blue}}", "shop/web -> external:in 443", DENY),
        # What a pod sends to its own node is not free.
        ("{selector: app == 'cli'}", "shop/web -> node:a 80", DENY),
        ("{nets: [0.0.0.0/0]}", "shop/web -> node:a 80", ALLOW),
    ],
)
def test_destinations(destination: str, question: str, answer: Answer) -> None:
    assert egress(f"{{action: Allow, destination: {destination}}}", question) is answer


def test_names_of_ports_are_those_of_the_destination() -> None:
    rule = "{action: Allow, protocol: TCP, destination: {ports: [http], namespaceSelector: all()}}"
    assert egress(rule, "shop/web -> blue/web 81") is ALLOW
    assert egress(rule, "shop/web -> blue/web 80") is DENY
    assert egress(rule, "shop/web -> blue/cli 80") is DENY


# -- order -------------------------------------------------------------------------------------------------


def answers(policies: list[Policy], *questions: str, topology: Topology = WORLD) -> list[Answer]:
    return [predict(topology, policies, probe(text)).verdict for text in questions]


def test_the_first_rule_that_matches_decides_and_log_goes_on() -> None:
    found = calico(
        "ingress: [{action: Log}, {action: Deny, protocol: TCP, destination: {ports: [8080]}},"
        " {action: Allow, source: {selector: app == 'cli'}}, {action: Deny}]"
    )
    assert answers([found], "shop/cli -> shop/web:80", "shop/cli -> shop/web:8080", "shop/far -> shop/web:80") == [
        ALLOW,
        DENY,
        DENY,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("allow", "deny", "answer"),
    [
        ("order: 1", "order: 2", ALLOW),
        ("order: 2", "order: 1", DENY),
        ("order: 2", "order: -1.5", DENY),
        ("types: [Ingress]", "order: 1", DENY),
        ("order: 1", "types: [Ingress]", ALLOW),
        ("types: [Ingress]", "types: [Ingress]", ALLOW),  # a before b
    ],
)
def test_policies_stand_by_order_and_then_by_name(allow: str, deny: str, answer: Answer) -> None:
    found = [
        calico(f"{{{deny}, ingress: [{{action: Deny}}]}}", "b"),
        calico(f"{{{allow}, ingress: [{{action: Allow}}]}}", "a"),
    ]
    assert answers(found, "shop/cli -> shop/web:80") == [answer]


def test_releases_sort_policies_with_and_without_a_namespace_differently() -> None:
    wide = calico("ingress: [{action: Deny}]", "b", namespace="")
    local = calico("ingress: [{action: Allow}]", "a")
    # By name a comes first; older releases compare `default.b` with `shop/default.a`.
    assert answers([wide, local], "shop/cli -> shop/web:80") == [UNDEFINED]
    first = calico("ingress: [{action: Deny}]", "a", namespace="")
    after = calico("ingress: [{action: Allow}]", "b")
    assert answers([first, after], "shop/cli -> shop/web:80") == [DENY]


@pytest.mark.parametrize(
    ("order", "answer"), [("order: 999", DENY), ("order: 1001", ALLOW), ("types: [Ingress]", ALLOW), ("order: 1000", UNDEFINED)]
)  # fmt: skip
def test_network_policies_stand_at_1000(order: str, answer: Answer) -> None:
    kubernetes = policy("{podSelector: {}, ingress: [{ports: [{port: 80}]}]}", namespace="shop")
    found = calico(f"{{{order}, ingress: [{{action: Deny}}]}}")
    assert answers([kubernetes, found], "shop/cli -> shop/web:80") == [answer]


def test_network_policies_and_calicos_allow_together() -> None:
    kubernetes = policy("{podSelector: {}, ingress: [{ports: [{port: 80}]}]}", namespace="shop")
    found = calico("{ingress: [{action: Allow, protocol: TCP, destination: {ports: [8080]}}]}")
    questions = [f"shop/cli -> shop/web:{port}" for port in (80, 8080, 81)]
    assert answers([kubernetes, found], *questions) == [ALLOW, ALLOW, DENY]


SECURITY = (
    "{tier: security, ingress: [{action: Deny, protocol: TCP, destination: {ports: [8080]}},"
    " {action: Pass, source: {selector: app == 'cli'}}]}"
)


def test_tiers_pass_on_or_deny() -> None:
    found = [
        tier("security", 100),
        calico(SECURITY, "security.web"),
        calico("{ingress: [{action: Allow, protocol: TCP, destination: {ports: [80, 8080]}}]}"),
    ]
    questions = ("cli -> shop/web:80", "cli -> shop/web:8080", "cli -> shop/web:81", "far -> shop/web:80")
    assert answers(found, *(f"shop/{text}" for text in questions)) == [ALLOW, DENY, DENY, DENY]


def test_pass_behind_the_last_tier_ends_in_the_profile() -> None:
    found = calico("{order: 1, ingress: [{action: Pass}]}")
    behind = calico("{order: 2, ingress: [{action: Deny}]}", "q")
    assert answers([found, behind], "shop/cli -> shop/web:80") == [ALLOW]


def test_a_tier_whose_default_is_pass_leaves_the_rest_alone() -> None:
    found = [tier("security", 100, "Pass"), calico(SECURITY)]
    questions = ("far -> shop/web:80", "far -> shop/web:8080")
    assert answers(found, *(f"shop/{text}" for text in questions)) == [ALLOW, DENY]


def test_tiers_of_users_stand_around_those_that_are_there() -> None:
    (admin,), _ = read(
        "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {name: p}\n"
        "spec: {tier: Admin, priority: 1, subject: {namespaces: {}},"
        " ingress: [{action: Accept, from: [{namespaces: {}}]}]}\n"
    )
    assert admin is not None
    deny = calico("{tier: mine, ingress: [{action: Deny}]}")
    assert answers([admin, tier("mine", 999), deny], "shop/cli -> shop/web:80") == [DENY]
    assert answers([admin, tier("mine", 1001), deny], "shop/cli -> shop/web:80") == [ALLOW]
    # At the same order names decide: kube-admin before mine, and behind a tier called first.
    assert answers([admin, tier("mine", 1000), deny], "shop/cli -> shop/web:80") == [ALLOW]
    first = calico("{tier: first, ingress: [{action: Deny}]}")
    assert answers([admin, tier("first", 1000), first], "shop/cli -> shop/web:80") == [DENY]


def test_a_policy_in_a_tier_that_is_not_there_is_not_enforced() -> None:
    assert answers([calico("{tier: lost, ingress: [{action: Deny}]}")], "shop/cli -> shop/web:80") == [ALLOW]


def test_what_is_staged_or_about_hosts_is_not_enforced() -> None:
    found = [
        calico("ingress: [{action: Deny}]", staged=True),
        calico("{doNotTrack: true, applyOnForward: true, ingress: [{action: Deny}]}", namespace=""),
        made("StagedKubernetesNetworkPolicy", "{podSelector: {}, policyTypes: [Ingress]}", namespace="shop"),
    ]
    assert answers(found, "shop/cli -> shop/web:80") == [ALLOW]


def test_whom_policies_select() -> None:
    question = "shop/cli -> blue/web:81"
    for spec, namespace, answer in (
        ("{ingress: [{action: Deny}]}", "shop", ALLOW),
        ("{ingress: [{action: Deny}]}", "blue", DENY),
        ("{ingress: [{action: Deny}]}", "", DENY),
        ("{selector: app == 'cli', ingress: [{action: Deny}]}", "", ALLOW),
        ("{namespaceSelector: team == 'blue', ingress: [{action: Deny}]}", "", DENY),
        ("{namespaceSelector: team == 'red', ingress: [{action: Deny}]}", "", ALLOW),
        ("{serviceAccountSelector: projectcalico.org/name == 'robot', ingress: [{action: Deny}]}", "", ALLOW),
        ("{types: [Egress], ingress: [{action: Deny}]}", "", DENY),
        ("{types: [Egress], ingress: [{action: Deny}], egress: [{action: Allow}]}", "", ALLOW),
    ):
        assert answers([calico(spec, namespace=namespace)], question) == [answer], spec


def test_own_node_reaches_its_pods_whatever_is_denied() -> None:
    found = calico("ingress: [{action: Deny}]")
    assert answers([found], "node:a -> shop/web:80", "node:b -> shop/web:80") == [ALLOW, DENY]


def test_requests_are_looked_into_only_where_that_is_set_up() -> None:
    found = calico("{ingress: [{action: Allow, http: {methods: [GET], paths: [{prefix: /a}]}}]}")
    good = replace(probe("shop/cli -> shop/web:80"), request=HttpRequest("GET", "/a/b?q=1"))
    bad = replace(good, request=HttpRequest("POST", "/a"))
    assert predict(WORLD, [found], good).verdict is ALLOW
    assert predict(WORLD, [found], bad).verdict is UNDEFINED
    assert answers([found], "shop/cli -> shop/web:80") == [UNDEFINED]


def test_beside_host_endpoints_paper_is_silent() -> None:
    host = made("HostEndpoint", '{node: a, interfaceName: "*"}')
    assert carried([host]) is host
    assert answers([host], "shop/cli -> shop/web:80") == [UNDEFINED]


def test_the_trace_tells_tiers_orders_and_rules_with_their_lines() -> None:
    found = [
        tier("security", 100),
        calico(SECURITY),
        calico(
            "{order: 5, ingress: [{action: Log}, {action: Allow, source: {notSelector: app == 'far'}}]}", "q"
        ),
        policy("{podSelector: {}, ingress: [{}]}", "k", namespace="shop"),
    ]
    (_, side) = trace(WORLD, found, probe("shop/cli -> shop/web:80"))
    assert [item.name for item in side.tiers] == ["security", "default"]
    assert [item.outcome for item in side.tiers] == ["pass on", "allow"]
    assert not side.bystanders  # a tier is none
    (policies,) = [item.policies for item in side.tiers[1:]]
    assert [(str(item.origin.policy), item.place) for item in policies] == [
        ("NetworkPolicy shop/q", "5"),
        ("NetworkPolicy shop/k", "1000"),
    ]
    (decides,) = [rule for item in policies for rule in item.rules if rule.decides]
    assert (decides.origin.rule, decides.origin.place is not None) == ("ingress[1]", True)
    assert [(part.name, part.matched) for part in decides.peers] == [("source", True)]
    assert decides.peers[0].why == "shop/cli is outside of app == 'far'"
    (deny, _) = side.tiers[0].policies[0].rules
    assert [(part.name, part.matched, part.why) for part in deny.ports] == [
        ("protocol", False, "wants TCP to 8080")
    ]


def test_explanations_speak_of_orders() -> None:
    found = [calico("{order: 5, ingress: [{action: Allow}]}"), calico("{ingress: [{action: Deny}]}", "q")]
    (_, side) = trace(WORLD, found, probe("shop/cli -> shop/web:80"))
    notes = "\n".join("".join(text for text, _ in one) for one in side_lines(side, 1))
    assert "(order 5, denies what no rule allows)" in notes
    assert "(order none, denies what no rule allows)" in notes
