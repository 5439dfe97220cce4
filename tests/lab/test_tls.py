"""TLS with real packets: what ends a handshake on its way, what is nobody's verdict, and where keys stay."""

from __future__ import annotations

import gc
import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli import cli
from harness.clusters.lab.world import LabWorld
from harness.clusters.resolve import node_place
from harness.model.result import CellResult
from harness.model.verdict import Status, Verdict
from tests.lab.labs import cells, measure, scenario, world

pytestmark = pytest.mark.lab

WORLD = """
scenario: handshakes
pods:
  shop/api:
    serviceAccount: api
    identity: true
    listen: [8080, 8443, 9443]
    node: a
    mtls: {9443: {allow: ["spiffe://cluster.local/ns/shop/sa/web"]}}
  shop/web: {serviceAccount: web, identity: true, node: b}
  shop/job: {serviceAccount: job, identity: true, node: a}
"""
TLS = "shop/web->shop/api:8443/TCP tls:www.example.com"
MTLS = "shop/web->shop/api:9443/TCP mtls"
CELLS = """
expect:
  - {from: shop/web, to: "shop/api:8443", tls: {sni: www.example.com}, verdict: tls-rejected}
  - {from: shop/web, to: "shop/api:9443", mtls: true, verdict: tls-rejected}
"""


def on_the_way(port: int, verdict: str) -> Callable[[str, LabWorld], None]:
    """From the sweep on, packets with data to a port meet `verdict` in every node."""

    def tamper(phase: str, world: LabWorld) -> None:
        if phase == "sweep":
            rule = f"tcp dport {port} tcp flags & psh == psh {verdict}"
            script = (
                f"table inet tamper {{ chain way {{ type filter hook forward priority 10; {rule}; }}\n}}\n"
            )
            scripts = [[node_place(node), script] for node in world._addressing.nodes]
            world._processes.keeper.ask({"op": "nft", "scripts": scripts})

    return tamper


def measured(tmp_path: Path, tamper: Callable[[str, LabWorld], None] | None = None) -> dict[str, CellResult]:
    return cells(measure(scenario(WORLD + CELLS, tmp_path), on_phase=tamper))


@pytest.mark.parametrize(("port", "cell"), [(8443, TLS), (9443, MTLS)])
def test_a_reset_after_the_hello_is_a_rejection(tmp_path: Path, port: int, cell: str) -> None:
    found = measured(tmp_path, on_the_way(port, "reject with tcp reset"))[cell]
    assert (found.status, found.verdict) == (Status.PASSED, Verdict.TLS_REJECTED)
    seen = found.observation
    assert seen is not None
    assert (str(seen.outcome), seen.handshake, seen.listening) == ("reset by rst", "", True)


def test_silence_after_the_hello_is_no_verdict(tmp_path: Path) -> None:
    found = measured(tmp_path, on_the_way(8443, "drop"))[TLS]
    assert (found.status, found.verdict) == (Status.ERROR, None)
    assert found.reason == "connected, but no answer came back"


def test_a_reset_by_a_dead_listener_is_no_verdict(tmp_path: Path) -> None:
    def tamper(phase: str, world: LabWorld) -> None:
        on_the_way(8443, "reject with tcp reset")(phase, world)
        if phase == "sweep":
            world._processes.listener.ask({"op": "close", "identities": ["shop/api"]})

    found = measured(tmp_path, tamper)
    assert {item.status for item in found.values()} == {Status.ERROR}
    assert all("nobody listens" in item.reason for item in found.values())


def test_a_listener_without_its_certificate_is_no_verdict(tmp_path: Path) -> None:
    def tamper(phase: str, world: LabWorld) -> None:
        if phase == "sweep":
            world._processes.listener.ask({"op": "close", "identities": ["shop/api"]})
            pod = world._topology.pods["shop/api"]
            world._listen([world._listener(pod)])

    found = measured(tmp_path, tamper)[TLS]
    assert found.status is Status.ERROR
    assert "closed during the handshake, with neither reset nor alert" in found.reason


def test_who_refused_is_said(tmp_path: Path) -> None:
    text = WORLD + 'expect: [{from: shop/job, to: "shop/api:9443", mtls: true, verdict: allow}]\n'
    (found,) = cells(measure(scenario(text, tmp_path))).values()
    assert (found.status, found.verdict) == (Status.FAILED, Verdict.TLS_REJECTED)
    seen = found.observation
    assert seen is not None
    assert str(seen.outcome) == "tls:access-denied by server"
    assert seen.handshake == "refused: spiffe://cluster.local/ns/shop/sa/job is not allowed"
    assert (seen.client_identity, seen.server_identity) == (
        "spiffe://cluster.local/ns/shop/sa/job",
        "spiffe://cluster.local/ns/shop/sa/api",
    )
    assert found.predicted is not None
    assert found.predicted.verdict == "deny"


def test_a_restarted_pod_has_its_certificate_again(tmp_path: Path) -> None:
    steps = """
steps:
  - name: before
    expect:
      - {from: shop/web, to: "shop/api:9443", mtls: true, verdict: allow}
      - {from: shop/web, to: "shop/api:8443", tls: true, verdict: allow}
  - {name: restart, restart: [shop/api], keep: true}
  - name: replaced
    remove: [shop/api]
    add: {pods: {shop/api2: {serviceAccount: api2, identity: true, listen: [8443], mtls: {8443: {allow: ["spiffe://cluster.local/ns/shop/sa/job"]}}}}}
    expect:
      - {from: shop/job, to: "shop/api2:8443", mtls: true, verdict: allow}
      - {from: shop/web, to: "shop/api2:8443", mtls: true, verdict: tls-rejected}
"""
    result = measure(scenario(WORLD + steps, tmp_path))
    assert [
        (cell.id, cell.reason) for cell in result.scenarios[0].cells if cell.status is not Status.PASSED
    ] == []
    assert len(result.scenarios[0].cells) == 6


SEQUENCE = """
scenario: sequence
pods:
  shop/api: {listen: [8080]}
  shop/web: {}
expect:
  - from: shop/web
    http: [{url: "http://shop/api:8080/a"}, {url: /b, method: POST, body: hello}, {url: /c}]
    verdict: allow
"""


def test_requests_on_one_connection(tmp_path: Path) -> None:
    found = cells(measure(scenario(SEQUENCE, tmp_path)))
    assert {item.status for item in found.values()} == {Status.PASSED}
    assert len(found) == 3


POLICED = """
scenario: sni
needs: [external]
pods:
  shop/web: {labels: {app: web}}
  shop/api: {labels: {app: api}, listen: [8080, 8443]}
externals:
  net: {address: 203.0.113.10, listen: [443], names: [www.example.com, other.example.com]}
policies:
  - apiVersion: cilium.io/v2
    kind: CiliumNetworkPolicy
    metadata: {name: sni, namespace: shop}
    spec:
      endpointSelector: {matchLabels: {app: web}}
      egress:
        - toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: kube-system, k8s-app: kube-dns}}]
          toPorts: [{ports: [{port: "53", protocol: ANY}]}]
        - toCIDR: [203.0.113.10/32]
          toPorts: [{ports: [{port: "443", protocol: TCP}], serverNames: [www.example.com]}]
        - toEndpoints: [{matchLabels: {app: api}}]
          toPorts: [{ports: [{port: "8080", protocol: TCP}], rules: {http: [{path: /public}]}}]
expect:
  - {from: shop/web, to: "host:www.example.com:443", tls: true, verdict: allow}
  - {from: shop/web, to: "host:other.example.com:443", tls: true, verdict: tls-rejected}
  - {from: shop/web, to: "external:net:443", tls: {sni: www.example.com}, verdict: allow}
  - {from: shop/web, to: "external:net:443", tls: {sni: x.example.com}, verdict: tls-rejected}
  - {from: shop/web, to: "external:net:443", tls: true, verdict: tls-rejected}
  - from: shop/web
    http: [{url: "http://shop/api:8080/public"}, {url: /private}, {url: /public}]
    verdict: [allow, deny-http, allow]
"""


def test_policies_on_server_names_and_on_each_request(tmp_path: Path) -> None:
    """What netcheck sends meets Cilium's rules: by SNI, and request after request on one connection."""
    found = cells(measure(scenario(POLICED, tmp_path)))
    assert [(cell.id, cell.reason) for cell in found.values() if cell.status is not Status.PASSED] == []
    assert len(found) == 8
    rejected = [cell for cell in found.values() if cell.verdict is Verdict.TLS_REJECTED]
    assert {str(cell.observation.outcome) for cell in rejected if cell.observation} <= {
        "reset by rst",
        "NOERROR 203.0.113.10, then reset by rst",
    }
    assert all(cell.observation and not cell.observation.handshake for cell in rejected)


def test_thousands_of_handshakes_side_by_side(tmp_path: Path) -> None:
    text = """
scenario: many
pods:
  shop/api: {serviceAccount: api, identity: true, listen: [9443], mtls: {9443: {allow: ["spiffe://cluster.local/ns/shop/sa/web"]}}}
  shop/web: {serviceAccount: web, identity: true, replicas: 40}
  shop/job: {serviceAccount: job, identity: true, replicas: 40}
expect:
  - {from: shop/web, to: "shop/api:9443", mtls: true, verdict: allow}
  - {from: shop/job, to: "shop/api:9443", mtls: true, verdict: tls-rejected}
"""
    wanted = scenario(text, tmp_path)
    probes = [cell.probe for cell in wanted.cells] * 25
    with world(wanted) as built:
        found = built.sweep(probes, 10.0)
    assert len(found) == 2000
    seen = Counter(str(item.outcome) for item in found)
    assert seen == {"connected": 1000, "tls:access-denied by server": 1000}


def test_keys_stay_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither reports nor logs, and no file: certificates have no business there either."""
    (tmp_path / "s.yaml").write_text(WORLD + CELLS)
    monkeypatch.chdir(tmp_path)
    before = set(Path("/tmp").iterdir())
    forms = ",".join(f"{kind}:report.{kind}" for kind in ("junit", "json", "html", "md"))
    done = CliRunner().invoke(cli, ["run", "s.yaml", "-v", "--report", forms])
    gc.collect()
    text = done.output + "".join(
        (tmp_path / f"report.{kind}").read_text() for kind in ("junit", "json", "html", "md")
    )
    assert "spiffe://cluster.local/ns/shop/sa/web" in text
    assert "BEGIN" not in text
    assert "PRIVATE" not in text
    document = json.loads((tmp_path / "report.json").read_text())
    observed = document["scenarios"][0]["steps"][0]["cells"][1]["observation"]
    assert observed["client_identity"] == "spiffe://cluster.local/ns/shop/sa/web"
    fresh = [path for path in Path("/tmp").iterdir() if path not in before and path.is_file()]
    assert [path for path in fresh if os.access(path, os.R_OK) and b"PRIVATE KEY" in path.read_bytes()] == []
