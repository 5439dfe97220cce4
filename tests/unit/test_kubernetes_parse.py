from __future__ import annotations

import textwrap

import pytest

from harness.dialects.kubernetes.types import BlockPeer, NetworkPolicy, PodPeer
from harness.dialects.selectors import LabelSelector, Operator, Requirement
from harness.model.rules import Direction
from harness.source.diagnostics import Severity
from tests.unit.kubernetes_worlds import SCTP, TCP, UDP, manifest, policy, read

TUTORIAL_API = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: api-policy
  namespace: production
spec:
  podSelector:
    matchLabels:
      app: api-server
  policyTypes:
    - Ingress
    - Egress
  ingress:
    - from:
        - namespaceSelector:
            matchLabels:
              name: ingress-nginx
        - podSelector:
            matchLabels:
              app: api-gateway
      ports:
        - protocol: TCP
          port: 8080
  egress:
    - to:
        - podSelector:
            matchLabels:
              app: database
      ports:
        - protocol: TCP
          port: 5432
    - to:
        - ipBlock:
            cidr: 0.0.0.0/0
            except:
              - 10.0.0.0/8
              - 172.16.0.0/12
              - 192.168.0.0/16
      ports:
        - protocol: TCP
          port: 443
"""

TUTORIAL_DEFAULTS = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: default-deny-ingress
spec:
  podSelector: {}
  policyTypes:
    - Ingress
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: default-deny-egress
spec:
  podSelector: {}
  policyTypes:
    - Egress
"""

TUTORIAL_SPIFFE = """\
apiVersion: spiffe.io/v1beta1
kind: SPIREIdentity
metadata:
  name: api-server
spec:
  selector:
    matchLabels:
      app: api-server
  dnsNames:
    - api-server.production.svc.cluster.local
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: zero-trust-api
spec:
  podSelector:
    matchLabels:
      app: api-server
  ingress:
    - from:
        - podSelector:
            matchLabels:
              spiffe-id: "spiffe://cluster.local/ns/production/sa/api-gateway"
      ports:
        - protocol: TCP
          port: 8443
"""


def equals(key: str, value: str) -> LabelSelector:
    return LabelSelector((Requirement(key, Operator.IN, frozenset({value})),))


def test_the_api_policy_of_the_tutorial() -> None:
    (found,), problems = read(TUTORIAL_API)
    assert found is not None
    assert problems.errors == 0
    assert str(found) == "NetworkPolicy production/api-policy"
    spec: NetworkPolicy = found.parsed
    assert spec.subject == equals("app", "api-server")
    assert spec.directions == frozenset(Direction)
    first, second = spec.ingress[0].peers
    assert isinstance(first, PodPeer)
    assert first.namespaces == equals("name", "ingress-nginx")
    assert first.pods == LabelSelector()
    assert isinstance(second, PodPeer)
    assert second.namespaces is None
    assert second.pods == equals("app", "api-gateway")
    assert [(item.protocol, item.port) for item in spec.ingress[0].ports] == [(TCP, 8080)]
    (block,) = spec.egress[1].peers
    assert isinstance(block, BlockPeer)
    assert [str(item) for item in block.block.excepts] == ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]
    assert found.manifest["spec"]["egress"][0]["ports"] == [{"protocol": "TCP", "port": 5432}]


def test_places_of_policy_rule_peer_and_port() -> None:
    (found,), _ = read(TUTORIAL_API)
    assert found is not None
    rule = found.parsed.ingress[0]
    lines = [found.place, rule.place, rule.peers[1].place, rule.ports[0].place, found.parsed.egress[1].place]
    assert [place.line for place in lines] == [1, 14, 18, 22, 32]


def test_the_default_policies_of_the_tutorial() -> None:
    found, problems = read(TUTORIAL_DEFAULTS, namespace="production")
    assert problems.found == []
    assert [str(item) for item in found] == [
        "NetworkPolicy production/default-deny-ingress",
        "NetworkPolicy production/default-deny-egress",
    ]
    directions = [item.parsed.directions for item in found if item]
    assert directions == [{Direction.INGRESS}, {Direction.EGRESS}]


def test_the_spiffe_file_of_the_tutorial_has_two_errors() -> None:
    found, problems = read(TUTORIAL_SPIFFE)
    assert found == [None, None]
    assert [(item.id, item.place.line) for item in problems.sorted()] == [
        ("unknown-kind", 2),
        ("invalid-label", 24),
    ]
    assert "SPIFFE ID cannot be a label value" in problems.sorted()[1].help


@pytest.mark.parametrize(
    ("spec", "directions"),
    [
        ("{}", "ingress"),
        ("podSelector: {}", "ingress"),
        ("policyTypes: []", "ingress"),
        ("policyTypes: null", "ingress"),
        ("egress: []", "ingress"),
        ("egress: [{}]", "ingress egress"),
        ("ingress: [{}]\negress: [{}]", "ingress egress"),
        ("policyTypes: [Egress]", "egress"),
        ("policyTypes: [Egress]\ningress: [{}]", "egress"),
        ("policyTypes: [Ingress]\negress: [{}]", "ingress"),
        ("policyTypes: [Ingress, Ingress]", "ingress"),
    ],
)
def test_policy_types_and_their_default(spec: str, directions: str) -> None:
    assert policy(spec).parsed.directions == {Direction(word) for word in directions.split()}


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        ("{port: 80}", (TCP, 80, None)),
        ("{port: 80, protocol: UDP}", (UDP, 80, None)),
        ("{protocol: SCTP}", (SCTP, None, None)),
        ("{}", (TCP, None, None)),
        ("{port: web}", (TCP, "web", None)),
        ("{port: 80, endPort: 90}", (TCP, 80, 90)),
        ("{port: 80, endPort: 80}", (TCP, 80, 80)),
        ("{port: 65535}", (TCP, 65535, None)),
        ("{port: a-2-c}", (TCP, "a-2-c", None)),
        ("{port: abcdefghijklmno}", (TCP, "abcdefghijklmno", None)),
    ],
)
def test_ports(port: str, expected: tuple[object, ...]) -> None:
    (found,) = policy(f"ingress: [{{ports: [{port}]}}]").parsed.ingress[0].ports
    assert (found.protocol, found.port, found.end) == expected


@pytest.mark.parametrize(
    ("selector", "labels", "matches"),
    [
        ("{}", {}, True),
        ("{matchLabels: {a: x}}", {"a": "x", "b": "z"}, True),
        ("{matchLabels: {a: x, b: x}}", {"a": "x"}, False),
        ("{matchLabels: {a: ''}}", {}, False),
        ("{matchLabels: {a: ''}}", {"a": ""}, True),
        ("{matchLabels: {a: }}", {"a": ""}, True),
        ("{matchExpressions: [{key: a, operator: In, values: [x, z]}]}", {"a": "z"}, True),
        ("{matchExpressions: [{key: a, operator: In, values: [x, z]}]}", {}, False),
        ("{matchExpressions: [{key: a, operator: NotIn, values: [x]}]}", {"a": "x"}, False),
        ("{matchExpressions: [{key: a, operator: NotIn, values: [x]}]}", {"a": "z"}, True),
        ("{matchExpressions: [{key: a, operator: NotIn, values: [x]}]}", {}, True),
        ("{matchExpressions: [{key: a, operator: Exists}]}", {"a": ""}, True),
        ("{matchExpressions: [{key: a, operator: Exists}]}", {}, False),
        ("{matchExpressions: [{key: a, operator: DoesNotExist, values: []}]}", {}, True),
        ("{matchExpressions: [{key: a, operator: DoesNotExist}]}", {"a": "x"}, False),
        ("{matchLabels: {a: x}, matchExpressions: [{key: b, operator: Exists}]}", {"a": "x"}, False),
        ("{matchLabels: {on: x}}", {"true": "x"}, True),
    ],
)
def test_selectors(selector: str, labels: dict[str, str], matches: bool) -> None:
    assert policy(f"podSelector: {selector}").parsed.subject.matches(labels) is matches


def one(peer: str) -> str:
    return f"ingress: [{{from: [{peer}]}}]"


def port(text: str) -> str:
    return f"ingress: [{{ports: [{text}]}}]"


def label(value: str) -> str:
    return f"podSelector: {{matchLabels: {{app: {value}}}}}"


def expression(text: str) -> str:
    return f"podSelector: {{matchExpressions: [{text}]}}"


REFUSED = [
    # unknown fields, with what was meant
    ("podSelecter: {}", "unknown-field", 'did you mean "podSelector"?'),
    ("podSelector: {matchLabel: {a: x}}", "unknown-field", 'did you mean "matchLabels"?'),
    ("podSelector: {app: web}", "unknown-field", "labels stand under `matchLabels:`"),
    ("policyType: [Ingress]", "unknown-field", 'did you mean "policyTypes"?'),
    ("ingress: [{to: [{podSelector: {}}]}]", "unknown-field", "ingress rules say `from`"),
    ("egress: [{from: [{podSelector: {}}]}]", "unknown-field", "egress rules say `to`"),
    ("ingress: [{podSelector: {}}]", "unknown-field", "peers are items of `from:`"),
    ("ingress: [{from: [{cidr: 10.0.0.0/8}]}]", "unknown-field invalid-peer", "it belongs under `ipBlock:`"),
    ("from: []", "unknown-field", "rules stand in `ingress:`"),
    (port("{port: 80, targetPort: 8080}"), "unknown-field", "policies see the pod's own port"),
    (port("{ports: 80}"), "unknown-field", 'did you mean "port"?'),
    (one("{ipBlock: {cidr: 10.0.0.0/8, excepts: []}}"), "unknown-field", 'did you mean "except"?'),
    # ports
    (port("{port: 0}"), "invalid-port", "1 to 65535"),
    (port("{port: 65536}"), "invalid-port", "1 to 65535"),
    (port("{port: -1}"), "invalid-port", "1 to 65535"),
    (port('{port: "8080"}'), "invalid-port", "write 8080 without quotes"),
    (port("{port: Web}"), "invalid-port", "lower case"),
    (port("{port: abcdefghijklmnop}"), "invalid-port", "at most 15"),
    (port("{port: a--b}"), "invalid-port", "twice in a row"),
    (port("{port: -a}"), "invalid-port", "first"),
    (port("{port: a-}"), "invalid-port", "last"),
    (port("{port: web_1}"), "invalid-port", "lower case"),
    (port('{port: ""}'), "invalid-port", "at most 15"),
    (port("{port: true}"), "wrong-type", ""),
    (port("{port: 80.5}"), "wrong-type", ""),
    (port("{port: [80]}"), "wrong-type", ""),
    (port("80"), "wrong-type", "write `port: 8080`"),
    (port("{endPort: 90}"), "invalid-port", ""),
    (port("{port: web, endPort: 90}"), "invalid-port", ""),
    (port("{port: 90, endPort: 80}"), "invalid-port", ""),
    (port("{port: 90, endPort: 70000}"), "invalid-port", "1 to 65535"),
    (port('{port: 80, endPort: "90"}'), "wrong-type", "write 90 without quotes"),
    (port("{protocol: tcp}"), "invalid-protocol", 'did you mean "TCP"?'),
    (port("{protocol: ICMP}"), "invalid-protocol", "TCP"),
    (port("{protocol: 6}"), "wrong-type", 'write it in quotes: "6"'),
    # peers
    (one("{}"), "invalid-peer", "podSelector: {}"),
    (one(""), None, ""),
    (one("null"), "invalid-peer", "podSelector: {}"),
    (one("{podSelector: }"), "invalid-peer", "podSelector: {}"),
    (one("{podSelector: {}, ipBlock: {cidr: 10.0.0.0/8}}"), "invalid-peer", "make two peers of it"),
    (one("{namespaceSelector: {}, ipBlock: {cidr: 10.0.0.0/8}}"), "invalid-peer", "make two peers of it"),
    ("ingress: [{from: {podSelector: {}}}]", "wrong-type", "begin each item with `- `"),
    ("ingress: {from: []}", "wrong-type", "begin each item with `- `"),
    # address blocks
    (one("{ipBlock: {}}"), "missing-field", "cidr"),
    (one("{ipBlock: {cidr: 10.0.0.1}}"), "invalid-cidr", "write 10.0.0.1/32"),
    (one('{ipBlock: {cidr: "2001:db8::1"}}'), "invalid-cidr", "write 2001:db8::1/128"),
    (one("{ipBlock: {cidr: 10.0.0.0/33}}"), "invalid-cidr", "0 to 32"),
    (one("{ipBlock: {cidr: 10.0.0.0/}}"), "invalid-cidr", "0 to 32"),
    (one("{ipBlock: {cidr: 10.0.0.0/255.0.0.0}}"), "invalid-cidr", "0 to 32"),
    (one("{ipBlock: {cidr: 10.0.0/8}}"), "invalid-cidr", "192.0.2.0/24"),
    (one("{ipBlock: {cidr: example.com}}"), "invalid-cidr", "192.0.2.0/24"),
    (one('{ipBlock: {cidr: "fe80::1%eth0/64"}}'), "invalid-cidr", ""),
    (one('{ipBlock: {cidr: "::ffff:10.0.0.0/104"}}'), "invalid-cidr", ""),
    (one("{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/8]}}"), "invalid-cidr", "strict part"),
    (one("{ipBlock: {cidr: 10.1.0.0/16, except: [10.0.0.0/8]}}"), "invalid-cidr", "strict part"),
    (one("{ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/16]}}"), "invalid-cidr", "strict part"),
    (one('{ipBlock: {cidr: 0.0.0.0/0, except: ["fd00::/8"]}}'), "invalid-cidr", "strict part"),
    (one("{ipBlock: {cidr: 10.0.0.0/8, except: 10.1.0.0/16}}"), "wrong-type", ""),
    # policy types
    ("policyTypes: [ingress]", "invalid-policy-type", 'did you mean "Ingress"?'),
    ("policyTypes: [Both]", "invalid-policy-type", "Ingress or Egress"),
    ("policyTypes: Ingress", "wrong-type", ""),
    ("policyTypes: [Ingress, Egress, Ingress]", "invalid-policy-type", "Ingress, Egress or both"),
    # labels and selectors
    (label('"spiffe://cluster.local/ns/a/sa/b"'), "invalid-label", "SPIFFE ID"),
    (label("a" * 64), "invalid-label", "at most 63"),
    (label("a" * 63), None, ""),
    (label("-a"), "invalid-label", "first and last"),
    (label("a b"), "invalid-label", "letters"),
    (label("yes"), "wrong-type", 'write it in quotes: "yes"'),
    (label("2"), "wrong-type", 'write it in quotes: "2"'),
    (label("1.5"), "wrong-type", 'write it in quotes: "1.5"'),
    (label('"2"'), None, ""),
    (label("[a]"), "wrong-type", ""),
    ("podSelector: {matchLabels: {a/b/c: x}}", "invalid-label", "a DNS name and `/`"),
    ("podSelector: {matchLabels: {Example.com/b: x}}", "invalid-label", "a DNS name and `/`"),
    ("podSelector: {matchLabels: {example.com/b: x}}", None, ""),
    ("podSelector: {matchLabels: {_b: x}}", "invalid-label", "first and last"),
    ("podSelector: {matchLabels: [a]}", "wrong-type", ""),
    ("podSelector: app", "wrong-type", ""),
    (expression("{key: a, operator: in, values: [x]}"), "invalid-selector", 'did you mean "In"?'),
    (expression("{key: a, operator: not_in, values: [x]}"), "invalid-selector", 'did you mean "NotIn"?'),
    (expression("{key: a, operator: Equals, values: [x]}"), "invalid-selector", "In, NotIn, Exists"),
    (expression("{key: a, operator: In}"), "invalid-selector", "values"),
    (expression("{key: a, operator: NotIn, values: []}"), "invalid-selector", "values"),
    (expression("{key: a, operator: Exists, values: [x]}"), "invalid-selector", "leave `values` out"),
    (expression("{key: a, operator: In, values: [2]}"), "wrong-type", 'write it in quotes: "2"'),
    (expression("{key: a, operator: In, values: ['a b']}"), "invalid-label", "letters"),
    (expression("{key: 'a b', operator: Exists}"), "invalid-label", "letters"),
    (expression("{operator: Exists}"), "missing-field", ""),
    (expression("{key: a}"), "missing-field", "In, NotIn, Exists, DoesNotExist"),
]


@pytest.mark.parametrize(("spec", "ids", "help"), REFUSED)
def test_what_the_api_server_refuses(spec: str, ids: str | None, help: str) -> None:
    text = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec:\n"
    (found,), problems = read(text + textwrap.indent(spec, "  "))
    errors = [item for item in problems.found if item.severity is Severity.ERROR]
    assert (found is None) is bool(errors)
    assert [item.id for item in errors] == (ids or "").split()
    assert not ids or help in errors[0].help
    assert all(item.place.line == 5 for item in errors)


@pytest.mark.parametrize(
    ("metadata", "id"),
    [
        ("{name: API}", "invalid-name"),
        ("{name: a_b}", "invalid-name"),
        ("{name: a..b}", "invalid-name"),
        ("{name: -a}", "invalid-name"),
        ('{name: ""}', "invalid-name"),
        (f"{{name: {'a' * 254}}}", "invalid-name"),
        ("{name: a.b-c.d}", None),
        ("{name: 12}", "wrong-type"),
        ("{namespace: n-1}", "missing-field"),
        ("{generateName: p-}", "missing-field"),
        ("{}", "missing-field"),
        ("", "missing-field"),
        ("{name: p, namespace: a.b}", "invalid-name"),
        ("{name: p, namespace: 'n'}", None),
        ("{name: p, label: {a: x}}", "unknown-field"),
        ("{name: p, labels: {a: 1}}", "wrong-type"),
        ("{name: p, labels: {a: 'b c'}}", "invalid-label"),
        ("{name: p, annotations: {a: 'any text: at all'}}", None),
        ("{name: p, annotations: {a: true}}", "wrong-type"),
        ("{name: p, uid: u, resourceVersion: '1', creationTimestamp: null, managedFields: []}", None),
    ],
)
def test_metadata(metadata: str, id: str | None) -> None:
    (found,), problems = read(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
        f"metadata: {metadata}\nspec: {{podSelector: {{}}}}\n"
    )
    assert [item.id for item in problems.found] == ([id] if id else [])
    assert (found is None) is (id is not None)


@pytest.mark.parametrize(
    ("body", "id", "help"),
    [
        ("podSelector: {}", "unknown-field", "it belongs under `spec:`"),
        ("namespace: prod", "unknown-field", "it belongs under `metadata:`"),
        ("sepc: {}", "unknown-field", 'did you mean "spec"?'),
        ("spec: []", "wrong-type", ""),
    ],
)
def test_fields_of_the_document(body: str, id: str, help: str) -> None:
    _, problems = read(
        f"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p}}\n{body}\n"
    )
    errors = [item for item in problems.found if item.severity is Severity.ERROR]
    assert [item.id for item in errors] == [id]
    assert help in errors[0].help


def test_all_errors_of_a_manifest_are_found_at_once() -> None:
    _, problems = read(
        """\
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: P}
        spec:
          podSelector: {matchLabels: {a: yes}}
          ingress:
            - from: [{}]
              ports: [{port: 0}, {protocol: tcp}]
        """
    )
    assert [item.id for item in problems.sorted()] == [
        "invalid-name",
        "wrong-type",
        "invalid-peer",
        "invalid-port",
        "invalid-protocol",
    ]


@pytest.mark.parametrize(
    ("spec", "id", "help"),
    [
        (one("{ipBlock: {cidr: 10.0.0.5/8}}"), "noncanonical-cidr", "write 10.0.0.0/8"),
        (one("{ipBlock: {cidr: 010.0.0.0/8}}"), "noncanonical-cidr", "write 10.0.0.0/8"),
        (one("{ipBlock: {cidr: 10.0.0.0/08}}"), "noncanonical-cidr", "write 10.0.0.0/8"),
        (one('{ipBlock: {cidr: "2001:db8::1/32"}}'), "noncanonical-cidr", "write 2001:db8::/32"),
        (one("{namespaceSelector: {matchLabels: {name: shop}}}"), "namespace-name-label", "metadata.name"),
        ("policyTypes: [Ingress]\negress: [{}]", "ignored-rules", "add Egress to policyTypes"),
        ("policyTypes: [Egress]\ningress: [{}]", "ignored-rules", "add Ingress to policyTypes"),
    ],
)
def test_warnings(spec: str, id: str, help: str) -> None:
    _, problems = manifest(spec)
    assert [(item.severity, item.id) for item in problems.found] == [(Severity.WARNING, id)]
    assert help in problems.found[0].help


@pytest.mark.parametrize(
    "spec", ["policyTypes: [Ingress]\negress: []", "policyTypes: [Egress]", one("{podSelector: {}}")]
)
def test_no_warning_without_reason(spec: str) -> None:
    assert manifest(spec)[1].found == []


def test_a_policy_without_spec_denies_all_ingress_and_is_warned_about() -> None:
    (found,), problems = read("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\n")
    assert found is not None
    assert found.parsed.directions == {Direction.INGRESS}
    assert [item.id for item in problems.found] == ["missing-spec"]


def test_a_status_is_ignored_with_a_warning() -> None:
    (found,), problems = read(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
        "metadata: {name: p}\nspec: {podSelector: {}}\nstatus: {}\n"
    )
    assert found is not None
    assert [item.id for item in problems.found] == ["ignored-field"]
