"""Canaries: how it is known that a change is in force when the CNI does not say so.

Beside the scenarios' pods stand a hub and, on every node that a scenario uses, a pair of canaries for each
kind of policy in use; a run has them once. After each change a policy of the run's own of every such kind is
applied (or deleted) that cuts one canary's ingress and the other's egress. A CNI that works its changes off
in order has the user's objects in force when the canaries of a node flip; kinds have canaries of their own,
because plugins watch each kind separately. It is strong evidence, not proof, and reports call it what it is;
consecutive sweeps have to agree besides.

Scenarios that run side by side share the canaries: a turn is begun for everybody who waits for it, and proves
something to those only who asked before it began.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.clusters.kube.api import Api
from harness.clusters.kube.cni import Cni, Kind, Mark, PodPlace
from harness.clusters.kube.enforcement import Enforcement
from harness.clusters.kube.fleet import Fleet
from harness.clusters.kube.manifests import RUN_LABEL
from harness.clusters.kube.objects import Objects
from harness.clusters.results import KIND, TOKEN
from harness.engine.cluster import ClusterError
from harness.model.rules import Direction
from harness.model.topology import Listener, Namespace, Pod

PORT = 8080
POD_PORT, NAMESPACE_PORT = 8081, 8082
"""Ports that a canary keeps open for the hub's newest label, and for the newest label of its namespace."""

LABEL = "netcheck.dev/turn"
FIRST_FLIP_SECONDS = 20.0
"""How long the first canary may take to flip before it is said that nothing enforces policies here."""

FLIP_SECONDS = 60.0
"""How long a canary may take where canaries have flipped before: a slow CNI is no reason for a verdict."""

NOTHING_ENFORCED = "nothing: no policy is enforced here, a canary policy had no effect"
PROBE_SECONDS = 0.4
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
"""The canaries' namespace shows at once where the run's pods would not pass."""

NETWORK_POLICY: Kind = ("networking.k8s.io/v1", "NetworkPolicy")
_DIRECTIONS = (("in", Direction.INGRESS), ("out", Direction.EGRESS))


@dataclass(frozen=True, slots=True)
class Turn:
    """The canaries were cut, or uncut.

    Attributes:
        number: Turns of a run are counted.
        began: When, on the monotonic clock.
        marks: The objects that came or went.
        trouble: Why there could be no turn after what was changed; empty when there was one.
    """

    number: int = 0
    began: float = 0.0
    marks: tuple[Mark, ...] = ()
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen of a turn.

    Attributes:
        by: In words, how it is known that it is in force.
        trouble: Why that is not known; empty when it is.
        enforced: False where no canary policy has any effect.
    """

    by: str
    trouble: str = ""
    enforced: bool = True


class Canary:
    """The canaries of a run; used from any thread.

    Attributes:
        broken: They cannot be asked any more; whoever comes next needs others.
    """

    def __init__(
        self,
        api: Api,
        objects: Objects,
        fleet: Fleet,
        name: str,
        run: str,
        cni: Cni,
        enforcement: Enforcement,
    ) -> None:
        self._api = api
        self._objects = objects
        self._fleet = fleet
        self._name = name
        self._run = run
        self._cni = cni
        self._enforcement = enforcement
        self._kinds: list[Kind] = [NETWORK_POLICY]
        self._nodes: list[str] = []
        self._places: dict[str, str] = {}
        self._addresses: dict[str, tuple[str, ...]] = {}
        # `_turning` is held by whoever changes the canaries, `_eyes` by whoever looks at them.
        self._turning = threading.RLock()
        self._eyes = threading.Lock()
        self._counting = threading.Lock()
        self._cut = False
        self._some = False
        self._labels = 0
        self._begun = 0
        self._seen = 0
        self._given_up = 0
        self._last = Turn()
        self.broken = False

    @property
    def hub(self) -> str:
        """The pod that no policy selects; it can also vouch for the cluster's DNS."""
        return f"{self._name}/hub"

    @property
    def nodes(self) -> tuple[str, ...]:
        """Host names of the nodes that have canaries."""
        return tuple(self._nodes)

    def places(self) -> dict[str, PodPlace]:
        """Where the canaries run."""
        return {pod: PodPlace(node, self._addresses.get(pod, ())) for pod, node in self._places.items()}

    # -- building --------------------------------------------------------------------------------------

    def stand(self, nodes: Iterable[str], kinds: Iterable[Kind]) -> None:
        """Have canaries on nodes, by host name, for kinds of policies; those that are there stay.

        Raises:
            ClusterError: They cannot be made.
        """
        with self._turning:
            new_nodes = sorted(set(nodes) - set(self._nodes))
            new_kinds = sorted(kind for kind in set(kinds) - set(self._kinds) if kind in self._cni.cuts)
            if not new_nodes and not new_kinds:
                return
            try:
                if self._cut and self._given_up < self._last.number:
                    # Newcomers know nothing of the policies that stand.
                    self._turn()
                    self._look(self._last, time.monotonic())
                self._build(self._nodes + new_nodes, self._kinds + new_kinds)
            except BaseException:
                self.broken = True
                raise

    def _build(self, nodes: list[str], kinds: list[Kind]) -> None:
        fresh = {pod: at for pod, at in self._pods(nodes, kinds).items() if pod not in self._places}
        if not self._places:
            self._objects.add_namespace(Namespace(self._name, {**RESTRICTED, LABEL: str(self._labels)}))
        self._objects.add_pods(fresh.values())
        addresses = self._objects.await_pods(fresh)
        self._fleet.connect(fresh)
        with self._eyes:
            self._nodes, self._kinds = nodes, kinds
            self._addresses.update(addresses)
            self._places.update({pod: node for pod, (_, node) in fresh.items()})

    def _pods(self, nodes: list[str], kinds: list[Kind]) -> dict[str, tuple[Pod, str]]:
        """The canaries' pods with the node of each."""
        listen = (Listener(PORT), Listener(POD_PORT), Listener(NAMESPACE_PORT))
        labels = {"role": "hub", LABEL: str(self._labels)}
        found = {self.hub: (Pod(self._name, "hub", labels, listeners=listen), nodes[0])}
        for index in range(len(kinds)):
            for number, node in enumerate(nodes):
                for role, _ in _DIRECTIONS:
                    name = f"{_role(role, index)}-{number}"
                    pod = Pod(self._name, name, {"role": _role(role, index)}, listeners=listen)
                    found[pod.id] = (pod, node)
        return found

    # -- turns -----------------------------------------------------------------------------------------

    def turn(self, *, labels: bool = False) -> Turn:
        """Cut or uncut the canaries after everything that the caller has changed.

        Args:
            labels: Among it are labels, or pods. Plugins watch pods and namespaces apart from policies, so
                that a policy's canary proves nothing of them: the hub and its namespace get new labels too,
                and what a cut canary leaves open it leaves open for these alone.

        Raises:
            ClusterError: The policies could not be written.
        """
        with self._counting:
            needed = self._begun + 1
        with self._turning:
            if self.broken:
                raise ClusterError("the canaries of the run cannot be used any more")
            if self._begun >= needed and not labels:
                return self._last
            # Before the last turn was seen, another would restore what never changed, and look like proof;
            # and who waits for it would never see the labels that it left open.
            if self._given_up < self._last.number and self._look(self._last, time.monotonic()).trouble:
                return replace(self._last, trouble="an earlier canary policy was not seen so far")
            if labels:
                self._relabel()
            self._turn()
            # Only a cut canary shows which labels are known.
            if labels and not self._cut and self._await(self._last, FLIP_SECONDS):
                self._turn()
            return self._last

    def _relabel(self) -> None:
        old, new = {LABEL: str(self._labels)}, {LABEL: str(self._labels + 1)}
        namespace = f"/api/v1/namespaces/{self._name}"
        self._objects.relabel(f"{namespace}/pods/hub", old, new)
        self._objects.relabel(namespace, old, new)
        self._labels += 1

    def _turn(self) -> None:
        with self._counting:
            self._begun += 1
        began = time.monotonic()
        # Where the last turn had no effect at all, the next asks for the same once more.
        if self._seen >= self._last.number:
            self._cut = not self._cut
        self._some = False
        marks = []
        try:
            for manifest in self._manifests():
                metadata = manifest["metadata"]
                namespace = metadata.get("namespace", "")
                if self._cut:
                    self._api.apply(manifest)
                else:
                    self._remove(manifest)
                marks.append(Mark(manifest["kind"], namespace, metadata["name"], self._cut))
        except BaseException:
            # Half cut, nothing that is seen later would prove anything.
            self.broken = True
            raise
        self._last = Turn(self._begun, began, tuple(marks))

    def _await(self, turn: Turn, patience: float) -> bool:
        """Whether a turn is seen on every node within seconds from now."""
        deadline = time.monotonic() + patience
        while True:
            with self._eyes:
                # Somebody else may have seen it meanwhile.
                if self._seen < turn.number and self._flipped():
                    self._seen = turn.number
                    self._enforcement.flipped()
            if self._seen >= turn.number:
                return True
            if time.monotonic() >= deadline or self._given_up >= turn.number:
                return False

    def flip(self, turn: Turn) -> Sight:
        """Wait until every node shows a turn.

        Raises:
            ClusterError: The canaries cannot be asked.
        """
        return Sight("nothing", turn.trouble) if turn.trouble else self._look(turn, turn.began)

    def _look(self, turn: Turn, since: float) -> Sight:
        """Wait until every node shows a turn, with the patience that is due from `since` on."""
        known = self._cni.enforces or self._enforcement.seen
        patience = FLIP_SECONDS if known else self._enforcement.patience(FIRST_FLIP_SECONDS)
        if self._await(turn, since + patience - time.monotonic()):
            return Sight(f"canary policy seen on {self._where()}")
        if not (known or self._some or self._enforcement.seen):
            with self._counting:
                first, self._given_up = self._given_up < turn.number, max(self._given_up, turn.number)
            if first:
                self._enforcement.nothing()
            return Sight(NOTHING_ENFORCED, enforced=False)
        everywhere = " everywhere" if self._some else ""
        trouble = f"the canary policy was not seen{everywhere} within {patience:.0f} s after the change"
        return Sight("nothing", trouble)

    def close(self) -> None:
        """Take the canaries down.

        Raises:
            ClusterError: Something could not be removed.
        """
        self._fleet.close()
        try:
            self._remove_unowned()
        finally:
            self._objects.remove_everything(empty=False)

    def _remove_unowned(self) -> None:
        """Delete what does not go away with the namespace; also what the last turn should have removed."""
        for manifest in self._manifests() if self._begun else ():
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
        for index, kind in enumerate(self._kinds):
            write = network_policy if kind == NETWORK_POLICY else self._cni.cuts[kind]
            for role, direction in _DIRECTIONS:
                manifest = dict(write(self._name, f"canary-{role}", _role(role, index), direction))
                manifest["metadata"] = {**manifest["metadata"], "labels": {RUN_LABEL: self._run}}
                if kind == NETWORK_POLICY and direction is Direction.INGRESS:
                    manifest["spec"] = {**manifest["spec"], "ingress": newest_labels(self._labels)}
                found.append(manifest)
        return found

    def _flipped(self) -> bool:
        """Whether all canaries answer, or are silent, as the policies now say."""
        plan: dict[str, list[list[Any]]] = {self.hub: []}
        hub = self._addresses[self.hub][0]
        number = 0
        for index in range(len(self._kinds)):
            for node in range(len(self._nodes)):
                target = self._addresses[f"{self._name}/{_role('in', index)}-{node}"][0]
                plan[self.hub].append([number, self.hub, "tcp", target, PORT, {}])
                source = f"{self._name}/{_role('out', index)}-{node}"
                plan[source] = [[number + 1, source, "tcp", hub, PORT, {}]]
                number += 2
        labels_from = number
        for node in range(len(self._nodes)):
            target = self._addresses[f"{self._name}/in-{node}"][0]
            for port in (POD_PORT, NAMESPACE_PORT):
                plan[self.hub].append([number, self.hub, "tcp", target, port, {}])
                number += 1
        results = self._fleet.sweep(plan, self._fleet.number(), PROBE_SECONDS, 1)
        if self._fleet.broken:
            self.broken = True
            pod, why = next(iter(self._fleet.broken.items()))
            raise ClusterError(f"canary {pod} cannot be asked: {why}")
        # One that was too busy to say anything has not been seen, neither cut nor whole.
        if any(result[KIND] == "error" for result in results.values()):
            return False
        shown = [
            bool(result[TOKEN]) is not self._cut for index, result in results.items() if index < labels_from
        ]
        self._some = self._some or any(shown)
        # Open for the newest labels, cut or not; shut for who still knows the old ones.
        known = all(result[TOKEN] for index, result in results.items() if index >= labels_from)
        return all(shown) and known


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


def newest_labels(number: int) -> list[dict[str, Any]]:
    """Ingress rules that let the hub in, as long as its labels and those of its namespace are the newest."""
    selector = {"matchLabels": {LABEL: str(number)}}
    return [
        {"from": [{"podSelector": selector}], "ports": [{"port": POD_PORT}]},
        {"from": [{"namespaceSelector": selector}], "ports": [{"port": NAMESPACE_PORT}]},
    ]


def _role(direction: str, index: int) -> str:
    """The first kind's canaries are plain `in` and `out`."""
    return f"{direction}{index or ''}"
