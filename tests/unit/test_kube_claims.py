"""What worlds on one cluster cannot share, and the nodes that they probe."""

from __future__ import annotations

from pathlib import Path
from string import Template

from harness.clusters.kube.claims import probed_nodes, wanted
from harness.clusters.kube.node_agents import NodeAgents
from harness.engine.cluster import Claims
from harness.model.scenario import Scenario
from harness.scenario import load

WORLD = """
scenario: all
namespaces: {shop: {}}
pods:
  shop/agent: {hostNetwork: true, listen: [9100, 9100/UDP], node: b}
  shop/api: {labels: {app: api}, listen: [8080]}
services:
  shop/front: {type: NodePort, selector: {app: api}, ports: ["80:8080:30080"]}
externals:
  out: {address: [203.0.113.10, "2001:db8::1"], listen: [443], names: [API.example.com.]}
steps:
  - name: one
    expect: [{from: "node:a", to: "shop/api:8080", verdict: allow}]
  - name: two
    add: {namespaces: {late: {}}, pods: {late/agent: {hostNetwork: true, listen: [9200]}}}
    expect: [{from: shop/api, to: "node:b:9100", verdict: allow}]
"""


def scenario(tmp_path: Path, text: str) -> Scenario:
    file = tmp_path / "case.yaml"
    file.write_text(text)
    loaded = load([file])
    (found,) = loaded.scenarios
    return found


def test_a_scenario_claims_what_there_is_one_of(tmp_path: Path) -> None:
    assert wanted(scenario(tmp_path, WORLD)) == {
        "namespace shop",
        "namespace late",
        "node port 9100/TCP",
        "node port 9100/UDP",
        "node port 9200/TCP",
        "node port 30080/TCP",
        "address 203.0.113.10",
        "address 2001:db8::1",
        "name api.example.com",
    }


def test_a_name_leads_to_one_place_at_a_time(tmp_path: Path) -> None:
    """The cluster's DNS is shared: the second world would have the first one's probes go elsewhere."""
    text = """
scenario: $name
pods: {$name/a: {}}
externals: {out: {address: $address, listen: [443], names: [$host]}}
expect: [{from: $name/a, to: "host:$host:443", verdict: allow}]
"""
    one, two, other = (
        wanted(scenario(tmp_path, Template(text).substitute(name=name, address=address, host=host)))
        for name, address, host in (
            ("a", "203.0.113.1", "api.example.com"),
            ("b", "203.0.113.2", "Api.example.com."),
            ("c", "203.0.113.3", "www.example.com"),
        )
    )
    assert not Claims(one).beside(Claims(two))
    assert Claims(one).beside(Claims(other))


def test_ports_of_ordinary_pods_are_nobodys_business(tmp_path: Path) -> None:
    text = "scenario: a\npods: {n/a: {listen: [80]}}\nexpect: [{from: n/a, to: 'n/a:80', verdict: allow}]\n"
    assert wanted(scenario(tmp_path, text)) == {"namespace n"}


def test_nodes_are_probed_from_and_to(tmp_path: Path) -> None:
    assert probed_nodes(scenario(tmp_path, WORLD)) == {"a", "b"}


def test_node_agents_are_only_made_where_they_are_needed() -> None:
    nobody, both = NodeAgents("nc-1", frozenset()), NodeAgents("nc-1", frozenset("ab"))
    assert (nobody.pods({"a": "one"}), nobody.places, nobody.namespaces) == ({}, {}, ())
    assert both.places == {"nc-1/node-a": "node:a", "nc-1/node-b": "node:b"}
    pods = both.pods({"a": "one", "b": "two"})
    assert {item: node for item, (_, node) in pods.items()} == {"nc-1/node-a": "one", "nc-1/node-b": "two"}
    assert all(pod.host_network and not pod.listeners for pod, _ in pods.values())
    # PodSecurity would refuse the host's network in a namespace without the label, where that is the default.
    assert both.namespaces[0].labels == {"pod-security.kubernetes.io/enforce": "privileged"}
