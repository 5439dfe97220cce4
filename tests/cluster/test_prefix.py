"""A scenario under other names on a real cluster: same verdicts, nothing left, and beside its twin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.clusters.kube.api import Api
from tests.cluster.clusters import Ran, probe_image, started

pytestmark = pytest.mark.cluster

NAMES = """
scenario: $ns-names
namespaces: {$ns: {labels: {name: $ns}}, $ns-db: {}}
pods:
  $ns/cli: {}
  $ns-db/cli: {}
  $ns-db/web: {labels: {app: db}, listen: [80]}
services:
  $ns-db/web: {type: Headless, selector: {app: db}, ports: [80]}
policies:
  - apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata: {name: web, namespace: $ns-db}
    spec:
      podSelector: {matchLabels: {app: db}}
      ingress:
        - from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: $ns, name: $ns}}}]
expect:
  - {from: $ns/cli, to: "host:web.$ns-db.svc.cluster.local:80", verdict: allow}
  - {from: $ns-db/cli, to: "host:web.$ns-db.svc.cluster.local:80", verdict: deny}
  - {from: $ns/cli, dns: [web.$ns-db], search: true, verdict: allow}
  - {from: $ns/cli, dns: [nosuch.$ns-db.svc.cluster.local], verdict: dns-nxdomain}
"""


def test_two_runs_of_one_scenario_at_the_same_time(
    enforcing_context: str,
    write: Callable[..., Path],
    netcheck: Callable[..., Ran],
    api: Callable[[str], Api],
    tmp_path: Path,
    ns: str,
) -> None:
    file = write(NAMES)
    prefixes = (f"{ns}-a-", f"{ns}-b-")
    # Each writes its report to a folder of its own.
    arguments = [
        "run",
        str(file),
        "--cluster",
        f"context:{enforcing_context}",
        "--namespace-prefix",
        prefixes[0],
    ]
    folder = tmp_path / "twin"
    folder.mkdir()
    with started(arguments, folder, {"NETCHECK_PROBE_IMAGE": probe_image(enforcing_context)}) as other:
        ran = netcheck("run", file, "--namespace-prefix", prefixes[1], context=enforcing_context)
        twin = other.wait(300.0)
    for one in (ran, twin):
        assert one.code == 0, str(one)
        assert one.statuses() == ["passed"] * 4, str(one)
    left = [item["metadata"]["name"] for item in api(enforcing_context).get("/api/v1/namespaces")["items"]]
    assert not [name for name in left if name.startswith(ns)]
