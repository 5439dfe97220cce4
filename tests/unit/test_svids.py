"""Pods whose certificates others issue: from the scenario to the volumes, the agents and the reports."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.clusters.authority import Authority
from harness.clusters.certificates import Wallet, guard, guards_of
from harness.clusters.kube import manifests, svids, template
from harness.clusters.kube.api import Api, ApiError
from harness.clusters.kube.fleet_svids import KubeSvids
from harness.clusters.kube.manifests import PodOptions
from harness.clusters.kube.svids import SvidFiles, WorkloadApi
from harness.clusters.kube.template import PodTemplate
from harness.clusters.lab.svids import LabSvids, endpoint
from harness.clusters.renamed import RenamedWorld
from harness.clusters.svids import Svids
from harness.engine.cluster import World
from harness.engine.plan import needs
from harness.model.identity import SvidSource
from harness.model.outcome import Observation, Outcome, OutcomeKind
from harness.model.probe import MutualTls, Probe, TlsRequest
from harness.model.scenario import Scenario
from harness.model.topology import Listener, Pod
from harness.scenario import load
from harness.scenario.renaming import renaming_of
from harness.source.render import render
from tests.unit import fake_workload_api as fake
from tests.unit.test_kube_tls import API, JOB, WEB, Site, mutual

WORLD = """\
scenario: s
pods:
  n/api: {serviceAccount: api, identity: workload-api, listen: [80, 8443], mtls: {8443: {allow: [spiffe://cluster.local/ns/n/sa/web]}}}
  n/web: {serviceAccount: web, identity: {id: true, from: workload-api}}
  n/job: {identity: {id: spiffe://prod.example/job, files: /run/spiffe/}}
  n/cli: {identity: {from: netcheck}}
expect:
  - {from: n/web, to: "n/api:8443", mtls: true, verdict: allow}
  - {from: n/web, to: "n/api:8443", mtls: {server: spiffe://cluster.local/ns/n/sa/api, as: spiffe://cluster.local/ns/n/sa/web}, verdict: allow}
  - {from: n/cli, to: "n/api:8443", mtls: true, verdict: tls-rejected}
  - {from: n/cli, to: "n/api:8443", verdict: tls-rejected}
  - {from: n/cli, to: "n/api:80", verdict: allow}
  - {from: n/cli, to: "n/api:80", tls: true, verdict: allow}
  - {from: n/web, to: "n/api:80", verdict: allow}
  - {from: n/web, dns: a.example, verdict: drop}
"""  # noqa: E501


def pem(*lines: str) -> str:
    """What stands for a certificate."""
    return "\n".join(["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""])


PEM = pem("all")


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    path = tmp_path / "s.yaml"
    path.write_text(WORLD)
    loaded = load([path])
    assert loaded.problems == [], render(loaded.problems, loaded.sources)
    return loaded.scenarios[0]


def probes(scenario: Scenario) -> list[Probe]:
    return [cell.probe for cell in scenario.steps[0].cells]


# -- scenarios -----------------------------------------------------------------------------------------


def test_who_issues_a_certificate_is_read(scenario: Scenario) -> None:
    pods = scenario.topology.pods
    found = {name: (pod.identity, pod.svid) for name, pod in pods.items() if pod.namespace == "n"}
    assert found == {
        "n/api": (API, SvidSource()),
        "n/web": (WEB, SvidSource()),
        "n/job": ("spiffe://prod.example/job", SvidSource("/run/spiffe")),
        "n/cli": ("spiffe://cluster.local/ns/n/sa/default", None),
    }
    assert needs(scenario) == {
        "dns": "cell n/web->dns:a.example/A",
        "svid-files": "n/job has its identity from files of /run/spiffe",
        "workload-api": "n/api has its identity from workload-api",
    }


def test_under_other_namespaces_the_ids_follow_where_others_issue_them(scenario: Scenario) -> None:
    renaming = renaming_of(scenario, "ci-")
    topology = renaming.topology(scenario.topology)
    api = topology.pods["ci-n/api"]
    assert api.identity == "spiffe://cluster.local/ns/ci-n/sa/api"
    assert api.listeners[1].allow == ("spiffe://cluster.local/ns/ci-n/sa/web",)
    # Others have names without a namespace, or are netcheck's own to give.
    assert topology.pods["ci-n/job"].identity == "spiffe://prod.example/job"
    assert topology.pods["ci-n/cli"].identity == "spiffe://cluster.local/ns/n/sa/default"
    second = renaming.probe(probes(scenario)[1], scenario.topology).request
    renamed = MutualTls("spiffe://cluster.local/ns/ci-n/sa/web", "spiffe://cluster.local/ns/ci-n/sa/api")
    assert second == TlsRequest(None, renamed)


def test_what_is_seen_under_other_namespaces_has_the_authors_ids(scenario: Scenario) -> None:
    seen = Observation(
        Outcome(OutcomeKind.CONNECTED),
        client_identity="spiffe://cluster.local/ns/ci-n/sa/web",
        server_identity="spiffe://cluster.local/ns/ci-n/sa/api",
    )
    inner = SimpleNamespace(
        sweep=lambda *_: (seen,), connect_timeout=1.0, sweeps=1, build_seconds=0.0, reshape=lambda _: None
    )
    world = RenamedWorld(cast(World, inner), renaming_of(scenario, "ci-"), scenario.topology)
    (found,) = world.sweep(probes(scenario)[:1], 1.0)
    assert (found.client_identity, found.server_identity) == (WEB, API)


# -- pods on a cluster ---------------------------------------------------------------------------------


def spec(pod: Pod, **options: Any) -> tuple[Any, Any]:
    made = manifests.pod(pod, "r1", "worker", PodOptions(template=PodTemplate(**options)))["spec"]
    return made.get("volumes"), made["containers"][0].get("volumeMounts")


def test_pods_get_the_volume_that_their_certificate_comes_with(scenario: Scenario) -> None:
    pods = scenario.topology.pods
    assert spec(pods["n/api"]) == (
        [{"name": "netcheck-svid", "csi": {"driver": "csi.spiffe.io", "readOnly": True}}],
        [{"name": "netcheck-svid", "mountPath": "/spiffe-workload-api", "readOnly": True}],
    )
    files = SvidFiles("spiffe.csi.cert-manager.io", {"spiffe.csi.cert-manager.io/fs-group": "65532"})
    csi = {"driver": files.driver, "readOnly": True, "volumeAttributes": dict(files.attributes)}
    assert spec(pods["n/job"], svid_files=files) == (
        [{"name": "netcheck-svid", "csi": csi}],
        [{"name": "netcheck-svid", "mountPath": "/run/spiffe", "readOnly": True}],
    )
    assert spec(pods["n/job"]) == spec(pods["n/cli"]) == (None, None)


def test_where_the_agent_asks(scenario: Scenario) -> None:
    pods = scenario.topology.pods
    at = WorkloadApi(socket="other.sock")
    assert svids.source(pods["n/api"], at) == {
        "socket": "/spiffe-workload-api/other.sock",
        "identity": API,
    }
    assert svids.source(pods["n/job"], at) == {
        "files": "/run/spiffe",
        "identity": "spiffe://prod.example/job",
    }


def test_a_template_names_drivers_and_socket(tmp_path: Path) -> None:
    path = tmp_path / "pods.yaml"
    path.write_text(
        "spiffe: {driver: spire.example, socket: agent.sock}\n"
        "svidFiles: {driver: files.example, attributes: {a: '1'}}\n"
    )
    found, problems, _ = template.load(path)
    assert problems == []
    assert found.spiffe == WorkloadApi("spire.example", "agent.sock")
    assert found.svid_files == SvidFiles("files.example", {"a": "1"})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("spiffe: {socket: a/b}", "`a/b` is no name of a socket"),
        ("spiffe: {socket: ..}", "`..` is no name of a socket"),
        ("spiffe: {driver: A_b}", "A_b"),
        ("svidFiles: {}", "needs a `driver`"),
        ("svidFiles: {driver: a, sockets: b}", "sockets"),
    ],
)
def test_what_a_template_may_not_say_of_them(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "pods.yaml"
    path.write_text(text)
    _, problems, sources = template.load(path)
    assert why in render(problems, sources)


def api_with(*drivers: str, status: int = 404) -> Api:
    def get(path: str) -> dict[str, Any]:
        if path.rpartition("/")[2] not in drivers:
            raise ApiError("no", status, "No")
        return {}

    return cast(Api, SimpleNamespace(get=get))


def test_a_cluster_with_the_driver_has_the_feature() -> None:
    files = SvidFiles("files.example")
    assert svids.features(api_with("csi.spiffe.io", "files.example"), WorkloadApi(), files) == {
        "workload-api": "",
        "svid-files": "",
    }
    lacking = svids.features(api_with(), WorkloadApi(), None)
    assert lacking["workload-api"] == "there is no CSI driver csi.spiffe.io"
    assert "svidFiles" in lacking["svid-files"]
    assert "--assume" in svids.features(api_with(status=403), WorkloadApi(), None)["workload-api"]
    with pytest.raises(ApiError):
        svids.features(api_with(status=500), WorkloadApi(), None)


# -- who has one ---------------------------------------------------------------------------------------


def test_a_missing_certificate_makes_those_cells_errors_that_need_it(scenario: Scenario) -> None:
    topology = scenario.topology
    seen = [
        Observation(Outcome(OutcomeKind.CONNECTED), client_identity=WEB if number < 2 else "")
        for number in range(len(probes(scenario)))
    ]

    def missing(**why: str) -> list[str]:
        found = Svids(Authority())
        found.look(
            topology.pods,
            lambda pods: {
                pod.id: ("" if pod.name in why else pem("B"), why.get(pod.name, "")) for pod in pods
            },
        )
        checked = found.checked(probes(scenario), seen, topology)
        return [item.outcome.detail if item.outcome.kind is OutcomeKind.ERROR else "" for item in checked]

    assert missing() == [""] * 8
    web = "n/web has no certificate to show: gone"
    assert missing(web="gone") == [web, web, *[""] * 6]
    api = "n/api has no certificate to show: gone"
    # Port 80 speaks without TLS to those who do not ask for it, and a question for a name goes elsewhere.
    assert missing(api="gone") == [api, api, api, api, "", api, "", ""]


def test_what_others_issue_is_believed_beside_netchecks_own(scenario: Scenario) -> None:
    authority = Authority()
    own = authority.bundle("cluster.local")
    found = Svids(authority)
    found.look(
        scenario.topology.pods, lambda pods: {pod.id: (pem("all") + pem(pod.name), "") for pod in pods}
    )
    assert authority.bundle("cluster.local") == own + pem("all") + pem("api") + pem("all") + pem("web")
    assert authority.bundle("prod.example").endswith(pem("job"))
    assert found.missing == {}
    found.look(scenario.topology.pods, lambda pods: {pod.id: (pem("new"), "") for pod in pods})
    assert authority.bundle("cluster.local") == own + pem("new")


def test_two_authorities_of_one_trust_domain_are_an_error(scenario: Scenario) -> None:
    # Ports believe both, and would let in clients of the one that a real server of the other turns away.
    bundles = {"n/api": pem("one"), "n/web": pem("two"), "n/job": pem("three")}
    found = Svids(Authority())

    def missing() -> dict[str, str]:
        found.look(scenario.topology.pods, lambda pods: {pod.id: (bundles[pod.id], "") for pod in pods})
        return found.missing

    assert missing() == {
        "n/api": "its bundle for cluster.local and that of n/web have no authority in common",
        "n/web": "its bundle for cluster.local and that of n/api have no authority in common",
    }
    # A new authority is announced before it issues anything.
    bundles["n/web"] += pem("one")
    assert missing() == {}
    bundles["n/web"] = "# of the day\n" + pem("o", "ne")
    assert missing() == {}


def test_a_wallet_asks_for_the_pods_own_certificate_each_time() -> None:
    wallet = Wallet(Authority())
    source = {"socket": "/s", "identity": WEB}
    specs = [[0, "n/web", "tls", "a", 1, mutual(WEB)], [1, "n/web", "tls", "a", 1, mutual(JOB)]]
    first = wallet.lacking(specs, source)
    assert first is not None
    assert first["certificates"][WEB] == source
    assert "PRIVATE KEY" in first["certificates"][JOB][1]
    again = wallet.lacking(specs, source)
    assert again == {"op": "keys", "certificates": {WEB: source}, "bundles": {}}
    assert wallet.lacking(specs[1:], source) is None


def test_a_wallet_notices_a_new_bundle() -> None:
    authority = Authority()
    wallet = Wallet(authority)
    specs = [[0, "n/web", "tls", "a", 1, mutual(WEB)]]
    assert wallet.lacking(specs) is not None
    assert wallet.lacking(specs) is None
    authority.learn("cluster.local", "new")
    told = wallet.lacking(specs)
    assert told is not None
    assert told["certificates"] == {}
    assert told["bundles"]["cluster.local"].endswith("new")


def test_a_guard_says_who_issues_the_certificate(scenario: Scenario) -> None:
    topology = scenario.topology
    source = {"socket": "/s", "identity": API}
    found = guards_of(topology, Authority(), (), {"n/api": source})
    assert found["n/api"]["certificate"] == source
    assert found["n/api"]["ports"] == {"8443": [WEB]}
    assert "n/api" not in guards_of(topology, Authority(), {"n/api": "why"})


# -- agents --------------------------------------------------------------------------------------------


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.close()


def pods(site: Site) -> dict[str, Pod]:
    listeners = (Listener(site.port, allow=(WEB,)), Listener(site.open_port))
    api = Pod("n", "api", listeners=listeners, identity=API, svid=SvidSource())
    return {pod.id: pod for pod in (api, Pod("n", "web", identity=WEB, svid=SvidSource()))}


def test_agents_fetch_their_own_certificates(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Server and client take theirs of SPIRE's, and believe netcheck's, which controls are taken with."""
    issuer = Authority()
    monkeypatch.setattr(svids, "MOUNT", str(tmp_path))
    with fake.serving(tmp_path) as served:
        found = KubeSvids(site.fleet, WorkloadApi(socket="agent.sock"), patience=0.0)
        found.renew(pods(site))
        assert {name: why.rpartition(": ")[2] for name, why in found.missing.items()} == {
            "n/api": "no identity issued",
            "n/web": "no identity issued",
        }
        entries = [fake.svid(one, issuer.svid(one), issuer.bundle("cluster.local")) for one in (API, WEB)]
        served.say(fake.answer(*entries))
        found.renew(pods(site))
        assert found.missing == {}
        listeners = pods(site)["n/api"].listeners
        own = site.fleet.sources["n/api"]
        site.fleet.certify({"n/api": guard(API, listeners, site.fleet.authority, own)})
        web, job = site.probe(1, (site.port, "tls", mutual(WEB)), (site.port, "tls", mutual(JOB)))
    assert (web[1], web[4], web[11][1]) == ("connected", True, API)
    assert (job[1], job[2]) == ("tls", "access-denied")
    sent = "".join(site.log)
    assert issuer.svid(WEB)[1].splitlines()[1] not in sent, "keys stay with the pods"
    assert sent.count("PRIVATE KEY") == 2, "of JOB, whom netcheck itself plays: begin and end"


def test_one_whose_source_went_away_says_so(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(svids, "MOUNT", str(tmp_path))
    found = KubeSvids(site.fleet, WorkloadApi(), patience=0.0)
    found.renew(pods(site))
    assert "there is no such socket" in found.missing["n/web"]
    (seen,) = site.probe(1, (site.port, "tls", mutual(WEB)))
    assert seen[1] == "error"
    assert "there is no such socket" in seen[2]


def test_nobody_is_waited_for_twice() -> None:
    answers = itertools.chain([("", "not yet"), ("B", "")], itertools.repeat(("", "gone")))
    asked: list[str] = []

    def ask(sources: dict[str, Any]) -> dict[str, tuple[str, str]]:
        asked.extend(sources)
        return {name: next(answers) for name in sources}

    fleet = cast(Any, SimpleNamespace(authority=Authority(), svids=ask))
    found = KubeSvids(fleet, WorkloadApi(), patience=0.05)
    one = {"n/web": Pod("n", "web", identity=WEB, svid=SvidSource())}
    found.renew(one)
    assert (found.missing, len(asked)) == ({}, 2)
    found.renew(one)  # it had one, so it is waited for: a renewal may take a moment
    assert found.missing == {"n/web": "gone"}
    assert len(asked) > 3
    before = len(asked)
    found.renew(one)
    assert len(asked) == before + 1


# -- the lab -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "path", "why"),
    [
        ("unix:///run/spire/agent.sock", "/run/spire/agent.sock", ""),
        ("unix:/run/agent.sock", "/run/agent.sock", ""),
        ("", "", "set SPIFFE_ENDPOINT_SOCKET to the socket of a SPIRE agent: unix:///PATH"),
        (
            "tcp://127.0.0.1:80",
            "",
            "SPIFFE_ENDPOINT_SOCKET is tcp://127.0.0.1:80; netcheck takes a Unix socket",
        ),
        ("unix:agent.sock", "", "SPIFFE_ENDPOINT_SOCKET is unix:agent.sock; netcheck takes a Unix socket"),
    ],
)
def test_the_variable_of_the_standard_names_the_socket(text: str, path: str, why: str) -> None:
    found = endpoint({"SPIFFE_ENDPOINT_SOCKET": text})
    assert found[0] == path
    assert found[1].startswith(why)
    assert bool(found[1]) is bool(why)


def test_the_lab_tells_listeners_only_what_is_new(tmp_path: Path) -> None:
    issuer, authority = Authority(), Authority()
    for name, text in zip(("svid.pem", "svid_key.pem"), issuer.svid(WEB), strict=True):
        (tmp_path / name).write_text(text)
    (tmp_path / "svid_bundle.pem").write_text(issuer.bundle("cluster.local"))
    found = LabSvids(authority, "")
    web = Pod("n", "web", identity=WEB, svid=SvidSource(str(tmp_path)))
    assert found.renew({"n/web": web}) is True
    assert found.renew({"n/web": web}) is False
    assert authority.svid(WEB) == issuer.svid(WEB)
    assert issuer.bundle("cluster.local") in authority.bundle("cluster.local")
    other = replace(web, identity=JOB)
    assert found.renew({"n/web": other}) is True
    assert "none for" in found.missing["n/web"]
