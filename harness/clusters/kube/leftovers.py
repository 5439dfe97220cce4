"""What runs left on a cluster: found by the run's label, removed unless the run may still be alive."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass, field

from harness.clusters.kube import owners
from harness.clusters.kube.api import Api, ApiError
from harness.clusters.kube.manifests import RUN_LABEL
from harness.clusters.kube.watching import await_gone
from harness.engine.cluster import ClusterError

OLD = datetime.timedelta(hours=1)
"""How long ago a run must have made its last object to count as over, when its process cannot be asked. Every
scenario makes some, so a run that lives makes them all the time."""


_LONG_AGO = datetime.datetime.min.replace(tzinfo=datetime.UTC)


@dataclass(slots=True)
class Leftovers:
    """Everything on the cluster that belongs to one run.

    Attributes:
        run: Its id.
        namespaces: Names of its namespaces.
        others: Paths of objects that belong to no namespace, with what to call them.
        alive: Whether its process lives; None when nobody here can say.
        youngest: When it made its last object.
    """

    run: str
    namespaces: list[str] = field(default_factory=list)
    others: dict[str, str] = field(default_factory=dict)
    alive: bool | None = None
    youngest: datetime.datetime = _LONG_AGO


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What was done about the leftovers.

    Attributes:
        removed: What is gone, one line each.
        spared: Run and reason, for runs that may still be alive.
    """

    removed: list[str]
    spared: list[tuple[str, str]]


def cleanup(api: Api, *, run: str = "", everything: bool = False) -> Cleaned:
    """Remove what earlier runs left on a cluster, and wait until it is gone.

    Args:
        api: The cluster.
        run: Only this run, be it alive or not.
        everything: All runs, be they alive or not.

    Raises:
        ClusterError: Something could not be found out or removed.
    """
    removed: list[str] = []
    spared: list[tuple[str, str]] = []
    now = api.now()
    going: list[str] = []
    trouble: ApiError | None = None
    for found in sorted(find(api).values(), key=lambda item: item.run):
        if run and found.run != run:
            continue
        if found.alive is None:
            found.youngest = max(found.youngest, _youngest_pod(api, found.namespaces))
        reason = "" if run or everything else _why_spared(found, now)
        if reason:
            spared.append((found.run, reason))
            continue
        try:
            for path, title in found.others.items():
                api.delete(path)
                removed.append(f"{title} of run {found.run}")
            for name in found.namespaces:
                _delete_namespace(api, name)
                removed.append(f"namespace {name} of run {found.run}")
                going.append(name)
        except ApiError as refusal:
            # The next run's leftovers may well be removable.
            trouble = trouble or refusal
    _await_gone(api, going)
    if trouble is not None:
        raise trouble
    return Cleaned(removed, spared)


def find(api: Api) -> dict[str, Leftovers]:
    """Everything that carries the label, by run."""
    found: dict[str, Leftovers] = {}
    for item in api.get("/api/v1/namespaces", labelSelector=RUN_LABEL)["items"]:
        metadata = item["metadata"]
        mine = found.setdefault(metadata["labels"][RUN_LABEL], Leftovers(metadata["labels"][RUN_LABEL]))
        mine.namespaces.append(metadata["name"])
        lives = owners.alive((metadata.get("annotations") or {}).get(owners.OWNER, ""))
        mine.alive = lives if mine.alive is None else mine.alive or lives
        mine.youngest = max(mine.youngest, _created(metadata["creationTimestamp"]))
    for path, kind in _cluster_wide(api):
        try:
            listed = api.get(path, labelSelector=RUN_LABEL)
        except ApiError as trouble:
            # What may not be listed was not made by a run of this account either.
            if trouble.status in (403, 404, 405):
                continue
            raise
        for item in listed.get("items", ()):
            metadata = item["metadata"]
            run = metadata["labels"][RUN_LABEL]
            mine = found.setdefault(run, Leftovers(run))
            mine.others[f"{path}/{metadata['name']}"] = f"{kind} {metadata['name']}"
            mine.youngest = max(mine.youngest, _created(metadata["creationTimestamp"]))
    return found


def _cluster_wide(api: Api) -> Iterator[tuple[str, str]]:
    """Collections outside namespaces that objects can be deleted from, and their kind."""
    for group in api.get("/apis").get("groups", ()):
        base = f"/apis/{group['preferredVersion']['groupVersion']}"
        try:
            listed = api.reach(base)
        except ApiError:
            # An extension server that is down: it can neither list nor delete.
            continue
        for resource in listed.get("resources", ()):
            verbs = resource.get("verbs", ())
            if not resource["namespaced"] and "/" not in resource["name"] and {"list", "delete"} <= {*verbs}:
                yield f"{base}/{resource['name']}", resource["kind"]


def _why_spared(found: Leftovers, now: datetime.datetime) -> str:
    if found.alive:
        return "it runs on this machine"
    if found.alive is None and now - found.youngest < OLD:
        minutes = max(0, round((now - found.youngest).total_seconds() / 60))
        return f"it may run on another machine; it last made something {minutes} min ago"
    return ""


def _youngest_pod(api: Api, namespaces: list[str]) -> datetime.datetime:
    """Scenarios of a run may share namespaces; but each makes its pods anew."""
    made = [
        _created(pod["metadata"]["creationTimestamp"])
        for name in namespaces
        for pod in api.get(f"/api/v1/namespaces/{name}/pods")["items"]
    ]
    return max(made, default=_LONG_AGO)


def _created(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)


def _delete_namespace(api: Api, name: str) -> None:
    """Pods first and at once: a namespace would give each its grace period."""
    path = f"/api/v1/namespaces/{name}/pods"
    for pod in api.get(path)["items"]:
        api.delete(f"{path}/{pod['metadata']['name']}", grace=0)
    api.delete(f"/api/v1/namespaces/{name}")


def _await_gone(api: Api, names: list[str]) -> None:
    try:
        await_gone(api, "/api/v1/namespaces", names)
    except ClusterError as trouble:
        raise ClusterError(str(trouble), "kubectl describe namespace says what they wait for") from trouble
