"""A Kubernetes cluster that exists, as a cluster of the engine."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from harness.clusters.kube import cluster_dns, families, nodes, svids, trespass
from harness.clusters.kube.addresses import Addresses
from harness.clusters.kube.api import Api, ApiError
from harness.clusters.kube.bundle import Agent
from harness.clusters.kube.canary import Canary
from harness.clusters.kube.claims import probed_nodes, wanted
from harness.clusters.kube.cni import Cni, Kind
from harness.clusters.kube.enforcement import Enforcement
from harness.clusters.kube.external_agents import ExternalAgents
from harness.clusters.kube.extra_labels import for_scenario
from harness.clusters.kube.fleet import Fleet
from harness.clusters.kube.grounds import Grounds
from harness.clusters.kube.manifests import PodOptions
from harness.clusters.kube.meshes import labels_against
from harness.clusters.kube.node_agents import NodeAgents
from harness.clusters.kube.objects import Objects
from harness.clusters.kube.outside import Nothing, Outside
from harness.clusters.kube.pulling import read_secrets
from harness.clusters.kube.tenancy import Stay, Tenancy
from harness.clusters.kube.world import KubeWorld
from harness.engine.cluster import Claims, ClusterError, UnsupportedError, Waits
from harness.engine.plan import needs
from harness.model.result import Backend
from harness.model.scenario import Scenario
from harness.model.topology import DEFAULT_NODES, Family

FEATURES = frozenset({"dns", "nodeport", "headless", "host-network", "icmp", "node-probes"})
"""What every cluster has. Externals need routes on the nodes and names in the cluster's DNS: where nothing
provides them, scenarios that need them are skipped with that reason."""

_DNS = frozenset({"dns", "external-names"})

UNKNOWN = "unknown"
"""A network plugin that is none of those that netcheck can tell, or its version."""


class KubeCluster:
    """One cluster, reached through its API server.

    Args:
        spec: What the user asked for, for the reports.
        api: The API server.
        detect: Looks which CNI the cluster runs.
        options: How pods are made.
        keep: Leave the world standing for a look; a run has one scenario then.

    Raises:
        ClusterError: The cluster cannot be reached or used.
    """

    def __init__(
        self,
        spec: str,
        api: Api,
        detect: Callable[[Api], Cni],
        options: PodOptions | None = None,
        *,
        keep: bool = False,
    ) -> None:
        self._api = api
        self._keep = keep
        self._options = options or PodOptions()
        self._count = itertools.count(1)
        self._outside: Outside = Nothing()
        self._unprepared: ClusterError | None = None
        self._at_close: list[Callable[[], None]] = []
        self._worlds: list[KubeWorld] = []
        self._left: list[str] = []
        self._enforcement = Enforcement()
        self._grounds = Grounds(api)
        self._tenancy = Tenancy(api)
        self._lock = threading.Lock()
        self._canaries: list[Canary] = []
        version = api.reach()
        listed = api.get("/api/v1/nodes")["items"]
        self._ranges = tuple(cidr for item in listed for cidr in item["spec"].get("podCIDRs") or ())
        self._nodes, tolerate = nodes.usable(listed, self._options.template)
        secrets = read_secrets(api, self._options.pull_secrets)
        self._options = replace(self._options, tolerate_control_plane=tolerate, secrets=secrets)
        groups = [str(item["name"]) for item in api.get("/apis").get("groups", ())]
        self._against_meshes = labels_against(groups)
        dns = cluster_dns.find(api)
        self._dns, self._no_dns = dns.addresses, dns.trouble
        self._cni = detect(api)
        versions = {
            "context": api.context,
            "kubernetes": str(version.get("gitVersion", "")).removeprefix("v"),
        }
        if self._cni.name == UNKNOWN:
            versions["network plugin"] = UNKNOWN
        else:
            versions[self._cni.name] = self._cni.version or UNKNOWN
        versions["nodes"] = str(len(self._nodes))
        features = FEATURES | self._cni.features
        found = families.of_pods(api, listed, self._dns)
        if Family.IPV6 in found:
            features |= {"ipv6"}
        lacks = {}
        if dns.trouble:
            features -= {"dns"}
            lacks["dns"] = dns.trouble
        template = self._options.template
        for feature, why in svids.features(api, template.spiffe, template.svid_files).items():
            if why:
                lacks[feature] = why
            else:
                features |= {feature}
        names, family = (self._cni.name, "kubernetes"), families.primary(self._dns)
        self.backend = Backend(spec, names, versions, features, lacks=lacks, family=family)

    def claims(self, scenario: Scenario) -> Claims:
        """What there is one of; the whole cluster, if policies of it belong to no namespace."""
        alone = any(not policy.namespace for step in scenario.steps for policy in step.policies)
        return Claims(wanted(scenario), alone)

    @property
    def api(self) -> Api:
        """Its API server."""
        return self._api

    @property
    def agent(self) -> Agent:
        """The agent of its pods, with their image."""
        return self._options.agent

    @property
    def ranges(self) -> tuple[str, ...]:
        """Networks of its pods, as far as the nodes know them."""
        return self._ranges

    @property
    def node_addresses(self) -> dict[str, tuple[str, ...]]:
        """Internal addresses of the nodes that are used, by name."""
        return dict(self._nodes)

    def furnish(self, outside: Outside) -> None:
        """Say what is outside; before the run."""
        self._outside = outside
        features = self.backend.features | outside.features
        lacks = {**self.backend.lacks}
        for feature in ("external", "external-names"):
            if feature not in features and outside.advice:
                lacks[feature] = outside.advice
        self.backend = replace(self.backend, features=features, lacks=lacks)

    def prepare(self, scenarios: Sequence[Scenario], run: str) -> None:
        """See `engine.cluster.Cluster`; what goes wrong is the trouble of those who need it."""
        fit = [item for item in scenarios if needs(item).keys() <= self.backend.features]
        self._unprepared = None
        try:
            # Before there are names in the cluster's DNS, so that nobody takes them for a dead run's.
            self._tenancy.arrive(run)
            self._outside.prepare(fit, run)
        except ClusterError as trouble:
            self._unprepared = trouble

    def open(self, scenario: Scenario, run: str, waits: Waits) -> KubeWorld:
        """Build the scenario's world.

        Raises:
            UnsupportedError: The cluster does not serve a kind of policy that the scenario has.
            ClusterError: It cannot be built.
        """
        if self._unprepared is not None and scenario.topology.externals:
            raise self._unprepared
        if self._keep and self._worlds:
            # It would meet policies that reach the whole cluster, or namespaces that are taken.
            text = f"{self.backend.spec} keeps the world of one scenario, and there was another before it"
            raise ClusterError(text, "leave --keep out, or run this scenario alone")
        trespass.refuse(scenario, self._labels_of)
        if not self._dns and not _DNS.isdisjoint(needs(scenario)):
            raise ClusterError(self._no_dns, "what is assumed must be there all the same")
        kinds = _policy_kinds(scenario)
        for api_version, kind in sorted(kinds):
            self._served(api_version, kind)
        options = for_scenario(self._options, scenario, self._against_meshes)
        stay = self._tenancy.enter(run, waits, alone=self.claims(scenario).alone)
        try:
            world = self._world(scenario, run, options, kinds, stay)
        except BaseException:
            stay.end()
            raise
        self._worlds.append(world)
        try:
            world.build(scenario.topology)
        except BaseException:
            world.close()
            raise
        return world

    def interrupt(self) -> None:
        """See `engine.cluster.Cluster`."""
        self._tenancy.stopped.set()

    def _world(
        self, scenario: Scenario, run: str, options: PodOptions, kinds: frozenset[Kind], stay: Stay
    ) -> KubeWorld:
        """The scenario's world, of which nothing is there yet."""
        canary = self._canary_of(run, options)
        topology = scenario.topology
        number = next(self._count)
        letters = sorted({*DEFAULT_NODES, *topology.nodes})
        placed = {letter: self._nodes[index % len(self._nodes)] for index, letter in enumerate(letters)}
        addresses = Addresses(
            nodes={letter: node for letter, (node, _) in placed.items()},
            node_addresses={letter: found for letter, (_, found) in placed.items()},
            dns=self._dns,
        )
        return KubeWorld(
            self._api,
            self._cni,
            addresses,
            options,
            self._grounds,
            canary,
            run,
            kinds,
            NodeAgents(f"netcheck-{run}-nodes-{number}", probed_nodes(scenario)),
            ExternalAgents(self._outside, f"netcheck-{run}-{number}", run),
            stay,
            keep=self._keep,
        )

    def at_close(self, call: Callable[[], None]) -> None:
        """Have something done when the run lets go of the cluster; it never raises."""
        self._at_close.append(call)

    def _labels_of(self, namespace: str) -> Mapping[str, str]:
        labels: Mapping[str, str] = self._api.get(f"/api/v1/namespaces/{namespace}")["metadata"]["labels"]
        return labels

    def _served(self, api_version: str, kind: str) -> None:
        try:
            self._api.resource(api_version, kind)
        except ApiError as trouble:
            if trouble.status != 404:
                raise
            text = f"{self.backend.spec} does not serve {kind} of {api_version}"
            raise UnsupportedError(text) from trouble

    def _canary_of(self, run: str, options: PodOptions) -> Canary:
        """The canaries of the run; new ones where those that were there cannot be used any more."""
        with self._lock:
            if not self._canaries or self._canaries[-1].broken:
                objects = Objects(self._api, run, options, self._grounds)
                name = f"netcheck-{run}-canaries"
                if self._canaries:
                    name += f"-{len(self._canaries) + 1}"
                fleet = Fleet(self._api, run, options.agent)
                self._canaries.append(
                    Canary(self._api, objects, fleet, name, run, self._cni, self._enforcement)
                )
            return self._canaries[-1]

    def close(self) -> None:
        """Remove what stood ready for further scenarios, then do what was asked for, the last first."""
        ends = [*(canary.close for canary in self._canaries), self._grounds.close]
        if not self._keep:
            ends.append(self._outside.close)
        ends.append(self._tenancy.close)
        for end in ends:
            try:
                end()
            except ClusterError as trouble:
                self._left.append(str(trouble))
        self._cni.close()
        while self._at_close:
            self._at_close.pop()()

    @property
    def kept(self) -> tuple[str, ...]:
        """Namespaces that were left standing on purpose, by their names on the cluster."""
        return tuple(sorted(name for world in self._worlds for name in world.kept))

    @property
    def left_behind(self) -> tuple[str, ...]:
        """See `engine.cluster.Cluster`."""
        return (*(world.left_behind for world in self._worlds if world.left_behind), *self._left)


def _policy_kinds(scenario: Scenario) -> frozenset[Kind]:
    return frozenset((policy.api_version, policy.kind) for step in scenario.steps for policy in step.policies)
