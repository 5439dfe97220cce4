"""Calico's manifests: what its API server refuses, what it takes and ignores (semantics.md 3.4)."""

from __future__ import annotations

import math
import textwrap
from pathlib import Path

import pytest

from harness.author.fix import fixed, fixes
from harness.dialects.calico.types import (
    CalicoPolicy,
    CalicoTier,
    HostEndpoint,
    NetworkSet,
    StagedKubernetes,
)
from harness.model.rules import Action, Direction
from harness.model.topology import Family
from harness.scenario import load
from harness.source.diagnostics import Diagnostic, Severity
from tests.unit.calico_worlds import calico, made, nets, parsed, thing, tier
from tests.unit.kubernetes_worlds import read

FULL = """
tier: security
order: 12.5
selector: app == 'web'
serviceAccountSelector: has(role)
types: [Ingress, Egress]
ingress:
  - action: Deny
    protocol: TCP
    source:
      notSelector: has(trusted)
      nets: [203.0.113.0/24]
      notNets: [203.0.113.8/30]
      ports: ["1024:65535"]
    destination: {ports: [80, "8000:9000", http, "443"], notPorts: [8080]}
  - action: Allow
    ipVersion: 4
    source: {namespaceSelector: team == 'red', serviceAccounts: {names: [a, b], selector: x == 'y'}}
    http: {methods: [GET], paths: [{exact: /a}, {prefix: /b}]}
    metadata: {annotations: {note: text}}
  - {action: Log, protocol: ICMP, icmp: {type: 8, code: 0}}
  - {action: Pass, protocol: 47, notICMP: {type: 3}, notProtocol: ICMPv6}
egress:
  - {action: Allow, destination: {services: {name: db, namespace: shop}}}
"""


def test_everything_that_a_policy_can_say_is_read() -> None:
    policy = calico(FULL)
    assert (str(policy), policy.needs) == ("NetworkPolicy shop/p", ("tiers",))
    found: CalicoPolicy = policy.parsed
    assert (found.tier, found.order, found.staged) == ("security", 12.5, "")
    assert found.directions == set(Direction)
    deny, allow, log, hand_on = found.ingress
    assert [rule.action for rule in found.ingress] == [
        *(Action.DENY, Action.ALLOW, Action.LOG, Action.PASS),
    ]
    assert [rule.name for rule in found.ingress] == [f"ingress[{number}]" for number in range(4)]
    assert [str(port) for port in deny.destination.ports] == ["80", "8000:9000", "http", "443"]
    assert [str(port) for port in deny.source.ports] == ["1024:65535"]
    assert [str(net.network) for net in deny.source.nets] == ["203.0.113.0/24"]
    assert deny.family is Family.IPV4
    assert allow.family is Family.IPV4
    assert allow.source.accounts is not None
    assert allow.source.accounts.names == ("a", "b")
    assert allow.http is not None
    assert [path.matches("/b/c") for path in allow.http.paths] == [False, True]
    assert log.icmp is not None
    assert (log.icmp.type, log.icmp.code) == (8, 0)
    assert hand_on.protocol is not None
    assert hand_on.protocol.number == 47
    (egress,) = found.egress
    assert egress.destination.services is not None
    assert egress.destination.services.id == "shop/db"
    assert str(found.subject) == "projectcalico.org/namespace == 'shop' && has(pcsa.role) && app == 'web'"


@pytest.mark.parametrize(
    ("spec", "directions"),
    [
        ("selector: all()", {Direction.INGRESS}),
        ("ingress: [{action: Allow}]", {Direction.INGRESS}),
        ("egress: [{action: Allow}]", {Direction.EGRESS}),
        ("{ingress: [{action: Allow}], egress: [{action: Deny}]}", set(Direction)),
        ("{ingress: [], egress: [{action: Deny}]}", {Direction.EGRESS}),
        ("types: []", {Direction.INGRESS}),
        ("types: [Egress]", {Direction.EGRESS}),
    ],
)
def test_types_follow_the_rules_that_are_there(spec: str, directions: set[Direction]) -> None:
    assert calico(spec).parsed.directions == directions


@pytest.mark.parametrize(
    ("namespace", "source", "members"),
    [
        ("shop", "{}", None),
        ("shop", "{nets: [10.0.0.0/8]}", None),
        ("shop", "{selector: has(a)}", "projectcalico.org/namespace == 'shop' && has(a)"),
        ("shop", "{notSelector: has(a)}", "projectcalico.org/namespace == 'shop'"),
        (
            "shop",
            "{serviceAccounts: {names: [x]}}",
            "projectcalico.org/namespace == 'shop' && projectcalico.org/serviceaccount in {'x'}",
        ),
        ("shop", "{namespaceSelector: all()}", "has(projectcalico.org/namespace)"),
        ("shop", "{namespaceSelector: t == 'x', selector: has(a)}", "pcns.t == 'x' && has(a)"),
        ("shop", "{namespaceSelector: global(), selector: has(a)}", "global() && has(a)"),
        ("", "{selector: has(a) || has(b)}", "has(a) || has(b)"),
        ("", "{notSelector: has(a)}", None),
        ("", "{selector: ''}", None),
    ],
)
def test_whom_an_end_of_a_rule_means(namespace: str, source: str, members: str | None) -> None:
    found = calico(f"ingress: [{{action: Allow, source: {source}}}]", namespace=namespace)
    chosen = found.parsed.ingress[0].source.members
    assert (None if chosen is None else str(chosen)) == members


def one(found: tuple[Diagnostic, ...], severity: Severity) -> Diagnostic:
    (item,) = [item for item in found if item.severity is severity]
    return item


@pytest.mark.parametrize(
    ("rule", "id", "message"),
    [
        ("{protocol: TCP}", "missing-field", "`action` is missing"),
        ("{action: Reject}", "invalid-action", "is not an action"),
        ("{action: allow}", "invalid-action", "is not an action"),
        ("{action: Allow, protocol: TLS}", "invalid-protocol", "protocol name invalid"),
        ("{action: Allow, protocol: 0}", "invalid-protocol", "protocol number 0 is invalid"),
        ("{action: Allow, protocol: 256}", "invalid-protocol", "protocol number 256 is invalid"),
        ("{action: Allow, destination: {ports: [80]}}", "calico-refuses", "must set protocol to TCP or UDP"),
        (
            "{action: Allow, protocol: ICMP, source: {notPorts: [80]}}",
            "calico-refuses",
            "must set protocol to TCP or UDP",
        ),
        ("{action: Allow, protocol: TCP, destination: {ports: [0]}}", "invalid-port", "out of range"),
        ('{action: Allow, protocol: TCP, destination: {ports: ["9:1"]}}', "invalid-port", "greater than"),
        ('{action: Allow, protocol: TCP, destination: {ports: ["1-9"]}}', "invalid-port", "with a colon"),
        ('{action: Allow, protocol: TCP, destination: {ports: ["Http_"]}}', "invalid-port", "port name"),
        ("{action: Allow, protocol: TCP, icmp: {type: 8}}", "calico-refuses", "must set protocol to ICMP"),
        ("{action: Allow, protocol: ICMP, icmp: {code: 0}}", "calico-refuses", "without an ICMP type"),
        ("{action: Allow, protocol: ICMP, icmp: {type: 255}}", "calico-refuses", "out of range"),
        ("{action: Allow, protocol: ICMP, ipVersion: 6}", "calico-refuses", "must set ipversion to '4'"),
        ("{action: Allow, ipVersion: 5}", "calico-refuses", "no IP version"),
        ("{action: Allow, source: {nets: [203.0.113.1]}}", "invalid-cidr", "no prefix length"),
        ("{action: Allow, source: {nets: [203.0.113.1/24]}}", "invalid-cidr", "host bits"),
        (
            '{action: Allow, source: {nets: [203.0.113.0/24, "2001:db8::/32"]}}',
            "calico-refuses",
            "both IPv4 and IPv6",
        ),
        (
            '{action: Allow, source: {nets: [203.0.113.0/24]}, destination: {notNets: ["2001:db8::/32"]}}',
            "calico-refuses",
            "both IPv4 and IPv6",
        ),
        (
            "{action: Allow, ipVersion: 6, source: {nets: [203.0.113.0/24]}}",
            "calico-refuses",
            "doesn't match CIDR version",
        ),
        ("{action: Allow, source: {selector: app = 'web'}}", "invalid-selector", "stands alone"),
        ("{action: Allow, source: {selector: global()}}", "invalid-selector", "namespaceSelector of a rule"),
        (
            "{action: Allow, source: {namespaceSelector: global() || has(a)}}",
            "invalid-selector",
            "cannot be combined",
        ),
        ("{action: Allow, source: {selector: {matchLabels: {a: b}}}}", "wrong-type", "must be a selector"),
        ("{action: Allow, source: {serviceAccounts: [a]}}", "wrong-type", "not a list"),
        ("{action: Allow, source: {podSelector: {}}}", "unknown-field", "podSelector"),
        ("{action: Allow, destination: {services: {name: x}}}", "calico-refuses", "are not allowed in the"),
        ("{action: Allow, source: {services: {namespace: x}}}", "calico-refuses", "must specify a service"),
        (
            "{action: Allow, source: {services: {name: x}, nets: [203.0.113.0/24]}}",
            "calico-refuses",
            "cannot specify nets and services",
        ),
        ("{action: Deny, http: {methods: [GET]}}", "calico-refuses", "only valid for Allow"),
        ("{action: Allow, protocol: UDP, http: {}}", "calico-refuses", "must set protocol to TCP or empty"),
        ("{action: Allow, http: {methods: [GET, GET]}}", "calico-refuses", "stands twice"),
        ("{action: Allow, http: {paths: [{exact: /a, prefix: /b}]}}", "calico-refuses", "not both"),
        ("{action: Allow, http: {paths: [{exact: a}]}}", "calico-refuses", "must start with `/`"),
    ],
)
def test_rules_that_the_api_server_refuses(rule: str, id: str, message: str) -> None:
    policy, found = parsed(f"ingress: [{rule}]")
    assert policy is None
    item = one(found, Severity.ERROR)
    assert item.id == id
    assert message in item.message


@pytest.mark.parametrize(
    ("spec", "namespace", "message"),
    [
        ("types: [Ingress, Ingress]", "shop", "specified more than once"),
        ("egress: [{action: Allow, http: {}}]", "shop", "not allowed in egress rules"),
        ("egress: [{action: Allow, source: {services: {name: x}}}]", "shop", "not allowed in the source"),
        ("egress: [{action: Allow, destination: {services: {name: x}}}]", "", "must specify a namespace"),
        (
            "egress: [{action: Allow, protocol: TCP, destination: {services: {name: x}, ports: [1]}}]",
            "shop",
            "cannot specify ports with a service selector",
        ),
        ("{doNotTrack: true, preDNAT: true, applyOnForward: true}", "", "cannot both be true"),
        ("{preDNAT: true, applyOnForward: true, egress: [{action: Allow}]}", "", "cannot have any Egress"),
        ("{preDNAT: true, applyOnForward: true, types: [Egress]}", "", "cannot have 'egress' Type"),
        ("doNotTrack: true", "", "ApplyOnForward must be true"),
        ("preDNAT: true", "", "ApplyOnForward must be true"),
    ],
)
def test_policies_that_the_api_server_refuses(spec: str, namespace: str, message: str) -> None:
    policy, found = parsed(spec, namespace=namespace)
    assert policy is None
    item = one(found, Severity.ERROR)
    assert (item.id, message in item.message) == ("calico-refuses", True), item.message


@pytest.mark.parametrize(
    ("spec", "id"),
    [
        ("order: first", "wrong-type"),
        ("types: [ingress]", "invalid-policy-type"),
        ("selector: global()", "invalid-selector"),
        ("namespaceSelector: all()", "unknown-field"),
        ("applyOnForward: true", "unknown-field"),
        ("policyTypes: [Ingress]", "unknown-field"),
        ("stagedAction: Set", "unknown-field"),
    ],
)
def test_fields_that_do_not_fit(spec: str, id: str) -> None:
    policy, found = parsed(spec)
    assert policy is None
    assert one(found, Severity.ERROR).id == id


def test_carets_stand_inside_of_selectors() -> None:
    _, found = parsed("selector: app == 'web' and env == 'x'")
    item = one(found, Severity.ERROR)
    # `  selector: app == 'web' and`: the word `and`.
    assert (item.place.column, item.place.end_column, item.help) == (26, 29, "write `&&`")


def test_rules_that_types_leave_out_are_told_of() -> None:
    policy, found = parsed("{types: [Egress], ingress: [{action: Allow}]}")
    assert policy is not None
    assert one(found, Severity.WARNING).id == "ignored-rules"


# -- the tutorial ------------------------------------------------------------------------------------------

TUTORIAL = """\
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata:
  name: payment-service
  namespace: production
spec:
  selector: app == 'payment-service'
  ingress:
    - action: Allow
      protocol: TCP
      source:
        selector: app == 'order-service'
        namespaceSelector: project == 'production'
      destination:
        ports:
          - 8443
    - action: Allow
      source:
        serviceAccounts:
          - name: payment-processor
  egress:
    - action: Allow
      protocol: TLS
      destination:
        domains:
          - "*.payment-gateway.com"
        ports:
          - 443
"""


def test_the_tutorial_has_three_errors_at_their_lines() -> None:
    (policy,), problems = read(TUTORIAL)
    assert policy is None
    found = {item.place.line: item for item in problems.found}
    assert {line: item.id for line, item in found.items()} == {
        20: "wrong-type",
        23: "invalid-protocol",
        25: "not-in-open-source",
    }
    assert found[20].help == "write `serviceAccounts: {names: [payment-processor]}`"
    assert "write TCP" in found[23].help
    assert "role == 'payment-gateway'" in found[25].instead
    assert "namespaceSelector: global()" in found[25].instead
    assert "kind: GlobalNetworkSet" in found[25].instead


def test_what_is_certain_of_the_tutorial_is_corrected() -> None:
    _, problems = read(TUTORIAL)
    text = fixed(TUTORIAL, fixes(problems.found)["p.yaml"])
    assert "        serviceAccounts:\n          names: [payment-processor]\n" in text
    assert "      protocol: TCP\n      destination:\n        domains:" in text
    _, after = read(text)
    assert [item.id for item in after.found] == ["not-in-open-source"]


def test_the_form_that_works_instead_of_names_is_valid() -> None:
    _, problems = read(TUTORIAL)
    (item,) = [item for item in problems.found if item.id == "not-in-open-source"]
    end, network_set = item.instead.split("---\n")
    (found,), after = read(network_set)
    assert found is not None, [str(one) for one in after.found]
    assert dict(found.parsed.labels) == {"role": "payment-gateway"}
    rule = "egress:\n  - action: Allow\n    destination:\n" + textwrap.indent(end, "      ")
    assert str(calico(rule).parsed.egress[0].destination.members) == "global() && role == 'payment-gateway'"


@pytest.mark.parametrize(
    ("written", "becomes"),
    [
        ("serviceAccounts: [{name: a}, {name: b}]", "serviceAccounts: {names: [a, b]}"),
        ("serviceAccounts: [a]", "serviceAccounts: {names: [a]}"),
        ("serviceAccounts:\n          - a", "serviceAccounts:\n          names: [a]"),
        # Where the list stands under its key, or has more in it, a person writes the mapping.
        ("serviceAccounts:\n        - name: a", None),
        ("serviceAccounts:\n          - name: a\n          - name: b", None),
        ("serviceAccounts:\n          - {name: a, namespace: b}", None),
        ("serviceAccounts: [{name: A}]", None),
    ],
)
def test_lists_of_service_accounts(written: str, becomes: str | None) -> None:
    head = (
        "apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: p, namespace: shop}\n"
        "spec:\n  ingress:\n    - action: Allow\n      source:\n        "
    )
    _, problems = read(f"{head}{written}\n")
    assert [item.id for item in problems.found] == ["wrong-type"]
    wanted = fixes(problems.found)
    if becomes is None:
        assert not wanted
    else:
        after = fixed(f"{head}{written}\n", wanted["p.yaml"])
        assert after == f"{head}{becomes}\n"
        assert not read(after)[1].found


# -- other objects -----------------------------------------------------------------------------------------


def test_tiers() -> None:
    assert tier("security", 100).parsed == CalicoTier("security", 100, False, tier("security", 100).place)
    assert tier("security", 100, "Pass").parsed.passes
    assert made("Tier", "{}", "last").parsed.order == math.inf
    assert tier("security", 100).needs == ("tiers",)
    assert tier("default", 1_000_000).needs == ()


@pytest.mark.parametrize(
    ("name", "spec", "message"),
    [
        ("a.b", "{order: 1}", "no dots"),
        ("default", "{order: 1}", "order must be 1000000"),
        ("default", "{}", "order must be 1000000"),
        ("default", "{order: 1000000, defaultAction: Pass}", "default action must be Deny"),
        ("kube-admin", "{order: 1}", "order must be 1000"),
        ("security", "{defaultAction: Allow}", "is not a default action"),
        ("security", "{priority: 1}", "unknown field"),
    ],
)
def test_tiers_that_are_refused(name: str, spec: str, message: str) -> None:
    policy, found = thing("Tier", spec, name)
    assert policy is None
    assert message in one(found, Severity.ERROR).message


def test_sets_of_networks() -> None:
    found = nets("203.0.113.7/24", "198.51.100.1", "2001:db8::1", labels="{role: db}").parsed
    assert isinstance(found, NetworkSet)
    assert [str(item) for item in found.nets] == ["203.0.113.0/24", "198.51.100.1/32", "2001:db8::1/128"]
    assert (found.namespace, found.labels) == ("", (("role", "db"),))
    assert nets("203.0.113.0/24", namespace="shop").parsed.namespace == "shop"
    policy, problems = thing("NetworkSet", "{nets: [x]}", namespace="shop")
    assert policy is None
    assert one(problems, Severity.ERROR).id == "invalid-cidr"
    policy, problems = thing("NetworkSet", "{}", labels="{projectcalico.org/namespace: x}")
    assert policy is None
    assert "not a valid label name" in one(problems, Severity.ERROR).message


def test_profiles_cannot_be_made() -> None:
    policy, found = thing("Profile", "{ingress: [{action: Allow}]}", "kns.shop")
    assert policy is None
    assert "create is not supported on profiles" in one(found, Severity.ERROR).message


def test_host_endpoints() -> None:
    found = made("HostEndpoint", '{node: a, interfaceName: "*"}', labels="{role: node}")
    assert isinstance(found.parsed, HostEndpoint)
    assert found.needs == ("host-endpoints",)
    for spec, message in (("{interfaceName: eth0}", "no node"), ("{node: a}", "no interface")):
        policy, problems = thing("HostEndpoint", spec)
        assert policy is None
        assert message in one(problems, Severity.ERROR).message


def test_staged_policies() -> None:
    found = calico("{ingress: [{action: Deny}]}", staged=True)
    assert (found.parsed.staged, found.needs) == ("Set", ("staged",))
    assert calico("{stagedAction: Delete}", namespace="", staged=True).parsed.staged == "Delete"
    policy, problems = parsed("{stagedAction: Delete, order: 1}", staged=True)
    assert policy is None
    assert "should all be zero-value" in one(problems, Severity.ERROR).message
    policy, problems = parsed("{stagedAction: Remove}", staged=True)
    assert policy is None
    assert one(problems, Severity.ERROR).id == "invalid-action"


def test_staged_policies_of_kubernetes() -> None:
    kind = "StagedKubernetesNetworkPolicy"
    found = made(kind, "{stagedAction: Set, podSelector: {}, policyTypes: [Egress]}", namespace="shop")
    assert isinstance(found.parsed, StagedKubernetes)
    assert found.parsed.policy is not None
    assert found.parsed.policy.parsed.directions == {Direction.EGRESS}
    assert made(kind, "{stagedAction: Delete}", namespace="shop").parsed.policy is None
    for spec in ("{stagedAction: Delete, podSelector: {}}", "{selector: all()}"):
        policy, problems = thing(kind, spec, namespace="shop")
        assert policy is None
        assert problems


def test_the_form_that_nobody_checks_is_a_warning() -> None:
    (found,), problems = read(
        "apiVersion: crd.projectcalico.org/v1\nkind: GlobalNetworkPolicy\n"
        "metadata: {name: default.p}\nspec: {selector: all(), tier: default}\n"
    )
    assert found is not None
    assert [item.id for item in problems.found] == ["crd-form"]


@pytest.mark.parametrize(
    ("name", "tier", "good"),
    [
        ("a", "default", True),
        ("default.a", "default", True),
        ("security.a", "security", True),
        ("security.a", "default", False),
        ("a.b.c", "default", False),
        ("security.b.c", "security", False),
        ("knp.default.a", "default", False),
    ],
)
def test_names_of_policies(name: str, tier: str, good: bool) -> None:
    policy, _ = parsed(f"tier: {tier}", name)
    assert (policy is not None) is good


def test_a_policy_without_a_spec_denies_everything() -> None:
    (found,), problems = read(
        "apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: p, namespace: shop}\n"
    )
    assert found is not None
    assert found.parsed.directions == {Direction.INGRESS}
    assert [item.id for item in problems.found] == ["missing-spec"]


SCENARIO = """\
scenario: s
namespaces: {shop: {}}
pods: {shop/a: {listen: 80}, shop/b: {}}
policies:
  - {apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: security}, spec: {order: 1}}
  - apiVersion: projectcalico.org/v3
    kind: NetworkPolicy
    metadata: {name: p, namespace: shop}
    spec: {tier: TIER, selector: all()}
expect: [{from: shop/b, to: "shop/a:80", verdict: deny}]
"""


@pytest.mark.parametrize(
    ("name", "help"),
    [
        ("security", None),
        ("kube-admin", None),
        ("securty", 'did you mean "security"?'),
        ("lost", "add a Tier with the name lost"),
    ],
)
def test_a_policy_needs_its_tier(name: str, help: str | None, tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(SCENARIO.replace("TIER", name))
    found = [item for item in load([file]).problems if item.severity is Severity.ERROR]
    assert [(item.id, item.place.line, item.help) for item in found] == (
        [] if help is None else [("unknown-tier", 9, help)]
    )


def test_a_service_without_a_namespace_is_found_nowhere() -> None:
    """Seen on Calico 3.28.4, whose documentation says that the policy's own namespace is meant."""
    policy, problems = parsed("egress: [{action: Allow, destination: {services: {name: db}}}]")
    assert policy is not None
    assert [item.id for item in problems] == ["service-without-namespace"]
    assert policy.parsed.egress[0].destination.services.id == "/db"
