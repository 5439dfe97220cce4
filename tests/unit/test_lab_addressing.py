"""Who has which address: never two for one, never one for two."""

from __future__ import annotations

import ipaddress
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.clusters.lab.addressing import MAX_NODES, POD_RANGES, SERVICE_RANGES, Addressing, family_of
from harness.clusters.resolve import pick
from harness.engine.cluster import ClusterError
from harness.model.builtin import DNS_POD, with_builtins
from harness.model.topology import External, Family, Pod, Service, ServiceType, Topology
from tests.unit.kubernetes_worlds import pod, world

LETTERS = "abcdefghijklmnopqrstuvwxyz"
NODES = st.none() | st.sampled_from(LETTERS)
PODS = st.lists(
    st.builds(
        lambda number, node, host: pod(f"n/p{number}", node=node, host=host),
        st.integers(0, 20),
        NODES,
        st.booleans(),
    ),
    max_size=12,
    unique_by=lambda item: item.id,
)
SERVICES = st.lists(
    st.builds(
        lambda number: Service("n", f"s{number}", {}, (), list(ServiceType)[number % 3]),
        st.integers(0, 20),
    ),
    max_size=6,
    unique_by=lambda item: item.id,
)


def built(*pods: Pod, services: tuple[Service, ...] = ()) -> Topology:
    return with_builtins(world(*pods, services=services))


@given(st.lists(st.tuples(PODS, SERVICES), min_size=1, max_size=3))
def test_no_address_belongs_to_two(steps: list[tuple[list[Pod], list[Service]]]) -> None:
    addressing = Addressing()
    before = Topology()
    for pods, services in steps:
        topology = built(*pods, services=tuple(services))
        if len({*addressing.nodes, *topology.nodes}) > MAX_NODES:
            continue
        for item in before.pods.values():
            if item != topology.pods.get(item.id):
                addressing.renew(item)
        before = topology
        addressing.learn(topology, DNS_POD)
        owners: dict[str, str] = dict.fromkeys(addressing.kubernetes, "kubernetes")
        for node in addressing.nodes:
            for address in addressing.node(node):
                assert owners.setdefault(address, f"node {node}") == f"node {node}"
        for item in topology.pods.values():
            if not item.host_network:
                for address in addressing.pod(item.id):
                    assert owners.setdefault(address, item.id) == item.id
        for service in topology.services.values():
            found = addressing.service(service.id)
            assert bool(found) == (service.type is not ServiceType.HEADLESS)
            for address in found:
                assert owners.setdefault(address, f"service {service.id}") == f"service {service.id}"


@given(PODS)
def test_addresses_lie_where_routes_lead(pods: list[Pod]) -> None:
    topology = built(*pods)
    if len(topology.nodes) > MAX_NODES:
        return
    addressing = Addressing()
    addressing.learn(topology, DNS_POD)
    for item in topology.pods.values():
        home = addressing.homes[item.id]
        assert item.node in (None, home)
        if item.host_network:
            assert addressing.pod(item.id) == addressing.node(home)
            continue
        for address, network in zip(addressing.pod(item.id), addressing.pod_ranges(home), strict=True):
            assert ipaddress.ip_address(address) in ipaddress.ip_network(network)
            assert ipaddress.ip_address(address) in ipaddress.ip_network(POD_RANGES[family_of(address)])
    ranges = [ipaddress.ip_network(item) for node in addressing.nodes for item in addressing.pod_ranges(node)]
    for one, other in itertools.combinations(ranges, 2):
        assert one.version != other.version or not one.overlaps(other)


@given(st.lists(NODES, min_size=1, max_size=4))
def test_what_has_an_address_keeps_it_when_nodes_are_added(nodes: list[str | None]) -> None:
    addressing = Addressing()
    addressing.learn(built(pod("n/first", node="q")), DNS_POD)
    before = (
        addressing.node("a"),
        addressing.node("q"),
        addressing.pod("n/first"),
        addressing.pod_ranges("q"),
    )
    for number, node in enumerate(nodes):
        addressing.learn(built(pod("n/first", node="q"), pod(f"n/p{number}", node=node)), DNS_POD)
    after = (
        addressing.node("a"),
        addressing.node("q"),
        addressing.pod("n/first"),
        addressing.pod_ranges("q"),
    )
    assert before == after


def test_addresses_are_those_of_a_kind_cluster() -> None:
    service = Service("n", "s", {}, ())
    addressing = Addressing()
    addressing.learn(built(pod("n/x", node="a"), pod("n/y", node="b"), services=(service,)), DNS_POD)
    assert addressing.node("a") == ("172.18.0.2", "fc00:f853::2")
    assert addressing.node("b") == ("172.18.0.3", "fc00:f853::3")
    assert addressing.pod("n/x") == ("10.244.0.2", "fd00:10:244::2")
    assert addressing.pod("n/y") == ("10.244.16.2", "fd00:10:244:1::2")
    assert addressing.service(DNS_POD) == ("10.96.0.10", "fd00:10:96::a")
    for address in addressing.service("n/s"):
        assert ipaddress.ip_address(address) in ipaddress.ip_network(SERVICE_RANGES[family_of(address)])


def test_pods_without_a_node_are_spread() -> None:
    addressing = Addressing()
    addressing.learn(world(*(pod(f"n/p{number}") for number in range(4))), DNS_POD)
    assert list(addressing.homes.values()) == ["a", "b", "a", "b"]


def test_a_pod_that_comes_back_has_a_new_address() -> None:
    addressing = Addressing()
    topology = world(pod("n/x", node="a"))
    addressing.learn(topology, DNS_POD)
    before = addressing.pod("n/x")
    addressing.renew(topology.pods["n/x"])
    addressing.learn(topology, DNS_POD)
    assert addressing.pod("n/x") != before
    assert addressing.homes["n/x"] == "a"


def test_a_pod_that_moves_gets_an_address_of_its_new_node() -> None:
    addressing = Addressing()
    addressing.learn(world(pod("n/x", node="a")), DNS_POD)
    addressing.learn(world(pod("n/x", node="b")), DNS_POD)
    assert addressing.homes["n/x"] == "b"
    assert addressing.pod("n/x")[0].startswith("10.244.16.")


def external(*addresses: str) -> Topology:
    found = {family_of(item): item for item in addresses}
    return Topology(externals={"e": External("e", found)})


@pytest.mark.parametrize(
    "address",
    [
        "10.244.3.4",
        "10.96.0.1",
        "172.18.0.2",
        "172.18.0.3",
        "169.254.1.1",
        "127.0.0.1",
        "224.0.0.1",
        "0.0.0.0",
        "fd00:10:244::9",
        "fd00:10:96::9",
        "fc00:f853::2",
        "fe80::7",
        "ff02::1",
        "::",
        "::1",
    ],
)
def test_an_external_on_an_address_of_the_lab(address: str) -> None:
    with pytest.raises(ClusterError, match=f"external e has the address {address}, which belongs") as caught:
        Addressing().learn(external(address), DNS_POD)
    assert "203.0.113.0/24" in caught.value.advice


@pytest.mark.parametrize(
    "addresses", [("203.0.113.10", "2001:db8::10"), ("172.18.0.99",), ("10.0.0.1",), ("192.168.1.1",)]
)
def test_an_external_anywhere_else(addresses: tuple[str, ...]) -> None:
    Addressing().learn(external(*addresses), DNS_POD)


def test_more_nodes_than_there_is_room_for() -> None:
    pods = [pod(f"n/p{letter}", node=letter) for letter in LETTERS[: MAX_NODES + 1]]
    with pytest.raises(ClusterError, match=f"{MAX_NODES + 1} nodes; the lab has room for {MAX_NODES}"):
        Addressing().learn(world(*pods), DNS_POD)


def test_pick() -> None:
    assert pick(("10.0.0.1", "::2"), Family.IPV4) == "10.0.0.1"
    assert pick(("10.0.0.1", "::2"), Family.IPV6) == "::2"
    assert pick(("10.0.0.1",), Family.IPV6) is None
    assert pick((), Family.IPV4) is None
