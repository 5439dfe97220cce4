"""Namespaces of a run: made once, emptied between scenarios, deleted at the end.

A namespace takes five seconds and more to go (its controller waits that long before it begins), and most
scenarios are happy with the same few names. So a world gives its namespaces back empty, and the next one that
asks for the same name with the same labels has it at once. What is not asked for again is deleted meanwhile.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from harness.clusters.kube import manifests
from harness.clusters.kube.api import Api, ApiError
from harness.clusters.kube.manifests import RUN_LABEL
from harness.clusters.kube.watching import await_gone
from harness.engine.cluster import ClusterError
from harness.model.topology import Namespace

KEPT = 12
"""Empty namespaces that stand ready at most; older ones are deleted."""

BUILTIN = frozenset({"default", "kube-system", "kube-public", "kube-node-lease"})

_PATH = "/api/v1/namespaces"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ground:
    """A namespace that a world has.

    Attributes:
        wanted: What was asked for.
        found: What the API server made of it.
        used: Whether an earlier world of the run stood in it.
    """

    wanted: Json
    found: Json
    used: bool

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.wanted["metadata"]["name"])


class Grounds:
    """The namespaces that worlds of one cluster stand in; used from any thread.

    Args:
        api: The API server.
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        self._lock = threading.Lock()
        self._kept: dict[str, Ground] = {}
        self._going: set[str] = set()

    def take(self, item: Namespace, run: str) -> Ground:
        """Have a namespace, empty but for what every namespace has.

        Raises:
            ClusterError: It belongs to the cluster, or exists and is not of this run.
        """
        if item.name in BUILTIN:
            raise ClusterError(
                f"namespace {item.name} belongs to the cluster; scenarios put nothing there",
                "give the scenario's objects a namespace of their own",
            )
        wanted = manifests.namespace(item, run)
        with self._lock:
            kept = self._kept.pop(item.name, None)
        if kept is not None:
            if kept.wanted == wanted and self._stands(kept):
                return replace(kept, used=True)
            self._delete(item.name)
        return Ground(wanted, self._create(wanted, run), used=False)

    def _stands(self, kept: Ground) -> bool:
        """Whether nobody has removed it or changed its labels since it was made."""
        try:
            found = self._api.get(f"{_PATH}/{kept.name}")
        except ApiError as trouble:
            if trouble.status != 404:
                raise
            return False
        now, then = found["metadata"], kept.found["metadata"]
        return not _is_going(found) and (now["uid"], now["labels"]) == (then["uid"], then["labels"])

    def _create(self, wanted: Json, run: str) -> Json:
        name = wanted["metadata"]["name"]
        deadline = time.monotonic() + 1.0
        while True:
            try:
                return self._api.create(wanted)
            except ApiError as trouble:
                if trouble.reason != "AlreadyExists":
                    raise
                refused = trouble
            try:
                found = self._api.get(f"{_PATH}/{name}")
            except ApiError as trouble:
                if trouble.status == 404 and time.monotonic() < deadline:
                    continue
                raise
            owner = found["metadata"].get("labels", {}).get(RUN_LABEL)
            if _is_going(found) and owner:
                # Of an earlier run, or of a world whose labels were others.
                await_gone(self._api, _PATH, [name])
            elif owner == run:
                return found
            else:
                raise ClusterError(
                    f"namespace {name} exists on the cluster and is not of this run",
                    "choose another cluster, or remove it; if a run was killed: netcheck cleanup",
                ) from refused

    def give_back(self, grounds: Iterable[Ground], *, empty: bool) -> None:
        """A world has no more use for its namespaces.

        Args:
            grounds: As `take` returned them.
            empty: What the world put there is gone; otherwise they are deleted with all that they hold.

        Raises:
            ApiError: One could not be deleted.
        """
        excess: list[str] = []
        for item in grounds:
            if not empty:
                excess.append(item.name)
                continue
            with self._lock:
                self._kept[item.name] = item
                while len(self._kept) > KEPT:
                    excess.append(next(iter(self._kept)))
                    del self._kept[excess[-1]]
        for name in excess:
            self._delete(name)

    def _delete(self, name: str) -> None:
        self._api.delete(f"{_PATH}/{name}")
        with self._lock:
            self._going.add(name)

    def close(self) -> None:
        """Delete what is kept, and wait until everything that was deleted is gone.

        Raises:
            ClusterError: Something does not go.
        """
        with self._lock:
            kept, self._kept = list(self._kept), {}
        for name in kept:
            self._delete(name)
        with self._lock:
            going, self._going = self._going, set()
        await_gone(self._api, _PATH, going)


def _is_going(namespace: Json) -> bool:
    return "deletionTimestamp" in namespace["metadata"]
