"""Canaries: how a world knows that a change is in force when the CNI does not say so.

Beside the scenario's pods stand a hub and, on every node that it uses, a pair of canaries. After each change
a policy of the run's own is applied (or deleted) that cuts one canary's ingress and the other's egress. A CNI
that works its changes off in order has the user's objects in force when the canaries of a node flip. It is
strong evidence, not proof, and reports call it what it is; consecutive sweeps have to agree besides.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from harness.clusters.kube.api import Api
from harness.clusters.kube.fleet import Fleet
from harness.clusters.kube.manifests import RUN_LABEL
from harness.clusters.kube.objects import Objects
from harness.model.topology import Listener, Namespace, Pod

PORT = 8080
FLIP_SECONDS = 15.0
"""How long a canary may take to flip before it is said that nothing enforces policies here."""

NOTHING_ENFORCED = "nothing: no policy is enforced here, a canary policy had no effect"
PROBE_SECONDS = 0.4
_KIND = "networking.k8s.io/v1"


class Canary:
    """The canaries of one world.

    Attributes:
        addresses: Of the canaries' pods, by id.
        works: False once a canary did not flip: then nothing here enforces policies.
    """

    def __init__(self, api: Api, objects: Objects, fleet: Fleet, name: str, run: str) -> None:
        self._api = api
        self._objects = objects
        self._fleet = fleet
        self._name = name
        self._run = run
        self._cut = False
        self.addresses: dict[str, tuple[str, ...]] = {}
        self._nodes: list[str] = []
        self.works: bool | None = None

    @property
    def hub(self) -> str:
        """The pod that no policy selects; it can also vouch for the cluster's DNS."""
        return f"{self._name}/hub"

    def pods(self, nodes: Mapping[str, str]) -> dict[str, tuple[Pod, str]]:
        """The canaries' pods with the node of each, for nodes by letter."""
        listen = (Listener(PORT),)
        self._nodes = sorted(set(nodes.values()))
        found = {self.hub: (Pod(self._name, "hub", {"role": "hub"}, listeners=listen), self._nodes[0])}
        for number, node in enumerate(self._nodes):
            for role in ("in", "out"):
                pod = Pod(self._name, f"{role}-{number}", {"role": role}, listeners=listen)
                found[pod.id] = (pod, node)
        return found

    def namespace(self) -> Namespace:
        """The canaries' namespace."""
        return Namespace(self._name, {})

    def settle(self, addresses: dict[str, tuple[str, ...]]) -> None:
        """Learn the pods' addresses once they run."""
        self.addresses = {pod: found for pod, found in addresses.items() if pod.startswith(self._name + "/")}

    def flip(self) -> tuple[float, str]:
        """Cut or uncut the canaries and wait until every node shows it.

        Returns:
            Seconds from the change, and in words how it was known.
        """
        self._cut = not self._cut
        began = time.monotonic()
        for manifest in self._policies():
            if self._cut:
                self._api.apply(manifest)
            else:
                resource = self._api.resource(_KIND, "NetworkPolicy")
                self._api.delete(resource.path(self._name, manifest["metadata"]["name"]))
        while time.monotonic() - began < FLIP_SECONDS:
            if self._flipped():
                self.works = True
                return time.monotonic() - began, f"canary policy seen on {self._where()}"
            if self.works is False:
                break
        if self._cut and self.works is None:
            self.works = False
        if self.works is False:
            return time.monotonic() - began, NOTHING_ENFORCED
        return time.monotonic() - began, f"nothing: the canary did not flip within {FLIP_SECONDS:.0f} s"

    def _where(self) -> str:
        return f"{len(self._nodes)} node{'s' if len(self._nodes) > 1 else ''}"

    def _policies(self) -> list[dict[str, Any]]:
        found = []
        for role, kind in (("in", "Ingress"), ("out", "Egress")):
            found.append(
                {
                    "apiVersion": _KIND,
                    "kind": "NetworkPolicy",
                    "metadata": {
                        "name": f"canary-{role}",
                        "namespace": self._name,
                        "labels": {RUN_LABEL: self._run},
                    },
                    "spec": {"podSelector": {"matchLabels": {"role": role}}, "policyTypes": [kind]},
                }
            )
        return found

    def _flipped(self) -> bool:
        """Whether all canaries answer, or are silent, as the policy now says."""
        plan: dict[str, list[list[Any]]] = {self.hub: []}
        hub = self.addresses[self.hub][0]
        for number in range(len(self._nodes)):
            target = self.addresses[f"{self._name}/in-{number}"][0]
            plan[self.hub].append([2 * number, self.hub, "tcp", target, PORT, {}])
            source = f"{self._name}/out-{number}"
            plan[source] = [[2 * number + 1, source, "tcp", hub, PORT, {}]]
        results = self._fleet.sweep(plan, self._fleet.number(), PROBE_SECONDS, 1)
        return all(bool(result[4]) is not self._cut for result in results.values())
