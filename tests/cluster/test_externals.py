"""Addresses and names outside of a cluster: made beside a kind cluster, or real ones that somebody named."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.clusters.kube.api import Api
from tests.cluster import clusters
from tests.cluster.clusters import Ran
from tests.cluster.test_ends import unchanged

pytestmark = pytest.mark.cluster

OUT = """
scenario: $ns-out
pods:
  $ns/app: {labels: {app: app}, node: a}
  $ns/free: {labels: {app: free}, node: b}
  $ns/web: {labels: {app: web}, listen: [8080], node: b}
externals:
  good: {address: 203.0.113.41, listen: [443, 5353/UDP], names: [good.$ns.example]}
  bad: {address: 203.0.113.42, listen: [443, 5353/UDP], names: [bad.$ns.example]}
policies:
  - apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata: {name: app, namespace: $ns}
    spec:
      podSelector: {matchLabels: {app: app}}
      policyTypes: [Egress]
      egress:
        - to: [{ipBlock: {cidr: 203.0.113.40/29, except: [203.0.113.42/32]}}]
        - to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}]
          ports: [{port: 53, protocol: UDP}]
  - apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata: {name: web, namespace: $ns}
    spec:
      podSelector: {matchLabels: {app: web}}
      ingress: [{from: [{ipBlock: {cidr: 203.0.113.41/32}}]}]
expect:
  - from: $ns/app
    to: ["external:good:443", "external:good:5353/UDP", "host:good.$ns.example:443"]
    verdict: allow
  - from: $ns/app
    to: ["external:bad:443", "external:bad:5353/UDP", "host:bad.$ns.example:443"]
    verdict: drop
  - {from: $ns/app, dns: [good.$ns.example, bad.$ns.example], verdict: allow}
  - {from: $ns/free, to: ["external:bad:443", "host:bad.$ns.example:443"], verdict: allow}
  - {from: "external:good", to: "$ns/web:8080", verdict: allow}
  - {from: "external:bad", to: "$ns/web:8080", verdict: drop}
"""

ONE_NAME = """
scenario: $ns-$number
pods: {$ns-$number/app: {}}
externals: {out: {address: 203.0.113.5$number, listen: [443], names: [same.$ns.example]}}
expect: [{from: $ns-$number/app, to: "host:same.$ns.example:443", verdict: allow}]
"""

NAMED = """
scenario: $ns-named
pods:
  $ns/app: {labels: {app: app}}
  $ns/free: {labels: {app: free}}
externals: {out: {address: 203.0.113.41, listen: [8443, 5353/UDP]}}
policies:
  - apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata: {name: app, namespace: $ns}
    spec:
      podSelector: {matchLabels: {app: app}}
      policyTypes: [Egress]
      egress: [{to: [{ipBlock: {cidr: $address/32}}], ports: [{port: 8443}]}]
expect:
  - {from: $ns/app, to: "external:out:8443", verdict: allow}
  - {from: $ns/app, to: "external:out:8444", verdict: drop}
  - {from: $ns/free, to: ["external:out:8443", "external:out:8444"], verdict: allow}
  - {from: $ns/free, to: "external:out:5353/UDP", verdict: allow}
"""


@pytest.fixture
def kind_context(enforcing_context: str) -> str:
    """A cluster that enforces policies, whose nodes are containers of this machine."""
    if shutil.which("docker") is None or not _nodes(enforcing_context):
        pytest.skip(f"the nodes of {enforcing_context} are no containers of this machine's docker")
    return enforcing_context


def _docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True, timeout=120)
    return done.stdout.strip()


def _nodes(context: str) -> list[str]:
    names = [item["metadata"]["name"] for item in clusters.api_of(context).get("/api/v1/nodes")["items"]]
    there = set(_docker("ps", "--format", "{{.Names}}").split())
    return names if set(names) <= there else []


def _outside(context: str) -> list[str]:
    """Containers and routes beside the cluster."""
    containers = _docker("ps", "--all", "--format", "{{.Names}}").splitlines()
    routes = [_docker("exec", node, "ip", "route", "show") for node in _nodes(context)]
    return sorted(containers) + routes


def test_what_policies_say_of_addresses_and_names_outside(
    kind_context: str, api: Callable[[str], Api], write: Callable[..., Path], netcheck: Callable[..., Ran]
) -> None:
    before = _outside(kind_context)
    with unchanged(api(kind_context)):  # the Corefile, byte for byte
        ran = netcheck("run", write(OUT), "--adopt", context=kind_context, timeout=600)
    assert ran.code == 0, str(ran)
    assert ran.statuses() == ["passed"] * 12
    assert _outside(kind_context) == before


def test_a_foreign_cluster_gets_no_externals_unasked(
    kind_context: str, api: Callable[[str], Api], write: Callable[..., Path], netcheck: Callable[..., Ran]
) -> None:
    before = _outside(kind_context)
    with unchanged(api(kind_context)):
        ran = netcheck("run", write(OUT), context=kind_context)
    (scenario,) = ran.report["scenarios"]
    assert "--adopt lets netcheck add routes and names" in scenario["skipped"], str(ran)
    assert _outside(kind_context) == before


def test_scenarios_that_lead_a_name_elsewhere_wait_for_each_other(
    kind_context: str, write: Callable[..., Path], netcheck: Callable[..., Ran]
) -> None:
    files = [write(ONE_NAME, f"{number}.yaml", number=number) for number in "123"]
    ran = netcheck("run", *files, "--adopt", "-j", "3", context=kind_context, timeout=600)
    assert ran.code == 0, str(ran)
    assert ran.statuses() == ["passed"] * 3
    found = [cell["observation"]["outcome"] for cell in ran.cells.values()]
    for number, outcome in enumerate(found, 1):
        assert f"203.0.113.5{number}" in str(outcome), found


@pytest.fixture
def somebody(kind_context: str, ns: str) -> Iterator[str]:
    """A server of somebody else's on the nodes' network, with TCP on 8443 and 8444; gives its address."""
    code = (
        "import socket, selectors\n"
        "ready = selectors.DefaultSelector()\n"
        "for port in (8443, 8444):\n"
        "    ready.register(socket.create_server(('', port)), selectors.EVENT_READ)\n"
        "while True:\n"
        "    for key, _ in ready.select():\n"
        "        key.fileobj.accept()[0].close()\n"
    )
    image = clusters.probe_image(kind_context)
    container = _docker(
        "run", "--detach", "--network", "kind", "--name", ns, "--entrypoint", "", image, "python3", "-c", code
    )
    try:
        place = '{{(index .NetworkSettings.Networks "kind").IPAddress}}'
        address = _docker("inspect", "--format", place, container)
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection((address, 8444), timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < deadline, _docker("logs", container)
        yield address
    finally:
        _docker("rm", "--force", container)


def test_a_real_address_is_judged_as_far_as_it_can_be(
    somebody: str,
    kind_context: str,
    api: Callable[[str], Api],
    write: Callable[..., Path],
    netcheck: Callable[..., Ran],
) -> None:
    file = write(NAMED, address=somebody)
    with unchanged(api(kind_context)):
        ran = netcheck("run", file, "--external", f"out={somebody}", context=kind_context, timeout=600)
    assert ran.statuses() == ["passed"] * 4 + ["error"], str(ran)
    assert ran.code == 6, "UDP towards what has no agent proves nothing"
    *measured, unknown = ran.cells.values()
    assert all("judged without a receipt" in str(cell["notes"]) for cell in measured)
    assert "whether udp arrives cannot be known there" in unknown["reason"]


def test_a_world_that_is_kept_stands_until_cleanup(
    kind_context: str,
    api: Callable[[str], Api],
    write: Callable[..., Path],
    netcheck: Callable[..., Ran],
    ns: str,
) -> None:
    before, server = _outside(kind_context), api(kind_context)
    with unchanged(server):
        ran = netcheck("run", write(OUT), "--adopt", "--keep", context=kind_context, timeout=600)
        assert ran.code == 0, str(ran)
        assert f"kubectl --context {kind_context} get pods,networkpolicies --namespace {ns}" in ran.err
        pods = server.get(f"/api/v1/namespaces/{ns}/pods")["items"]
        assert [pod["status"]["phase"] for pod in pods] == ["Running"] * 3
        policies = server.get(f"/apis/networking.k8s.io/v1/namespaces/{ns}/networkpolicies")["items"]
        assert {item["metadata"]["name"] for item in policies} == {"app", "web"}
        corefile = server.get("/api/v1/namespaces/kube-system/configmaps/coredns")["data"]["Corefile"]
        assert f"good.{ns}.example" in corefile
        assert _outside(kind_context) != before
        again = netcheck("run", write(OUT), "--adopt", context=kind_context)
        assert again.code == 6, str(again)
        assert "netcheck cleanup" in str(again)
        done = netcheck("cleanup", "--run", ran.report["run"], context=kind_context)
        assert done.code == 0, str(done)
    assert _outside(kind_context) == before
