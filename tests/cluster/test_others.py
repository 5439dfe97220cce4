"""Policies of others that stand in the way: the cells are errors, and say whose they are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.clusters.kube.api import Api
from harness.engine.cluster import ClusterError
from tests.cluster.clusters import Ran

pytestmark = pytest.mark.cluster

SHOP = """
scenario: $ns-shut
settings: {deadline: 3s}
namespaces: {$ns: {}}
pods:
  $ns/web: {listen: [80]}
  $ns/cli: {}
expect:
  - {from: $ns/cli, to: "$ns/web:80", verdict: deny}
"""


def shutting(kind: str, ns: str) -> dict[str, Any]:
    """A policy of the whole cluster that lets nobody into one namespace."""
    if kind == "cilium":
        return {
            "apiVersion": "cilium.io/v2",
            "kind": "CiliumClusterwideNetworkPolicy",
            "metadata": {"name": ns},
            "spec": {
                "endpointSelector": {"matchLabels": {"k8s:io.kubernetes.pod.namespace": ns}},
                "ingressDeny": [{"fromEntities": ["all"]}],
            },
        }
    return {
        "apiVersion": "projectcalico.org/v3",
        "kind": "GlobalNetworkPolicy",
        "metadata": {"name": ns},
        "spec": {"namespaceSelector": f"projectcalico.org/name == '{ns}'", "types": ["Ingress"], "order": 1},
    }


@contextmanager
def standing(api: Api, manifest: dict[str, Any]) -> Iterator[None]:
    """A policy that is no run's, for as long as the block lasts."""
    resource = api.resource(manifest["apiVersion"], manifest["kind"])
    api.create(manifest)
    try:
        yield
    finally:
        api.delete(resource.path("", manifest["metadata"]["name"]))


def test_somebody_elses_policy_is_named(
    enforcing_context: str,
    kinds: dict[str, str],
    api: Callable[[str], Api],
    write: Callable[..., Path],
    netcheck: Callable[..., Ran],
    ns: str,
) -> None:
    policy = shutting(kinds[enforcing_context], ns)
    with standing(api(enforcing_context), policy):
        ran = netcheck("run", write(SHOP), context=enforcing_context)
        path = api(enforcing_context).resource(policy["apiVersion"], policy["kind"]).path("", ns)
        assert "netcheck.dev/run" not in api(enforcing_context).get(path)["metadata"].get("labels", {})
    assert ran.code == 6, str(ran)
    (cell,) = ran.cells.values()
    assert (cell["status"], cell["verdict"]) == ("error", None), str(ran)
    if kinds[enforcing_context] == "cilium":
        assert cell["reason"] == f"control blocked by policy {policy['kind']} {ns} (timeout)", str(ran)
        return
    # Calico's own policies are not read: all that can be said is that one stands there.
    assert cell["reason"].startswith("control: timeout although no policy of the scenario does that; "), str(
        ran
    )
    assert f"{policy['kind']} {ns}" in cell["reason"], str(ran)


THEIRS: dict[str, Any] = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "house-rule"},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
}


def test_a_policy_that_a_controller_puts_into_every_namespace_is_named(
    enforcing_context: str,
    api: Callable[[str], Api],
    write: Callable[..., Path],
    start: Callable[..., Any],
    ns: str,
) -> None:
    """As Kyverno and the like make one as soon as the namespace is there."""
    with start("run", write(SHOP), context=enforcing_context) as process:
        server = api(enforcing_context)
        while process.popen.poll() is None:
            try:
                server.create({**THEIRS, "metadata": {**THEIRS["metadata"], "namespace": ns}})
                break
            except ClusterError:
                time.sleep(0.02)
        ran: Ran = process.wait(300)
    (cell,) = ran.cells.values()
    assert ran.code == 6, str(ran)
    assert cell["reason"] == f"control blocked by policy NetworkPolicy {ns}/house-rule (timeout)", str(ran)
