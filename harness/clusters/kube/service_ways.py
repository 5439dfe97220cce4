"""When it is known that services lead to the pods that they have now.

Services follow their pods late: first the cluster writes down who stands behind one (its EndpointSlices),
then on every node kube-proxy, or what stands in for it, comes to lead there. Until then a service refuses,
or leads to a pod that is gone, and either would look like a policy. So after pods or services have changed
the slices are awaited, and then a service of netcheck's own is made: a node that leads to that one has worked
off what was written before it, as each node watches services and slices in order.
"""

from __future__ import annotations

import secrets
import select
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.clusters.kube import manifests
from harness.clusters.kube.api import Api
from harness.clusters.kube.canary import Canary
from harness.clusters.kube.canary_policies import PORT
from harness.clusters.kube.watching import await_list
from harness.model.builtin import DNS_POD
from harness.model.topology import Service, ServicePort, Topology

SECONDS = 60.0
"""How long all of it may take before the step is an error."""

PAUSE = 0.1
"""Seconds between two looks at the nodes."""

Json = dict[str, Any]
Ways = Mapping[str, frozenset[tuple[str, ...]]]
"""Addresses of each pod behind a service, by the service's id."""


def ways(topology: Topology, addresses: Callable[[str], tuple[str, ...]]) -> Ways:
    """Whom each service selects, whether or not a pod offers a port that it leads to."""
    found: dict[str, frozenset[tuple[str, ...]]] = {}
    for service in topology.services.values():
        if service.id == DNS_POD or not service.selector:
            continue
        found[service.id] = frozenset(
            addresses(pod.id)
            for pod in topology.pods.values()
            if pod.namespace == service.namespace and service.selector.items() <= pod.labels.items()
        )
    return found


class ServiceWays:
    """What one world knows of its services."""

    def __init__(self, api: Api, canary: Canary, run: str) -> None:
        self._api = api
        self._canary = canary
        self._run = run
        self._known: Ways = {}

    def learnt(self, now: Ways) -> None:
        """Take it that services lead there: controls will show it, cell by cell."""
        self._known = now

    def settle(self, now: Ways) -> str:
        """Wait until services lead to their pods on every node.

        Returns:
            Why that is not known; empty when it is.

        Raises:
            ClusterError: The API server refuses.
        """
        if now == self._known:
            return ""
        deadline = time.monotonic() + SECONDS
        for service, pods in now.items():
            if self._known.get(service) != pods and not self._listed(service, pods, deadline):
                return f"the cluster had not put its pods behind {service} after {SECONDS:.0f} s"
        trouble = self._led(deadline)
        if not trouble:
            self._known = now
        return trouble

    def _listed(self, service: str, pods: frozenset[tuple[str, ...]], deadline: float) -> bool:
        """Whether exactly these pods come to stand, ready, behind a service."""
        namespace, name = service.split("/")
        possible = {address for pod in pods for address in pod}

        def good(slices: Sequence[Json]) -> bool:
            ready = {
                address
                for item in slices
                for endpoint in item.get("endpoints") or ()
                if endpoint.get("conditions", {}).get("ready", True)
                for address in endpoint["addresses"]
            }
            return ready <= possible and all(ready.intersection(pod) for pod in pods)

        path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
        return await_list(
            self._api, path, deadline, good, {"labelSelector": f"kubernetes.io/service-name={name}"}
        )

    def _led(self, deadline: float) -> str:
        """Make a service, and wait until every node leads to it."""
        reached = self._canary.nodes_without(self._canary.hub_address)
        if reached:
            return f"a policy reaches netcheck's canaries on {', '.join(reached)}"
        namespace = self._canary.hub.split("/")[0]
        name = f"way-{secrets.token_hex(4)}"
        item = Service(namespace, name, {"role": "hub"}, (ServicePort(PORT, PORT),))
        made = self._api.create(manifests.service(item, self._run))
        try:
            while missing := self._canary.nodes_without(str(made["spec"]["clusterIP"])):
                if time.monotonic() >= deadline:
                    nodes = ", ".join(missing)
                    return f"{nodes} did not lead to a new service of netcheck's within {SECONDS:.0f} s"
                select.select([], [], [], PAUSE)
        finally:
            self._api.delete(f"/api/v1/namespaces/{namespace}/services/{name}")
        return ""
