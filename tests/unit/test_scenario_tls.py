"""TLS cells, identities of pods, requests that share a connection: from the file to what is sent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.clusters.authority import Authority
from harness.clusters.certificates import Wallet, guards_of, strict
from harness.clusters.lab.addressing import Addressing
from harness.clusters.request_options import UnresolvedError
from harness.clusters.resolve import Proof, Resolved, Resolver
from harness.engine.plan import control_probe, controls
from harness.model.builtin import DNS_POD
from harness.model.probe import (
    HttpRequest,
    MutualTls,
    Probe,
    Source,
    SourceKind,
    Target,
    TargetKind,
    TlsRequest,
)
from harness.model.renaming import Renaming
from harness.model.scenario import Scenario
from harness.model.serving import allowed, behind, identities
from harness.model.topology import Listener, Protocol, Topology
from harness.model.verdict import Expected
from harness.scenario import load
from harness.source.render import render

API, WEB, JOB = (f"spiffe://cluster.local/ns/n/sa/{name}" for name in ("api", "web", "job"))
WORLD = f"""\
scenario: s
pods:
  n/api: {{labels: {{app: api}}, serviceAccount: api, identity: true, listen: [80, https=8443], mtls: {{https: {{allow: [{WEB}, {JOB}]}}}}}}
  n/api2: {{labels: {{app: api}}, serviceAccount: api2, identity: true, listen: [80, 8443], mtls: {{8443: {{allow: {JOB}}}}}}}
  n/web: {{serviceAccount: web, identity: true}}
  n/cli: {{}}
services:
  n/api: {{selector: {{app: api}}, ports: [443:8443, 80]}}
externals:
  net: {{address: 203.0.113.10, listen: [443], names: [www.example.com]}}
"""  # noqa: E501


def read(tmp_path: Path, expect: str) -> Scenario:
    path = tmp_path / "s.yaml"
    path.write_text(f"{WORLD}expect:\n{expect}")
    loaded = load([path])
    assert loaded.problems == [], render(loaded.problems, loaded.sources)
    (scenario,) = loaded.scenarios
    return scenario


def probes(tmp_path: Path, *entries: str) -> tuple[Topology, list[Probe]]:
    scenario = read(tmp_path, "".join(f"- {entry}\n" for entry in entries))
    return scenario.topology, [cell.probe for cell in scenario.cells]


def resolve(topology: Topology, probe: Probe) -> Resolved:
    addressing = Addressing()
    addressing.learn(topology, DNS_POD)
    return Resolver(topology, addressing).resolve(probe)


def mtls(tmp_path: Path, what: str = "true", source: str = "n/web", to: str = "n/api:https") -> Any:
    topology, (probe,) = probes(tmp_path, f"{{from: {source}, to: '{to}', mtls: {what}, verdict: observe}}")
    return topology, probe


# -- the file --------------------------------------------------------------------------------------------


def test_identities_of_pods(tmp_path: Path) -> None:
    topology, _ = probes(tmp_path, "{from: n/cli, to: 'n/api:80', verdict: allow}")
    assert topology.pods["n/api"].identity == API
    assert topology.pods["n/cli"].identity is None
    assert topology.pods["n/api"].listeners == (
        Listener(80),
        Listener(8443, Protocol.TCP, "https", (WEB, JOB)),
    )


def test_an_identity_of_the_authors_own(tmp_path: Path) -> None:
    text = WORLD.replace("n/cli: {}", "n/cli: {identity: spiffe://td/x}")
    path = tmp_path / "s.yaml"
    path.write_text(text + "expect: [{from: n/cli, to: 'n/api:80', verdict: allow}]\n")
    (scenario,) = load([path]).scenarios
    assert scenario.topology.pods["n/cli"].identity == "spiffe://td/x"


@pytest.mark.parametrize(
    ("entry", "request_"),
    [
        ("to: 'n/api:80', tls: true", TlsRequest()),
        ("to: 'n/api:80', tls: {sni: WWW.Example.com.}", TlsRequest("www.example.com")),
        ("to: 'external:net:443', tls: {}", TlsRequest()),
        ("to: 'host:www.example.com:443', tls: true", TlsRequest("www.example.com")),
        ("to: 'host:www.example.com:443', tls: {sni: other.example}", TlsRequest("other.example")),
        ("to: 'n/api:80', mtls: true", TlsRequest(None, MutualTls())),
        ("to: 'n/api:80', mtls: {}", TlsRequest(None, MutualTls())),
        ("to: 'n/api:80', mtls: {as: expired, sni: a.b}", TlsRequest("a.b", MutualTls("expired"))),
        (f"to: 'n/api:80', mtls: {{as: '{JOB}'}}", TlsRequest(None, MutualTls(JOB))),
        (f"to: 'n/api:80', mtls: {{server: '{JOB}'}}", TlsRequest(None, MutualTls("own", JOB))),
        ("to: 'n/api:80', tls: false, mtls: false", None),
    ],
)
def test_what_cells_ask_for(tmp_path: Path, entry: str, request_: TlsRequest | None) -> None:
    _, (probe,) = probes(tmp_path, f"{{from: n/web, {entry}, verdict: allow}}")
    assert probe.request == request_


def test_a_sequence_is_a_cell_for_each_request(tmp_path: Path) -> None:
    scenario = read(
        tmp_path,
        "- from: [n/web, n/cli]\n"
        "  http: [{url: 'http://n/api:80/a'}, {url: /b, method: PUT, body: x}, {url: 'http://n/api:80/c'}]\n"
        "  verdict: [allow, {default: deny-http, lab: allow}, allow]\n",
    )
    a, b, c = HttpRequest("GET", "/a"), HttpRequest("PUT", "/b", body="x"), HttpRequest("GET", "/c")
    wanted = [a, replace(b, after=(a,)), replace(c, after=(a, b))]
    assert [cell.probe.request for cell in scenario.cells] == [each for each in wanted for _ in range(2)]
    assert [str(cell.expectation.default) for cell in scenario.cells[::2]] == ["allow", "deny-http", "allow"]
    assert [cell.place.line for cell in scenario.cells[::2]] == [13, 13, 13]
    columns = [cell.place.column for cell in scenario.cells[::2]]
    assert columns == sorted(set(columns))


def test_one_verdict_for_all_requests(tmp_path: Path) -> None:
    scenario = read(
        tmp_path, "- {from: n/web, http: [{url: 'http://n/api:80/'}, {url: /b}], verdict: drop}\n"
    )
    assert [cell.expectation.default for cell in scenario.cells] == [Expected.DROP, Expected.DROP]


def test_the_first_request_is_the_cell_that_it_would_be_alone(tmp_path: Path) -> None:
    scenario = read(
        tmp_path,
        "- {from: n/web, http: [{url: 'http://n/api:80/'}, {url: /b}], verdict: allow}\n"
        "- {from: n/web, http: {url: 'http://n/api:80/'}, verdict: allow}\n",
    )
    assert [cell.id for cell in scenario.cells] == [
        "n/web->n/api:80/TCP GET /",
        "n/web->n/api:80/TCP GET /b after GET /",
    ]


# -- who stands behind a target --------------------------------------------------------------------------


def target(kind: TargetKind, name: str, port: int, protocol: Protocol = Protocol.TCP) -> Target:
    return Target(kind, name, port, protocol)


@pytest.mark.parametrize(
    ("found", "pods", "takes"),
    [
        (target(TargetKind.POD, "n/api", 8443), ["n/api:8443"], (WEB, JOB)),
        (target(TargetKind.POD, "n/api", 8443, Protocol.UDP), ["n/api:8443"], None),
        (target(TargetKind.POD, "n/api", 80), ["n/api:80"], None),
        (target(TargetKind.POD, "n/nobody", 80), [], None),
        (target(TargetKind.SERVICE, "n/api", 443), ["n/api:8443", "n/api2:8443"], (JOB,)),
        (target(TargetKind.SERVICE, "n/api", 80), ["n/api:80", "n/api2:80"], None),
        (
            target(TargetKind.HOST, "API.n.svc.cluster.local.", 443),
            ["n/api:8443", "n/api2:8443"],
            (JOB,),
        ),
        (target(TargetKind.HOST, "www.example.com", 443), [], None),
        (target(TargetKind.EXTERNAL, "net", 443), [], None),
    ],
)
def test_behind(tmp_path: Path, found: Target, pods: list[str], takes: tuple[str, ...] | None) -> None:
    topology, _ = probes(tmp_path, "{from: n/cli, to: 'n/api:80', verdict: allow}")
    assert [f"{pod.id}:{port}" for pod, port in behind(found, topology)] == pods
    assert allowed(found, topology) == takes


def test_identities_behind_a_service(tmp_path: Path) -> None:
    topology, _ = probes(tmp_path, "{from: n/cli, to: 'n/api:80', verdict: allow}")
    two = (API, "spiffe://cluster.local/ns/n/sa/api2")
    assert identities(target(TargetKind.SERVICE, "n/api", 443), topology) == two


# -- controls --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "control"),
    [
        ("to: 'n/api:80'", None),
        ("to: 'n/api:80', tls: {sni: a.b}", TlsRequest("a.b")),
        ("to: 'n/api:https'", TlsRequest(None, MutualTls(WEB))),
        ("to: 'n/api:https', tls: {sni: a.b}", TlsRequest("a.b", MutualTls(WEB))),
        ("to: 'n/api:https', mtls: true", TlsRequest(None, MutualTls(WEB))),
        ("to: 'n/api:https', mtls: {as: expired, sni: a.b}", TlsRequest("a.b", MutualTls(WEB))),
        (f"to: 'n/api:https', mtls: {{server: '{JOB}'}}", TlsRequest(None, MutualTls(WEB))),
        ("to: 'service:n/api:443', mtls: true", TlsRequest(None, MutualTls(JOB))),
        ("to: 'n/api:80', mtls: true", TlsRequest(None, MutualTls("none"))),
        ("http: {url: 'http://n/api:https/'}", TlsRequest(None, MutualTls(WEB))),
        ("http: {url: 'http://n/api:80/'}", HttpRequest()),
    ],
)
def test_the_control_is_the_path_as_somebody_who_is_taken(
    tmp_path: Path, entry: str, control: object
) -> None:
    topology, (probe,) = probes(tmp_path, f"{{from: n/web, {entry}, verdict: observe}}")
    found = control_probe(probe, topology)
    assert found.request == control
    assert (found.source, found.target) == (probe.source, probe.target)


def test_cells_that_differ_in_what_they_show_share_a_control(tmp_path: Path) -> None:
    scenario = read(
        tmp_path,
        "- {from: n/web, to: 'n/api:https', mtls: true, verdict: allow}\n"
        "- {from: n/web, to: 'n/api:https', mtls: {as: expired}, verdict: tls-rejected}\n"
        "- {from: n/web, to: 'n/api:https', verdict: tls-rejected}\n",
    )
    (sweep,) = controls(scenario)
    assert [probe.request for probe in sweep.probes.values()] == [TlsRequest(None, MutualTls(WEB))]


# -- what the prober is told -----------------------------------------------------------------------------

HOME, AWAY = "cluster.local", "other-trust-domain.example"


@pytest.mark.parametrize(
    ("what", "certificate", "servers", "trust"),
    [
        ("true", WEB, (API,), (HOME,)),
        ("{as: expired}", f"{WEB}#expired", (API,), (HOME,)),
        ("{as: other-trust-domain}", f"spiffe://{AWAY}/ns/n/sa/web", (API,), (HOME,)),
        ("{as: none}", "", (API,), (HOME,)),
        ("{as: 'spiffe://td/x'}", "spiffe://td/x", (API,), (HOME,)),
        ("{server: 'spiffe://td/x'}", WEB, ("spiffe://td/x",), (HOME, "td")),
    ],
)
def test_certificates(
    tmp_path: Path, what: str, certificate: str, servers: tuple[str, ...], trust: tuple[str, ...]
) -> None:
    found = resolve(*mtls(tmp_path, what))
    assert found.spec[1] == "tls"
    assert found.spec[4] == {"certificate": certificate, "servers": servers, "trust": trust}
    assert found.identity == certificate.removesuffix("#expired")


def test_a_strict_port_proves_itself_to_somebody_whom_it_takes(tmp_path: Path) -> None:
    topology, probe = mtls(tmp_path, "{as: none}")
    (proof,) = resolve(topology, probe).proofs
    assert (proof.place, proof.kind, proof.port) == ("n/api", "tls", 8443)
    assert dict(proof.options) == {"certificate": WEB, "servers": (API,), "trust": (HOME,)}
    assert resolve(topology, replace(probe, request=None)).proofs == (proof,)
    assert proof.spec(3)[5] == {"certificate": WEB, "servers": [API], "trust": [HOME]}


def test_a_port_for_anybody_proves_that_it_speaks_tls(tmp_path: Path) -> None:
    topology, (probe,) = probes(tmp_path, "{from: n/cli, to: 'n/api:80', tls: {sni: a.b}, verdict: allow}")
    found = resolve(topology, probe)
    assert found.spec[1:2] + found.spec[3:] == ["tls", 80, {"sni": "a.b"}]
    assert found.proofs == (Proof("n/api", "tls", found.spec[2], 80),)
    assert found.identity == ""


def test_a_name_leads_to_the_handshake(tmp_path: Path) -> None:
    topology, (probe,) = probes(
        tmp_path, "{from: n/cli, to: 'host:www.example.com:443', tls: true, verdict: allow}"
    )
    found = resolve(topology, probe)
    assert found.spec[1] == "host"
    assert found.spec[4] == {
        "sni": "www.example.com",
        "names": ["www.example.com"],
        "type": "A",
        "kind": "tls",
        "port": 443,
    }
    assert [(proof.place, proof.kind) for proof in found.proofs] == [
        (DNS_POD, "dns"),
        ("external:net", "tls"),
    ]
    addressing = Addressing()
    addressing.learn(topology, DNS_POD)
    onward = Resolver(topology, addressing).dialled(found, "203.0.113.10")
    assert onward.servers == ("external:net",)


def test_a_service_is_toured_with_the_same_certificate(tmp_path: Path) -> None:
    found = resolve(*mtls(tmp_path, to="service:n/api:443"))
    assert [leg.server for leg in found.tour] == ["n/api", "n/api2"]
    assert all(leg.spec[4]["certificate"] == WEB for leg in found.tour)
    assert [dict(proof.options)["certificate"] for proof in found.proofs] == [WEB, JOB]


def test_no_identity_is_no_probe(tmp_path: Path) -> None:
    topology, probe = mtls(tmp_path)
    nobody = replace(probe, source=replace(probe.source, name="n/cli"))
    with pytest.raises(UnresolvedError, match="n/cli has no identity to show"):
        resolve(topology, nobody)
    with pytest.raises(UnresolvedError, match="nobody behind external:net:443/TCP has an identity"):
        resolve(topology, replace(probe, target=target(TargetKind.EXTERNAL, "net", 443)))


def test_requests_before_the_last(tmp_path: Path) -> None:
    topology, found = probes(
        tmp_path,
        "{from: n/web, http: [{url: 'http://host:www.example.com:80/a'}, {url: /b}], verdict: observe}",
    )
    options = resolve(topology, found[1]).spec[4]
    assert options["path"] == "/b"
    assert options["host"] == "www.example.com:80"
    assert [(each["path"], each["host"]) for each in options["after"]] == [("/a", "www.example.com:80")]


def test_renaming_keeps_the_hosts_of_all_requests() -> None:
    renaming = Renaming("ci-", {"n": "ci-n"}, frozenset())
    probe = Probe(
        Source(SourceKind.POD, "n/web"),
        target(TargetKind.HOST, "api.n.svc.cluster.local", 80),
        request=HttpRequest("GET", "/b", after=(HttpRequest("GET", "/a"), HttpRequest(host="x"))),
    )
    found = renaming.probe(probe, Topology())
    assert found.target.name == "api.ci-n.svc.cluster.local"
    assert isinstance(found.request, HttpRequest)
    hosts = [each.host for each in (*found.request.after, found.request)]
    assert hosts == ["api.n.svc.cluster.local:80", "x", "api.n.svc.cluster.local:80"]


# -- certificates ----------------------------------------------------------------------------------------


def spec(how: str, **options: Any) -> list[Any]:
    return [0, "n/web", how, "10.0.0.1", 443, options]


def test_a_process_is_sent_what_it_lacks_and_no_more() -> None:
    wallet = Wallet(Authority())
    assert wallet.lacking([spec("tcp"), spec("http")]) is None
    first = wallet.lacking([spec("tls")])
    assert first == {"op": "keys", "certificates": {}, "bundles": {}}
    assert wallet.lacking([spec("host", kind="tls")]) is None
    second = wallet.lacking([spec("tls", certificate=WEB, trust=(HOME,)), spec("tls", certificate="")])
    assert second is not None
    assert (list(second["certificates"]), list(second["bundles"])) == ([WEB], [HOME])
    third = wallet.lacking([spec("tls", certificate=f"{WEB}#expired", trust=[HOME])])
    assert third is not None
    assert (list(third["certificates"]), list(third["bundles"])) == ([f"{WEB}#expired"], [])
    assert wallet.lacking([spec("tls", certificate=WEB, trust=(HOME,))]) is None


def test_what_listeners_guard_their_ports_with(tmp_path: Path) -> None:
    topology, _ = probes(tmp_path, "{from: n/cli, to: 'n/api:80', verdict: allow}")
    authority = Authority()
    found = guards_of(topology, authority, {"n/api2"})
    assert list(found) == ["n/api", "external:net"]
    assert found["n/api"]["ports"] == {"8443": [WEB, JOB]}
    assert found["n/api"]["certificate"] == list(authority.svid(API))
    assert found["n/api"]["bundle"] == authority.bundle(HOME)
    assert found["external:net"] == {"certificate": list(authority.anonymous()), "bundle": "", "ports": {}}
    assert [strict(topology.pods[name]) for name in ("n/api", "n/web")] == [True, False]


def test_a_port_believes_the_trust_domains_of_those_that_it_takes(tmp_path: Path) -> None:
    topology, _ = probes(tmp_path, "{from: n/cli, to: 'n/api:80', verdict: allow}")
    pod = replace(topology.pods["n/api"], listeners=(Listener(1, allow=("spiffe://td/x", WEB)),))
    authority = Authority()
    found = guards_of(Topology(pods={"n/api": pod}), authority, ())
    assert found["n/api"]["bundle"] == authority.bundle(HOME) + authority.bundle("td")
