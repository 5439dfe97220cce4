"""Signs of life of the runs on a cluster: a Lease for each, renewed while it lives.

Kubernetes' own Leases are the usual place for this. They stand in `default`, since they need a namespace that
every run finds; nothing else of netcheck's ever does.
"""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.clusters.kube import owners
from harness.clusters.kube.api import Api, ApiError
from harness.clusters.kube.manifests import RUN_LABEL
from harness.engine.cluster import ClusterError

LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
ALONE = "netcheck-alone"
"""The Lease of the run whose policies may reach the whole cluster; there is one at most."""

STATE = "netcheck.dev/worlds"
OPEN, WAITING, NONE = "open", "waiting", ""

RENEW_SECONDS = 10.0
DURATION = 120.0
"""Seconds without renewal after which a run of another machine counts as over. (One of this machine is over
when its process is gone.)"""

FENCE = 90.0
"""Seconds without renewal after which a run no longer trusts what it measures: others may soon come in."""

WATCHED = 15.0
"""Seconds that a Lease must have been seen unchanged besides: after an API server was away, all are old."""

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A Lease of another run.

    Attributes:
        run: Its id.
        uid: Of the Lease.
        state: `OPEN` while it has worlds, `WAITING` while it wants one.
        alive: Whether it lives, as far as anybody can tell.
    """

    run: str
    uid: str
    state: str
    alive: bool


@dataclass(frozen=True, slots=True)
class Scene:
    """Who is on the cluster besides this run.

    Attributes:
        runs: All others, dead ones as well.
        alone: Who has the cluster alone, this run included; None when nobody has.
    """

    runs: tuple[Neighbour, ...]
    alone: Neighbour | None


class Presence:
    """This run's Lease, and a look at those of others.

    Args:
        api: The API server.
        run: Id of this run.
    """

    def __init__(self, api: Api, run: str) -> None:
        self.run = run
        self._api = api
        self._path = f"{LEASES}/netcheck-{run}"
        self._end = threading.Event()
        self._renewed = time.monotonic()
        self._lost = ""
        self._seen: dict[tuple[str, str], float] = {}
        api.create(_lease(f"netcheck-{run}", run, api.now()))
        threading.Thread(target=self._renew, name="lease", daemon=True).start()

    def say(self, state: str) -> None:
        """Tell the others whether this run has worlds.

        Raises:
            ApiError: They cannot be told.
        """
        self._api.patch(self._path, {"metadata": {"annotations": {STATE: state}}})

    def _renew(self) -> None:
        while not self._end.wait(RENEW_SECONDS):
            try:
                now = _text(self._api.now())
                self._api.patch(self._path, {"spec": {"renewTime": now}})
            except ApiError as trouble:
                if trouble.status == 404 and not self._end.is_set():
                    self._lost = "somebody has removed the run's lease on the cluster"
                    return
                continue
            self._lost = self._lost or self._silence()
            self._renewed = time.monotonic()

    def _silence(self) -> str:
        silent = time.monotonic() - self._renewed
        return f"the run could not renew its lease for {silent:.0f} s" if silent > FENCE else ""

    def check(self) -> None:
        """Nobody else takes this run for dead.

        Raises:
            ClusterError: Somebody may; what was measured last may be about another run's policies.
        """
        self._lost = self._lost or self._silence()
        if self._lost:
            raise ClusterError(f"{self._lost}: another run may have changed what is measured")

    def look(self) -> Scene:
        """Who else is there.

        Raises:
            ApiError: It cannot be read.
        """
        items = self._api.get(LEASES, labelSelector=RUN_LABEL)["items"]
        runs = [item for item in items if item["metadata"]["name"] != ALONE]
        alive = {_run(item): self._alive(item) for item in runs}
        alive[self.run] = True
        # Whoever holds it without a Lease of its own is over: it was kept, killed, or removed.
        found = [_neighbour(item, alive.get(_run(item), False)) for item in items]
        alone = [each for each, item in zip(found, items, strict=True) if item["metadata"]["name"] == ALONE]
        others = [each for each in found if each not in alone and each.run != self.run]
        return Scene(tuple(others), alone[0] if alone else None)

    def _alive(self, item: Json) -> bool:
        known = owners.alive((item["metadata"].get("annotations") or {}).get(owners.OWNER, ""))
        if known is not None:
            return known
        renewed = str(item["spec"].get("renewTime"))
        since = self._seen.setdefault((item["metadata"]["uid"], renewed), time.monotonic())
        if time.monotonic() - since < WATCHED:
            return True
        age = self._api.now() - datetime.datetime.fromisoformat(renewed)
        return age.total_seconds() < DURATION

    def take(self) -> bool:
        """Have the cluster alone, unless somebody else has it; whether it was had."""
        try:
            self._api.create(_lease(ALONE, self.run, self._api.now()))
        except ApiError as trouble:
            if trouble.reason != "AlreadyExists":
                raise
            return False
        return True

    def drop(self, holder: Neighbour | None = None) -> None:
        """Give the cluster back, or take it from a run that is over."""
        if holder is None:
            found = self.look().alone
            holder = found if found is not None and found.run == self.run else None
        if holder is not None:
            self._api.delete(f"{LEASES}/{ALONE}", uid=holder.uid)

    def leave(self) -> None:
        """The run is over.

        Raises:
            ApiError: Its Lease cannot be removed.
        """
        self._end.set()
        self._api.delete(self._path)


def _lease(name: str, run: str, now: datetime.datetime) -> dict[str, Any]:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": name,
            "namespace": "default",
            "labels": {RUN_LABEL: run},
            "annotations": {owners.OWNER: owners.mark(), STATE: NONE},
        },
        "spec": {
            "holderIdentity": run,
            "leaseDurationSeconds": int(DURATION),
            "acquireTime": _text(now),
            "renewTime": _text(now),
        },
    }


def _text(now: datetime.datetime) -> str:
    """As a MicroTime."""
    return now.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _run(item: Json) -> str:
    return str(item["metadata"]["labels"][RUN_LABEL])


def _neighbour(item: Json, alive: bool) -> Neighbour:
    state = (item["metadata"].get("annotations") or {}).get(STATE, NONE)
    return Neighbour(_run(item), item["metadata"]["uid"], state, alive)
