from __future__ import annotations

import textwrap
from typing import Any

import pytest

from harness.dialects.admin.types import (
    AdminPolicy,
    AdminTier,
    NameSet,
    NetworkSet,
    NodeSet,
    PodSet,
    PortName,
    PortNumbers,
)
from harness.model.policy import Policy, PolicyRef
from harness.model.rules import Action
from harness.model.topology import Protocol
from harness.source.diagnostics import Severity
from tests.unit.kubernetes_worlds import read

CLUSTER = """\
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: guard}
spec:
  tier: Admin
  priority: 10
  subject:
    pods:
      namespaceSelector: {matchLabels: {team: shop}}
      podSelector: {matchLabels: {app: api}}
  ingress:
    - name: monitoring
      action: Accept
      from: [{namespaces: {matchLabels: {role: monitoring}}}]
      protocols:
        - tcp: {destinationPort: {number: 9090}}
        - udp: {destinationPort: {range: {start: 5000, end: 5999}}}
        - destinationNamedPort: metrics
    - action: Deny
      from: [{namespaces: {}}]
  egress:
    - action: Pass
      to: [{pods: {podSelector: {}}}]
    - action: Accept
      to:
        - nodes: {matchLabels: {zone: a}}
        - networks: [203.0.113.0/24, "2001:db8::/32"]
        - domainNames: ["*.Example.com.", kubernetes.io]
"""

ADMIN = """\
apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata: {name: guard}
spec:
  priority: 7
  subject: {namespaces: {}}
  ingress:
    - action: Allow
      from: [{pods: {namespaceSelector: {}, podSelector: {}}}]
      ports:
        - portNumber: {port: 80}
        - portNumber: {protocol: UDP, port: 53}
        - portRange: {protocol: SCTP, start: 1, end: 9}
        - namedPort: web
"""

BASELINE = """\
apiVersion: policy.networking.k8s.io/v1alpha1
kind: BaselineAdminNetworkPolicy
metadata: {name: default}
spec:
  subject: {namespaces: {}}
  egress:
    - {action: Deny, to: [{networks: [0.0.0.0/0]}]}
"""


def good(text: str) -> Policy:
    (found,), problems = read(text)
    assert problems.found == []
    assert found is not None
    return found


def test_a_cluster_network_policy() -> None:
    found = good(CLUSTER)
    assert (found.dialect, found.namespace, str(found)) == ("admin", "", "ClusterNetworkPolicy guard")
    assert found.ref == PolicyRef("clusternetworkpolicy", "", "guard")
    spec: AdminPolicy = found.parsed
    assert (spec.tier, spec.priority) == (AdminTier.ADMIN, 10)
    assert spec.subject.namespaces.matches({"team": "shop"})
    assert not spec.subject.pods.matches({"app": "db"})
    monitoring, deny = spec.ingress
    assert (monitoring.name, monitoring.action, monitoring.place.line) == ("monitoring", Action.ALLOW, 12)
    number, span, name = monitoring.ports
    assert isinstance(number, PortNumbers)
    assert (number.first, number.last) == (9090, 9090)
    assert isinstance(span, PortNumbers)
    assert span.protocol is Protocol.UDP
    assert (span.first, span.last) == (5000, 5999)
    assert isinstance(name, PortName)
    assert name.name == "metrics"
    assert (deny.action, deny.ports) == (Action.DENY, ())
    by_pods, elsewhere = spec.egress
    assert by_pods.action is Action.PASS
    (pods,) = by_pods.peers
    assert isinstance(pods, PodSet)
    assert pods.namespaces.matches({})
    nodes, networks, names = elsewhere.peers
    assert isinstance(nodes, NodeSet)
    assert nodes.nodes.matches({"zone": "a"})
    assert isinstance(networks, NetworkSet)
    assert [str(item) for item in networks.networks] == [
        "203.0.113.0/24",
        "2001:db8::/32",
    ]
    assert isinstance(names, NameSet)
    assert names.names == ("*.example.com", "kubernetes.io")


def test_the_kinds_of_the_first_version() -> None:
    admin: AdminPolicy = good(ADMIN).parsed
    assert (admin.tier, admin.priority) == (AdminTier.ADMIN, 7)
    assert [str(getattr(port, "protocol", port)) for port in admin.ingress[0].ports[:3]] == [
        "TCP",
        "UDP",
        "SCTP",
    ]
    baseline: AdminPolicy = good(BASELINE).parsed
    assert (baseline.tier, baseline.priority, baseline.egress[0].action) == (
        AdminTier.BASELINE,
        0,
        Action.DENY,
    )


def test_v1beta1_is_read_too() -> None:
    assert good(CLUSTER.replace("v1alpha2", "v1beta1")).parsed == good(CLUSTER).parsed


def rule(text: str, direction: str = "ingress") -> str:
    """A ClusterNetworkPolicy with one rule."""
    indented = textwrap.indent(text, "      ").lstrip()
    return (
        "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {name: p}\n"
        "spec:\n  tier: Admin\n  priority: 1\n  subject: {namespaces: {}}\n"
        f"  {direction}:\n    - {indented}\n"
    )


ALL = "from: [{namespaces: {}}]"
NETWORKS = "\n".join(f"    - 10.0.{number}.0/24" for number in range(26))

BAD = {
    "no tier": (CLUSTER.replace("  tier: Admin\n", ""), "missing-field", "`tier` is missing"),
    "tier": (CLUSTER.replace("tier: Admin", "tier: admin"), "invalid-tier", 'did you mean "Admin"?'),
    "no priority": (CLUSTER.replace("  priority: 10\n", ""), "missing-field", "`priority` is missing"),
    "priority": (CLUSTER.replace("priority: 10", "priority: 1001"), "invalid-priority", "out of range"),
    "priority below": (CLUSTER.replace("priority: 10", "priority: -1"), "invalid-priority", "out of range"),
    "no subject": (BASELINE.replace("  subject: {namespaces: {}}\n", ""), "missing-field", "`subject`"),
    "two subjects": (
        ADMIN.replace("subject: {namespaces: {}}", "subject: {namespaces: {}, pods: {}}"),
        "invalid-peer",
        "exactly one of namespaces or pods",
    ),
    "NetworkPolicy's selector": (
        ADMIN.replace("subject: {namespaces: {}}", "podSelector: {}"),
        "unknown-field",
        "stand in `subject:`",
    ),
    "namespaceSelector of v1alpha1": (
        ADMIN.replace("namespaceSelector: {}, ", ""),
        "missing-field",
        "`namespaceSelector` is missing",
    ),
    "Accept in v1alpha1": (ADMIN.replace("Allow", "Accept"), "invalid-action", 'did you mean "Allow"?'),
    "Allow in v1alpha2": (rule(f"action: Allow\n{ALL}"), "invalid-action", 'did you mean "Accept"?'),
    "Drop": (rule(f"action: Drop\n{ALL}"), "invalid-action", 'did you mean "Deny"?'),
    "Pass in a baseline": (BASELINE.replace("Deny", "Pass"), "invalid-action", "Allow, Deny"),
    "no action": (rule(ALL), "missing-field", "`action` is missing"),
    "name of a baseline": (BASELINE.replace("name: default", "name: base"), "invalid-name", "`default`"),
    "priority of a baseline": (
        BASELINE.replace("spec:\n", "spec:\n  priority: 3\n"),
        "unknown-field",
        "has no priority",
    ),
    "tier of v1alpha1": (
        ADMIN.replace("priority: 7", "priority: 7\n  tier: Admin"),
        "unknown-field",
        "tiers",
    ),
    "no peers": (rule("action: Deny\nfrom: []"), "missing-field", "`from` needs at least one peer"),
    "no from": (rule("action: Deny"), "missing-field", "`from` needs at least one peer"),
    "to in ingress": (rule("action: Deny\nto: [{namespaces: {}}]"), "unknown-field", "other direction"),
    "empty peer": (rule("action: Deny\nfrom: [{}]"), "invalid-peer", "needs namespaces or pods"),
    "two peers in one": (
        rule("action: Deny\nto: [{namespaces: {}, nodes: {}}]", "egress"),
        "invalid-peer",
        "not 2",
    ),
    "networks in ingress": (
        rule("action: Deny\nfrom: [{networks: [10.0.0.0/8]}]"),
        "unknown-field",
        "ingress rules know pods only",
    ),
    "ipBlock": (
        rule("action: Deny\nto: [{ipBlock: {cidr: 10.0.0.0/8}}]", "egress"),
        "unknown-field",
        "write `networks:",
    ),
    "ports in v1alpha2": (rule(f"action: Deny\n{ALL}\nports: []"), "unknown-field", "says `protocols:`"),
    "protocols in v1alpha1": (ADMIN.replace("ports:", "protocols:"), "unknown-field", "says `ports:`"),
    "no protocols": (rule(f"action: Deny\n{ALL}\nprotocols: []"), "missing-field", "an empty list"),
    "empty tcp": (
        rule(f"action: Deny\n{ALL}\nprotocols: [{{tcp: {{}}}}]"),
        "missing-field",
        "destinationPort",
    ),
    "number of v1alpha1": (
        rule(f"action: Deny\n{ALL}\nprotocols: [{{portNumber: {{port: 80}}}}]"),
        "unknown-field",
        "form of v1alpha1",
    ),
    "two protocols in one": (
        rule(f"action: Deny\n{ALL}\nprotocols: [{{destinationNamedPort: a, sctp: {{}}}}]"),
        "invalid-port",
        "exactly one of tcp, udp, sctp or destinationNamedPort",
    ),
    "range of one": (
        rule(
            f"action: Deny\n{ALL}\nprotocols: [{{tcp: {{destinationPort: {{range: {{start: 5, end: 5}}}}}}}}]"
        ),
        "invalid-port",
        "`start` must be smaller than `end`",
    ),
    "number out of range": (
        rule(f"action: Deny\n{ALL}\nprotocols: [{{tcp: {{destinationPort: {{number: 0}}}}}}]"),
        "invalid-port",
        "out of range",
    ),
    "protocol": (ADMIN.replace("protocol: UDP", "protocol: Udp"), "invalid-protocol", 'did you mean "UDP"?'),
    "name of a port beside networks": (
        rule(
            "action: Deny\nto: [{networks: [10.0.0.0/8]}]\nprotocols: [{destinationNamedPort: web}]", "egress"
        ),
        "invalid-port",
        "only pods name their ports",
    ),
    "CIDR": (rule("action: Deny\nto: [{networks: [10.0.0.1]}]", "egress"), "invalid-cidr", "10.0.0.1/32"),
    "leading zeros": (
        rule("action: Deny\nto: [{networks: [010.0.0.0/8]}]", "egress"),
        "invalid-cidr",
        "leading zeros",
    ),
    "host bits in v1beta1": (
        rule("action: Deny\nto: [{networks: [10.0.0.1/8]}]", "egress").replace("v1alpha2", "v1beta1"),
        "invalid-cidr",
        "host bits",
    ),
    "a network twice": (
        rule("action: Deny\nto: [{networks: [10.0.0.0/8, 10.0.0.0/8]}]", "egress"),
        "named-twice",
        "stands here twice",
    ),
    "many networks": (
        rule(f"action: Deny\nto:\n- networks:\n{NETWORKS}", "egress"),
        "too-many",
        "26 networks, but at most 25",
    ),
    "domain": (
        rule("action: Accept\nto: [{domainNames: [example]}]", "egress"),
        "invalid-domain",
        "not a domain name",
    ),
    "name of a rule": (rule(f"name: {'n' * 101}\naction: Deny\n{ALL}"), "invalid-name", "at most 100"),
    "no spec": (BASELINE.split("spec:")[0], "missing-field", "`spec` is missing"),
    "selector": (
        rule("action: Deny\nfrom: [{namespaces: {matchExpressions: [{key: a, operator: in, values: [b]}]}}]"),
        "invalid-selector",
        'did you mean "In"?',
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_the_api_server_refuses(case: str) -> None:
    text, id, words = BAD[case]
    (found,), problems = read(text)
    assert found is None
    errors = [item for item in problems.found if item.severity is Severity.ERROR]
    assert [item.id for item in errors][:1] == [id], [item.message for item in errors]
    assert words in f"{errors[0].message} {errors[0].help}"
    assert errors[0].place is not None


@pytest.mark.parametrize(("kind", "most"), [("v1alpha2", 25), ("v1alpha1", 100)])
def test_lists_have_their_limits(kind: str, most: int) -> None:
    base = CLUSTER if kind == "v1alpha2" else ADMIN
    head = base.split("  ingress:")[0] + "  ingress:\n"
    item = "    - {action: Deny, from: [{namespaces: {}}]}\n"
    assert good(head + item * most)
    (found,), problems = read(head + item * (most + 1))
    assert found is None
    assert [(one.id, one.message) for one in problems.found] == [
        ("too-many", f"spec.ingress: {most + 1} rules, but at most {most} may stand here")
    ]


WARNINGS: dict[str, Any] = {
    "no rules": (CLUSTER.split("  ingress:")[0], "no-rules"),
    "namespace": (BASELINE.replace("name: default", "name: default, namespace: shop"), "ignored-field"),
    "names that deny": (
        rule("action: Deny\nto: [{domainNames: [example.com]}]", "egress"),
        "domain-names-accept-only",
    ),
    "host bits": (rule("action: Deny\nto: [{networks: [10.0.0.1/8]}]", "egress"), "noncanonical-cidr"),
}


@pytest.mark.parametrize("case", WARNINGS)
def test_what_hardly_anybody_means(case: str) -> None:
    text, id = WARNINGS[case]
    (found,), problems = read(text)
    assert found is not None
    assert [(item.id, item.severity) for item in problems.found] == [(id, Severity.WARNING)]
