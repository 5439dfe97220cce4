"""What certificates come to on paper, once the network lets a connection through."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli import cli
from harness.model.prediction import Answer
from harness.model.probe import DnsQuery, HttpRequest, MutualTls, Request, TlsRequest
from harness.model.topology import Listener, Service, ServicePort
from harness.model.verdict import Verdict
from harness.oracle import predict
from tests.unit.kubernetes_worlds import pod, policy, probe, world

API, WEB, JOB = "spiffe://td/api", "spiffe://td/web", "spiffe://td/job"
STRICT = (Listener(443, allow=(WEB,)), Listener(80))
SERVICE = Service("n", "api", {"app": "api"}, (ServicePort(443, 443),))
WORLD = world(
    replace(pod("n/api", app="api"), identity=API, listeners=STRICT),
    replace(pod("n/web"), identity=WEB),
    replace(pod("n/job"), identity=JOB),
    pod("n/nobody"),
    services=(SERVICE,),
)
TAKES = f"n/api takes on port 443 only {WEB}, and "


def mutual(shows: str = "own", server: str | None = None) -> TlsRequest:
    return TlsRequest(None, MutualTls(shows, server))


@pytest.mark.parametrize(
    ("cell", "request_", "why"),
    [
        ("n/web -> n/api:443", mutual(), ""),
        ("n/nobody -> n/api:443", mutual(WEB), ""),
        ("n/web -> n/api:443", mutual(server=API), ""),
        ("n/job -> n/api:443", mutual(), f"{TAKES}the client is {JOB}"),
        ("n/web -> n/api:443", mutual(JOB), f"{TAKES}the client is {JOB}"),
        ("n/web -> n/api:443", mutual("expired"), f"{TAKES}the client's certificate has expired"),
        ("n/web -> n/api:443", mutual("none"), f"{TAKES}the client shows no certificate"),
        ("n/web -> n/api:443", TlsRequest("a.b"), f"{TAKES}the client shows no certificate"),
        ("n/web -> n/api:443", None, f"{TAKES}the client speaks no TLS"),
        ("n/web -> n/api:443", HttpRequest(), f"{TAKES}the client speaks no TLS"),
        (
            "n/web -> n/api:443",
            mutual("other-trust-domain"),
            f"{TAKES}the client is spiffe://other-trust-domain.example/web",
        ),
        ("n/web -> n/api:443", mutual(server=JOB), f"the client wants {JOB}, and n/api is {API}"),
        ("n/web -> n/api:80", mutual(server=JOB), f"the client wants {JOB}, and n/api is {API}"),
        ("n/job -> n/api:80", mutual(), ""),
        ("n/job -> n/api:80", None, ""),
        ("n/web -> n/api:443/UDP", None, ""),
        ("n/job -> service:n/api:443", mutual(), f"{TAKES}the client is {JOB}"),
    ],
)
def test_the_ends_take_each_other_or_not(cell: str, request_: Request | None, why: str) -> None:
    found = predict(WORLD, (), replace(probe(cell), request=request_))
    assert found.verdict is (Answer.DENY if why else Answer.ALLOW)
    if why:
        assert found.reason == why
        assert found.trace[-1] == f"identities: tls-rejected: {why}"
        assert found.denial is Verdict.TLS_REJECTED
        assert found.deciding == ()


def test_explain_tells_of_the_ends_and_of_no_policy_that_would_help() -> None:
    file = Path(__file__).parents[2] / "scenarios" / "zero-trust" / "two-gates.yaml"
    thief, api = "production/label-thief", "production/api-server:8443"
    text = CliRunner().invoke(cli, ["explain", str(file), thief, api]).output
    assert "tls-rejected" in text
    assert "3. identities  production/api-server takes on port 8443 only spiffe://" in text
    assert "to deny it" not in text
    other = CliRunner().invoke(cli, ["explain", str(file), "production/key-thief", api]).output
    assert "identities" not in other
    assert "allows 8443/TCP from production/key-thief" in other


def test_a_question_to_the_dns_has_no_ends() -> None:
    asked = replace(probe("n/web -> n/api:443"), request=DnsQuery("x.example"))
    assert predict(WORLD, (), asked).verdict is Answer.ALLOW


def test_what_the_network_denies_stays_its_doing() -> None:
    found = predict(
        WORLD, (policy("podSelector: {}"),), replace(probe("n/job -> n/api:443"), request=mutual())
    )
    assert found.verdict is Answer.DENY
    assert "identities" not in " ".join(found.trace)
    assert found.deciding


def test_pods_that_differ_leave_it_open() -> None:
    other = replace(pod("n/api2", app="api"), identity=API, listeners=(Listener(443, allow=(JOB,)),))
    both = world(*WORLD.pods.values(), other, services=(SERVICE,))
    found = predict(both, (), replace(probe("n/job -> service:n/api:443"), request=mutual()))
    assert found.verdict is Answer.UNDEFINED
    assert found.reason.startswith("of the pods behind the target some take the client: n/api takes")
