"""The rights that docs/clusters.md lists are enough, and each of them is needed."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.clusters.kube.api import Api
from tests.cluster.accounts import account, changed, kubeconfig_of, written
from tests.cluster.clusters import ROOT, Ran, probe_image
from tests.cluster.test_runs import SHOP

pytestmark = pytest.mark.cluster

MORE = """
scenario: $ns-more
namespaces: {$ns: {labels: {team: shop}}}
pods:
  $ns/web: {labels: {app: web}, listen: [8080], serviceAccount: web, node: a}
  $ns/cli: {labels: {app: cli}, node: b}
services:
  $ns/web: {selector: {app: web}, ports: [80:8080]}
steps:
  - name: deny
    apply:
      - apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: deny, namespace: $ns}
        spec:
          podSelector: {matchLabels: {app: web}}
          ingress: [{from: [{podSelector: {matchLabels: {ok: "yes"}}}]}]
    expect: [{from: $ns/cli, to: "$ns/web:8080", verdict: deny}]
  - name: relabel
    label: [{pod: $ns/cli, set: {ok: "yes"}}, {namespace: $ns, set: {seen: "yes"}}]
    expect: [{from: $ns/cli, to: ["$ns/web:8080", "service:$ns/web:80"], verdict: allow}]
  - name: gone
    delete: [networkpolicy/$ns/deny]
    restart: [$ns/web]
    expect: [{from: $ns/cli, to: "$ns/web:8080", verdict: allow}]
"""


CALICO = """
scenario: $ns-calico
namespaces: {$ns: {}}
pods: {$ns/web: {listen: [8080], labels: {wide: $ns}}, $ns/cli: {}}
steps:
  - name: deny
    apply:
      - apiVersion: projectcalico.org/v3
        kind: GlobalNetworkSet
        metadata: {name: $ns-set, labels: {set: $ns}}
        spec: {nets: [203.0.113.0/24]}
      - apiVersion: projectcalico.org/v3
        kind: GlobalNetworkPolicy
        metadata: {name: $ns-wide}
        spec: {selector: "has(wide) && wide == '$ns'", types: [Ingress]}
      - apiVersion: projectcalico.org/v3
        kind: NetworkPolicy
        metadata: {name: own, namespace: $ns}
        spec: {selector: all(), types: [Ingress]}
    expect: [{from: $ns/cli, to: "$ns/web:8080", verdict: deny}]
  - name: update
    apply:
      - apiVersion: projectcalico.org/v3
        kind: GlobalNetworkPolicy
        metadata: {name: $ns-wide}
        spec: {selector: "has(wide) && wide == '$ns'", types: [Ingress], ingress: [{action: Allow}]}
    delete: [networkpolicy/$ns/own]
    expect: [{from: $ns/cli, to: "$ns/web:8080", verdict: allow}]
"""


def documented(kind: str) -> list[dict[str, Any]]:
    """The rules of the ClusterRole, or of the Role in `default`, in the documentation."""
    text = (ROOT / "docs" / "clusters.md").read_text()
    for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL):
        for item in yaml.safe_load_all(block):
            if isinstance(item, dict) and item.get("kind") == kind:
                return list(item["rules"])
    raise AssertionError(f"docs/clusters.md has no {kind}")


@pytest.mark.parametrize("text", [SHOP, MORE], ids=["shop", "more"])
def test_the_documented_rights_are_enough(
    text: str,
    context: str,
    kinds: dict[str, str],
    tmp_path: Path,
    write: Callable[..., Path],
    start: Callable[..., Any],
    api: Callable[[str], Api],
    ns: str,
) -> None:
    with account(api(context), ns, documented("ClusterRole"), in_default=documented("Role")) as token:
        config = written(changed(kubeconfig_of(context), user={"token": token}), tmp_path)
        spec = f"kubeconfig:{config}"
        with start(
            "run", write(text), "--cluster", spec, NETCHECK_PROBE_IMAGE=probe_image(context)
        ) as process:
            ran: Ran = process.wait(400)
        with start("cleanup", "--cluster", spec) as process:
            cleaned: Ran = process.wait(120)
    assert ran.code == (1 if kinds[context] == "basic" else 0), str(ran)
    assert "error" not in ran.statuses(), str(ran)
    assert ran.report["left_behind"] == []
    assert cleaned.code == 0, str(cleaned)


def test_the_documented_rights_are_enough_for_policies_of_the_whole_cluster(
    calico_context: str,
    tmp_path: Path,
    write: Callable[..., Path],
    start: Callable[..., Any],
    api: Callable[[str], Api],
    ns: str,
) -> None:
    server = api(calico_context)
    with account(server, ns, documented("ClusterRole"), in_default=documented("Role")) as token:
        config = written(changed(kubeconfig_of(calico_context), user={"token": token}), tmp_path)
        image = probe_image(calico_context)
        arguments = ("run", write(CALICO), "--cluster", f"kubeconfig:{config}")
        with start(*arguments, NETCHECK_PROBE_IMAGE=image) as process:
            ran: Ran = process.wait(400)
    assert ran.code == 0, str(ran)
    assert ran.report["left_behind"] == []
