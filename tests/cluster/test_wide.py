"""Policies that belong to no namespace, over several steps; some reach netcheck's own pods as well."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.clusters import Ran

pytestmark = pytest.mark.cluster

STEPS = """
scenario: $ns-wide
pods:
  $ns/web: {labels: {app: web}, listen: [8080, 8081], node: a}
  $ns/cli: {labels: {app: cli}, node: b}
steps:
  - name: shut
    apply:
      - $wall
    expect: [{from: $ns/cli, to: ["$ns/web:8080", "$ns/web:8081"], verdict: drop}]
  - name: one-port
    apply:
      - apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: web, namespace: $ns}
        spec:
          podSelector: {matchLabels: {app: web}}
          ingress: [{from: [{podSelector: {matchLabels: {app: cli}}}], ports: [{port: 8080}]}]
    expect:
      - {from: $ns/cli, to: "$ns/web:8080", verdict: $allowed}
      - {from: $ns/cli, to: "$ns/web:8081", verdict: drop}
  - name: without-it
    delete: ["$kind/$ns-wall"]
    expect:
      - {from: $ns/cli, to: "$ns/web:8080", verdict: allow}
      - {from: $ns/cli, to: "$ns/web:8081", verdict: drop}
  - name: open
    delete: [NetworkPolicy/$ns/web]
    expect: [{from: $ns/cli, to: ["$ns/web:8080", "$ns/web:8081"], verdict: allow}]
"""

CCNP = "cilium.io/v2, kind: CiliumClusterwideNetworkPolicy"
GNP = "projectcalico.org/v3, kind: GlobalNetworkPolicy"

HERE = "{endpointSelector: {matchLabels: {'k8s:io.kubernetes.pod.namespace': $ns}}, ingress: [{}]}"
EVERYWHERE = "{endpointSelector: {}, ingress: [{}]}"
FIRST = "{endpointSelector: {}, ingressDeny: [{fromEntities: [cluster]}]}"

GLOBAL_HERE = "{selector: \"projectcalico.org/namespace == '$ns'\", types: [Ingress]}"
GLOBAL_EVERYWHERE = "{selector: all(), types: [Ingress]}"
GLOBAL_FIRST = "{selector: all(), types: [Ingress], order: 10, ingress: [{action: Deny}]}"

HIDDEN = "may reach netcheck's own pods too"


def _file(write: Callable[..., Path], ns: str, policy: str, spec: str, allowed: str = "allow") -> Path:
    kind = policy.rpartition(" ")[2]
    wall = f"{{apiVersion: {policy}, metadata: {{name: $ns-wall}}, spec: {spec}}}".replace("$ns", ns)
    return write(STEPS, wall=wall, kind=kind, allowed=allowed)


def _said(ran: Ran) -> list[str]:
    return [step["in_force_by"] for scenario in ran.report["scenarios"] for step in scenario["steps"]]


def _seconds(ran: Ran) -> list[float]:
    return [step["in_force"] for scenario in ran.report["scenarios"] for step in scenario["steps"]]


@pytest.mark.parametrize("spec", [HERE, EVERYWHERE], ids=["here", "everywhere"])
def test_a_cluster_wide_default_deny_of_cilium(
    cilium_context: str, ns: str, write: Callable[..., Path], netcheck: Callable[..., Ran], spec: str
) -> None:
    ran = netcheck("run", _file(write, ns, CCNP, spec), context=cilium_context, timeout=600)
    assert ran.statuses() == ["passed"] * 8, str(ran)
    assert all("canary policy seen on" in said for said in _said(ran)), _said(ran)


def test_a_denial_of_cilium_that_reaches_the_canaries(
    cilium_context: str, ns: str, write: Callable[..., Path], netcheck: Callable[..., Ran]
) -> None:
    ran = netcheck("run", _file(write, ns, CCNP, FIRST, "drop"), context=cilium_context, timeout=600)
    assert ran.statuses() == ["passed"] * 8, str(ran)
    said = _said(ran)
    assert all("policy revision realised" in each for each in said), said
    assert [HIDDEN in each for each in said] == [True, True, False, False], said
    assert max(_seconds(ran)) < 30, _seconds(ran)


@pytest.mark.parametrize("spec", [GLOBAL_HERE, GLOBAL_EVERYWHERE], ids=["here", "everywhere"])
def test_a_global_default_deny_of_calico(
    calico_context: str, ns: str, write: Callable[..., Path], netcheck: Callable[..., Ran], spec: str
) -> None:
    ran = netcheck("run", _file(write, ns, GNP, spec), context=calico_context, timeout=600)
    assert ran.statuses() == ["passed"] * 8, str(ran)
    assert all("canary policy seen on" in said for said in _said(ran)), _said(ran)


def test_a_denial_of_calico_that_reaches_the_canaries(
    calico_context: str, ns: str, write: Callable[..., Path], netcheck: Callable[..., Ran]
) -> None:
    ran = netcheck("run", _file(write, ns, GNP, GLOBAL_FIRST, "drop"), context=calico_context, timeout=600)
    assert ran.statuses() == ["passed"] * 8, str(ran)
    said = _said(ran)
    assert [HIDDEN in each for each in said] == [True, True, False, False], said
    assert max(_seconds(ran)) < 30, _seconds(ran)


SETS = """
scenario: $ns-sets
pods:
  $ns/web: {labels: {app: web}, listen: [8080], node: a}
  $ns/cli: {labels: {app: cli}, node: b}
steps:
  - name: nobody-listed
    apply:
      - apiVersion: projectcalico.org/v3
        kind: NetworkPolicy
        metadata: {name: listed, namespace: $ns}
        spec:
          selector: app == 'web'
          types: [Ingress]
          ingress:
            - {action: Deny, source: {selector: "bad == '$ns'", namespaceSelector: $where}}
            - {action: Allow}
    expect: [{from: $ns/cli, to: "$ns/web:8080", verdict: allow}]
  - name: listed
    apply:
      - apiVersion: projectcalico.org/v3
        kind: $kind
        metadata: {name: $ns-bad, labels: {bad: $ns}$namespace}
        spec: {nets: [0.0.0.0/1, 128.0.0.0/1]}
    expect: [{from: $ns/cli, to: "$ns/web:8080", verdict: drop}]
  - name: taken-out
    delete: ["$kind/$ref"]
    expect: [{from: $ns/cli, to: "$ns/web:8080", verdict: allow}]
"""


@pytest.mark.parametrize("kind", ["NetworkSet", "GlobalNetworkSet"])
def test_network_sets_of_calico_come_and_go(
    calico_context: str, ns: str, write: Callable[..., Path], netcheck: Callable[..., Ran], kind: str
) -> None:
    one = kind == "NetworkSet"
    file = write(
        SETS,
        kind=kind,
        where=f"\"projectcalico.org/name == '{ns}'\"" if one else '"global()"',
        namespace=f", namespace: {ns}" if one else "",
        ref=f"{ns}/{ns}-bad" if one else f"{ns}-bad",
    )
    ran = netcheck("run", file, context=calico_context, timeout=600)
    assert ran.statuses() == ["passed"] * 3, str(ran)
    assert all("canary policy seen on" in said for said in _said(ran)), _said(ran)
