"""What the keeper is told to build, in an order in which it can; and the services' rules."""

from __future__ import annotations

import re
from typing import Any

import pytest

from harness.clusters.lab.addressing import Addressing
from harness.clusters.lab.services import ruleset
from harness.clusters.lab.wiring import FABRIC, Wiring
from harness.model.builtin import DNS_POD
from harness.model.topology import Protocol, Service, ServicePort, ServiceType, Topology
from tests.unit.kubernetes_worlds import pod, world

Operations = list[list[Any]]
WORLD = world(
    pod("n/a", node="a"),
    pod("n/b", node="b"),
    pod("n/c", node="c"),
    pod("n/host", node="b", host=True),
    externals={"bank": "203.0.113.10 2001:db8::10", "old": "203.0.113.11"},
)


def wired(topology: Topology) -> tuple[Addressing, Wiring, Operations]:
    addressing = Addressing()
    addressing.learn(topology, DNS_POD)
    wiring = Wiring(addressing)
    operations = wiring.nodes()
    for external in topology.externals.values():
        operations += wiring.external(external)
    for item in topology.pods.values():
        operations += wiring.pod(item)
    return addressing, wiring, operations


def check(operations: Operations) -> dict[str, set[int]]:
    """Carry operations out on paper: nothing is used before it is there. Returns interfaces by place."""
    places: dict[str, set[int]] = {}
    for name, *arguments in operations:
        match name:
            case "namespace":
                assert arguments[0] not in places, "made twice"
                places[arguments[0]] = set()
            case "alias":
                assert arguments[1] in places
            case "veth":
                here, _, index, mac, there, _, peer_index, peer_mac = arguments
                assert mac != peer_mac
                for place, number in ((here, index), (there, peer_index)):
                    assert number not in places[place], f"interface {number} of {place} is taken"
                    places[place].add(number)
            case "address" | "neighbour":
                assert arguments[1] in places[arguments[0]]
            case "route":
                assert arguments[2] in places[arguments[0]]
            case "sysctl":
                assert arguments[0] in places
            case "gone":
                for place in arguments:
                    places.pop(place)
            case other:
                pytest.fail(f"the keeper knows no {other}")
    return places


def test_everything_is_there_before_it_is_used() -> None:
    addressing, wiring, operations = wired(WORLD)
    places = check(operations)
    nodes = {f"node:{item}" for item in addressing.nodes}
    assert set(places) == {FABRIC, *nodes, "external:bank", "external:old", "n/a", "n/b", "n/c"}
    assert ["alias", "n/host", "node:b"] in operations
    # Every pod has one link, every node one per pod, one to each other node and one to the fabric.
    assert {len(places[item]) for item in ("n/a", "n/b", "n/c", "external:bank")} == {1}
    assert {len(places[item]) for item in nodes} == {1 + 2 + 1}
    assert len(places[FABRIC]) == len(nodes) + 2
    assert wiring.interface("n/a").startswith("p")


def test_pods_and_nodes_that_come_later_fit_in() -> None:
    addressing, wiring, operations = wired(WORLD)
    more = world(*WORLD.pods.values(), pod("n/d", node="d"), pod("n/e", node="a"))
    addressing.learn(more, DNS_POD)
    operations += wiring.nodes() + wiring.pod(more.pods["n/d"]) + wiring.pod(more.pods["n/e"])
    places = check(operations)
    assert "node:d" in places
    # The new node has a wire to each of the three that were there.
    assert len(places["node:d"]) == 1 + 3 + 1
    assert wiring.nodes() == []


def test_a_pod_that_is_gone_is_let_go_and_may_come_back() -> None:
    addressing, wiring, operations = wired(WORLD)
    before = wiring.interface("n/a")
    operations += wiring.gone(["n/a"])
    with pytest.raises(KeyError):
        wiring.interface("n/a")
    addressing.renew(WORLD.pods["n/a"])
    addressing.learn(WORLD, DNS_POD)
    operations += wiring.pod(WORLD.pods["n/a"])
    check(operations)
    assert wiring.interface("n/a") != before
    assert wiring.gone([]) == []


def test_stations_and_interfaces_are_unique() -> None:
    _, _, operations = wired(WORLD)
    links = [item for item in operations if item[0] == "veth"]
    macs = [mac for item in links for mac in (item[4], item[8])]
    assert len(set(macs)) == len(macs)
    assert all(re.fullmatch(r"02(:[0-9a-f]{2}){5}", mac) for mac in macs)
    names = [(item[1], item[2]) for item in links]
    assert len(set(names)) == len(names)
    assert all(len(name) < 16 for _, name in names)


def test_every_place_knows_the_station_of_its_neighbours() -> None:
    """Nothing is resolved on the wires, so every gateway and every address behind a link is written down."""
    _, _, operations = wired(WORLD)
    known = {(item[1], item[2], item[3]) for item in operations if item[0] == "neighbour"}
    for item in operations:
        if item[0] == "route" and item[4]:
            assert (item[1], item[3], item[4]) in known or item[1] == FABRIC
        if item[0] == "route" and not item[4] and item[1] != FABRIC:
            assert (item[1], item[3], item[2].partition("/")[0]) in known


# -- services ------------------------------------------------------------------------------------------

SERVICES = (
    Service("n", "web", {"app": "web"}, (ServicePort(80, 8080), ServicePort(53, "dns", Protocol.UDP, "dns"))),
    Service("n", "one", {"app": "one"}, (ServicePort(80, 80, node_port=30080),), ServiceType.NODE_PORT),
    Service("n", "none", {"app": "none"}, (ServicePort(80, 80),)),
    Service("n", "db", {"app": "web"}, (ServicePort(81, 81),), ServiceType.HEADLESS),
)
BUSY = world(
    pod("n/w0", node="a", listen="8080 dns=5353/UDP", app="web"),
    pod("n/w1", node="b", listen="8080", app="web"),
    pod("n/one", node="a", app="one"),
    services=SERVICES,
)
PLACES = Addressing()
PLACES.learn(BUSY, DNS_POD)
W0, W1, ONE = (PLACES.pod(name) for name in ("n/w0", "n/w1", "n/one"))
WEB4, WEB6 = PLACES.service("n/web")


def rules(name: str, node: str = "a") -> list[str]:
    text = ruleset(BUSY, PLACES, node)
    match = re.search(rf"^chain {name} \{{ ?(.*?) ?\}}$", text, re.MULTILINE | re.DOTALL)
    assert match, text
    return [line.strip().rstrip(";") for line in match[1].splitlines() if line.strip()]


def target(protocol: str, address: str, port: int, family: str = "ip") -> list[str]:
    """Where connections to an address end: the DNAT of every backend."""
    start = f"{family} daddr {address} {protocol} dport {port} "
    (line,) = [item for item in rules("dispatch") if item.startswith(start)]
    chain = line.rpartition("goto ")[2]
    *marked, body = rules(chain)
    # Packets that ask for one of the pods by a mark go where the turns lead, too.
    asked = [re.findall(r"\d+ : goto (\w+)", line) for line in marked]
    last = re.findall(r"\d+ : goto (\w+)", body) or [body.rpartition("goto ")[2]]
    assert asked in ([], [last])
    return [rules(item)[0] for item in last]


def test_a_service_leads_to_its_pods_in_turn() -> None:
    assert target("tcp", WEB4, 80) == [
        f"meta l4proto tcp dnat ip to {W0[0]}:8080",
        f"meta l4proto tcp dnat ip to {W1[0]}:8080",
    ]
    assert target("tcp", WEB6, 80, "ip6") == [
        f"meta l4proto tcp dnat ip6 to [{W0[1]}]:8080",
        f"meta l4proto tcp dnat ip6 to [{W1[1]}]:8080",
    ]
    chain = next(line for line in rules("dispatch") if WEB4 in line and " 80 " in line).rpartition(" ")[2]
    assert rules(chain)[0].startswith("ip dscp vmap { 1 : ")
    assert rules(chain)[1].startswith("numgen inc mod 2 vmap")


def test_a_named_target_port_leads_to_pods_that_have_it() -> None:
    assert target("udp", WEB4, 53) == [f"meta l4proto udp dnat ip to {W0[0]}:5353"]


@pytest.mark.parametrize(("node", "own"), [("a", "172.18.0.2"), ("b", "172.18.0.3")])
def test_a_node_port_is_served_at_the_address_of_each_node(node: str, own: str) -> None:
    (line,) = [item for item in rules("dispatch", node) if f"daddr {own} " in item]
    assert line.startswith(f"ip daddr {own} tcp dport 30080 meta mark set meta mark | 0x4000 goto s")
    assert f"meta l4proto tcp dnat ip to {ONE[0]}:80" in target("tcp", PLACES.service("n/one")[0], 80)
    assert "meta mark & 0x4000 == 0x4000 masquerade" in rules("postrouting", node)


def test_a_service_without_pods_refuses() -> None:
    address4, address6 = PLACES.service("n/none")
    assert rules("refused") == [
        f"ip daddr {address4} tcp dport 80 reject",
        f"ip6 daddr {address6} tcp dport 80 reject",
    ]
    assert not [line for line in rules("dispatch") if address4 in line]


def test_a_headless_service_is_not_translated() -> None:
    assert not [line for line in rules("dispatch") if " 81 " in line]


def test_a_pod_of_this_node_that_reaches_itself_is_masqueraded() -> None:
    for node, here, elsewhere in (("a", W0, W1), ("b", W1, W0)):
        found = rules("postrouting", node)
        assert f"ip saddr {here[0]} ip daddr {here[0]} masquerade" in found
        assert f"ip6 saddr {here[1]} ip6 daddr {here[1]} masquerade" in found
        assert not [line for line in found if f"saddr {elsewhere[0]} " in line]


def test_a_world_without_services() -> None:
    plain = world(pod("n/a", node="a"))
    addressing = Addressing()
    addressing.learn(plain, DNS_POD)
    text = ruleset(plain, addressing, "a")
    assert "dnat" not in text
    assert "saddr" not in text
    assert text.count("{") == text.count("}")
