"""Every numbered point of semantics.md 3.1 that concerns a verdict."""
# ruff: noqa: E501 - a row of the table is a line

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.model.prediction import Answer
from harness.model.rules import Direction
from harness.model.topology import Family, Topology
from harness.oracle.tiers import decide as evaluate
from tests.unit.kubernetes_worlds import connection, pod, policy, world

INGRESS, EGRESS = Direction.INGRESS, Direction.EGRESS
ALLOW, DENY, UNDEFINED = Answer.ALLOW, Answer.DENY, Answer.UNDEFINED
FREE = None
"""No policy has a say."""

WORLD = world(
    pod("n/web", app="web", listen="http=80 8080 dns=53/UDP", node="a"),
    pod("n/cli", app="cli"),
    pod("n/db", app="db", listen="http=8080 5432"),
    pod("m/cli", app="cli", node="b"),
    pod("m/web", app="web", listen="http=80"),
    pod("o/bare", listen="80"),
    pod("n/host", app="cli", host=True, listen="http=80", node="a"),
    pod("n/far", app="cli", host=True, node="b"),
    namespaces={"m": {"team": "red"}, "n": {"team": "blue"}},
    externals={"in": "203.0.113.10 2001:db8::10", "out": "198.51.100.1 2001:db8:1::1", "quad": "9.9.9.9"},
)

WEB = "podSelector: {matchLabels: {app: web}}\n"
CLI_PEER = "{podSelector: {matchLabels: {app: cli}}}"


def ask(spec: str | list[str], direction: Direction, text: str, topology: Topology = WORLD) -> Answer | None:
    specs = [spec] if isinstance(spec, str) else spec
    policies = [policy(item, f"p{number}") for number, item in enumerate(specs)]
    family = Family.IPV6 if text.startswith("6 ") else Family.IPV4
    found = evaluate(policies, topology, direction, connection(topology, text.removeprefix("6 "), family))
    return found.answer if found else None


def ingress(rules: str, types: str = "[Ingress]") -> str:
    return f"{WEB}policyTypes: {types}\ningress: {rules}"


def egress(rules: str) -> str:
    return f"{WEB}policyTypes: [Egress]\negress: {rules}"


IN, OUT = "n/cli -> n/web 80", "n/web -> n/db 8080"

TABLE = [
    # no. 1: selected pods
    ("1 in its namespace", ingress("[]"), INGRESS, IN, DENY),
    ("1 other namespace", ingress("[]"), INGRESS, "n/cli -> m/web 80", FREE),
    ("1 other label", ingress("[]"), INGRESS, "n/cli -> n/db 8080", FREE),
    ("1 empty selector", "podSelector: {}", INGRESS, "n/cli -> n/db 8080", DENY),
    ("1 absent selector", "policyTypes: [Ingress]", INGRESS, "n/cli -> n/db 8080", DENY),
    ("1 hostNetwork subject", "podSelector: {}", INGRESS, "n/db -> n/far 80", UNDEFINED),
    ("1 hostNetwork subject, allowed anyway", "ingress: [{}]", INGRESS, "n/db -> n/far 80", ALLOW),
    # no. 2: policyTypes
    ("2 default ingress", WEB, INGRESS, IN, DENY),
    ("2 default no egress", WEB, EGRESS, OUT, FREE),
    ("2 egress: [] does not count", WEB + "egress: []", EGRESS, OUT, FREE),
    ("2 an egress rule counts", WEB + "egress: [{ports: [{port: 1}]}]", EGRESS, OUT, DENY),
    ("2 and ingress stays", WEB + "egress: [{}]", INGRESS, IN, DENY),
    ("2 only egress", WEB + "policyTypes: [Egress]", INGRESS, IN, FREE),
    ("2 ignored section", ingress("[{}]", "[Egress]"), INGRESS, IN, FREE),
    # no. 3: union of policies
    ("3 union", [ingress("[]"), ingress("[{}]")], INGRESS, IN, ALLOW),
    ("3 union the other way", [ingress("[{}]"), ingress("[]")], INGRESS, IN, ALLOW),
    ("3 union of rules", ingress("[{ports: [{port: 1}]}, {ports: [{port: 80}]}]"), INGRESS, IN, ALLOW),
    ("3 only the isolated direction", ingress("[]"), EGRESS, OUT, FREE),
    # no. 4: empty lists and empty rules
    ("4 absent ingress", WEB + "policyTypes: [Ingress]", INGRESS, IN, DENY),
    ("4 empty rule, pods", ingress("[{}]"), INGRESS, "o/bare -> n/web 80", ALLOW),
    ("4 empty rule, udp", ingress("[{}]"), INGRESS, "o/bare -> n/web 53/UDP", ALLOW),
    ("4 empty rule, sctp", ingress("[{}]"), INGRESS, "o/bare -> n/web 80/SCTP", ALLOW),
    ("4 empty rule, external", ingress("[{}]"), INGRESS, "external:out -> n/web 80", ALLOW),
    ("4 empty rule, node", ingress("[{}]"), INGRESS, "node:b -> n/web 80", ALLOW),
    ("4 empty egress rule", egress("[{}]"), EGRESS, "n/web -> external:out 443", ALLOW),
    # no. 5: peers AND ports
    ("5 peer and port", ingress(f"[{{from: [{CLI_PEER}], ports: [{{port: 80}}]}}]"), INGRESS, IN, ALLOW),
    (
        "5 peer without port",
        ingress(f"[{{from: [{CLI_PEER}], ports: [{{port: 81}}]}}]"),
        INGRESS,
        IN,
        DENY,
    ),
    (
        "5 port without peer",
        ingress(f"[{{from: [{CLI_PEER}], ports: [{{port: 80}}]}}]"),
        INGRESS,
        "n/db -> n/web 80",
        DENY,
    ),
    ("5 empty from", ingress("[{from: [], ports: [{port: 80}]}]"), INGRESS, "external:in -> n/web 80", ALLOW),
    ("5 empty ports", ingress(f"[{{from: [{CLI_PEER}], ports: []}}]"), INGRESS, "n/cli -> n/web 1", ALLOW),
    # no. 6: peers
    ("6 own namespace", ingress(f"[{{from: [{CLI_PEER}]}}]"), INGRESS, "m/cli -> n/web 80", DENY),
    ("6 namespaces", ingress("[{from: [{namespaceSelector: {}}]}]"), INGRESS, "o/bare -> n/web 80", ALLOW),
    (
        "6 namespaces, by label",
        ingress("[{from: [{namespaceSelector: {matchLabels: {team: red}}}]}]"),
        INGRESS,
        "m/web -> n/web 80",
        ALLOW,
    ),
    (
        "6 AND, one half",
        ingress("[{from: [{namespaceSelector: {matchLabels: {team: red}}, podSelector: {matchLabels: {app: cli}}}]}]"),
        INGRESS,
        "m/web -> n/web 80",
        DENY,
    ),
    (
        "6 AND, both halves",
        ingress("[{from: [{namespaceSelector: {matchLabels: {team: red}}, podSelector: {matchLabels: {app: cli}}}]}]"),
        INGRESS,
        "m/cli -> n/web 80",
        ALLOW,
    ),
    (
        "6 OR",
        ingress("[{from: [{namespaceSelector: {matchLabels: {team: red}}}, {podSelector: {matchLabels: {app: cli}}}]}]"),
        INGRESS,
        "n/cli -> n/web 80",
        ALLOW,
    ),
    ("6 empty podSelector", ingress("[{from: [{podSelector: {}}]}]"), INGRESS, "n/db -> n/web 80", ALLOW),
    ("6 is no external", ingress("[{from: [{namespaceSelector: {}}]}]"), INGRESS, "external:in -> n/web 80", DENY),
    ("6 is no node", ingress("[{from: [{namespaceSelector: {}}]}]"), INGRESS, "node:b -> n/web 80", DENY),
    (
        "6 hostNetwork peer that would match",
        ingress(f"[{{from: [{CLI_PEER}]}}]"),
        INGRESS,
        "n/far -> n/web 80",
        UNDEFINED,
    ),
    (
        "6 hostNetwork peer that would not",
        ingress("[{from: [{podSelector: {matchLabels: {app: db}}}]}]"),
        INGRESS,
        "n/far -> n/web 80",
        DENY,
    ),
    # no. 7: namespace labels
    (
        "7 automatic label",
        ingress("[{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: m}}}]}]"),
        INGRESS,
        "m/cli -> n/web 80",
        ALLOW,
    ),
    (
        "7 `name` is not automatic",
        ingress("[{from: [{namespaceSelector: {matchLabels: {name: m}}}]}]"),
        INGRESS,
        "m/cli -> n/web 80",
        DENY,
    ),
    (
        "7 NotIn with the key absent",
        ingress("[{from: [{namespaceSelector: {matchExpressions: [{key: team, operator: NotIn, values: [red]}]}}]}]"),
        INGRESS,
        "o/bare -> n/web 80",
        ALLOW,
    ),
    (
        "7 DoesNotExist",
        ingress("[{from: [{namespaceSelector: {matchExpressions: [{key: team, operator: DoesNotExist}]}}]}]"),
        INGRESS,
        "m/cli -> n/web 80",
        DENY,
    ),
    # no. 8: ports
    ("8 TCP by default", ingress("[{ports: [{port: 53}]}]"), INGRESS, "n/cli -> n/web 53/UDP", DENY),
    ("8 no port: all of the protocol", ingress("[{ports: [{protocol: UDP}]}]"), INGRESS, "n/cli -> n/web 9/UDP", ALLOW),
    ("8 no port: not of others", ingress("[{ports: [{protocol: UDP}]}]"), INGRESS, IN, DENY),
    ("8 range, first", ingress("[{ports: [{port: 80, endPort: 90}]}]"), INGRESS, IN, ALLOW),
    ("8 range, last", ingress("[{ports: [{port: 70, endPort: 80}]}]"), INGRESS, IN, ALLOW),
    ("8 range, beyond", ingress("[{ports: [{port: 70, endPort: 79}]}]"), INGRESS, IN, DENY),
    ("8 named, of the subject", ingress("[{ports: [{port: http}]}]"), INGRESS, IN, ALLOW),
    ("8 named, other number", ingress("[{ports: [{port: http}]}]"), INGRESS, "n/cli -> n/web 8080", DENY),
    ("8 named, other protocol", ingress("[{ports: [{port: dns}]}]"), INGRESS, "n/cli -> n/web 53/TCP", DENY),
    ("8 named, protocol said", ingress("[{ports: [{port: dns, protocol: UDP}]}]"), INGRESS, "n/cli -> n/web 53/UDP", ALLOW),
    ("8 named, nobody has it", ingress("[{ports: [{port: grpc}]}]"), INGRESS, IN, DENY),
    ("8 named, from an external", ingress("[{from: [{ipBlock: {cidr: 203.0.113.0/24}}], ports: [{port: http}]}]"), INGRESS, "external:in -> n/web 80", ALLOW),
    ("8 egress, the destination's name", egress("[{ports: [{port: http}]}]"), EGRESS, OUT, ALLOW),
    ("8 egress, the destination's number", egress("[{ports: [{port: http}]}]"), EGRESS, "n/web -> n/db 80", DENY),
    ("8 egress, another destination", egress("[{ports: [{port: http}]}]"), EGRESS, "n/web -> m/web 80", ALLOW),
    ("8 egress, name and external", egress("[{ports: [{port: http}]}]"), EGRESS, "n/web -> external:in 80", DENY),
    ("8 egress, name and block, an external", egress("[{to: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: http}]}]"), EGRESS, "n/web -> external:in 80", DENY),
    ("8 egress, name and block, a pod", egress("[{to: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: http}]}]"), EGRESS, OUT, UNDEFINED),
    ("8 egress, name and block, another number", egress("[{to: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: http}]}]"), EGRESS, "n/web -> n/db 5432", DENY),
    # no. 9: address blocks
    ("9 inside", egress("[{to: [{ipBlock: {cidr: 203.0.113.0/24}}]}]"), EGRESS, "n/web -> external:in 443", ALLOW),
    ("9 outside", egress("[{to: [{ipBlock: {cidr: 203.0.113.0/24}}]}]"), EGRESS, "n/web -> external:out 443", DENY),
    ("9 except", egress("[{to: [{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.8/29]}}]}]"), EGRESS, "n/web -> external:in 443", DENY),
    ("9 beside except", egress("[{to: [{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.0/29]}}]}]"), EGRESS, "n/web -> external:in 443", ALLOW),
    ("9 except of one, other block", egress("[{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [203.0.113.0/24]}}, {ipBlock: {cidr: 203.0.113.10/32}}]}]"), EGRESS, "n/web -> external:in 443", ALLOW),
    ("9 families are separate", egress("[{to: [{ipBlock: {cidr: 0.0.0.0/0}}]}]"), EGRESS, "6 n/web -> external:in 443", DENY),
    ("9 IPv6", egress('[{to: [{ipBlock: {cidr: "2001:db8::/64"}}]}]'), EGRESS, "6 n/web -> external:in 443", ALLOW),
    ("9 pods", egress("[{to: [{ipBlock: {cidr: 0.0.0.0/0}}]}]"), EGRESS, OUT, UNDEFINED),
    ("9 pods of the other family", egress("[{to: [{ipBlock: {cidr: 0.0.0.0/0}}]}]"), EGRESS, "6 " + OUT, DENY),
    ("9 pods, decided otherwise", egress("[{to: [{ipBlock: {cidr: 0.0.0.0/0}}, {podSelector: {}}]}]"), EGRESS, OUT, ALLOW),
    ("9 pods, wrong port", egress("[{to: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: 443}]}]"), EGRESS, OUT, DENY),
    ("9 the block is an external's own address", egress("[{to: [{ipBlock: {cidr: 203.0.113.10/32}}]}]"), EGRESS, OUT, DENY),
    ("9 the block is for documentation", egress("[{to: [{ipBlock: {cidr: 203.0.113.0/24}}]}]"), EGRESS, OUT, DENY),
    ("9 the block holds more than that", egress("[{to: [{ipBlock: {cidr: 203.0.112.0/23}}]}]"), EGRESS, OUT, UNDEFINED),
    ("9 an external's own address, elsewhere", egress("[{to: [{ipBlock: {cidr: 9.9.9.9/32}}]}]"), EGRESS, OUT, DENY),
    ("9 a single address that is nobody's", egress("[{to: [{ipBlock: {cidr: 9.9.9.8/32}}]}]"), EGRESS, OUT, UNDEFINED),
    ("9 loopback is nobody's address", egress("[{to: [{ipBlock: {cidr: 127.0.0.0/8}}]}]"), EGRESS, OUT, DENY),
    ("9 nodes", ingress("[{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]"), INGRESS, "node:b -> n/web 80", UNDEFINED),
    ("9 hostNetwork pods are nodes", ingress("[{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]"), INGRESS, "n/far -> n/web 80", UNDEFINED),
    # no. 11: own node and itself
    ("11 own node", ingress("[]"), INGRESS, "node:a -> n/web 80", ALLOW),
    ("11 other node", ingress("[]"), INGRESS, "node:b -> n/web 80", DENY),
    ("11 unknown node", "podSelector: {}", INGRESS, "node:b -> n/db 80", UNDEFINED),
    ("11 unknown node, allowed anyway", "ingress: [{}]", INGRESS, "node:b -> n/db 80", ALLOW),
    ("11 towards the own node", egress("[]"), EGRESS, "n/web -> node:a 80", ALLOW),
    ("11 towards another node", egress("[]"), EGRESS, "n/web -> node:b 80", DENY),
    ("11 hostNetwork pod on the own node", ingress("[]"), INGRESS, "n/host -> n/web 80", ALLOW),
    ("11 itself, ingress", ingress("[]"), INGRESS, "n/web -> n/web 80", ALLOW),
    ("11 itself, egress", egress("[]"), EGRESS, "n/web -> n/web 80", ALLOW),
    # no. 12: ICMP
    ("12 under deny all", ingress("[]"), INGRESS, "n/cli -> n/web ICMP", UNDEFINED),
    ("12 under a rule with ports", ingress("[{ports: [{port: 80}]}]"), INGRESS, "n/cli -> n/web ICMP", UNDEFINED),
    ("12 under a rule without ports", ingress("[{}]"), INGRESS, "n/cli -> n/web ICMP", UNDEFINED),
    ("12 not isolated", ingress("[]"), INGRESS, "n/cli -> n/db ICMP", FREE),
    ("12 own node", ingress("[]"), INGRESS, "node:a -> n/web ICMP", ALLOW),
    # sides that are no pods
    ("10 an external has no policies", "podSelector: {}", EGRESS, "external:in -> n/web 80", FREE),
    ("10 a node has no policies", "podSelector: {}", INGRESS, "n/web -> node:b 80", FREE),
]  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "direction", "text", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_semantics(spec: str | list[str], direction: Direction, text: str, expected: Answer | None) -> None:
    assert ask(spec, direction, text) == expected


def test_namespace_labels_are_those_of_now() -> None:
    spec = ingress("[{from: [{namespaceSelector: {matchLabels: {team: green}}}]}]")
    assert ask(spec, INGRESS, "m/cli -> n/web 80") is DENY
    namespaces = dict(WORLD.namespaces)
    namespaces["m"] = replace(namespaces["m"], labels={"team": "green"})
    relabelled = replace(WORLD, namespaces=namespaces)
    assert ask(spec, INGRESS, "m/cli -> n/web 80", relabelled) is ALLOW


def test_an_allow_names_every_rule_that_matches() -> None:
    found = evaluate(
        [
            policy(ingress("[{ports: [{port: 81}]}, {ports: [{port: 80}]}]"), "one"),
            policy(ingress(f"[{{from: [{CLI_PEER}]}}]"), "two"),
            policy(ingress("[]"), "three"),
        ],
        WORLD,
        INGRESS,
        connection(WORLD, IN),
    )
    assert found is not None
    assert [(item.policy, item.rule) for item in found.deciding] == [
        ("NetworkPolicy n/one", "ingress[1]"),
        ("NetworkPolicy n/two", "ingress[0]"),
    ]
    assert [item.place.short for item in found.deciding if item.place] == ["p.yaml:7", "p.yaml:7"]


def test_a_deny_names_the_policies_that_isolate() -> None:
    found = evaluate(
        [policy(ingress("[]"), "one"), policy("podSelector: {}", "two"), policy(egress("[]"), "three")],
        WORLD,
        INGRESS,
        connection(WORLD, IN),
    )
    assert found is not None
    assert [str(item) for item in found.deciding] == [
        "NetworkPolicy n/one at p.yaml:1",
        "NetworkPolicy n/two at p.yaml:1",
    ]


@pytest.mark.parametrize(
    ("spec", "direction", "text", "point"),
    [
        (egress("[{to: [{ipBlock: {cidr: 10.0.0.0/8}}]}]"), EGRESS, OUT, "ipblock-pod"),
        (ingress("[{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]"), INGRESS, "node:b -> n/web 80", "ipblock-node"),
        (ingress("[{}]"), INGRESS, "n/cli -> n/web ICMP", "icmp"),
        (ingress(f"[{{from: [{CLI_PEER}]}}]"), INGRESS, "n/far -> n/web 80", "host-network"),
    ],
)
def test_an_open_answer_names_its_point_and_rule(
    spec: str, direction: Direction, text: str, point: str
) -> None:
    found = evaluate([policy(spec)], WORLD, direction, connection(WORLD, text))
    assert found is not None
    assert found.open_point == point
    assert [item.rule for item in found.deciding] == [f"{direction}[0]"]
    assert found.reason.startswith("undefined by the specification: ")
