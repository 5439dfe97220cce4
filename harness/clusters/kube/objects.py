"""Building, changing and removing a scenario's objects; waits follow watches."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from harness.clusters.kube import manifests, meshes
from harness.clusters.kube.api import Api
from harness.clusters.kube.grounds import Ground, Grounds
from harness.clusters.kube.manifests import RUN_LABEL, PodOptions
from harness.clusters.kube.watching import await_gone, follow
from harness.engine.cluster import ClusterError
from harness.model.topology import Namespace, Pod, Service

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

Json = dict[str, Any]


class Objects:
    """Objects of one world on one API server."""

    def __init__(self, api: Api, run: str, options: PodOptions, grounds: Grounds) -> None:
        self._api = api
        self._run = run
        self._options = options
        self._grounds = grounds
        self._own: dict[str, Ground] = {}

    @property
    def namespaces(self) -> frozenset[str]:
        """Namespaces that this world made."""
        return frozenset(self._own)

    @property
    def on_used_grounds(self) -> bool:
        """Whether earlier worlds of the run stood in some of the namespaces."""
        return any(item.used for item in self._own.values())

    def add_namespace(self, item: Namespace) -> None:
        """Have a namespace for this world alone.

        Raises:
            ClusterError: It exists and is not this run's.
        """
        self._own[item.name] = self._grounds.take(item, self._run)
        meshes.check_namespace(self._own[item.name].found)
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

    def add_pods(self, pods: Iterable[tuple[Pod, str]]) -> None:
        """Create pods side by side, each on its node."""
        self._api.together([partial(self.add_pod, pod, node) for pod, node in pods])

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

        patience = self._options.start_seconds
        deadline = time.monotonic() + patience
        namespaces = sorted({item.split("/")[0] for item in waiting})
        for namespace in namespaces:
            mine = {item for item in waiting if item.startswith(f"{namespace}/")}
            path = f"/api/v1/namespaces/{namespace}/pods"
            query = {"labelSelector": f"{RUN_LABEL}={self._run}"}
            follow(self._api, path, deadline, look, lambda mine=mine: not (mine & waiting), query)  # type: ignore[misc]
        if waiting:
            first = sorted(waiting)[0]
            why = last.get(first, "nothing is known of it")
            raise ClusterError(
                f"pod {first} did not run within {patience:.0f} s: {why}",
                "where nodes or images need longer: --pod-timeout",
            )
        return found

    # -- removal ---------------------------------------------------------------------------------------

    def remove_pods(self, pods: Iterable[Pod]) -> None:
        """Delete pods and wait until they are gone."""
        gone = list(pods)
        calls = [partial(self._api.delete, _pod_path(pod.id), grace=_grace(pod.host_network)) for pod in gone]
        self._api.together(calls)
        self._await_gone([pod.id for pod in gone])

    def _await_gone(self, pods: Sequence[str]) -> None:
        for namespace in sorted({pod.split("/")[0] for pod in pods}):
            names = [pod.split("/")[1] for pod in pods if pod.startswith(f"{namespace}/")]
            await_gone(self._api, f"/api/v1/namespaces/{namespace}/pods", names)

    def remove_everything(self, *, empty: bool) -> None:
        """Empty the namespaces of this world and give them back.

        Args:
            empty: Nothing else of this run is in them, such as policies.

        Raises:
            ClusterError: Something could not be removed; the namespaces go with all that they hold.
        """
        grounds = list(self._own.values())
        self._own.clear()
        done = False
        try:
            self._api.together([partial(self._empty, item.name) for item in grounds])
            done = True
        finally:
            self._grounds.give_back(grounds, empty=empty and done)

    def _empty(self, namespace: str) -> None:
        """Delete what this run made in a namespace, and wait until it is gone."""
        for plural in ("services", "pods", "serviceaccounts"):
            path = f"/api/v1/namespaces/{namespace}/{plural}"
            found = self._api.get(path, labelSelector=f"{RUN_LABEL}={self._run}")["items"]
            going = [
                item for item in found if plural != "serviceaccounts" or item["metadata"]["name"] != "default"
            ]
            for item in going:
                grace = _grace(bool(item["spec"].get("hostNetwork"))) if plural == "pods" else None
                self._api.delete(f"{path}/{item['metadata']['name']}", grace=grace)
            await_gone(self._api, path, [item["metadata"]["name"] for item in going])


def _grace(host_network: bool) -> int | None:
    """At once; but a pod in its node's network gives its ports back only when it has ended."""
    return None if host_network else 0


def _pod_path(pod: str) -> str:
    namespace, name = pod.split("/")
    return f"/api/v1/namespaces/{namespace}/pods/{name}"


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
