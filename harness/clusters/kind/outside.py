"""Externals of a kind cluster: containers beside the nodes, routes to them, names in the cluster's DNS."""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from harness.clusters.kind.commands import Docker
from harness.clusters.kind.pipe import ProgramPipe
from harness.clusters.kind.process import CommandError
from harness.clusters.kind.standing import owners
from harness.clusters.kube.api import Api
from harness.clusters.kube.bundle import Agent
from harness.clusters.kube.manifests import RUN_LABEL
from harness.clusters.kube.names import ClusterNames
from harness.clusters.kube.outside import Dial, Externals, NoExternals
from harness.clusters.resolve import external_place
from harness.engine.cluster import ClusterError
from harness.model.scenario import Scenario
from harness.model.topology import External

CLUSTER_LABEL = "netcheck.dev/cluster"
NETWORK = "kind"

ROUTE_PROTOCOL = "78"
"""Marks routes on nodes as netcheck's, so that they are found again (`ip route show proto 78`)."""

NAMES_SECONDS = 120.0
"""How long CoreDNS may take to read its configuration; it looks every 45 s at least, by default."""

_WIDTH = 8
_SYSCTLS = ("net.ipv4.ip_unprivileged_port_start=0", "net.ipv4.ping_group_range=0 2147483647")
_ROUTE = re.compile(r"^(\S+) via (\S+) ", re.M)
_SAFE = re.compile(r"[^a-zA-Z0-9_.-]")


@dataclass(frozen=True, slots=True)
class Place:
    """The containers that a cluster's nodes are.

    Attributes:
        cluster: kind's name of the cluster.
        nodes: Addresses of each node's container on kind's network.
        ours: netcheck made the cluster.
    """

    cluster: str
    nodes: Mapping[str, tuple[str, ...]]
    ours: bool


def network() -> str:
    """Name of the network that kind puts nodes on."""
    return os.environ.get("KIND_EXPERIMENTAL_DOCKER_NETWORK", "") or NETWORK


def find_place(docker: Docker, nodes: Mapping[str, Sequence[str]]) -> Place | None:
    """The containers behind a cluster's nodes; None where these are not this machine's.

    Args:
        docker: The container engine.
        nodes: Internal addresses of the cluster's nodes, by name.

    Raises:
        CommandError: The engine cannot be asked.
    """
    found: dict[str, tuple[str, ...]] = {}
    clusters: set[str] = set()
    ours = True
    present = set(docker.containers("label=io.x-k8s.kind.cluster"))
    for node, expected in nodes.items():
        if node not in present:
            return None
        container = docker.inspect(node)
        addresses = _addresses(container)
        # The same name says little: every default cluster has a kind-control-plane.
        if not set(expected) & set(addresses):
            return None
        found[node] = addresses
        clusters.add(str(container["Config"]["Labels"]["io.x-k8s.kind.cluster"]))
        ours &= bool(owners([container]))
    if len(clusters) != 1:
        return None
    return Place(clusters.pop(), found, ours)


def _addresses(container: Mapping[str, Any]) -> tuple[str, ...]:
    mine = container["NetworkSettings"]["Networks"].get(network()) or {}
    found = (mine.get("IPAddress"), mine.get("GlobalIPv6Address"))
    return tuple(str(item) for item in found if item)


class KindOutside:
    """See `clusters.kube.outside.Outside`.

    Args:
        api: The cluster's API server.
        docker: The container engine of its nodes.
        place: Its nodes.
        agent: As in the cluster's pods; its image must be the engine's too.
        ranges: Networks of the cluster's pods and services; no external may sit in them.
    """

    features = frozenset({"external", "external-names"})
    advice = ""

    def __init__(
        self, api: Api, docker: Docker, place: Place, agent: Agent, ranges: Sequence[str] = ()
    ) -> None:
        self._api = api
        self._docker = docker
        self._place = place
        self._agent = agent
        self._ranges = [ipaddress.ip_network(item, strict=False) for item in ranges]
        self._names: ClusterNames | None = None
        self._families = {":" in item for addresses in place.nodes.values() for item in addresses}

    def prepare(self, scenarios: Sequence[Scenario], run: str) -> None:
        """Put the names of all scenarios into the cluster's DNS, which takes them up in the meantime."""
        self._names = ClusterNames(self._api, run)
        wanted: dict[str, tuple[str, ...]] = {}
        for scenario in scenarios:
            for name, addresses in names_of(scenario.topology.externals.values()).items():
                wanted.setdefault(name, addresses)
        self._names.put(wanted)

    def open(self, world: str, run: str, externals: Mapping[str, External]) -> Externals:
        """Start a container per external, route its addresses to it from every node."""
        if not externals:
            return NoExternals()
        for external in externals.values():
            self._check(external)
        assert self._names is not None, "a run prepares before it opens worlds"
        names = names_of(externals.values())
        self._names.put(names)
        made = KindExternals(self._docker, self._place, self._agent, world, run, self._names, names)
        try:
            made.start(externals, self._usable)
        except BaseException:
            with contextlib.suppress(ClusterError):
                made.close()
            raise
        return made

    def _usable(self, external: External) -> list[str]:
        """Its addresses of the families that the nodes have."""
        return [item for item in external.addresses.values() if (":" in item) in self._families]

    def _check(self, external: External) -> None:
        taken = {item: node for node, addresses in self._place.nodes.items() for item in addresses}
        for text in external.addresses.values():
            address = ipaddress.ip_address(text)
            inside = any(address.version == item.version and address in item for item in self._ranges)
            special = address.is_multicast or address.is_unspecified or address.is_loopback
            if text in taken or inside or special or address.is_link_local:
                raise ClusterError(
                    f"external {external.name} has the address {text}, which belongs to the cluster itself",
                    "choose another, for example from 203.0.113.0/24 or 2001:db8::/32",
                )

    def close(self) -> None:
        """Leave the cluster's DNS as it was found."""
        if self._names is not None:
            self._names.take_out()


def names_of(externals: Iterable[External]) -> dict[str, tuple[str, ...]]:
    """What the DNS has to answer for externals."""
    return {
        name.lower().rstrip("."): tuple(item.addresses.values()) for item in externals for name in item.names
    }


class KindExternals:
    """The containers of one world; see `clusters.kube.outside.Externals`."""

    patience = NAMES_SECONDS
    advice = "is kube-system/coredns well, and has its Corefile the plugin `reload`?"

    def __init__(
        self,
        docker: Docker,
        place: Place,
        agent: Agent,
        world: str,
        run: str,
        dns: ClusterNames,
        names: Mapping[str, Sequence[str]],
    ) -> None:
        self._docker = docker
        self._place = place
        self._agent = agent
        self._world = world
        self._run = run
        self._routes: list[tuple[str, str]] = []
        self._routed: list[str] = []
        self._containers: dict[str, str] = {}
        self._sources: dict[str, tuple[str, ...]] = {}
        self._dns = dns
        self.names = names

    def servers(self) -> Sequence[str]:
        """See `Externals`."""
        return self._dns.servers()

    def nudge(self) -> None:
        """See `Externals`."""
        self._dns.nudge()

    @property
    def dials(self) -> Mapping[str, Dial]:
        """See `Externals`."""
        return {name: functools.partial(self._dial, name) for name in self._containers}

    def _dial(self, name: str) -> ProgramPipe:
        command = self._agent.probe(external_place(name))
        argv = [self._docker.name, "exec", "--interactive", self._containers[name], *command]
        return ProgramPipe(argv, self._agent)

    def sources(self, external: str) -> Sequence[str]:
        """See `Externals`."""
        return self._sources.get(external, ())

    def start(self, externals: Mapping[str, External], usable: Callable[[External], list[str]]) -> None:
        """Start the containers side by side, then route to them.

        Raises:
            ClusterError: One cannot be started, or a node has another route already.
        """
        for name in externals:
            self._containers[name] = f"{self._world}-{_SAFE.sub('-', name)}"
        with ThreadPoolExecutor(_WIDTH) as pool:
            started = list(pool.map(lambda item: self._start(item, usable(item)), externals.values()))
            for external, way in zip(externals.values(), started, strict=True):
                self._sources[external.name] = tuple(usable(external))
                for address in usable(external):
                    gateway = next((item for item in way if (":" in item) == (":" in address)), "")
                    if gateway:
                        self._routes.append((address, gateway))
            list(pool.map(self._route, self._place.nodes))

    def _start(self, external: External, addresses: Sequence[str]) -> tuple[str, ...]:
        container = self._containers[external.name]
        ports: list[list[int | str]] = [[item.port, item.protocol.value] for item in external.listeners]
        options = ["--name", container, "--network", network(), "--read-only", "--user", "0:0"]
        # To have its addresses and routes, in its own network namespace; nothing else.
        options += ["--cap-drop", "ALL", "--cap-add", "NET_ADMIN", "--security-opt", "no-new-privileges"]
        options += [
            "--label",
            f"{RUN_LABEL}={self._run}",
            "--label",
            f"{CLUSTER_LABEL}={self._place.cluster}",
        ]
        options += ["--pull", "never", "--entrypoint", ""]
        options += [part for item in _SYSCTLS for part in ("--sysctl", item)]
        command = self._agent.serve(external_place(external.name), ports, addresses)
        try:
            self._docker.start(self._agent.image, *options, command=command)
        except CommandError as trouble:
            raise ClusterError(
                f"external {external.name} cannot be started: {trouble}",
                f"the pods' image must be in the nodes' container engine too: "
                f"{self._docker.name} pull {self._agent.image}",
            ) from trouble
        return _addresses(self._docker.inspect(container))

    def _route(self, node: str) -> None:
        self._routed.append(node)
        for six in (False, True):
            lines = [
                f"route add {address} via {gateway} proto {ROUTE_PROTOCOL}"
                for address, gateway in self._routes
                if (":" in address) is six
            ]
            try:
                _batch(self._docker, node, lines, six=six)
            except CommandError as trouble:
                if "File exists" in trouble.stderr:
                    raise ClusterError(
                        f"node {node} has a route to an external's address already",
                        "wait for the other run that uses the cluster; if it was killed: netcheck cleanup",
                    ) from trouble
                raise

    def close(self) -> None:
        """See `Externals`."""
        with ThreadPoolExecutor(_WIDTH) as pool:
            troubles = list(pool.map(self._unroute, self._routed))
        self._docker.remove(list(self._containers.values()))
        for trouble in filter(None, troubles):
            raise trouble

    def _unroute(self, node: str) -> ClusterError | None:
        """Remove the routes from a node; returns why some are left."""
        for six in (False, True):
            mine = [route for route in self._routes if (":" in route[0]) is six]
            lines = [f"route del {to} via {gateway} proto {ROUTE_PROTOCOL}" for to, gateway in mine]
            try:
                _batch(self._docker, node, lines, six=six, force=True)
            except CommandError as trouble:
                # Those that were never made, or are gone already, are no trouble.
                try:
                    left = sorted(to for to, gateway in _routes(self._docker, node, six=six) & set(mine))
                except CommandError:
                    left = sorted(to for to, _ in mine)
                if left:
                    return ClusterError(f"routes to {', '.join(left)} are left on node {node}: {trouble}")
        return None


def _routes(docker: Docker, node: str, *, six: bool) -> set[tuple[str, str]]:
    """Routes of netcheck's on a node: where to, by which gateway."""
    family = "-6" if six else "-4"
    shown = docker.exec(node, "ip", family, "route", "show", "proto", ROUTE_PROTOCOL).stdout
    return {(match[1], match[2]) for match in _ROUTE.finditer(shown)}


def _batch(docker: Docker, node: str, lines: Sequence[str], *, six: bool, force: bool = False) -> None:
    """Have `ip` on a node carry out several lines."""
    if lines:
        options = ["-6"] if six else []
        options += ["-force"] if force else []
        docker.exec(node, "ip", *options, "-batch", "-", input=("\n".join(lines) + "\n").encode())


def clean_up(docker: Docker, place: Place, mine: Callable[[str], bool]) -> list[str]:
    """Remove containers of runs for which `mine` holds, and routes that lead to no container any more.

    Returns:
        One line for each.

    Raises:
        CommandError: The engine cannot be asked.
    """
    kept: set[str] = set()
    gone = []
    for name in docker.containers(f"label={RUN_LABEL}", f"label={CLUSTER_LABEL}={place.cluster}"):
        container = docker.inspect(name)
        if mine(str(container["Config"]["Labels"][RUN_LABEL])):
            gone.append(name)
        else:
            kept |= set(_addresses(container))
    docker.remove(gone)
    lines = [f"container {name}" for name in gone]
    for node in place.nodes:
        for six in (False, True):
            routes = sorted(item for item in _routes(docker, node, six=six) if item[1] not in kept)
            dead = [f"route del {to} via {via} proto {ROUTE_PROTOCOL}" for to, via in routes]
            _batch(docker, node, dead, six=six)
            lines += [f"route to {to} on {node}" for to, _ in routes]
    return lines
