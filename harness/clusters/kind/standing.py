"""Kind clusters that stand: whose they are, what they are made of, what they know of their own making."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.clusters.kind.config import MARK
from harness.clusters.kind.shape import Shape

MADE_LABEL = "netcheck.dev/made"
NOTE = "/api/v1/namespaces/kube-system/configmaps/netcheck"
"""What a cluster knows of its own making; written last, so a cluster without it is half-made."""

_ROLE = "io.x-k8s.kind.role"


@dataclass(frozen=True, slots=True)
class Standing:
    """A kind cluster that there is.

    Attributes:
        name: Its name.
        nodes: Its nodes.
        ours: netcheck made it.
        mine: A netcheck with the same state folder made it, so that locks tell whether it is in use.
        running: All of its nodes run.
        shape: What it was made of; None when it is half-made, not ours, or does not answer.
        for_run: It was made for one run.
        answers: Its API server answers.
        finished: It was once made to the end, as far as this machine knows.
    """

    name: str
    nodes: tuple[str, ...]
    ours: bool
    mine: bool = True
    running: bool = True
    shape: Shape | None = None
    for_run: bool = False
    answers: bool = False
    finished: bool = False

    @property
    def half_made(self) -> bool:
        """Whoever made it did not come to the end, so it is of no use to anybody."""
        return self.ours and self.running and self.shape is None and (self.answers or not self.finished)


def owners(containers: Sequence[dict[str, Any]]) -> frozenset[str]:
    """Who made the nodes of a cluster; empty unless every node has netcheck's mark.

    The balancer of several control planes is kind's own affair and needs none.
    """
    nodes = [
        each
        for each in containers
        if (each.get("Config", {}).get("Labels") or {}).get(_ROLE) != "external-load-balancer"
    ]
    found = [_owner(each) for each in nodes]
    return frozenset(found) if all(found) else frozenset()


def _owner(container: dict[str, Any]) -> str:
    for mount in container.get("Mounts") or ():
        folder, _, name = str(mount.get("Destination", "")).rpartition("/")
        if folder == MARK:
            return name
    return ""


def note(shape: Shape, *, for_run: bool) -> dict[str, Any]:
    """The ConfigMap of a finished cluster.

    Args:
        shape: What it is made of.
        for_run: It was made for one run, which takes it down.
    """
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "netcheck", "namespace": "kube-system", "labels": {MADE_LABEL: "true"}},
        "data": {"made-by": "netcheck", "made-for": "run" if for_run else "user", **shape.data()},
    }
