"""Scenario files → the model."""

# ruff: noqa: E501 - a table of cells reads best with one line per row

from __future__ import annotations

from pathlib import Path

import pytest

from harness.model.builtin import DNS_POD
from harness.model.probe import DnsQuery, HttpRequest, SourceKind, TargetKind
from harness.model.scenario import Scenario
from harness.model.topology import METADATA_NAME, Family, Listener, Protocol, ServicePort, ServiceType
from harness.model.verdict import Expected
from harness.scenario import load
from harness.source.render import render

WORLD = """\
scenario: s
namespaces: {n: {}, m: {labels: {team: "1"}}}
pods:
  n/api: {labels: {app: api, on: yes}, listen: [8080, 8080/UDP, https=8443]}
  n/db: {listen: 8080}
  m/cli: {}
services:
  n/api: {selector: {app: api}, ports: [80:8080, web=443:https, 81:8080/UDP]}
  n/np: {labels: {tier: edge}, selector: {app: api}, ports: 80:8080:30080, type: NodePort}
externals:
  internet: {address: [203.0.113.10, "2001:DB8::10"], listen: [443, tls=444], names: [API.Example.com.]}
"""


def write(tmp_path: Path, text: str, name: str = "s.yaml") -> Path:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def one(tmp_path: Path, text: str) -> Scenario:
    loaded = load([write(tmp_path, text)])
    assert loaded.problems == [], render(loaded.problems, loaded.sources)
    (scenario,) = loaded.scenarios
    return scenario


def ids(tmp_path: Path, expect: str) -> list[str]:
    return [cell.id for cell in one(tmp_path, WORLD + expect).cells]


def test_the_world(tmp_path: Path):
    scenario = one(tmp_path, WORLD + "expect: [{from: m/cli, to: 'n/api:8080', verdict: allow}]")
    topology = scenario.topology
    assert topology.namespaces["m"].labels == {"team": "1", METADATA_NAME: "m"}
    assert topology.pods["n/api"].labels == {"app": "api", "on": "yes"}
    assert topology.pods["n/api"].listeners == (
        Listener(8080),
        Listener(8080, Protocol.UDP),
        Listener(8443, Protocol.TCP, "https"),
    )
    assert (topology.services["n/np"].labels, topology.services["n/api"].labels) == ({"tier": "edge"}, {})
    assert topology.services["n/api"].ports == (
        ServicePort(80, 8080),
        ServicePort(443, "https", name="web"),
        ServicePort(81, 8080, Protocol.UDP),
    )
    assert topology.services["n/np"].type is ServiceType.NODE_PORT
    assert topology.services["n/np"].ports[0].node_port == 30080
    internet = topology.externals["internet"]
    assert internet.addresses == {Family.IPV4: "203.0.113.10", Family.IPV6: "2001:db8::10"}
    assert internet.names == ("api.example.com",)
    assert DNS_POD in topology.pods


@pytest.mark.parametrize(
    ("expect", "expected"),
    [
        ("{from: m/cli, to: 'n/api:8080', verdict: allow}", ["m/cli->n/api:8080/TCP"]),
        ("{from: cli, to: 'api:8080/UDP', verdict: allow}", ["m/cli->n/api:8080/UDP"]),
        ("{from: cli, to: 'api:https', verdict: allow}", ["m/cli->n/api:8443/TCP"]),
        ("{from: cli, to: n/api/ICMP, verdict: allow}", ["m/cli->n/api/ICMP"]),
        ("{from: 'node:a', to: 'node:b/ICMP', verdict: allow}", ["node:a->node:b/ICMP"]),
        ("{from: cli, to: 'node:b:10250', verdict: deny}", ["m/cli->node:b:10250/TCP"]),
        ("{from: 'external:internet', to: 'nodeport:a:30080', verdict: allow}", ["external:internet->nodeport:a:30080/TCP"]),
        ("{from: cli, to: 'external:internet:tls', verdict: allow}", ["m/cli->external:internet:444/TCP"]),
        ("{from: cli, to: 'external:internet/ICMP', verdict: allow}", ["m/cli->external:internet/ICMP"]),
        ("{from: cli, to: 'host:api.example.com:443', verdict: dns-refused}", ["m/cli->host:api.example.com:443/TCP"]),
        ("{from: cli, to: ['service:n/api:80', 'service:api:web'], verdict: allow}", ["m/cli->service:n/api:80/TCP", "m/cli->service:n/api:443/TCP"]),
        ("{from: cli, to: 'service:kube-system/kube-dns:53/UDP', verdict: allow}", ["m/cli->service:kube-system/kube-dns:53/UDP"]),
        ("{from: cli, to: 'kube-system/kube-dns:dns', verdict: allow}", ["m/cli->kube-system/kube-dns:53/UDP"]),
        ("{from: '*', to: '*:8080', verdict: allow}", ["n/api->n/db:8080/TCP", "n/db->n/api:8080/TCP", "m/cli->n/api:8080/TCP", "m/cli->n/db:8080/TCP"]),
        ("{from: 'n/*', to: m/cli/ICMP, verdict: allow}", ["n/api->m/cli/ICMP", "n/db->m/cli/ICMP"]),
        ("{from: n/api, to: 'n/api:8080', verdict: allow}", ["n/api->n/api:8080/TCP"]),
        ("{from: cli, dns: [Kubernetes.default., x.y], type: AAAA, tcp: true, verdict: allow}", ["m/cli->dns:kubernetes.default/AAAA/TCP", "m/cli->dns:x.y/AAAA/TCP"]),
        ("{from: cli, http: {url: 'http://api:8080'}, verdict: allow}", ["m/cli->n/api:8080/TCP GET /"]),
        ("{from: cli, http: {method: PUT, url: 'http://service:n/api:80/a/b:1?q=2'}, verdict: deny-http}", ["m/cli->service:n/api:80/TCP PUT /a/b:1?q=2"]),
        ("{all: deny, ports: [8080/UDP, https]}", ["n/db->n/api:8080/UDP", "n/db->n/api:8443/TCP", "m/cli->n/api:8080/UDP", "m/cli->n/api:8443/TCP"]),
        ("{all: oracle, from: m/cli, to: 'n/*', ports: 8080}", ["m/cli->n/api:8080/TCP", "m/cli->n/db:8080/TCP"]),
    ],
)  # fmt: skip
def test_cells(tmp_path: Path, expect: str, expected: list[str]):
    assert ids(tmp_path, f"expect:\n  - {expect}\n") == expected


def test_a_matrix_knows_the_place_of_every_letter(tmp_path: Path):
    text = WORLD + (
        "expect:\n"
        "  - port: 8080\n"
        "    matrix: |\n"
        "      from\\to    n/api   n/db:8080\n"
        "\n"
        "      # a comment\n"
        "      m/cli        .      X\n"
        "      n/db         ?      -\n"
    )
    cells = one(tmp_path, text).cells
    first_line = WORLD.count("\n") + 7
    assert [(cell.id, cell.expectation.default, cell.place.line, cell.place.column) for cell in cells] == [
        ("m/cli->n/api:8080/TCP", Expected.ALLOW, first_line, 20),
        ("m/cli->n/db:8080/TCP", Expected.DENY, first_line, 27),
        ("n/db->n/api:8080/TCP", Expected.OBSERVE, first_line + 1, 20),
    ]


@pytest.mark.parametrize("header", ["n/api n/db", "x n/api n/db", "a\\b n/api n/db"])
def test_the_corner_word_may_be_left_out(tmp_path: Path, header: str):
    text = f"expect:\n  - port: 8080\n    matrix: |2\n          {header}\n        m/cli D R\n"
    cells = one(tmp_path, WORLD + text).cells
    assert [(cell.id, cell.expectation.default) for cell in cells] == [
        ("m/cli->n/api:8080/TCP", Expected.DROP),
        ("m/cli->n/db:8080/TCP", Expected.REJECT),
    ]


def test_matrix_ports(tmp_path: Path):
    assert ids(tmp_path, "expect: [{port: https, matrix: 'n/api\n\n m/cli .'}]") == ["m/cli->n/api:8443/TCP"]
    assert ids(tmp_path, "expect: [{port: 8080/UDP, matrix: 'n/api\n\n m/cli .'}]") == [
        "m/cli->n/api:8080/UDP"
    ]
    assert ids(tmp_path, "expect: [{port: 8080, protocol: UDP, matrix: 'n/api\n\n m/cli .'}]") == [
        "m/cli->n/api:8080/UDP"
    ]
    assert ids(tmp_path, "expect: [{protocol: ICMP, matrix: 'n/api\n\n m/cli .'}]") == ["m/cli->n/api/ICMP"]


def test_all_leaves_out_what_is_named(tmp_path: Path):
    found = ids(
        tmp_path,
        "expect:\n"
        "  - all: deny\n"
        "    ports: 8080\n"
        "  - {from: m/cli, to: 'n/api:8080', verdict: allow}\n"
        "  - {from: n/db, http: {url: 'http://n/api:8080/'}, verdict: allow}\n"
        "  - {port: 8080, matrix: 'n/db\n\n m/cli -'}\n",
    )
    assert found == ["m/cli->n/api:8080/TCP", "n/db->n/api:8080/TCP GET /", "n/api->n/db:8080/TCP"]


def test_the_same_cell_twice_is_one(tmp_path: Path):
    cells = one(
        tmp_path,
        WORLD + "expect:\n  - {from: cli, to: 'api:8443', verdict: allow}\n"
        "  - {from: m/cli, to: 'n/api:https', verdict: allow}\n",
    ).cells
    assert [cell.place.line for cell in cells] == [WORLD.count("\n") + 2]


def test_http_headers_host_and_body(tmp_path: Path):
    (cell,) = one(
        tmp_path,
        WORLD + "expect: [{from: cli, verdict: allow, http: {url: 'http://api:8080/x', method: POST,"
        " headers: {X-V: 2}, host: shop.example, body: on}}]",
    ).cells
    assert cell.probe.request == HttpRequest("POST", "/x", (("X-V", "2"),), "shop.example", "on")


def test_dns_cells(tmp_path: Path):
    (cell,) = one(tmp_path, WORLD + "expect: [{from: cli, dns: a.b, search: true, verdict: drop}]").cells
    assert cell.probe.request == DnsQuery("a.b", search=True)
    assert (cell.probe.target.kind, cell.probe.target.port) == (TargetKind.DNS, 53)
    assert cell.probe.source.kind is SourceKind.POD


def test_both_families_make_two_cells(tmp_path: Path):
    text = WORLD.replace("scenario: s", "scenario: s\nfamilies: [ipv4, ipv6]")
    cells = one(tmp_path, text + "expect: [{from: cli, to: 'api:8080', verdict: allow}]").cells
    assert [(cell.id, cell.probe.family) for cell in cells] == [
        ("m/cli->n/api:8080/TCP ipv4", Family.IPV4),
        ("m/cli->n/api:8080/TCP ipv6", Family.IPV6),
    ]


def test_an_external_is_probed_in_the_families_it_has(tmp_path: Path):
    text = WORLD.replace("scenario: s", "scenario: s\nfamilies: [ipv4, ipv6]").replace(', "2001:DB8::10"', "")
    cells = one(tmp_path, text + "expect: [{from: cli, to: 'external:internet:443', verdict: allow}]").cells
    assert [cell.id for cell in cells] == ["m/cli->external:internet:443/TCP ipv4"]


def test_replicas(tmp_path: Path):
    scenario = one(
        tmp_path,
        "scenario: s\npods: {n/web: {replicas: 2, listen: 80, labels: {a: b}}, n/cli: {}}\n"
        "expect:\n  - {from: n/web, to: 'n/web:80', verdict: allow}\n  - {from: n/cli, to: 'web:80', verdict: deny}\n"
        "  - {from: n/cli, to: 'n/web-1:81', verdict: deny}\n".replace("web-1:81", "web-1/ICMP"),
    )
    assert [cell.id for cell in scenario.cells] == [
        "n/web-0->n/web-1:80/TCP",
        "n/web-1->n/web-0:80/TCP",
        "n/cli->n/web-0:80/TCP",
        "n/cli->n/web-1:80/TCP",
        "n/cli->n/web-1/ICMP",
    ]
    assert scenario.topology.pods["n/web-1"].labels == {"a": "b"}


def test_verdicts_per_backend_and_known_deviations(tmp_path: Path):
    (cell,) = one(
        tmp_path,
        WORLD + "expect: [{from: cli, to: 'api:8080', verdict: {default: deny, cilium: drop},"
        " known: {backend: calico<3.33, verdict: allow, why: 'https://example.com/1'}}]",
    ).cells
    assert cell.expectation.on(("lab", "cilium")) is Expected.DROP
    assert cell.expectation.on(("kindnet",)) is Expected.DENY
    assert cell.expectation.known[0].backend == "calico<3.33"


def test_defaults_and_settings(tmp_path: Path):
    scenario = one(
        tmp_path,
        "scenario: s\ndescription: ' words '\ntags: a\nneeds: [external, sctp]\ndefaults: {namespace: shop}\n"
        "settings: {connectTimeout: 500ms, settle: 1s, deadline: 2m}\n"
        "pods: {api: {listen: 80}, cli: }\nexpect: [{from: cli, to: 'api:80', verdict: allow}]",
    )
    assert list(scenario.topology.pods)[:2] == ["shop/api", "shop/cli"]
    assert scenario.settings.connect_timeout == 0.5
    assert (scenario.settings.settle, scenario.settings.deadline) == (1.0, 120.0)
    assert (scenario.description, scenario.tags, scenario.needs) == ("words", ("a",), ("external", "sctp"))


def test_a_shared_world(tmp_path: Path):
    write(tmp_path, "pods:\n  n/api: {listen: 80}\n", "shop.yaml")
    scenario = one(
        tmp_path,
        "scenario: s\nworld: shop.yaml\npods: {n/cli: }\nexpect: [{from: n/cli, to: 'n/api:80', verdict: allow}]",
    )
    assert list(scenario.topology.pods)[:2] == ["n/api", "n/cli"]


def test_many_cells_of_one_file_are_expanded_fast(tmp_path: Path):
    import time

    pods = "".join(f"  n/p{number}: {{listen: 80}}\n" for number in range(60))
    begun = time.process_time()
    scenario = one(tmp_path, f"scenario: s\npods:\n{pods}expect: [{{all: oracle}}]\n")
    assert len(scenario.cells) == 60 * 59
    assert time.process_time() - begun < 2
