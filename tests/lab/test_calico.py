"""Calico's policies with real packets, through the whole engine: expected, predicted and observed agree."""
# ruff: noqa: E501 - a cell is a line

from __future__ import annotations

from pathlib import Path

import pytest

from harness.model.result import RunResult
from harness.model.verdict import Status, Verdict
from tests.lab.labs import cells, measure, scenario

pytestmark = pytest.mark.lab

TUTORIAL = """
scenario: payment-service
namespaces:
  production: {labels: {project: production}}
  staging: {}
pods:
  production/payment: {labels: {app: payment-service}, listen: [8443, 8444], node: a}
  production/order: {labels: {app: order-service}, node: b}
  production/processor: {serviceAccount: payment-processor, node: b}
  production/other: {node: a, listen: [8443]}
  staging/order: {labels: {app: order-service}, node: b}
  staging/processor: {serviceAccount: payment-processor, node: a}
externals:
  gateway: {address: 203.0.113.10, listen: [443, 80], names: [api.payment-gateway.com]}
  elsewhere: {address: 198.51.100.1, listen: [443]}
policies:
  - apiVersion: projectcalico.org/v3
    kind: NetworkPolicy
    metadata: {name: payment-service, namespace: production}
    spec:
      selector: app == 'payment-service'
      types: [Ingress, Egress]
      ingress:
        - action: Allow
          protocol: TCP
          source: {selector: app == 'order-service', namespaceSelector: project == 'production'}
          destination: {ports: [8443]}
        - action: Allow
          source: {serviceAccounts: {names: [payment-processor]}}
      egress:
        - {action: Allow, protocol: UDP, destination: {selector: k8s-app == 'kube-dns', namespaceSelector: projectcalico.org/name == 'kube-system', ports: [53]}}
        - {action: Allow, protocol: TCP, destination: {selector: role == 'payment-gateway', namespaceSelector: global(), ports: [443]}}
  - apiVersion: projectcalico.org/v3
    kind: GlobalNetworkSet
    metadata: {name: gateway, labels: {role: payment-gateway}}
    spec: {nets: [203.0.113.10]}
expect:
  - {from: production/order, to: "production/payment:8443", verdict: allow}
  - {from: production/order, to: "production/payment:8444", verdict: drop}
  - {from: staging/order, to: "production/payment:8443", verdict: drop}
  - {from: production/processor, to: ["production/payment:8443", "production/payment:8444"], verdict: allow}
  - {from: production/processor, to: "production/payment/ICMP", verdict: allow}
  - {from: staging/processor, to: "production/payment:8443", verdict: drop}
  - {from: production/other, to: ["production/payment:8443", "production/payment/ICMP"], verdict: drop}
  - {from: production/payment, to: "external:gateway:443", verdict: allow}
  - {from: production/payment, to: ["external:gateway:80", "external:elsewhere:443", "production/other:8443"], verdict: drop}
  - {from: production/payment, dns: api.payment-gateway.com, verdict: allow}
  - {from: production/payment, to: "host:api.payment-gateway.com:443", verdict: allow}
"""

TIERS = """
scenario: tiers
families: [ipv4, ipv6]
namespaces: {shop: {labels: {team: red}}, blue: {labels: {team: blue}}}
pods:
  shop/web: {labels: {app: web}, listen: [http=80, 81, 82, 5300/UDP], node: a}
  shop/cli: {labels: {app: cli}, node: a}
  shop/far: {labels: {app: far}, serviceAccount: robot, node: b}
  blue/cli: {labels: {app: cli}, node: b}
  shop/host: {hostNetwork: true, node: b}
externals:
  in: {address: [203.0.113.10, "2001:db8::10"], listen: [443]}
  out: {address: [198.51.100.1, "2001:db8:1::1"], listen: [443]}
policies:
  - {apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: security}, spec: {order: 100}}
  - apiVersion: projectcalico.org/v3
    kind: GlobalNetworkPolicy
    metadata: {name: security.web}
    spec:
      tier: security
      selector: app == 'web'
      namespaceSelector: team == 'red'
      ingress:
        - {action: Log}
        - {action: Deny, protocol: TCP, destination: {ports: [81]}}
        - {action: Allow, protocol: TCP, source: {notSelector: has(app) || has(bad)}, destination: {ports: [http]}}
        - {action: Pass, source: {selector: "app in {'cli', 'far'}", notSelector: "projectcalico.org/namespace == 'blue' && app == 'far'"}}
  - apiVersion: projectcalico.org/v3
    kind: NetworkPolicy
    metadata: {name: first, namespace: shop}
    spec:
      order: 10
      selector: app == 'web'
      ingress:
        - {action: Deny, source: {serviceAccounts: {names: [robot]}}, protocol: TCP, destination: {notPorts: [80]}}
        - {action: Allow, notProtocol: UDP, source: {namespaceSelector: all()}}
  - apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata: {name: plain, namespace: shop}
    spec: {podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {}}], ports: [{port: 5300, protocol: UDP}]}]}
  - apiVersion: projectcalico.org/v3
    kind: NetworkPolicy
    metadata: {name: last, namespace: shop}
    spec: {order: 2000, selector: app == 'web', ingress: [{action: Deny, source: {selector: app == 'cli'}}]}
expect:
  # The tier `security` denies a port, lets nodes and externals in on another, and passes pods on.
  - {from: [shop/cli, shop/far, blue/cli, shop/host], to: "shop/web:81", verdict: drop}
  - {from: ["external:in", shop/host, "node:b"], to: "shop/web:80", verdict: allow}
  - {from: ["external:in", shop/host], to: "shop/web:82", verdict: drop}
  # The default tier: by order, Calico's 10, Kubernetes' 1000, Calico's 2000.
  - {from: [shop/cli, shop/far, blue/cli], to: "shop/web:80", verdict: allow}
  - {from: [shop/cli, blue/cli], to: "shop/web:82", verdict: allow}
  - {from: shop/far, to: "shop/web:82", verdict: drop}
  - {from: [shop/cli, shop/far], to: "shop/web:5300/UDP", verdict: allow}
  - {from: blue/cli, to: "shop/web:5300/UDP", verdict: drop}
  - {from: [shop/cli, shop/far, blue/cli], to: "shop/web/ICMP", verdict: allow}
  - {from: "node:a", to: "shop/web:81", verdict: allow}
"""

ENDS = """
scenario: ends
families: [ipv4, ipv6]
namespaces: {shop: {}, blue: {labels: {team: blue}}}
pods:
  shop/web: {labels: {app: web}, listen: [80], node: a}
  shop/db: {labels: {app: db}, listen: [http=5432, 80], node: b}
  blue/db: {labels: {app: db}, listen: [5432, http=80], node: b}
services:
  blue/db: {selector: {app: db}, ports: ["5000:http"]}
externals:
  in: {address: [203.0.113.10, "2001:db8::10"], listen: [443, 80]}
  out: {address: [198.51.100.1, "2001:db8:1::1"], listen: [443, 80]}
policies:
  - apiVersion: projectcalico.org/v3
    kind: NetworkPolicy
    metadata: {name: web, namespace: shop}
    spec:
      selector: app == 'web'
      egress:
        - {action: Allow, destination: {services: {name: db, namespace: blue}}}
        - {action: Allow, protocol: TCP, destination: {ports: [http], selector: app == 'db'}}
        - {action: Allow, protocol: TCP, ipVersion: 4, destination: {notNets: [203.0.113.0/24], ports: ["400:500"]}}
        - {action: Allow, protocol: ICMPv6}
        - {action: Allow, protocol: TCP, source: {ports: ["1:1023"]}}
        - {action: Log, destination: {selector: all()}}
  - {apiVersion: projectcalico.org/v3, kind: StagedNetworkPolicy, metadata: {name: staged, namespace: shop}, spec: {selector: all(), types: [Ingress, Egress]}}
expect:
  - {from: shop/web, to: ["service:blue/db:5000", "blue/db:80", "shop/db:5432"], verdict: allow}
  - {from: shop/web, to: ["blue/db:5432", "shop/db:80", "external:in:80", "external:out:80"], verdict: drop}
  - {from: shop/db, to: "shop/web:80", verdict: allow}
"""

FAMILIES = """
scenario: families
families: [FAMILY]
namespaces: {shop: {}}
pods:
  shop/web: {labels: {app: web}, listen: [80], node: a}
  shop/db: {labels: {app: db}, listen: [80], node: b}
externals:
  in: {address: [203.0.113.10, "2001:db8::10"], listen: [443]}
  out: {address: [198.51.100.1, "2001:db8:1::1"], listen: [443]}
policies:
  - apiVersion: projectcalico.org/v3
    kind: NetworkPolicy
    metadata: {name: web, namespace: shop}
    spec:
      selector: app == 'web'
      egress:
        - {action: Allow, protocol: TCP, ipVersion: 4, destination: {notNets: [203.0.113.0/24], ports: ["400:500"]}}
        - {action: Allow, protocol: ICMPv6}
        - {action: Allow, protocol: TCP, destination: {nets: ["2001:db8::/64"]}}
expect:
CELLS
"""
OF_FAMILY = {
    "ipv4": """
  - {from: shop/web, to: "external:out:443", verdict: allow}
  - {from: shop/web, to: ["external:in:443", "shop/db/ICMP"], verdict: drop}
""",
    "ipv6": """
  - {from: shop/web, to: ["external:in:443", "shop/db/ICMP"], verdict: allow}
  - {from: shop/web, to: "external:out:443", verdict: drop}
""",
}


def checked(result: RunResult) -> None:
    wrong = [
        f"{cell.cell.id}: {cell.status} {cell.verdict} {cell.reason} {cell.finding_text}"
        for cell in cells(result).values()
        if cell.status is not Status.PASSED or cell.finding_text
    ]
    assert wrong == []
    assert cells(result)


@pytest.mark.parametrize("text", [TUTORIAL, TIERS, ENDS], ids=["tutorial", "tiers", "ends"])
def test_expected_predicted_and_observed_agree(text: str, tmp_path: Path) -> None:
    checked(measure(scenario(text, tmp_path)))


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_rules_of_one_family(family: str, tmp_path: Path) -> None:
    text = FAMILIES.replace("FAMILY", family).replace("CELLS", OF_FAMILY[family].strip("\n"))
    checked(measure(scenario(text, tmp_path)))


def test_what_is_logged_is_evidence(tmp_path: Path) -> None:
    wrong = TIERS.replace('to: "shop/web:82", verdict: drop}', 'to: "shop/web:82", verdict: allow}')
    found = [
        cell for cell in cells(measure(scenario(wrong, tmp_path))).values() if cell.status is Status.FAILED
    ]
    assert found
    for cell in found:
        assert cell.verdict is Verdict.DROP
        # Each is told that its packet was logged, on the node where that was, beside the rule that denied it.
        logged = [line for line in cell.evidence if "logged by" in line]
        assert [line.partition(" at ")[0] for line in logged] == [
            "node a: logged by GlobalNetworkPolicy security.web ingress[0]"
        ], cell.evidence
        assert len(cell.evidence) > len(logged)
