"""Building, changing and removing a scenario's objects; waits follow watches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from harness.clusters.kube import manifests, meshes
from harness.clusters.kube.api import Api, ApiError
from harness.clusters.kube.manifests import RUN_LABEL, PodOptions
from harness.engine.cluster import ClusterError
from harness.model.topology import Namespace, Pod, Service

START_SECONDS = 120.0
"""How long pods may take to run, image included."""

END_SECONDS = 120.0
"""How long deleted namespaces and pods may take to go."""

_HOPELESS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "ErrImageNeverPull",
        "InvalidImageName",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "CrashLoopBackOff",
    }
)
_NO_AGENT = "netcheck image build and image load make one that has; --agent inject sends the agent along"
_BUILTIN = frozenset({"default", "kube-system", "kube-public", "kube-node-lease"})

Json = dict[str, Any]


class Objects:
    """Objects of one world on one API server."""

    def __init__(self, api: Api, run: str, options: PodOptions) -> None:
        self._api = api
        self._run = run
        self._options = options
        self._own: set[str] = set()

    @property
    def namespaces(self) -> frozenset[str]:
        """Namespaces that this world made."""
        return frozenset(self._own)

    def add_namespace(self, item: Namespace) -> None:
        """Create a namespace.

        Raises:
            ClusterError: It exists and is not this run's.
        """
        if item.name in _BUILTIN:
            raise ClusterError(
                f"namespace {item.name} belongs to the cluster; scenarios put nothing there",
                "give the scenario's objects a namespace of their own",
            )
        try:
            found = self._api.create(manifests.namespace(item, self._run))
        except ApiError as trouble:
            if trouble.reason != "AlreadyExists":
                raise
            found = self._api.get(f"/api/v1/namespaces/{item.name}")
            if found["metadata"].get("labels", {}).get(RUN_LABEL) != self._run:
                raise ClusterError(
                    f"namespace {item.name} exists on the cluster and is not of this run",
                    "choose another cluster, or remove it; if a run was killed: netcheck cleanup",
                ) from trouble
        self._own.add(item.name)
        meshes.check_namespace(found)
        self._api.apply(manifests.service_account(item.name, "default", self._run))
        for secret in self._options.secrets:
            self._api.apply(secret.manifest(item.name, {RUN_LABEL: self._run}))

    def add_service_account(self, namespace: str, name: str) -> None:
        """Create a service account in a namespace of this world."""
        self._api.apply(manifests.service_account(namespace, name, self._run))

    def add_pod(self, item: Pod, node: str) -> None:
        """Create a pod on a node; it need not run yet."""
        made = self._api.create(manifests.pod(item, self._run, node, self._options))
        meshes.check(made, manifests.CONTAINER, self._options.template.injected)

    def add_service(self, item: Service) -> tuple[str, ...]:
        """Create a service; returns its cluster addresses (none for a headless one)."""
        made = self._api.apply(manifests.service(item, self._run))
        found = made["spec"].get("clusterIPs") or [made["spec"].get("clusterIP", "")]
        return tuple(address for address in found if address and address != "None")

    def remove_service(self, service: str) -> None:
        """Delete a service."""
        namespace, name = service.split("/")
        self._api.delete(f"/api/v1/namespaces/{namespace}/services/{name}")

    def relabel(self, path: str, old: Mapping[str, str], new: Mapping[str, str]) -> None:
        """Change labels from `old` to `new`; others stay."""
        change: dict[str, str | None] = dict(new)
        change.update({key: None for key in old if key not in new})
        self._api.patch(path, {"metadata": {"labels": change}})

    # -- waits -----------------------------------------------------------------------------------------

    def await_pods(self, pods: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Wait until pods run and have addresses; returns these by id.

        Raises:
            ClusterError: One cannot run, or takes too long; the text says which and why.
        """
        waiting = set(pods)
        found: dict[str, tuple[str, ...]] = {}
        last: dict[str, str] = {}

        def look(pod: Json) -> None:
            identity = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
            if identity not in waiting:
                return
            addresses, why = _progress(pod, self._options.agent_inside)
            last[identity] = why
            if addresses:
                meshes.check(pod, manifests.CONTAINER, self._options.template.injected)
                found[identity] = addresses
                waiting.discard(identity)

        deadline = time.monotonic() + START_SECONDS
        namespaces = sorted({item.split("/")[0] for item in waiting})
        for namespace in namespaces:
            mine = {item for item in waiting if item.startswith(f"{namespace}/")}
            path = f"/api/v1/namespaces/{namespace}/pods"
            self._follow(path, deadline, look, lambda mine=mine: not (mine & waiting))  # type: ignore[misc]
        if waiting:
            first = sorted(waiting)[0]
            why = last.get(first, "nothing is known of it")
            raise ClusterError(f"pod {first} did not run within {START_SECONDS:.0f} s: {why}")
        return found

    def await_gone(self, path: str, names: Iterable[str]) -> None:
        """Wait until objects of a collection are gone.

        Raises:
            ClusterError: They are still there after a long time.
        """
        left = set(names)
        if not left:
            return
        deadline = time.monotonic() + END_SECONDS
        while left and time.monotonic() < deadline:
            listed = self._api.get(path)
            left &= {item["metadata"]["name"] for item in listed["items"]}
            if not left:
                return
            version = listed["metadata"]["resourceVersion"]
            try:
                for event in self._api.watch(path, version, min(10.0, deadline - time.monotonic())):
                    if event["type"] == "DELETED":
                        left.discard(event["object"]["metadata"]["name"])
                    if not left:
                        return
            except ApiError:
                continue
        raise ClusterError(f"{', '.join(sorted(left))} did not go within {END_SECONDS:.0f} s")

    def _follow(
        self, path: str, deadline: float, look: Callable[[Json], None], done: Callable[[], bool]
    ) -> None:
        """Look at every object of this run now and at each change, until it is enough."""
        query = {"labelSelector": f"{RUN_LABEL}={self._run}"}
        while not done() and time.monotonic() < deadline:
            listed = self._api.get(path, **query)
            for item in listed["items"]:
                look(item)
            if done():
                return
            version = listed["metadata"]["resourceVersion"]
            try:
                for event in self._api.watch(path, version, min(30.0, deadline - time.monotonic()), **query):
                    if event["type"] == "ERROR":
                        break
                    look(event["object"])
                    if done():
                        return
            except ApiError:
                continue

    # -- removal ---------------------------------------------------------------------------------------

    def remove_pods(self, pods: Sequence[str]) -> None:
        """Delete pods and wait until they are gone."""
        for pod in pods:
            namespace, name = pod.split("/")
            self._api.delete(f"/api/v1/namespaces/{namespace}/pods/{name}", grace=0)
        for namespace in sorted({pod.split("/")[0] for pod in pods}):
            names = [pod.split("/")[1] for pod in pods if pod.startswith(f"{namespace}/")]
            self.await_gone(f"/api/v1/namespaces/{namespace}/pods", names)

    def remove_everything(self) -> None:
        """Delete the namespaces of this world, with all that is in them, and wait for it."""
        names = sorted(self._own)
        for name in names:
            # Pods first and at once: a namespace would give each its grace period.
            path = f"/api/v1/namespaces/{name}/pods"
            for item in self._api.get(path)["items"]:
                self._api.delete(f"{path}/{item['metadata']['name']}", grace=0)
            self._api.delete(f"/api/v1/namespaces/{name}")
        self.await_gone("/api/v1/namespaces", names)
        self._own.clear()


def _last_words(container: Json) -> str:
    """What a container said that ended with an error; the agent says why in one line."""
    for state in (container.get("state", {}), container.get("lastState", {})):
        terminated = state.get("terminated") or {}
        if terminated.get("exitCode"):
            lines = str(terminated.get("message") or terminated.get("reason") or "").strip().splitlines()
            return lines[-1] if lines else f"exit code {terminated['exitCode']}"
    return ""


def _ended_advice(pod: Json, agent_inside: bool) -> str:
    if pod["spec"].get("hostNetwork"):
        return "its ports are those of the node: choose one that nothing on the node has"
    if agent_inside:
        return f"does its image have netcheck's agent? {_NO_AGENT}"
    return "does its image have python3, and may it listen? kubectl logs says more while the pod is there"


def _progress(pod: Json, agent_inside: bool) -> tuple[tuple[str, ...], str]:
    """Addresses of a pod that runs, or why it does not yet.

    Args:
        pod: The object, as the API server has it.
        agent_inside: Its image should have netcheck's agent.

    Raises:
        ClusterError: It never will.
    """
    status = pod.get("status", {})
    name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
    for container in status.get("containerStatuses", ()):
        ended = _last_words(container)
        if ended:
            raise ClusterError(f"pod {name} ended at once: {ended}", _ended_advice(pod, agent_inside))
        waiting = container.get("state", {}).get("waiting") or {}
        if waiting.get("reason") in _HOPELESS:
            image = "netcheck's agent" if agent_inside else "python3 from 3.9 on"
            raise ClusterError(
                f"pod {name} cannot run: {waiting['reason']}: {waiting.get('message', '')}".rstrip(": "),
                f"name an image with {image} that the nodes have or can pull: --probe-image",
            )
    for condition in status.get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return (), f"{condition.get('reason', '')}: {condition.get('message', '')}"
    if status.get("phase") == "Failed":
        why = f"{status.get('reason', '')} {status.get('message', '')}".strip()
        raise ClusterError(f"pod {name} ended: {why or 'no reason given'}")
    running = status.get("containerStatuses") and all(
        "running" in container.get("state", {}) for container in status["containerStatuses"]
    )
    addresses = tuple(item["ip"] for item in status.get("podIPs", ()))
    if running and addresses:
        return addresses, ""
    return (), f"phase {status.get('phase', 'unknown')}"
