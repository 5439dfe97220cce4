"""Cilium's policies with real packets, through the whole engine: expected, predicted and observed agree."""
# ruff: noqa: E501 - a cell is a line

from __future__ import annotations

from pathlib import Path

import pytest

from harness.model.result import RunResult
from harness.model.verdict import Status, Verdict
from tests.lab.labs import cells, measure, scenario

pytestmark = pytest.mark.lab

TUTORIAL = """
scenario: tutorial
namespaces: {production: {}, other: {}}
pods:
  production/api: {labels: {app: api-server}, listen: [8080, 8081], node: a}
  production/frontend: {labels: {app: frontend}, node: b}
  production/near: {labels: {app: frontend}, node: a}
  other/frontend: {labels: {app: frontend}, node: a}
policies:
  - apiVersion: cilium.io/v2
    kind: CiliumNetworkPolicy
    metadata: {name: api, namespace: production}
    spec:
      endpointSelector: {matchLabels: {app: api-server}}
      ingress:
        - fromEndpoints: [{matchLabels: {app: frontend}}]
          toPorts:
            - ports: [{port: "8080", protocol: TCP}]
              rules:
                http:
                  - {method: GET, path: "/api/v1/public/.*"}
                  - {method: POST, path: /api/v1/orders, headers: ["X-API-Version: 2"]}
expect:
  - {from: [production/frontend, production/near], http: {url: "http://production/api:8080/api/v1/public/a"}, verdict: allow}
  - {from: production/frontend, http: {url: "http://production/api:8080/api/v1/public/a?q=1"}, verdict: allow}
  - {from: [production/frontend, production/near], http: {url: "http://production/api:8080/api/v1/public"}, verdict: deny-http}
  - {from: production/frontend, http: {url: "http://production/api:8080/api/v1/private"}, verdict: deny-http}
  - {from: production/frontend, http: {url: "http://production/api:8080/api/v1/public/a", method: POST}, verdict: deny-http}
  - {from: production/frontend, http: {url: "http://production/api:8080/api/v1/orders", method: POST, headers: {X-API-Version: "2"}}, verdict: allow}
  - {from: production/frontend, http: {url: "http://production/api:8080/api/v1/orders", method: POST, headers: {X-API-Version: "3"}}, verdict: deny-http}
  - {from: production/frontend, http: {url: "http://production/api:8080/api/v1/orders", method: POST}, verdict: deny-http}
  - {from: production/frontend, http: {url: "http://production/api:8080/api/v1/orders?q=1", method: POST, headers: {X-API-Version: "2"}}, verdict: deny-http}
  - {from: other/frontend, http: {url: "http://production/api:8080/api/v1/public/a"}, verdict: drop}
  - {from: production/frontend, http: {url: "http://production/api:8081/api/v1/public/a"}, verdict: drop}
"""

MIXED = """
scenario: mixed
families: [ipv4, ipv6]
namespaces: {shop: {labels: {team: shop}}, blue: {labels: {team: blue}}}
pods:
  shop/web: {labels: {app: web}, listen: [http=80, 81, 53/UDP], node: a}
  shop/cli: {labels: {app: cli}, node: a}
  shop/far: {labels: {app: far}, node: b}
  shop/host: {hostNetwork: true, listen: [9100], node: a}
  shop/other-host: {hostNetwork: true, listen: [9100], node: b}
  blue/cli: {labels: {app: cli}, serviceAccount: robot, node: b}
externals:
  in: {address: [203.0.113.10, "2001:db8::10"], listen: [443]}
  out: {address: [198.51.100.1, "2001:db8:1::1"], listen: [443]}
policies:
  - apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata: {name: plain, namespace: shop}
    spec: {podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {matchLabels: {app: far}}}]}]}
  - apiVersion: cilium.io/v2
    kind: CiliumNetworkPolicy
    metadata: {name: web, namespace: shop}
    spec:
      endpointSelector: {matchLabels: {app: web}}
      ingress:
        - fromEndpoints: [{matchLabels: {io.kubernetes.pod.namespace: blue, io.cilium.k8s.policy.serviceaccount: robot}}]
          toPorts: [{ports: [{port: http, protocol: TCP}]}]
        - fromCIDRSet: [{cidrGroupRef: partners}]
        - icmps: [{fields: [{type: EchoRequest}, {type: EchoRequest, family: IPv6}]}]
        - fromEntities: [remote-node]
      ingressDeny:
        - fromEndpoints: [{matchLabels: {app: far}}]
          toPorts: [{ports: [{port: "81", protocol: TCP}]}]
      egress:
        - toEntities: [host]
        - toCIDR: [203.0.113.0/24, 0.0.0.0/1, "2001:db8::/48"]
  - apiVersion: cilium.io/v2
    kind: CiliumCIDRGroup
    metadata: {name: partners}
    spec: {externalCIDRs: [203.0.113.0/24, "2001:db8::/48"]}
  - apiVersion: policy.networking.k8s.io/v1alpha2
    kind: ClusterNetworkPolicy
    metadata: {name: admin}
    spec:
      tier: Admin
      priority: 1
      subject: {namespaces: {matchLabels: {team: shop}}}
      ingress:
        - {action: Deny, from: [{pods: {podSelector: {matchLabels: {app: none}}}}]}
expect:
  - {from: shop/far, to: ["shop/web:80", "shop/web:53/UDP"], verdict: allow}
  - {from: shop/far, to: "shop/web:81", verdict: deny}
  - {from: blue/cli, to: "shop/web:80", verdict: allow}
  - {from: blue/cli, to: "shop/web:81", verdict: deny}
  - {from: shop/cli, to: "shop/web:80", verdict: deny}
  - {from: [shop/cli, blue/cli], to: shop/web/ICMP, verdict: allow}
  - {from: external:in, to: "shop/web:81", verdict: allow}
  - {from: external:out, to: "shop/web:81", verdict: deny}
  - {from: [node:a, node:b], to: "shop/web:81", verdict: allow}
  - {from: shop/web, to: "shop/host:9100", verdict: allow}
  - {from: shop/web, to: "shop/other-host:9100", verdict: deny}
  - {from: shop/web, to: ["external:in:443"], verdict: allow}
  - {from: shop/web, to: ["external:out:443"], verdict: deny}
  - {from: shop/cli, to: "shop/host:9100", verdict: allow}
"""

CLOSED = """
scenario: closed
namespaces: {shop: {}}
pods:
  shop/web: {labels: {app: web}, listen: [80], node: a}
  shop/cli: {labels: {app: cli}, node: b}
  shop/host: {hostNetwork: true, listen: [9100], node: a}
policies:
  - apiVersion: cilium.io/v2
    kind: CiliumClusterwideNetworkPolicy
    metadata: {name: nothing}
    spec: {endpointSelector: {matchLabels: {app: web}}, ingress: [{}], egress: [{}]}
expect:
  - {from: shop/cli, to: ["shop/web:80", shop/web/ICMP], verdict: deny}
  - {from: node:b, to: "shop/web:80", verdict: deny}
  - {from: node:a, to: "shop/web:80", verdict: allow}
  - {from: shop/web, to: "shop/host:9100", verdict: deny}
  - {from: shop/web, to: shop/cli/ICMP, verdict: deny}
"""


NAMES = """
scenario: names
namespaces: {shop: {}}
pods:
  shop/tutorial: {labels: {app: tutorial}, node: a}
  shop/knows: {labels: {app: knows}, node: b}
externals:
  good: {address: 203.0.113.10, names: [good.example.com, a.b.example.com], listen: [443, 80]}
  bad: {address: 198.51.100.1, names: [bad.example.org], listen: [443]}
policies:
  - apiVersion: cilium.io/v2
    kind: CiliumNetworkPolicy
    metadata: {name: dns, namespace: shop}
    spec:
      endpointSelector: {matchLabels: {app: tutorial}}
      egress:
        - toEndpoints: [{matchLabels: {io.kubernetes.pod.namespace: kube-system, k8s-app: kube-dns}}]
          toPorts: [{ports: [{port: "53", protocol: UDP}], rules: {dns: [{matchPattern: "*.example.com"}]}}]
  - apiVersion: cilium.io/v2
    kind: CiliumNetworkPolicy
    metadata: {name: fqdn, namespace: shop}
    spec:
      endpointSelector: {matchLabels: {app: knows}}
      egress:
        - toEndpoints: [{matchLabels: {io.kubernetes.pod.namespace: kube-system, k8s-app: kube-dns}}]
          toPorts: [{ports: [{port: "53", protocol: ANY}], rules: {dns: [{matchPattern: "*"}]}}]
        - toFQDNs: [{matchName: good.example.com}]
          toPorts: [{ports: [{port: "443", protocol: TCP}], serverNames: [good.example.com]}]
expect:
  - {from: shop/tutorial, dns: good.example.com, verdict: allow}
  - {from: shop/tutorial, dns: [a.b.example.com, bad.example.org], verdict: dns-refused}
  - {from: shop/tutorial, dns: good.example.com, tcp: true, verdict: drop}
  - {from: shop/tutorial, to: "external:good:443", verdict: drop}
  - {from: shop/tutorial, to: "host:good.example.com:443", verdict: drop}
  - {from: shop/knows, dns: good.example.com, tcp: true, verdict: allow}
  - {from: shop/knows, to: "host:good.example.com:443", tls: {sni: good.example.com}, verdict: allow}
  - {from: shop/knows, to: "host:good.example.com:443", tls: {sni: other.example.com}, verdict: tls-rejected}
  - {from: shop/knows, to: "host:good.example.com:80", verdict: drop}
  - {from: shop/knows, to: ["host:bad.example.org:443", "external:bad:443"], verdict: drop}
"""
"""Names that one pod is told concern rules of pods on the other node only."""


def agreed(result: RunResult) -> None:
    """Every cell passed, and paper said the same."""
    found = cells(result)
    assert found
    for cell in found.values():
        assert cell.status is Status.PASSED, (cell.id, cell.reason, cell.predicted, cell.finding_text)
        assert cell.predicted is not None
        assert cell.verdict is not None
        assert cell.predicted.agrees(cell.verdict), (cell.id, cell.predicted)
        assert cell.finding is None, cell.finding_text


@pytest.mark.parametrize(
    "text", [TUTORIAL, MIXED, CLOSED, NAMES], ids=["tutorial", "mixed", "closed", "names"]
)
def test_expected_predicted_and_observed_agree(text: str, tmp_path: Path) -> None:
    agreed(measure(scenario(text, tmp_path)))


def test_a_denied_request_never_reaches_the_server(tmp_path: Path) -> None:
    found = cells(measure(scenario(TUTORIAL, tmp_path)))
    denied = [cell for cell in found.values() if cell.verdict is Verdict.DENY_HTTP]
    assert len(denied) == 7
    for cell in denied:
        assert cell.observation is not None
        assert cell.observation.receipts == 0
