"""The Kubernetes API as netcheck uses it: raw JSON, one client per thread, trouble in one family.

Typed models of the client reject some real objects, and its exec helper swaps a method on the ApiClient that
it is given, so a client is never shared between threads (reference cluster.md).
"""

from __future__ import annotations

import contextlib
import datetime
import email.utils
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from harness.clusters.kube.errors import (
    CONNECT,
    TIMEOUT,
    ApiError,
    SpecError,
    event_of,
    first_line,
    no_stream,
    refusal,
    why_unreachable,
)
from harness.clusters.kube.kubeconfig import load_configuration
from harness.engine.cluster import ClusterError

if TYPE_CHECKING:
    from kubernetes.client import ApiClient, Configuration

FIELD_MANAGER = "netcheck"
REACH_SECONDS = 6.0
"""How long a server that was never reached is tried; who mistyped an address shall not wait for long."""

EXEC_SECONDS = 10.0
"""How long a node may refuse an exec stream before that counts."""

RENEWED = 10.0
"""Seconds in which credentials are not read anew once more: they are refused for another reason."""

Json = dict[str, Any]

WIDTH = 8
"""Requests at the same time."""

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Resource:
    """Where objects of a kind live."""

    base: str
    plural: str
    namespaced: bool

    def path(self, namespace: str = "", name: str = "") -> str:
        """The URL path of an object or a collection."""
        parts = [self.base]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        if name:
            parts.append(name)
        return "/".join(parts)


class Api:
    """One API server, used from any thread."""

    def __init__(
        self, configuration: Configuration, context: str, renew: Callable[[], Configuration] | None = None
    ) -> None:
        self.context = context
        self._configuration = configuration
        self._renew = renew
        self._renewed = time.monotonic() - RENEWED
        self._generation = 0
        self._local = threading.local()
        self._resources: dict[str, dict[str, Resource]] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(WIDTH, thread_name_prefix="api")

    def client(self) -> ApiClient:
        """This thread's client."""
        found: ApiClient | None = getattr(self._local, "client", None)
        if found is None or self._local.generation != self._generation:
            self._local.generation = self._generation
            found = self.new_client()
            self._local.client = found
        return found

    def new_client(self) -> ApiClient:
        """A client that nobody else uses, for a stream of its own."""
        from kubernetes.client import ApiClient

        return ApiClient(self._configuration)

    def _renewed_since(self, generation: int) -> bool:
        """Read the credentials anew, once for all threads; whether there are others than in `generation`."""
        with self._lock:
            if generation != self._generation:
                return True
            if self._renew is None or time.monotonic() - self._renewed < RENEWED:
                return False
            self._renewed = time.monotonic()
            with contextlib.suppress(ClusterError):
                self._configuration = self._renew()
                self._generation += 1
                return True
            return False

    def together(self, calls: Sequence[Callable[[], _Answer]]) -> list[_Answer]:
        """Carry out independent calls side by side; calls must not come back here.

        Raises:
            ApiError: The first trouble, once all have ended.
        """
        if len(calls) <= 1:
            return [call() for call in calls]
        futures = [self._pool.submit(call) for call in calls]
        wait(futures)
        return [future.result() for future in futures]

    # -- requests --------------------------------------------------------------------------------------

    def reach(self, path: str = "/version", seconds: float = REACH_SECONDS, **query: str) -> Json:
        """Read something (by default the server's version) without waiting for long.

        Raises:
            ApiError: The server cannot be reached within some `seconds`.
        """
        return self._request("GET", path, query, patience=seconds)

    def now(self) -> datetime.datetime:
        """What time the server has: the clock that the ages of objects are told by.

        Raises:
            ApiError: As all requests.
        """
        self.reach()
        response = self._send("GET", "/version", {}, None, "application/json", TIMEOUT)
        with contextlib.suppress(TypeError, ValueError):
            return email.utils.parsedate_to_datetime(str(response.headers.get("Date")))
        return datetime.datetime.now(datetime.UTC)

    def get(self, path: str, **query: str) -> Json:
        """Read an object or a list.

        Raises:
            ApiError: As all requests.
        """
        return self._request("GET", path, query=query)

    def apply(self, manifest: Mapping[str, Any], namespace: str = "") -> Json:
        """Create or update an object by server-side apply."""
        resource = self.resource(manifest["apiVersion"], manifest["kind"])
        metadata = manifest["metadata"]
        path = resource.path(metadata.get("namespace") or namespace, metadata["name"])
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return self._request("PATCH", path, query, manifest, "application/apply-patch+yaml")

    def create(self, manifest: Mapping[str, Any]) -> Json:
        """Create an object; it must not exist.

        One with the same labels is this one: its answer got lost, and the request was made again. Everything
        that netcheck creates carries the label of its run.
        """
        resource = self.resource(manifest["apiVersion"], manifest["kind"])
        metadata = manifest["metadata"]
        path = resource.path(metadata.get("namespace", ""))
        try:
            return self._request("POST", path, {"fieldManager": FIELD_MANAGER}, manifest)
        except ApiError as trouble:
            if trouble.reason != "AlreadyExists" or not metadata.get("labels"):
                raise
            found = self.get(f"{path}/{metadata['name']}")
            there = found["metadata"]
            if (
                "deletionTimestamp" in there
                or not metadata["labels"].items() <= there.get("labels", {}).items()
            ):
                raise
            return found

    def patch(self, path: str, change: Mapping[str, Any]) -> Json:
        """Merge a change into an object."""
        return self._request("PATCH", path, {}, change, "application/merge-patch+json")

    def replace(self, path: str, manifest: Mapping[str, Any]) -> Json:
        """Write an object anew, with the version at which it was read.

        Raises:
            ApiError: 409 when it has changed since; as all requests.
        """
        return self._request("PUT", path, {"fieldManager": FIELD_MANAGER}, manifest)

    def delete(self, path: str, *, grace: int | None = None, uid: str = "") -> None:
        """Delete an object; gone already is as good, and so is another one of the same name than `uid`."""
        query = {} if grace is None else {"gracePeriodSeconds": str(grace)}
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": uid}} if uid else None
        try:
            self._request("DELETE", path, query, body)
        except ApiError as trouble:
            if trouble.status != 404 and not (uid and trouble.status == 409 and self._is_another(path, uid)):
                raise

    def _is_another(self, path: str, uid: str) -> bool:
        """Whether there is no object any more, or another one, where one had `uid`."""
        try:
            return bool(self.get(path)["metadata"]["uid"] != uid)
        except ApiError as trouble:
            if trouble.status != 404:
                raise
            return True

    def resource(self, api_version: str, kind: str) -> Resource:
        """Where a kind lives, as the server says.

        Raises:
            ApiError: 404 when the server does not serve the kind.
        """
        with self._lock:
            known = self._resources.get(api_version)
        base = f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"
        if known is None:
            listed = self.get(base)
            known = {
                item["kind"]: Resource(base, item["name"], bool(item["namespaced"]))
                for item in listed.get("resources", ())
                if "/" not in item["name"]
            }
            with self._lock:
                self._resources[api_version] = known
        if kind not in known:
            raise ApiError(f"the cluster does not serve {kind} of {api_version}", 404, "NotFound")
        return known[kind]

    def forget_resources(self) -> None:
        """Ask again where kinds live: the server has learnt new ones."""
        with self._lock:
            self._resources.clear()

    def watch(self, path: str, version: str, seconds: float, **query: str) -> Iterator[Json]:
        """Events of a collection since `version`, for `seconds` at most."""
        query = {
            **query,
            "watch": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(max(1, int(seconds + 0.999))),
            "allowWatchBookmarks": "false",
        }
        response = self._send("GET", path, query, None, "application/json", seconds + 5)
        buffer = b""
        try:
            if response.status >= 400:
                raise refusal("WATCH", path, response.status, response.read())
            for piece in response.response.stream(1 << 16, decode_content=False):
                buffer += piece
                *lines, buffer = buffer.split(b"\n")
                for line in lines:
                    if line:
                        yield event_of(path, line)
        except ApiError:
            raise
        except Exception as trouble:
            raise ApiError(f"the watch of {path} broke: {first_line(trouble)}", 0) from trouble
        finally:
            # The rest of the answer is still to come: nobody else may get this connection.
            response.response.close()

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
        patience: float | None = None,
    ) -> Json:
        from harness.clusters.kube.retry import RETRY_SECONDS, with_retries

        def once() -> Json:
            response = self._send(method, path, query or {}, body, content_type, TIMEOUT)
            try:
                data = response.read()
            except Exception as trouble:
                raise self._unreachable(trouble) from trouble
            if response.status >= 400:
                raise refusal(method, path, response.status, data, response.headers, body)
            try:
                found: Json = json.loads(data) if data else {}
            except ValueError as trouble:
                raise ApiError(f"the answer to {method} {path} is no JSON", 0) from trouble
            return found

        patience = RETRY_SECONDS if patience is None else patience
        return with_retries(lambda: self._with_credentials(once), patience)

    def _with_credentials(self, once: Callable[[], _Answer]) -> _Answer:
        """Call; where the credentials are refused, once more with those that can be had now."""
        generation = self._generation
        try:
            return once()
        except ApiError as trouble:
            if trouble.status != 401 or not self._renewed_since(generation):
                raise
        return once()

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None,
        content_type: str,
        timeout: float,
    ) -> Any:
        client = self.client()
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = content_type
        request = client.param_serialize(
            method,
            path,
            query_params=list(query.items()),
            header_params=headers,
            body=json.dumps(body) if body is not None and "yaml" in content_type else body,
            auth_settings=["BearerToken"],
        )
        try:
            return client.call_api(*request, _request_timeout=(CONNECT, timeout))
        except Exception as trouble:
            raise self._unreachable(trouble) from trouble

    def _unreachable(self, trouble: BaseException) -> ApiError:
        return ApiError(
            f"the API server {self._configuration.host} cannot be reached: {why_unreachable(trouble)}",
            0,
            advice="is the cluster up, and does kubectl reach it?",
        )

    # -- exec ------------------------------------------------------------------------------------------

    def exec(self, namespace: str, pod: str, container: str, command: list[str]) -> Any:
        """Start a command in a container; returns the open stream with standard input and output."""
        from harness.clusters.kube.retry import with_retries

        def once() -> Any:
            return self._exec(namespace, pod, container, command)

        return with_retries(lambda: self._with_credentials(once), EXEC_SECONDS)

    def _exec(self, namespace: str, pod: str, container: str, command: list[str]) -> Any:
        from kubernetes.client import CoreV1Api
        from kubernetes.stream import stream

        core = CoreV1Api(self.new_client())
        call: Callable[..., Any] = core.connect_get_namespaced_pod_exec
        try:
            opened = stream(
                call,
                pod,
                namespace,
                container=container,
                command=command,
                stdin=True,
                stdout=True,
                stderr=True,
                tty=False,
                _preload_content=False,
                _request_timeout=TIMEOUT,
            )
            # Writing to an agent that does not read must end some day.
            opened.sock.settimeout(TIMEOUT)
        except Exception as trouble:
            raise no_stream(namespace, pod, trouble) from trouble
        return opened


def open_api(kubeconfig: str | None, context: str | None) -> Api:
    """The API server that a kubeconfig names; its credentials are read anew when they expire.

    Raises:
        SpecError: As `load_configuration`.
    """
    configuration, name = load_configuration(kubeconfig, context)
    return Api(configuration, name, lambda: load_configuration(kubeconfig, name)[0])


__all__ = ["Api", "ApiError", "Resource", "SpecError", "load_configuration", "open_api"]
