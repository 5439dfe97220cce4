"""Every pod behind a service is met, whatever the kernel sends again on its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.model.outcome import OutcomeKind
from harness.model.probe import Probe, Source, SourceKind, Target, TargetKind
from harness.model.topology import Family, Protocol
from tests.lab.labs import scenario, world

pytestmark = pytest.mark.lab

PATIENT = 2.4
"""Seconds in which the kernel sends an unanswered SYN again, and the prober a datagram: translated anew, as
the kernel remembers no connection that was dropped on its way."""

SHOP = """
scenario: tours
families: [ipv4, ipv6]
namespaces: {shop: {}}
pods:
PODS
  shop/cli: {node: b}
services:
  shop/web: {selector: {app: web}, type: NodePort, ports: ["8000:80:30080", "53:53:30053/UDP"]}
policies:
  - apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata: {name: close-one, namespace: shop}
    spec: {podSelector: {matchLabels: {closed: "True"}}, policyTypes: [Ingress]}
expect:
  - {from: shop/cli, to: "shop/w0:80", verdict: drop}
"""


def shop(pods: int, closed: int) -> str:
    """`pods` pods behind a service, of which number `closed` lets nobody in."""
    lines = [
        f"  shop/w{number}: {{labels: {{app: web, closed: '{number == closed}'}}, listen: [80, 53/UDP]}}"
        for number in range(pods)
    ]
    return SHOP.replace("PODS", "\n".join(lines))


def to_service(kind: TargetKind, name: str, port: int, protocol: Protocol, family: Family) -> Probe:
    return Probe(Source(SourceKind.POD, "shop/cli"), Target(kind, name, port, protocol), family)


@pytest.mark.parametrize(("pods", "closed"), [(2, 0), (3, 2), (70, 66)])
def test_a_pod_that_lets_nobody_in_is_always_noticed(tmp_path: Path, pods: int, closed: int) -> None:
    wanted = scenario(shop(pods, closed), tmp_path)
    probes = [
        to_service(kind, name, port, protocol, family)
        for family in Family
        for kind, name, port, protocol in (
            (TargetKind.SERVICE, "shop/web", 8000, Protocol.TCP),
            (TargetKind.SERVICE, "shop/web", 53, Protocol.UDP),
            (TargetKind.NODEPORT, "a", 30080, Protocol.TCP),
            (TargetKind.NODEPORT, "b", 30080, Protocol.TCP),
            (TargetKind.NODEPORT, "a", 30053, Protocol.UDP),
        )
    ]
    with world(wanted) as built:
        built.apply(wanted.steps[0].policies)
        seen = built.sweep(probes, PATIENT)
    assert [sorted(item.split.split(", ")) for item in seen] == [
        [f"connected from {pods - 1} of {pods}", f"timeout from 1 of {pods}"]
    ] * len(probes)
    assert {item.outcome.kind for item in seen} == {OutcomeKind.CONNECTED}
