"""Canaries: how a world knows that a change is in force when the CNI does not say so.

Beside the scenario's pods stand a hub and, on every node that it uses, a pair of canaries for each kind of
policy that the scenario uses. After each change a policy of the run's own of every such kind is applied (or
deleted) that cuts one canary's ingress and the other's egress. A CNI that works its changes off in order
has the user's objects in force when the canaries of a node flip; kinds have canaries of their own, because
plugins watch each kind separately. It is strong evidence, not proof, and reports call it what it is;
consecutive sweeps have to agree besides.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from harness.clusters.kube.api import Api
from harness.clusters.kube.cni import Cni, Kind, Mark, PodPlace
from harness.clusters.kube.enforcement import Enforcement
from harness.clusters.kube.fleet import Fleet
from harness.clusters.kube.manifests import RUN_LABEL
from harness.engine.cluster import ClusterError
from harness.model.rules import Direction
from harness.model.topology import Listener, Namespace, Pod

PORT = 8080
FIRST_FLIP_SECONDS = 20.0
"""How long the first canary may take to flip before it is said that nothing enforces policies here."""

FLIP_SECONDS = 60.0
"""How long a canary may take where canaries have flipped before: a slow CNI is no reason for a verdict."""

NOTHING_ENFORCED = "nothing: no policy is enforced here, a canary policy had no effect"
PROBE_SECONDS = 0.4
NETWORK_POLICY: Kind = ("networking.k8s.io/v1", "NetworkPolicy")
_DIRECTIONS = (("in", Direction.INGRESS), ("out", Direction.EGRESS))


class Canary:
    """The canaries of one world.

    Attributes:
        addresses: Of the canaries' pods, by id.
        works: False once a canary did not flip at all: then nothing here enforces policies.
        trouble: Why the last change is not known to be in force; empty when it is.
    """

    def __init__(
        self,
        api: Api,
        fleet: Fleet,
        name: str,
        run: str,
        cni: Cni,
        kinds: Iterable[Kind] = (),
        enforcement: Enforcement | None = None,
    ) -> None:
        self._api = api
        self._fleet = fleet
        self._name = name
        self._run = run
        self._cni = cni
        self._enforcement = enforcement or Enforcement()
        self._some = False
        self._cuts = {NETWORK_POLICY: network_policy} | {
            kind: cni.cuts[kind] for kind in sorted(set(kinds)) if kind in cni.cuts
        }
        self._cut = False
        self._pending = False
        self._marks: tuple[Mark, ...] = ()
        self._began = 0.0
        self._places: dict[str, str] = {}
        self._nodes: list[str] = []
        self.addresses: dict[str, tuple[str, ...]] = {}
        self.works: bool | None = None
        self.trouble = ""

    @property
    def hub(self) -> str:
        """The pod that no policy selects; it can also vouch for the cluster's DNS."""
        return f"{self._name}/hub"

    @property
    def nodes(self) -> tuple[str, ...]:
        """Host names of the nodes that have canaries."""
        return tuple(self._nodes)

    def pods(self, nodes: Mapping[str, str]) -> dict[str, tuple[Pod, str]]:
        """The canaries' pods with the node of each, for nodes by letter."""
        listen = (Listener(PORT),)
        self._nodes = sorted(set(nodes.values()))
        found = {self.hub: (Pod(self._name, "hub", {"role": "hub"}, listeners=listen), self._nodes[0])}
        for index in range(len(self._cuts)):
            for number, node in enumerate(self._nodes):
                for role, _ in _DIRECTIONS:
                    name = f"{_role(role, index)}-{number}"
                    pod = Pod(self._name, name, {"role": _role(role, index)}, listeners=listen)
                    found[pod.id] = (pod, node)
        self._places = {pod: node for pod, (_, node) in found.items()}
        return found

    def places(self) -> dict[str, PodPlace]:
        """Where the canaries run."""
        return {pod: PodPlace(node, self.addresses.get(pod, ())) for pod, node in self._places.items()}

    def namespace(self) -> Namespace:
        """The canaries' namespace."""
        return Namespace(self._name, {})

    def settle(self, addresses: dict[str, tuple[str, ...]]) -> None:
        """Learn the pods' addresses once they run."""
        self.addresses = {pod: found for pod, found in addresses.items() if pod.startswith(self._name + "/")}

    def turn(self) -> tuple[Mark, ...]:
        """Cut or uncut the canaries; returns the objects that came or went."""
        # Before the last turn was seen, another one would restore what never changed, and look like proof.
        if self._pending and self.works is not False and not self._await(time.monotonic() + FLIP_SECONDS):
            return self._marks
        self._cut = not self._cut
        self._pending = True
        self._began = time.monotonic()
        marks = []
        for manifest in self._manifests():
            metadata = manifest["metadata"]
            namespace = metadata.get("namespace", "")
            if self._cut:
                self._api.apply(manifest)
            else:
                self._remove(manifest)
            marks.append(Mark(manifest["kind"], namespace, metadata["name"], self._cut))
        self._marks = tuple(marks)
        return self._marks

    def _await(self, deadline: float) -> bool:
        """Whether the last turn is seen on every node before the deadline."""
        while self.works is not False and time.monotonic() < deadline:
            if self._flipped():
                self.works, self._pending = True, False
                self._enforcement.flipped()
                return True
        return False

    def flip(self) -> str:
        """Wait until every node shows the last turn; in words how it is known (`trouble` when it is not)."""
        self.trouble = ""
        known = self.works or self._cni.enforces or self._enforcement.seen
        patience = FLIP_SECONDS if known else self._enforcement.patience(FIRST_FLIP_SECONDS)
        self._some = False
        if self._await(self._began + patience):
            return f"canary policy seen on {self._where()}"
        if self.works is None and not (known or self._some):
            self.works = False
            self._enforcement.nothing()
        if self.works is False:
            return NOTHING_ENFORCED
        everywhere = " everywhere" if self._some else ""
        self.trouble = f"the canary policy was not seen{everywhere} within {patience:.0f} s after the change"
        return "nothing"

    def remove(self) -> None:
        """Delete what does not go away with the namespace.

        Raises:
            ClusterError: It could not be deleted.
        """
        if self._cut:
            for manifest in self._manifests():
                if not manifest["metadata"].get("namespace"):
                    self._remove(manifest)

    def _remove(self, manifest: Mapping[str, Any]) -> None:
        resource = self._api.resource(manifest["apiVersion"], manifest["kind"])
        metadata = manifest["metadata"]
        self._api.delete(resource.path(metadata.get("namespace", ""), metadata["name"]))

    def _where(self) -> str:
        return f"{len(self._nodes)} node{'s' if len(self._nodes) > 1 else ''}"

    def _manifests(self) -> list[dict[str, Any]]:
        found = []
        for index, write in enumerate(self._cuts.values()):
            for role, direction in _DIRECTIONS:
                manifest = dict(write(self._name, f"canary-{role}", _role(role, index), direction))
                manifest["metadata"] = {**manifest["metadata"], "labels": {RUN_LABEL: self._run}}
                found.append(manifest)
        return found

    def _flipped(self) -> bool:
        """Whether all canaries answer, or are silent, as the policies now say."""
        plan: dict[str, list[list[Any]]] = {self.hub: []}
        hub = self.addresses[self.hub][0]
        number = 0
        for index in range(len(self._cuts)):
            for node in range(len(self._nodes)):
                target = self.addresses[f"{self._name}/{_role('in', index)}-{node}"][0]
                plan[self.hub].append([number, self.hub, "tcp", target, PORT, {}])
                source = f"{self._name}/{_role('out', index)}-{node}"
                plan[source] = [[number + 1, source, "tcp", hub, PORT, {}]]
                number += 2
        results = self._fleet.sweep(plan, self._fleet.number(), PROBE_SECONDS, 1)
        errors = [result for result in results.values() if result[1] == "error"]
        if errors:
            raise ClusterError(f"a canary could not be asked: {errors[0][2]}")
        shown = [bool(result[4]) is not self._cut for result in results.values()]
        self._some = self._some or any(shown)
        return all(shown)


def network_policy(namespace: str, name: str, role: str, direction: Direction) -> Mapping[str, Any]:
    """The canary policy that every cluster has; see `cni.CutManifest`."""
    return {
        "apiVersion": NETWORK_POLICY[0],
        "kind": NETWORK_POLICY[1],
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "podSelector": {"matchLabels": {"role": role}},
            "policyTypes": [direction.value.capitalize()],
        },
    }


def _role(direction: str, index: int) -> str:
    """The first kind's canaries are plain `in` and `out`."""
    return f"{direction}{index or ''}"
