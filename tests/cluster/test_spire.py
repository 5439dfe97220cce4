"""SPIRE issues the certificates: pods show them, and one without a registration is an error, never a denial.

For a cluster with the CSI driver csi.spiffe.io, and SPIRE's server where SPIRE's guide for Kubernetes has it:
a pod with `app: spire-server` in the namespace `spire`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.clusters.kube.api import Api
from harness.clusters.kube.svids import WorkloadApi, features
from tests.cluster import clusters
from tests.cluster.clusters import Ran

pytestmark = pytest.mark.cluster

SPIRE = "spire"
SERVER = "/opt/spire/bin/spire-server"
REGISTERED = ("api", "gateway", "batch")

SHOP = """
scenario: $ns-svids
namespaces: {shop: {}}
pods:
  shop/api:
    serviceAccount: api
    identity: {from: workload-api, id: "spiffe://$domain/ns/shop/sa/api"}
    listen: [8443]
    mtls: {8443: {allow: ["spiffe://$domain/ns/shop/sa/gateway"]}}
  shop/gateway: {serviceAccount: gateway, identity: {from: workload-api, id: "spiffe://$domain/ns/shop/sa/gateway"}}
  shop/batch: {serviceAccount: batch, identity: {from: workload-api, id: "spiffe://$domain/ns/shop/sa/batch"}}
  shop/nobody: {serviceAccount: nobody, identity: {from: workload-api, id: "spiffe://$domain/nobody"}}
  shop/thief: {serviceAccount: batch, identity: {from: workload-api, id: "spiffe://$domain/ns/shop/sa/gateway"}}
expect:
  - {from: shop/gateway, to: "shop/api:8443", mtls: true, verdict: allow}
  - {from: shop/batch, to: "shop/api:8443", mtls: true, verdict: tls-rejected}
  - {from: shop/batch, to: "shop/api:8443", mtls: {as: none}, verdict: tls-rejected}
  - {from: shop/nobody, to: "shop/api:8443", mtls: true, verdict: tls-rejected}
  - {from: shop/thief, to: "shop/api:8443", mtls: true, verdict: allow}
"""


class Server:
    """SPIRE's, through its command line."""

    def __init__(self, api: Api, pod: str) -> None:
        self._api = api
        self._pod = pod
        agents = self.run("agent", "list")
        found = re.search(r"spiffe://([^/\s]+)/spire/agent/", agents)
        assert found, f"SPIRE has no agent: {agents}"
        self.domain = found[1]

    def run(self, *arguments: str) -> str:
        """What a command prints."""
        stream = self._api.exec(SPIRE, self._pod, "", [SERVER, *arguments])
        try:
            stream.run_forever(timeout=30)
            out = stream.read_stdout() + stream.read_stderr()
            assert stream.returncode == 0, out
        finally:
            stream.sock.shutdown()  # what the server has closed already, `close` leaves open
        return str(out)

    @contextmanager
    def registered(self, namespace: str) -> Iterator[None]:
        """The accounts of a namespace have their IDs, for as long as the block lasts."""
        nodes = f"spiffe://{self.domain}/{namespace}/nodes"
        entries = []
        try:
            entries.append(self._register(nodes, "-node", "-selector", f"k8s_psat:agent_ns:{SPIRE}"))
            for account in REGISTERED:
                selectors = ("-selector", f"k8s:ns:{namespace}", "-selector", f"k8s:sa:{account}")
                identity = f"spiffe://{self.domain}/ns/{namespace}/sa/{account}"
                entries.append(self._register(identity, "-parentID", nodes, *selectors))
            yield
        finally:
            for entry in entries:
                self.run("entry", "delete", "-entryID", entry)

    def _register(self, identity: str, *options: str) -> str:
        made = self.run("entry", "create", "-spiffeID", identity, *options)
        found = re.search(r"Entry ID\s*: (\S+)", made)
        assert found, made
        return found[1]


def lacks(context: str) -> str:
    """Why pods of a cluster do not reach the Workload API; empty when they do."""
    return features(clusters.api_of(context), WorkloadApi(), None)["workload-api"]


@pytest.fixture(scope="session")
def spire_context(kinds: dict[str, str]) -> str:
    """A cluster whose pods reach SPIRE's Workload API."""
    for context in kinds:
        if not lacks(context):
            return context
    pytest.skip(f"none of the clusters in {clusters.CONTEXTS} has the CSI driver csi.spiffe.io")


@pytest.fixture
def server(spire_context: str) -> Server:
    """The one that registers pods."""
    api = clusters.api_of(spire_context)
    found = api.get(f"/api/v1/namespaces/{SPIRE}/pods?labelSelector=app%3Dspire-server")["items"]
    if not found:
        pytest.skip(f"{spire_context} has no pod with app=spire-server in the namespace {SPIRE}")
    return Server(api, found[0]["metadata"]["name"])


def test_pods_show_what_spire_issues(
    spire_context: str,
    server: Server,
    write: Callable[..., Path],
    netcheck: Callable[..., Ran],
    ns: str,
) -> None:
    # The scenario's IDs follow its namespace to the name that it has on the cluster.
    with server.registered(f"{ns}-shop"):
        file = write(SHOP, domain=server.domain)
        ran = netcheck("run", file, "--namespace-prefix", f"{ns}-", context=spire_context)
    assert ran.statuses() == ["passed", "passed", "passed", "error", "error"], ran
    nobody, thief = list(ran.cells.values())[3:]
    assert "shop/nobody has no certificate to show: the Workload API at" in str(nobody), ran
    assert "shop/thief has no certificate to show: the Workload API at" in str(thief), ran
    # What SPIRE answered is quoted, with the names that it knows.
    assert f"has an SVID for spiffe://{server.domain}/ns/{ns}-shop/sa/batch, and none for" in str(thief), ran
    assert f"spiffe://{server.domain}/ns/shop/sa/batch" in str(list(ran.cells.values())[1]), ran


def test_a_cluster_without_the_driver_leaves_the_scenario_out(
    kinds: dict[str, str], write: Callable[..., Path], netcheck: Callable[..., Ran]
) -> None:
    without = [context for context in kinds if lacks(context)]
    if not without:
        pytest.skip(f"all clusters in {clusters.CONTEXTS} have the CSI driver csi.spiffe.io")
    ran = netcheck("run", write(SHOP, domain="cluster.local"), context=without[0])
    assert ran.code == 0, ran
    assert set(ran.statuses()) <= {"skipped"}, ran
    assert "there is no CSI driver csi.spiffe.io" in ran.out, ran
