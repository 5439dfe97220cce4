"""Cilium's manifests: what the API server refuses, what agents refuse, what both take (semantics.md 3.3)."""

from __future__ import annotations

import pytest

from harness.dialects.cilium.types import (
    CidrGroup,
    CidrPeer,
    EndpointPeer,
    Entity,
    EntityPeer,
    FqdnPeer,
    GroupPeer,
    NodePeer,
    ServicePeer,
)
from harness.model.application import DnsRules, HeaderMatch, HttpRule, HttpRules, Mismatch, ServerNames
from harness.model.policy import Policy
from harness.model.rules import Action, Direction
from harness.model.topology import Family, Protocol
from harness.source.diagnostics import Severity
from tests.unit.cilium_worlds import cnp, group, parsed
from tests.unit.kubernetes_worlds import read

FULL = """
endpointSelector: {matchLabels: {app: web}}
ingress:
  - fromEndpoints: [{matchLabels: {k8s:app: cli}}, {matchExpressions: [{key: any:env, operator: Exists}]}]
    toPorts:
      - ports: [{port: "8080", protocol: TCP}, {port: http}, {port: "1000", endPort: 1999, protocol: UDP}]
    authentication: {mode: required}
  - fromEntities: [world, remote-node]
  - fromCIDR: [203.0.113.0/24, "2001:db8::/32"]
  - fromNodes: [{}]
  - icmps: [{fields: [{type: EchoRequest}, {type: "8"}, {type: 128, family: IPv6}]}]
ingressDeny:
  - fromCIDRSet:
      - {cidr: 198.51.100.0/24, except: [198.51.100.0/25]}
      - {cidrGroupRef: partners}
      - {cidrGroupSelector: {matchLabels: {kind: partner}}, except: [192.0.2.0/30]}
egress:
  - toServices: [{k8sService: {serviceName: db, namespace: blue}}, {k8sServiceSelector: {selector: {}}}]
  - toFQDNs: [{matchName: Example.com}, {matchPattern: "*.example.com"}]
    toPorts:
      - ports: [{port: "443", protocol: TCP}]
        serverNames: ["*.example.com"]
  - toEndpoints: [{}]
    toPorts:
      - ports: [{port: "53"}]
        rules: {dns: [{matchPattern: "**"}]}
enableDefaultDeny: {egress: false}
"""


def test_everything_that_a_policy_can_say_is_read() -> None:
    policy = cnp(FULL)
    assert str(policy) == "CiliumNetworkPolicy shop/p"
    (spec,) = policy.parsed.specs
    assert spec.isolates == {Direction.INGRESS}
    assert [rule.name for rule in spec.ingress] == [
        *(f"ingress[{number}]" for number in range(5)),
        "ingressDeny[0]",
    ]
    endpoints, entities, cidr, nodes, icmp, deny = spec.ingress
    assert deny.action is Action.DENY
    assert {rule.action for rule in spec.ingress[:5]} == {Action.ALLOW}
    assert (endpoints.side, endpoints.authentication) == ("fromEndpoints", "required")
    assert [type(peer) for peer in endpoints.peers] == [EndpointPeer, EndpointPeer]
    (item,) = endpoints.ports
    assert [(port.protocols, port.first, port.last) for port in item.ports] == [
        ((Protocol.TCP,), 8080, None),
        ((Protocol.TCP, Protocol.UDP, Protocol.SCTP), "http", None),
        ((Protocol.UDP,), 1000, 1999),
    ]
    assert [peer.entity for peer in entities.peers if isinstance(peer, EntityPeer)] == [
        Entity.WORLD,
        Entity.REMOTE_NODE,
    ]
    assert [str(peer.network) for peer in cidr.peers if isinstance(peer, CidrPeer)] == [
        "203.0.113.0/24",
        "2001:db8::/32",
    ]
    assert isinstance(nodes.peers[0], NodePeer)
    assert [(field.family, field.type) for field in icmp.icmps] == [
        (Family.IPV4, 8),
        (Family.IPV4, 8),
        (Family.IPV6, 128),
    ]
    assert [type(peer) for peer in deny.peers] == [CidrPeer, GroupPeer, GroupPeer]
    services, names, dns = spec.egress
    one, other = services.peers
    assert isinstance(one, ServicePeer)
    assert (one.namespace, one.name) == ("blue", "db")
    assert isinstance(other, ServicePeer)
    assert other.selector is not None
    assert [peer.name.text for peer in names.peers if isinstance(peer, FqdnPeer)] == [
        "example.com",
        "*.example.com",
    ]
    assert isinstance(names.ports[0].application, ServerNames)
    assert isinstance(dns.ports[0].application, DnsRules)
    assert dns.ports[0].application.names[0].everything


def test_http_rules_are_read_with_their_headers() -> None:
    policy = cnp(
        """
        endpointSelector: {}
        ingress:
          - toPorts:
              - ports: [{port: "80", protocol: TCP}]
                rules:
                  http:
                    - {method: GET, path: "/api/.*", host: shop.example.com}
                    - method: POST
                      headers: ["X-API-Version: 2", "X-Any"]
                      headerMatches:
                        - {name: X-Team, value: red, mismatch: LOG}
                        - {name: X-There}
        """
    )
    (rule,) = policy.parsed.specs[0].ingress
    assert rule.ports[0].application == HttpRules(
        (
            HttpRule("/api/.*", "GET", "shop.example.com"),
            HttpRule(
                None,
                "POST",
                None,
                (
                    HeaderMatch("X-API-Version", "2"),
                    HeaderMatch("X-Any"),
                    HeaderMatch("X-Team", "red", Mismatch.LOG),
                    HeaderMatch("X-There"),
                ),
            ),
        )
    )


def test_a_policy_of_the_cluster_has_no_namespace_and_several_specs() -> None:
    policy = cnp(
        """
        specs:
          - {endpointSelector: {}, ingress: [{}]}
          - {endpointSelector: {}, egressDeny: [{toEntities: [all]}]}
        """,
        namespace="",
    )
    assert policy.namespace == ""
    assert [rule.name for spec in policy.parsed.specs for rule in (*spec.ingress, *spec.egress)] == [
        "specs[0].ingress[0]",
        "specs[1].egressDeny[0]",
    ]


@pytest.mark.parametrize(
    ("rule", "idle"),
    [
        ("{}", True),
        ("{fromEndpoints: []}", True),
        ('{fromEndpoints: [], toPorts: [{ports: [{port: "80"}]}]}', True),
        ("{fromEndpoints: [{}]}", False),
        ('{toPorts: [{ports: [{port: "80"}]}]}', False),
        ("{icmps: [{fields: [{type: 8}]}]}", False),
    ],
)
def test_rules_that_name_neither_peers_nor_ports_match_nothing(rule: str, idle: bool) -> None:
    (found,) = cnp(f"{{endpointSelector: {{}}, ingress: [{rule}]}}").parsed.specs[0].ingress
    assert found.idle is idle


def test_a_group_is_an_object_of_its_own() -> None:
    found = group("203.0.113.7/24", "2001:db8::/32", labels="{kind: partner}")
    assert isinstance(found.parsed, CidrGroup)
    assert str(found.ref) == "ciliumcidrgroup/partners"
    assert [str(item) for item in found.parsed.networks] == ["203.0.113.0/24", "2001:db8::/32"]
    assert found.parsed.labels == (("kind", "partner"),)


REFUSED_BY_AGENTS = {
    "ingress: []": "there is no rule",
    "ingress: [{fromEndpoints: [{}], fromEntities: [world]}]": "fromEndpoints and fromEntities",
    'ingress: [{toPorts: [{ports: [{port: "80"}]}], icmps: [{fields: [{type: 8}]}]}]': "icmps beside toPorts",
    'ingress: [{toPorts: [{ports: [{port: "80"}], rules: {http: [{}]}}]}]': "protocol is not TCP",
    'ingress: [{toPorts: [{ports: [{port: "0", protocol: TCP}], rules: {http: [{}]}}]}]': "port 0",
    'ingress: [{toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchName: a.b}]}}]}]': "ingress rule",
    "egress: [{toPorts: [{rules: {dns: [{matchName: a.b}]}}]}]": "without a port",
    'egress: [{toPorts: [{ports: [{port: "53", endPort: 54}], rules: {dns: [{matchName: a.b}]}}]}]': "range",
    "egress: [{toPorts: [{ports: [{protocol: TCP}]}]}]": "`port` is missing",
    "ingress: [{fromCIDRSet: [{cidr: 10.0.0.0/8, except: [192.168.0.0/16]}]}]": "lies outside of",
    'ingress: [{toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {http: [{path: "("}]}}]}]': "RE2",
    "ingress: [{toPorts: [{listener: {name: x, envoyConfig: {name: y}}}]}]": "a listener of Envoy's",
    'egress: [{toPorts: [{ports: [{port: "1", protocol: TCP}], serverNames: [a.b], rules: {http: [{}]}}]}]': (
        "serverNames beside"
    ),
}


@pytest.mark.parametrize("spec", REFUSED_BY_AGENTS)
def test_what_agents_refuse_is_an_error_that_says_so(spec: str) -> None:
    policy, problems = parsed(f"endpointSelector: {{}}\n{spec}")
    assert policy is None
    (found,) = problems
    assert found.severity is Severity.ERROR
    assert REFUSED_BY_AGENTS[spec] in found.message
    assert found.message.endswith("Cilium's agents mark it Valid=False and enforce nothing of it")


def test_a_policy_of_a_namespace_selects_no_nodes() -> None:
    policy, problems = parsed("{nodeSelector: {}, ingress: [{}]}")
    assert policy is None
    assert [item.id for item in problems] == ["agent-refuses"]
    assert cnp("{nodeSelector: {}, ingress: [{}]}", namespace="").parsed.of_nodes


REFUSED_BY_THE_SERVER = {
    "{endpointSelector: {}}": ("missing-field", "one of ingress"),
    "{ingress: [{}]}": ("missing-field", "`endpointSelector` is missing"),
    "{endpointSelector: {}, nodeSelector: {}, ingress: [{}]}": ("invalid-selector", "in one policy"),
    "{endpointSelector: {}, ingress: [{fromRequires: [{}]}]}": ("unknown-field", "`fromRequires`"),
    "{endpointSelector: {}, ingress: [{fromEntities: [wrold]}]}": ("invalid-peer", "not an entity"),
    "{endpointSelector: {}, ingress: [{fromCIDR: [203.0.113.1]}]}": ("invalid-cidr", "no prefix length"),
    "{endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: 80}]}]}]}": (
        "wrong-type",
        "must be a string",
    ),
    '{endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: "80", protocol: tcp}]}]}]}': (
        "invalid-protocol",
        '"tcp"',
    ),
    '{endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: "70000"}]}]}]}': ("invalid-port", "70000"),
    "{endpointSelector: {}, ingress: [{icmps: [{fields: [{type: Pong}]}]}]}": ("invalid-protocol", "Pong"),
    "{endpointSelector: {}, ingressDeny: [{authentication: {mode: required}}]}": (
        "unknown-field",
        "`authentication`",
    ),
    "{endpointSelector: {}, egress: [{toFQDNs: [{matchName: a.b, matchPattern: c}]}]}": (
        "invalid-domain",
        "only one",
    ),
    '{endpointSelector: {}, egress: [{toFQDNs: [{matchName: "*.b"}]}]}': ("invalid-domain", "is not a name"),
    "{endpointSelector: {}, egressDeny: [{toFQDNs: [{matchName: a.b}]}]}": ("unknown-field", "`toFQDNs`"),
    "{endpointSelector: {}, ingress: [{toPorts: [{rules: {kafka: []}}]}]}": ("unknown-field", "`kafka`"),
    "{endpointSelector: {matchLabels: {app: 'a b'}}, ingress: [{}]}": ("invalid-label", "a b"),
    "{endpointSelector: {matchLabels: {'x:y:z': a}}, ingress: [{}]}": ("invalid-label", "x:y:z"),
    "{endpointSelector: {}, enableDefaultDeny: {ingress: 'no'}, ingress: [{}]}": (
        "wrong-type",
        "true or false",
    ),
    "{endpointSelector: {}, ingress: [{authentication: {mode: always}}]}": ("invalid-rules", "always"),
}


@pytest.mark.parametrize("spec", REFUSED_BY_THE_SERVER)
def test_what_the_api_server_refuses_is_an_error(spec: str) -> None:
    policy, problems = parsed(spec)
    id, words = REFUSED_BY_THE_SERVER[spec]
    assert policy is None
    assert id in [item.id for item in problems]
    assert words in " ".join(item.message for item in problems)


def test_removed_fields_say_which_release_removed_them() -> None:
    _, problems = parsed("{endpointSelector: {}, ingress: [{fromRequires: [{}]}]}")
    assert "Cilium 1.19" in problems[0].help
    _, problems = parsed("{endpointSelector: {}, ingress: [{toPorts: [{rules: {l7proto: x}}]}]}")
    assert "Cilium 1.20" in problems[0].help
    policy, problems = parsed("{endpointSelector: {}, ingress: [{fromRequires: [], fromEndpoints: [{}]}]}")
    assert policy is not None
    assert not problems


def test_a_header_without_a_space_is_told_and_mended() -> None:
    policy, problems = parsed(
        """
        endpointSelector: {}
        ingress:
          - toPorts:
              - ports: [{port: "80", protocol: TCP}]
                rules: {http: [{headers: ["X-API-Version:2"]}]}
        """
    )
    assert policy is not None
    (found,) = problems
    assert found.id == "header-without-space"
    assert found.fix is not None
    assert found.fix.text == '"X-API-Version: 2"'


def selector_of(text: str, namespace: str = "shop") -> str:
    policy = cnp(f"{{endpointSelector: {{}}, ingress: [{{fromEndpoints: [{text}]}}]}}", namespace=namespace)
    (peer,) = policy.parsed.specs[0].ingress[0].peers
    return " ".join(
        f"{term.source}:{term.requirement.key} {term.requirement.operator} "
        f"{','.join(sorted(term.requirement.values))}".strip()
        for term in peer.selector.terms
    )


NS = "io.kubernetes.pod.namespace"


@pytest.mark.parametrize(
    ("text", "namespace", "terms"),
    [
        ("{}", "shop", f"k8s:{NS} In shop"),
        ("{}", "", f"k8s:{NS} Exists"),
        (f"{{matchLabels: {{{NS}: blue}}}}", "shop", f"any:{NS} In blue"),
        (f"{{matchLabels: {{k8s:{NS}: blue}}}}", "", f"k8s:{NS} In blue"),
        (
            "{matchLabels: {io.cilium.k8s.namespace.labels.team: red}}",
            "shop",
            "any:io.cilium.k8s.namespace.labels.team In red",
        ),
        ('{matchLabels: {reserved:host: ""}}', "shop", "reserved:host In"),
        ("{matchLabels: {app: web}}", "shop", f"any:app In web k8s:{NS} In shop"),
    ],
)
def test_namespaces_are_added_to_peers_as_agents_do(text: str, namespace: str, terms: str) -> None:
    assert selector_of(text, namespace) == terms


def test_a_policy_selects_in_its_own_namespace_whatever_it_says() -> None:
    policy, problems = parsed(f"{{endpointSelector: {{matchLabels: {{k8s:{NS}: blue}}}}, ingress: [{{}}]}}")
    assert policy is not None
    assert [item.id for item in problems] == ["ignored-field"]
    (term,) = policy.parsed.specs[0].subject.terms
    assert term.requirement.values == {"shop"}


def test_default_deny_without_rules_does_nothing_and_is_told() -> None:
    policy, problems = parsed("{endpointSelector: {}, ingress: [{}], enableDefaultDeny: {egress: true}}")
    assert policy is not None
    assert policy.parsed.specs[0].isolates == {Direction.INGRESS}
    assert [item.id for item in problems] == ["ignored-field"]


def test_the_tutorial_is_read() -> None:
    texts = [
        """
        apiVersion: cilium.io/v2
        kind: CiliumNetworkPolicy
        metadata: {name: api, namespace: production}
        spec:
          description: "what it is for"
          endpointSelector: {matchLabels: {app: api-server}}
          ingress:
          - fromEndpoints: [{matchLabels: {app: frontend}}]
            toPorts:
            - ports: [{port: "8080", protocol: TCP}]
              rules:
                http:
                - {method: GET, path: "/api/v1/public/.*"}
                - {method: POST, path: "/api/v1/orders", headers: ["X-API-Version: 2"]}
        """,
        """
        apiVersion: cilium.io/v2
        kind: CiliumNetworkPolicy
        metadata: {name: dns, namespace: production}
        spec:
          endpointSelector: {matchLabels: {app: api-server}}
          egress:
          - toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: kube-system, k8s-app: kube-dns}}]
            toPorts:
            - ports: [{port: "53", protocol: UDP}]
              rules:
                dns: [{matchPattern: "*.svc.cluster.local"}, {matchName: api.example.com}]
        """,
    ]
    for text in texts:
        (policy,), problems = read(text)
        assert isinstance(policy, Policy), [str(item) for item in problems.found]
        assert not problems.found
