"""What runs left on a cluster: found by the run's label, removed unless the run may still be alive."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from harness.clusters.kube import owners
from harness.clusters.kube.api import Api, ApiError
from harness.clusters.kube.manifests import RUN_LABEL
from harness.clusters.kube.presence import LEASES
from harness.clusters.kube.watching import await_gone
from harness.engine.cluster import ClusterError

OLD = datetime.timedelta(hours=1)
"""How long ago a run must have made its last object to count as over, when its process cannot be asked. Every
scenario makes some, so a run that lives makes them all the time."""


POLICY_GROUPS = frozenset(
    {
        "networking.k8s.io",
        "policy.networking.k8s.io",
        "cilium.io",
        "projectcalico.org",
        "crd.projectcalico.org",
    }
)
"""API groups of the kinds that scenarios have. Their objects stand in namespaces of the run's own and go with
these; one elsewhere is found all the same."""

_AWAY = frozenset({0, 500, 502, 503, 504})
_LONG_AGO = datetime.datetime.min.replace(tzinfo=datetime.UTC)


@dataclass(slots=True)
class Leftovers:
    """Everything on the cluster that belongs to one run.

    Attributes:
        run: Its id.
        namespaces: Names of its namespaces.
        others: Paths of objects outside its namespaces, with what to call them.
        leases: Paths of its Leases, with what to call them; they go last.
        alive: Whether its process lives; None when nobody here can say.
        youngest: When it made its last object.
    """

    run: str
    namespaces: list[str] = field(default_factory=list)
    others: dict[str, str] = field(default_factory=dict)
    leases: dict[str, str] = field(default_factory=dict)
    alive: bool | None = None
    youngest: datetime.datetime = _LONG_AGO


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What was done about the leftovers.

    Attributes:
        removed: What is gone, one line each.
        spared: Run and reason, for runs that may still be alive.
        unseen: API groups that the server could not tell of, with its words: there may be more.
    """

    removed: list[str]
    spared: list[tuple[str, str]]
    unseen: list[str] = field(default_factory=list)


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
    ended: list[Leftovers] = []
    trouble: ApiError | None = None
    unseen: list[str] = []
    for found in sorted(find(api, unseen).values(), key=lambda item: item.run):
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
            ended.append(found)
        except ApiError as refusal:
            # The next run's leftovers may well be removable.
            trouble = trouble or refusal
    _await_gone(api, going)
    for found in ended:
        for path, title in found.leases.items():
            api.delete(path)
            removed.append(f"{title} of run {found.run}")
    if trouble is not None:
        raise trouble
    return Cleaned(removed, spared, unseen)


def find(api: Api, unseen: list[str]) -> dict[str, Leftovers]:
    """Everything that carries the label, by run.

    Args:
        api: The cluster.
        unseen: Gets the API groups that the server could not tell of.
    """
    found: dict[str, Leftovers] = {}
    for item in api.get("/api/v1/namespaces", labelSelector=RUN_LABEL)["items"]:
        metadata = item["metadata"]
        mine = found.setdefault(metadata["labels"][RUN_LABEL], Leftovers(metadata["labels"][RUN_LABEL]))
        mine.namespaces.append(metadata["name"])
        lives = owners.alive((metadata.get("annotations") or {}).get(owners.OWNER, ""))
        mine.alive = lives if mine.alive is None else mine.alive or lives
        mine.youngest = max(mine.youngest, _created(metadata["creationTimestamp"]))
    _find_leases(api, found)
    own = {name for item in found.values() for name in item.namespaces}
    for path, kind, namespaced in _collections(api, unseen):
        try:
            listed = api.get(path, labelSelector=RUN_LABEL)
        except ApiError as trouble:
            # What may not be listed was not made by a run of this account either.
            if trouble.status in (403, 404, 405):
                continue
            if trouble.status in _AWAY:
                unseen.append(f"{path}: {trouble}")
                continue
            raise
        base, _, plural = path.rpartition("/")
        for item in listed.get("items", ()):
            metadata = item["metadata"]
            namespace = metadata.get("namespace", "") if namespaced else ""
            if namespace in own:
                continue  # it goes with its namespace
            run = metadata["labels"][RUN_LABEL]
            mine = found.setdefault(run, Leftovers(run))
            where, title = (f"/namespaces/{namespace}", f"{namespace}/") if namespace else ("", "")
            mine.others[f"{base}{where}/{plural}/{metadata['name']}"] = f"{kind} {title}{metadata['name']}"
            mine.youngest = max(mine.youngest, _created(metadata["creationTimestamp"]))
    return found


def _find_leases(api: Api, found: dict[str, Leftovers]) -> None:
    """A run has its Lease before it has anything else, and renews it while it lives."""
    try:
        items = api.get(LEASES, labelSelector=RUN_LABEL)["items"]
    except ApiError as trouble:
        if trouble.status not in (403, 404):
            raise
        return
    for item in items:
        metadata = item["metadata"]
        run = metadata["labels"][RUN_LABEL]
        mine = found.setdefault(run, Leftovers(run))
        mine.leases[f"{LEASES}/{metadata['name']}"] = f"Lease default/{metadata['name']}"
        lives = owners.alive((metadata.get("annotations") or {}).get(owners.OWNER, ""))
        mine.alive = lives if mine.alive is None else mine.alive or lives
        renewed = (item.get("spec") or {}).get("renewTime") or metadata["creationTimestamp"]
        mine.youngest = max(mine.youngest, _created(renewed))


def _collections(
    api: Api, unseen: list[str], groups: Collection[str] | None = None
) -> Iterator[tuple[str, str, bool]]:
    """Collections outside namespaces, and policies in any: path, kind, whether it is namespaced."""
    for group in api.get("/apis").get("groups", ()):
        if groups is not None and group["name"] not in groups:
            continue
        first = group["preferredVersion"]["groupVersion"]
        versions = [first, *(item["groupVersion"] for item in group.get("versions", ()))]
        told: set[str] = set()
        # Kinds come and go between versions: AdminNetworkPolicy is in none but v1alpha1 of its group.
        for version in dict.fromkeys(versions):
            try:
                listed = api.reach(f"/apis/{version}")
            except ApiError as trouble:
                # An extension server that is down: it can neither list nor delete.
                if group["name"] in POLICY_GROUPS:
                    unseen.append(f"{version}: {trouble}")
                continue
            for resource in listed.get("resources", ()):
                name, verbs = resource["name"], resource.get("verbs", ())
                wanted = not resource["namespaced"] or group["name"] in POLICY_GROUPS
                if not wanted or name in told or "/" in name or not {"list", "delete"} <= {*verbs}:
                    continue
                told.add(name)
                yield f"/apis/{version}/{name}", resource["kind"], bool(resource["namespaced"])


def standing_wide(api: Api, run: str) -> list[str]:
    """What to call the policies of a run that belong to no namespace, and so may reach the whole cluster.

    Raises:
        ApiError: They cannot be looked for.
    """
    unseen: list[str] = []
    found: list[str] = []
    for path, kind, namespaced in _collections(api, unseen, POLICY_GROUPS):
        if namespaced:
            continue
        try:
            listed = api.get(path, labelSelector=f"{RUN_LABEL}={run}")
        except ApiError as trouble:
            if trouble.status in (403, 404, 405):
                continue
            raise
        found += [f"{kind} {item['metadata']['name']}" for item in listed.get("items", ())]
    return [*found, *(f"perhaps some of {item}" for item in unseen)]


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
