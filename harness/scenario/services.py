"""Services against the pods that they select, over all steps of a scenario."""

from __future__ import annotations

from collections.abc import Iterable

from harness.model.topology import Service, Topology
from harness.scenario.world import World
from harness.source.diagnostics import Problems


def check_services(worlds: Iterable[World], problems: Problems) -> None:
    """Report service ports that no pod serves in any of the worlds (the states between the steps)."""
    states = list(worlds)
    topologies = [world.topology() for world in states]
    seen: set[str] = set()
    for world in states:
        for id, service in world.services.items():
            if id in seen:
                continue
            seen.add(id)
            _check_service(world, service, topologies, problems)


def _check_service(world: World, service: Service, states: list[Topology], problems: Problems) -> None:
    selected = {
        pod.id: pod
        for state in states
        for pod in state.pods.values()
        if pod.namespace == service.namespace
        and service.selector
        and all(pod.labels.get(key) == value for key, value in service.selector.items())
    }
    if not selected:
        if service.selector:
            problems.warning(
                "service-without-pods",
                f"service {service.id} selects no pod",
                world.places[("service", service.id)],
                help="check its selector against the pods' labels",
            )
        return
    for port in service.ports:
        if any(
            item.protocol == port.protocol and port.target in (item.port, item.name)
            for pod in selected.values()
            for item in pod.listeners
        ):
            continue
        offered = sorted(
            {
                f"{item.name}={item.port}/{item.protocol}" if item.name else f"{item.port}/{item.protocol}"
                for pod in selected.values()
                for item in pod.listeners
            }
        )
        problems.error(
            "service-target-port",
            f"no pod of service {service.id} listens on its target port {port.target}/{port.protocol}",
            world.port_places[service.id][port.port, port.protocol.value],
            help=f"its pods listen on {', '.join(offered)}" if offered else "let the pods `listen` on it",
        )
