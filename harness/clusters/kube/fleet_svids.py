"""Certificates that others issue, on a cluster: every pod asks for its own, and keeps the key."""

from __future__ import annotations

import select
import time
from collections.abc import Mapping, Sequence

from harness.clusters.kube.fleet import Fleet
from harness.clusters.kube.svids import WorkloadApi, source
from harness.clusters.svids import Answer, Svids
from harness.model.topology import Pod

PATIENCE = 45.0
"""Seconds until a new pod must have its certificate: SPIRE registers pods one after another, and its agents
look for new registrations every few seconds."""

_LOOK = 1.0


class KubeSvids(Svids):
    """Of one world."""

    def __init__(self, fleet: Fleet, api: WorkloadApi, patience: float = PATIENCE) -> None:
        super().__init__(fleet.authority)
        self._fleet = fleet
        self._api = api
        self._patience = patience
        self._waited: set[str] = set()

    def renew(self, pods: Mapping[str, Pod]) -> None:
        """Have all pods ask for their certificates anew."""
        self.look(pods, self._ask)

    def _ask(self, pods: Sequence[Pod]) -> dict[str, Answer]:
        if not pods:
            return {}
        sources = {pod.id: source(pod, self._api) for pod in pods}
        found = self._fleet.svids(sources)
        deadline = time.monotonic() + self._patience
        while True:
            # Nobody is waited for twice: who has none by then is not registered.
            late = [name for name, (_, why) in found.items() if why and name not in self._waited]
            if not late or time.monotonic() > deadline:
                self._waited.update(late)
                return found
            select.select([], [], [], min(_LOOK, self._patience))
            found = self._fleet.svids(sources)
