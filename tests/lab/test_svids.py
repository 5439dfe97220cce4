"""Certificates of a Workload API and of files in the lab, with real handshakes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.clusters.authority import Authority
from harness.clusters.lab.svids import ENDPOINT
from harness.model.verdict import Status
from harness.scenario import load
from tests.lab.labs import cells, measure, scenario
from tests.unit import fake_workload_api as fake

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parents[2]
IDS = [f"spiffe://cluster.local/ns/shop/sa/{name}" for name in ("api", "web", "job")]
WORLD = """
scenario: issued-elsewhere
pods:
  shop/api:
    serviceAccount: api
    identity: workload-api
    listen: [8080, 8443]
    mtls: {8443: {allow: [spiffe://cluster.local/ns/shop/sa/web, spiffe://cluster.local/ns/shop/sa/own]}}
  shop/web: {serviceAccount: web, identity: workload-api}
  shop/job: {serviceAccount: job, identity: {from: workload-api}}
  shop/late: {serviceAccount: late, identity: workload-api}
  shop/file: {identity: {id: spiffe://cluster.local/file, files: FILES}}
  shop/own:
    serviceAccount: own
    identity: true
    listen: [9443]
    mtls: {9443: {allow: [spiffe://cluster.local/ns/shop/sa/web, spiffe://cluster.local/file]}}
expect:
  - {from: [shop/web, shop/own], to: "shop/api:8443", mtls: true, verdict: allow}
  - {from: [shop/web, shop/file], to: "shop/own:9443", mtls: true, verdict: allow}
  - {from: [shop/job, shop/file], to: "shop/api:8443", mtls: true, verdict: tls-rejected}
  - {from: shop/job, to: "shop/own:9443", mtls: true, verdict: tls-rejected}
  - {from: shop/web, to: "shop/api:8443", mtls: {as: expired}, verdict: tls-rejected}
  - {from: shop/web, to: "shop/api:8443", mtls: {as: other-trust-domain}, verdict: tls-rejected}
  - {from: shop/late, to: "shop/api:8080", verdict: allow}
  - {from: shop/late, to: "shop/api:8443", mtls: true, verdict: tls-rejected}
"""


@pytest.fixture
def issuer() -> Authority:
    return Authority()


@pytest.fixture
def api(tmp_path: Path, issuer: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[fake.Served]:
    with fake.serving(tmp_path) as served:
        bundle = issuer.bundle("cluster.local")
        served.say(fake.answer(*(fake.svid(one, issuer.svid(one), bundle) for one in IDS)))
        monkeypatch.setenv(ENDPOINT, f"unix://{served.socket}")
        yield served


def world(tmp_path: Path, issuer: Authority) -> str:
    certificate, key = issuer.svid("spiffe://cluster.local/file")
    texts = {"svid.pem": certificate, "svid_key.pem": key, "svid_bundle.pem": issuer.bundle("cluster.local")}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    return WORLD.replace("FILES", str(tmp_path))


def test_pods_are_who_the_workload_api_says(tmp_path: Path, api: fake.Served, issuer: Authority) -> None:
    found = cells(measure(scenario(world(tmp_path, issuer), tmp_path)))
    late = "shop/late->shop/api:8443/TCP mtls"
    assert {cell.id for cell in found.values() if cell.status is not Status.PASSED} == {late}
    assert found[late].status is Status.ERROR
    assert f"none for {IDS[0].removesuffix('api')}late" in found[late].reason
    first = found["shop/web->shop/api:8443/TCP mtls"].observation
    assert first is not None
    assert (first.client_identity, first.server_identity) == (IDS[1], IDS[0])


def test_the_shipped_scenario_passes(api: fake.Served, issuer: Authority) -> None:
    (shipped,) = load([ROOT / "scenarios/zero-trust/workload-api.yaml"]).scenarios
    ids = {pod.identity for pod in shipped.topology.pods.values() if pod.identity is not None}
    bundle = issuer.bundle("cluster.local")
    api.say(fake.answer(*(fake.svid(one, issuer.svid(one), bundle) for one in sorted(ids))))
    assert {cell.status for cell in cells(measure(shipped)).values()} == {Status.PASSED}


def test_without_an_identity_nothing_is_a_verdict(
    tmp_path: Path, api: fake.Served, issuer: Authority
) -> None:
    api.refuse("no identity issued")
    found = cells(measure(scenario(world(tmp_path, issuer), tmp_path)))
    good = {cell.id for cell in found.values() if cell.status is Status.PASSED}
    # What needs no certificate of the Workload API is measured all the same.
    assert good == {"shop/late->shop/api:8080/TCP", "shop/file->shop/own:9443/TCP mtls"}
    rest = [cell for cell in found.values() if cell.id not in good]
    assert {cell.status for cell in rest} == {Status.ERROR}
    assert all("no identity issued" in cell.reason for cell in rest)


def test_without_a_socket_the_scenario_is_skipped(
    tmp_path: Path, issuer: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ENDPOINT, raising=False)
    skipped = measure(scenario(world(tmp_path, issuer), tmp_path)).scenarios[0].skipped
    assert "lacks the feature workload-api" in skipped
    assert ENDPOINT in skipped
