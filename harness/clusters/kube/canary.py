"""Canaries: how it is known that a change is in force when the CNI does not say so.

Beside the scenarios' pods stand a hub and, on every node that a scenario uses, a pair of canaries for each
kind of policy in use; a run has them once. After each change a policy of the run's own of every such kind is
applied or deleted, so that one canary's ingress and the other's egress is cut, or open again. A CNI that
works its changes off in order has the user's objects in force when the canaries of a node flip; kinds have
canaries of their own, because plugins watch each kind separately. It is strong evidence, not proof, and
reports call it what it is; consecutive sweeps have to agree besides.

Policies of the user's that belong to no namespace may reach the canaries. Then silence may come of them, and
so may answers. Such a policy that comes or goes changes once what the canaries show; so whoever sees them cut
and then open again has seen the run's own policies at work.

Scenarios that run side by side share the canaries: a turn is begun for everybody who waits for it, and proves
something to those only who asked before it began.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.clusters.kube.api import Api
from harness.clusters.kube.canary_pods import hub, looks, pods
from harness.clusters.kube.canary_policies import (
    LABEL,
    NETWORK_POLICY,
    PORT,
    CanaryPolicies,
    role,
)
from harness.clusters.kube.cni import Cni, Kind, Mark, PodPlace
from harness.clusters.kube.enforcement import Enforcement
from harness.clusters.kube.fleet import Fleet
from harness.clusters.kube.objects import Objects
from harness.clusters.kube.turns import Sight, Turn
from harness.clusters.results import KIND, TOKEN
from harness.engine.cluster import ClusterError
from harness.model.topology import Namespace

FIRST_FLIP_SECONDS = 20.0
"""How long the first canary may take to flip before it is said that nothing enforces policies here."""

FLIP_SECONDS = 60.0
"""How long a canary may take where canaries have flipped before: a slow CNI is no reason for a verdict."""

REACHED_SECONDS = 10.0
"""How long, and five times what the slowest flip took, where policies of the user's may hide the canaries."""

HIDDEN_SECONDS = 2.0
"""How long where one was seen to do so, or where the plugin itself says that the change is in force."""

NOTHING_ENFORCED = "nothing: no policy is enforced here, a canary policy had no effect"
PROBE_SECONDS = 0.4
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
"""The canaries' namespace shows at once where the run's pods would not pass."""

ASLEEP = (
    "the canaries do not reach each other although no policy of this run denies it: policies of the "
    "cluster's own reach every namespace, or its network does not work"
)


PLAIN = Turn()


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
        self._cni = cni
        self._policies = CanaryPolicies(name, run, cni)
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
        self._asleep = False
        self._hidden = False
        self._slowest = 0.0
        self._labels = 0
        self._begun = 0
        self._seen = 0
        self._given_up = 0
        self._last = Turn()
        self.broken = False

    @property
    def hub(self) -> str:
        """The pod that no canary policy cuts; it can also vouch for the cluster's DNS."""
        return hub(self._name)

    @property
    def nodes(self) -> tuple[str, ...]:
        """Host names of the nodes that have canaries."""
        return tuple(self._nodes)

    @property
    def marks(self) -> tuple[Mark, ...]:
        """What came or went with the newest turn."""
        return self._last.marks

    @property
    def hub_address(self) -> str:
        """The hub's own address."""
        return self._addresses[self.hub][0]

    def nodes_without(self, address: str) -> tuple[str, ...]:
        """Nodes from which the hub is not reached at an address, such as that of a service.

        Canaries ask whose way out no policy of the run's own ever closes.
        """
        askers = {f"{self._name}/{role('in', 0)}-{number}": node for number, node in enumerate(self._nodes)}
        plan = {pod: [[number, pod, "tcp", address, PORT, {}]] for number, pod in enumerate(askers)}
        with self._eyes:
            results = self._fleet.sweep(plan, self._fleet.number(), PROBE_SECONDS, 1)
        return tuple(node for number, node in enumerate(askers.values()) if not results[number][TOKEN])

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
        fresh = {
            pod: at
            for pod, at in pods(self._name, nodes, kinds, self._labels).items()
            if pod not in self._places
        }
        if not self._places:
            self._objects.add_namespace(Namespace(self._name, {**RESTRICTED, LABEL: str(self._labels)}))
        for manifest in self._policies.standing(self._labels, kinds):
            self._api.apply(manifest)
        if not self._cut:
            for manifest, when_cut in self._policies.turning(kinds):
                if not when_cut:
                    self._api.apply(manifest)
        self._objects.add_pods(fresh.values())
        addresses = self._objects.await_pods(fresh)
        self._fleet.connect(fresh)
        with self._eyes:
            self._nodes, self._kinds = nodes, kinds
            self._addresses.update(addresses)
            self._places.update({pod: node for pod, (_, node) in fresh.items()})
        # Canaries that are silent from the first would look cut whatever happens.
        self._asleep = not (self._cut or self._awake(FIRST_FLIP_SECONDS))

    # -- turns -----------------------------------------------------------------------------------------

    def turn(self, *, labels: bool = False, reach: Sequence[str] | None = None) -> Turn:
        """Cut or uncut the canaries after everything that the caller has changed.

        Args:
            labels: Among it are labels, or pods. Plugins watch pods and namespaces apart from policies, so
                that a policy's canary proves nothing of them: the hub and its namespace get new labels too,
                and what a cut canary leaves open it leaves open for these alone.
            reach: See `Turn.reach`.

        Raises:
            ClusterError: The policies could not be written.
        """
        with self._counting:
            needed = self._begun + 1
        with self._turning:
            if self.broken:
                raise ClusterError("the canaries of the run cannot be used any more")
            if self._begun >= needed and not labels and reach is None:
                return self._last
            if self._asleep and not self._awake(HIDDEN_SECONDS):
                return replace(self._last, trouble=ASLEEP)
            self._asleep = False
            wanted = Turn(reach=None if reach is None else tuple(reach), labels=labels)
            # Before the last turn was seen, another would restore what never changed, and look like proof;
            # and who waits for it would never see the labels that it left open.
            if self._given_up < self._last.number:
                last = replace(self._last, reach=wanted.reach, missed=False)
                if self._look(last, time.monotonic()).trouble:
                    return replace(last, trouble="an earlier canary policy was not seen so far")
            if labels:
                self._relabel()
            if self._hidden or reach is not None:
                self._cycle(wanted)
                return self._last
            self._turn(wanted)
            # Only a cut canary shows which labels are known.
            if labels and not self._cut and self._await(self._last, FLIP_SECONDS):
                self._turn(wanted)
            return self._last

    def _cycle(self, wanted: Turn) -> None:
        """Cut the canaries and open them again; twice, where something hid them before."""
        turns = (4 if self._hidden else 2) + (1 if self._cut else 0)
        for left in reversed(range(turns)):
            self._turn(wanted)
            if left and not self._await(self._last, self._patience(self._last)):
                self._last = replace(self._last, missed=True)
                return

    def _relabel(self) -> None:
        old, new = {LABEL: str(self._labels)}, {LABEL: str(self._labels + 1)}
        namespace = f"/api/v1/namespaces/{self._name}"
        self._objects.relabel(f"{namespace}/pods/hub", old, new)
        self._objects.relabel(namespace, old, new)
        self._labels += 1
        self._api.apply(self._policies.newest_labels(self._labels))

    def _turn(self, wanted: Turn = PLAIN) -> None:
        with self._counting:
            self._begun += 1
        began = time.monotonic()
        # Where the last turn had no effect at all, the next asks for the same once more.
        if self._seen >= self._last.number:
            self._cut = not self._cut
        self._some = False
        marks = []
        try:
            for manifest, when_cut in self._policies.turning(self._kinds):
                metadata = manifest["metadata"]
                namespace = metadata.get("namespace", "")
                there = when_cut is self._cut
                if there:
                    self._api.apply(manifest)
                else:
                    self._remove(manifest)
                marks.append(Mark(manifest["kind"], namespace, metadata["name"], there))
        except BaseException:
            # Half cut, nothing that is seen later would prove anything.
            self.broken = True
            raise
        self._last = replace(wanted, number=self._begun, began=began, marks=tuple(marks))

    def _await(self, turn: Turn, patience: float) -> bool:
        """Whether a turn is seen on every node within seconds from now."""
        deadline = time.monotonic() + patience
        while True:
            with self._eyes:
                # Somebody else may have seen it meanwhile.
                if self._seen < turn.number and self._flipped():
                    self._seen = turn.number
                    self._slowest = max(self._slowest, time.monotonic() - turn.began)
                    if self._cut:
                        self._enforcement.flipped()
            if self._seen >= turn.number:
                return True
            if time.monotonic() >= deadline or self._given_up >= turn.number:
                return False

    def _awake(self, patience: float) -> bool:
        """Whether canaries that nothing cuts answer within seconds from now."""
        deadline = time.monotonic() + patience
        while True:
            with self._eyes:
                if self._flipped():
                    return True
            if time.monotonic() >= deadline:
                return False

    def flip(self, turn: Turn, *, vouched: bool = False) -> Sight:
        """Wait until every node shows a turn.

        Args:
            turn: The turn.
            vouched: The plugin itself says that what came before the turn is in force. That has to do where
                policies of the user's hide the canaries.

        Raises:
            ClusterError: The canaries cannot be asked.
        """
        if turn.trouble:
            return Sight("nothing", turn.trouble + (_reached(turn) if self._hidden else ""))
        vouched = vouched and turn.reach is not None
        sight = self._look(turn, turn.began, time.monotonic() + HIDDEN_SECONDS if vouched else None)
        if not sight.trouble:
            self._hidden = False
            return sight
        if turn.reach is None:
            return sight
        self._hidden = True
        if not vouched:
            return Sight("nothing", sight.trouble + _reached(turn))
        if turn.labels:
            return Sight("nothing", f"only canaries show that labels are known{_reached(turn)}")
        with self._eyes:
            self._seen = max(self._seen, turn.number)
        return Sight("canaries not seen" + _reached(turn))

    def _patience(self, turn: Turn) -> float:
        known = self._cni.enforces or self._enforcement.seen
        full = FLIP_SECONDS if known else self._enforcement.patience(FIRST_FLIP_SECONDS)
        if not turn.reach:
            return full
        return min(full, HIDDEN_SECONDS if self._hidden else REACHED_SECONDS + 5 * self._slowest)

    def _look(self, turn: Turn, since: float, deadline: float | None = None) -> Sight:
        """Wait until every node shows a turn, with the patience that is due from `since` on."""
        known = self._cni.enforces or self._enforcement.seen
        patience = self._patience(turn)
        if turn.missed:
            deadline = since
        elif deadline is None:
            deadline = since + patience
        if self._await(turn, deadline - time.monotonic()) and not turn.missed:
            return Sight(f"canary policy seen on {self._where()}")
        # Silence of canaries that are open says nothing of what is enforced.
        if self._cut and not (known or self._some or self._enforcement.seen):
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
        for manifest, _ in self._policies.turning(self._kinds) if self._begun else ():
            if not manifest["metadata"].get("namespace"):
                self._remove(manifest)

    def _remove(self, manifest: Mapping[str, Any]) -> None:
        resource = self._api.resource(manifest["apiVersion"], manifest["kind"])
        metadata = manifest["metadata"]
        self._api.delete(resource.path(metadata.get("namespace", ""), metadata["name"]))

    def _where(self) -> str:
        return f"{len(self._nodes)} node{'s' if len(self._nodes) > 1 else ''}"

    def _flipped(self) -> bool:
        """Whether all canaries answer, or are silent, as the policies now say."""
        plan, labels_from = looks(self._name, self._addresses, len(self._kinds), len(self._nodes))
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


def _reached(turn: Turn) -> str:
    """What may hide the canaries, and what to do."""
    if not turn.reach:
        return ""
    text = f"{' and '.join(turn.reach)} may reach netcheck's own pods too"
    return f" ({text}: have the selector name the scenario's namespaces)"
