"""What has to be probed: controls in the right world, each once; features with their reasons."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.engine.plan import control_key, controls, needs
from harness.model.probe import Probe, Source, SourceKind, Target, TargetKind
from harness.model.scenario import Scenario, Transition
from harness.model.topology import (
    External,
    Family,
    Protocol,
    Service,
    ServicePort,
    ServiceType,
    Topology,
)
from tests.unit.kubernetes_worlds import pod, probe, world
from tests.unit.worlds import TRIO, cell, dns_probe, scenario, step

SERVICE = Service("n", "s", {"app": "x"}, (ServicePort(80, 80),))
NODE_PORT = Service("n", "np", {"app": "x"}, (ServicePort(80, 80, node_port=30080),), ServiceType.NODE_PORT)


def shape(found: Scenario) -> list[tuple[Topology, list[str]]]:
    return [(item.topology, [probe.id for probe in item.probes.values()]) for item in controls(found)]


def test_one_sweep_for_cells_of_one_world() -> None:
    found = scenario(
        step(cell("n/a -> n/b:80"), cell("n/b -> n/a:80")),
        step(cell("n/a -> n/b:80"), cell("n/c -> n/a:80"), name="again"),
    )
    assert shape(found) == [(TRIO, ["n/a->n/b:80/TCP", "n/b->n/a:80/TCP", "n/c->n/a:80/TCP"])]


def test_pods_of_a_later_step_are_controlled_in_its_world() -> None:
    bigger = world(*TRIO.pods.values(), pod("n/d"))
    found = scenario(
        step(cell("n/a -> n/b:80")),
        step(cell("n/a -> n/b:80"), cell("n/d -> n/b:80"), topology=bigger, name="add"),
    )
    assert shape(found) == [(TRIO, ["n/a->n/b:80/TCP"]), (bigger, ["n/d->n/b:80/TCP"])]


def test_a_service_is_controlled_again_when_its_backends_change() -> None:
    one = world(pod("n/a"), pod("n/b", app="x"), pod("n/c"), services=(SERVICE, NODE_PORT))
    two = world(pod("n/a"), pod("n/b"), pod("n/c", app="x"), services=(SERVICE, NODE_PORT))
    cells = [cell("n/a -> service:n/s:80"), cell("n/a -> nodeport:a:30080"), cell("n/a -> n/b:80")]
    found = scenario(step(*cells), step(*cells, topology=two, name="relabel"), topology=one)
    found = replace(found, steps=(replace(found.steps[0], topology=one), found.steps[1]))
    services = ["n/a->service:n/s:80/TCP", "n/a->nodeport:a:30080/TCP"]
    assert shape(found) == [(one, [*services, "n/a->n/b:80/TCP"]), (two, services)]


def test_relabelling_that_leaves_the_backends_alone_costs_nothing() -> None:
    one = world(pod("n/a"), pod("n/b", app="x"), services=(SERVICE,))
    two = world(pod("n/a", role="client"), pod("n/b", app="x"), services=(SERVICE,))
    cells = [cell("n/a -> service:n/s:80"), cell("n/a -> n/b:80")]
    found = scenario(step(*cells, topology=one), step(*cells, topology=two, name="relabel"), topology=one)
    assert len(controls(found)) == 1


def test_backends_that_come_back_need_no_new_control() -> None:
    one = world(pod("n/a"), pod("n/b", app="x"), services=(SERVICE,))
    none = world(pod("n/a"), pod("n/b"), services=(SERVICE,))
    cells = [cell("n/a -> service:n/s:80")]
    found = scenario(
        step(*cells, topology=one),
        step(topology=none, name="none"),
        step(*cells, topology=one, name="back"),
        topology=one,
    )
    assert shape(found) == [(one, ["n/a->service:n/s:80/TCP"])]


def test_flows_are_controlled_in_the_world_before_the_change() -> None:
    smaller = world(pod("n/a"), pod("n/b"))
    flows = Transition(steady=(cell("n/a -> n/b:80"),), cut=(cell("n/c -> n/b:80"),))
    found = scenario(step(cell("n/b -> n/a:80"), topology=smaller, transition=flows))
    assert shape(found) == [
        (TRIO, ["n/a->n/b:80/TCP", "n/c->n/b:80/TCP"]),
        (smaller, ["n/b->n/a:80/TCP"]),
    ]


def test_a_cell_that_is_also_a_flow_is_controlled_once() -> None:
    flows = Transition(cut=(cell("n/a -> n/b:80"),))
    found = scenario(step(cell("n/a -> n/b:80"), transition=flows))
    assert shape(found) == [(TRIO, ["n/a->n/b:80/TCP"])]


def test_a_flow_to_a_service_is_controlled_with_the_backends_before_and_after() -> None:
    one = world(pod("n/a"), pod("n/b", app="x"), pod("n/c"), services=(SERVICE,))
    two = world(pod("n/a"), pod("n/b"), pod("n/c", app="x"), services=(SERVICE,))
    wanted = cell("n/a -> service:n/s:80")
    found = scenario(step(wanted, topology=two, transition=Transition(steady=(wanted,))), topology=one)
    assert [(item.topology, [key[1] for key in item.probes]) for item in controls(found)] == [
        (one, [(("n/b", 80),)]),
        (two, [(("n/c", 80),)]),
    ]


def test_steps_without_cells_take_no_control() -> None:
    assert controls(scenario(step(), step(name="two"))) == ()


def test_every_cell_of_every_step_has_a_control() -> None:
    two = world(*TRIO.pods.values(), pod("n/d", app="x"), services=(SERVICE,))
    flows = Transition(steady=(cell("n/a -> n/c:80"),), cut=(cell("n/b -> n/c:80"),))
    found = scenario(
        step(cell("n/a -> n/b:80")),
        step(cell("n/d -> n/b:80"), cell("n/a -> service:n/s:80"), topology=two, transition=flows, name="b"),
        step(cell("n/a -> n/b:80"), name="c"),
    )
    taken = {key for item in controls(found) for key in item.probes}
    before = found.topology
    for item in found.steps:
        assert {control_key(one.probe, item.topology) for one in item.cells} <= taken
        assert {control_key(one.probe, before) for one in item.transition_cells()} <= taken
        before = item.topology


def test_needs_of_a_plain_scenario() -> None:
    assert needs(scenario(step(cell("n/a -> n/b:80")))) == {}


HOST = Probe(Source(SourceKind.POD, "n/a"), Target(TargetKind.HOST, "x.example", 443, Protocol.TCP))


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (scenario(step(), needs=("bgp",)), {"bgp": "the scenario says so (needs)"}),
        (scenario(step(), families=(Family.IPV4, Family.IPV6)), {"ipv6": "families names ipv6"}),
        (scenario(step(), families=(Family.IPV4,)), {}),
        (
            scenario(step(cell(probe("n/a -> n/b:80", Family.IPV6)))),
            {"ipv6": "cell n/a->n/b:80/TCP"},
        ),
        (scenario(topology=world(pod("n/a", listen="80/SCTP"))), {"sctp": "n/a listens on SCTP"}),
        (scenario(step(cell("n/a -> n/b:80/SCTP"))), {"sctp": "cell n/a->n/b:80/SCTP"}),
        (scenario(topology=world(pod("n/a", host=True))), {"host-network": "n/a has hostNetwork"}),
        (scenario(step(cell("n/a -> n/b/ICMP"))), {"icmp": "cell n/a->n/b/ICMP"}),
        (scenario(step(cell("node:a -> n/b:80"))), {"node-probes": "cell node:a->n/b:80/TCP"}),
        (scenario(step(cell("n/a -> node:b:80"))), {"node-probes": "cell n/a->node:b:80/TCP"}),
        (scenario(step(cell(dns_probe("n/a", "x")))), {"dns": "cell n/a->dns:x/A"}),
        (scenario(step(cell(HOST))), {"dns": "cell n/a->host:x.example:443/TCP"}),
        (
            scenario(topology=world(pod("n/a"), services=(NODE_PORT,))),
            {"nodeport": "service n/np is a NodePort"},
        ),
        (scenario(topology=world(pod("n/a"), services=(SERVICE,))), {}),
        (
            scenario(topology=Topology(externals={"e": External("e", {Family.IPV4: "203.0.113.1"})})),
            {"external": "external e"},
        ),
        (
            scenario(topology=world(externals={"e": "203.0.113.1"})),
            {"external": "external e", "external-names": "external e has names"},
        ),
        # What only a later step or a flow needs counts as well.
        (scenario(step(topology=world(pod("n/h", host=True)))), {"host-network": "n/h has hostNetwork"}),
        (
            scenario(step(transition=Transition(steady=(cell("n/a -> n/b/ICMP"),)))),
            {"icmp": "cell n/a->n/b/ICMP"},
        ),
        # The author's word is the reason that is shown.
        (
            scenario(step(cell("n/a -> n/b/ICMP")), needs=("icmp",)),
            {"icmp": "the scenario says so (needs)"},
        ),
    ],
)
def test_needs(found: Scenario, wanted: dict[str, str]) -> None:
    assert needs(found) == wanted
