"""The Kubernetes API as netcheck uses it: raw JSON, one client per thread, trouble in one family.

Typed models of the client reject some real objects, and its exec helper swaps a method on the ApiClient that
it is given, so a client is never shared between threads (reference cluster.md).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.engine.cluster import ClusterError

if TYPE_CHECKING:
    from kubernetes.client import ApiClient, Configuration

FIELD_MANAGER = "netcheck"
TIMEOUT = 30.0
"""Seconds for one request to the API server."""

Json = dict[str, Any]


class SpecError(ClusterError):
    """The cluster was named wrongly: no such file, no such context. A usage error, not a measurement."""


class ApiError(ClusterError):
    """The API server refused or could not be reached.

    Attributes:
        status: HTTP status; 0 when there was no answer.
        reason: The server's `reason`, such as `AlreadyExists`.
    """

    def __init__(self, message: str, status: int, reason: str = "", advice: str = "") -> None:
        super().__init__(message, advice)
        self.status = status
        self.reason = reason


def load_configuration(kubeconfig: str | None, context: str | None) -> tuple[Configuration, str]:
    """Read a kubeconfig.

    Args:
        kubeconfig: Path; None = `KUBECONFIG` or `~/.kube/config`.
        context: Name of the context; None = the current one.

    Returns:
        The client's configuration and the name of the context.

    Raises:
        SpecError: The file or the context is not there, or cannot be read.
    """
    from kubernetes import config
    from kubernetes.client import Configuration

    if kubeconfig is not None and not Path(kubeconfig).is_file():
        raise SpecError(f"there is no kubeconfig {kubeconfig}", "name the file that kubectl uses")
    try:
        contexts, active = config.list_kube_config_contexts(config_file=kubeconfig)
    except (config.ConfigException, OSError, ValueError) as trouble:
        raise SpecError(
            f"the kubeconfig cannot be read: {_first_line(trouble)}", "check it with: kubectl config view"
        ) from trouble
    names = [item["name"] for item in contexts]
    name = context or active["name"]
    if name not in names:
        raise SpecError(f"the kubeconfig has no context {name!r}", f"it has: {', '.join(names) or 'none'}")
    configuration = Configuration()
    try:
        config.load_kube_config(config_file=kubeconfig, context=name, client_configuration=configuration)
    except (config.ConfigException, OSError, ValueError) as trouble:
        raise SpecError(f"context {name!r} cannot be used: {_first_line(trouble)}") from trouble
    configuration.retries = False
    return configuration, name


def _first_line(trouble: BaseException) -> str:
    return (str(trouble).splitlines() or [type(trouble).__name__])[0][:300]


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

    def __init__(self, configuration: Configuration, context: str) -> None:
        self.context = context
        self._configuration = configuration
        self._local = threading.local()
        self._resources: dict[str, dict[str, Resource]] = {}
        self._lock = threading.Lock()

    def client(self) -> ApiClient:
        """This thread's client."""
        found: ApiClient | None = getattr(self._local, "client", None)
        if found is None:
            found = self.new_client()
            self._local.client = found
        return found

    def new_client(self) -> ApiClient:
        """A client that nobody else uses, for a stream of its own."""
        from kubernetes.client import ApiClient

        return ApiClient(self._configuration)

    # -- requests --------------------------------------------------------------------------------------

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
        """Create an object; it must not exist."""
        resource = self.resource(manifest["apiVersion"], manifest["kind"])
        path = resource.path(manifest["metadata"].get("namespace", ""))
        return self._request("POST", path, {"fieldManager": FIELD_MANAGER}, manifest)

    def patch(self, path: str, change: Mapping[str, Any]) -> Json:
        """Merge a change into an object."""
        return self._request("PATCH", path, {}, change, "application/merge-patch+json")

    def delete(self, path: str, *, grace: int | None = None) -> None:
        """Delete an object; gone already is as good."""
        query = {} if grace is None else {"gracePeriodSeconds": str(grace)}
        try:
            self._request("DELETE", path, query)
        except ApiError as trouble:
            if trouble.status != 404:
                raise

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
            for piece in response.response.stream(1 << 16, decode_content=False):
                buffer += piece
                *lines, buffer = buffer.split(b"\n")
                for line in lines:
                    if line:
                        yield json.loads(line)
        except Exception as trouble:
            raise ApiError(f"the watch of {path} broke: {_first_line(trouble)}", 0) from trouble
        finally:
            response.response.release_conn()

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> Json:
        from harness.clusters.kube.retry import with_retries

        def once() -> Json:
            response = self._send(method, path, query or {}, body, content_type, TIMEOUT)
            data = response.read()
            if response.status >= 400:
                raise _refusal(method, path, response.status, data)
            found: Json = json.loads(data) if data else {}
            return found

        return with_retries(once)

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
            return client.call_api(*request, _request_timeout=timeout)
        except Exception as trouble:
            raise _unreachable(path, trouble) from trouble

    # -- exec ------------------------------------------------------------------------------------------

    def exec(self, namespace: str, pod: str, container: str, command: list[str]) -> Any:
        """Start a command in a container; returns the open stream with standard input and output."""
        from kubernetes.client import CoreV1Api
        from kubernetes.stream import stream

        core = CoreV1Api(self.new_client())
        call: Callable[..., Any] = core.connect_get_namespaced_pod_exec
        try:
            return stream(
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
        except Exception as trouble:
            raise ApiError(f"no exec stream to {namespace}/{pod}: {_first_line(trouble)}", 0) from trouble


def _refusal(method: str, path: str, status: int, data: bytes) -> ApiError:
    try:
        answer = json.loads(data)
    except ValueError:
        answer = {}
    message = answer.get("message") or data.decode("utf-8", "replace")[:300] or f"HTTP {status}"
    reason = answer.get("reason", "")
    advice = ""
    if status == 401:
        message, advice = f"the credentials are refused or expired: {message}", "log in again, as for kubectl"
    elif status == 403:
        advice = f"allow it, or ask for it: kubectl auth can-i {_verb(method)} {path.rsplit('/', 1)[-1]}"
    return ApiError(f"the cluster says: {message}", status, reason, advice)


def _verb(method: str) -> str:
    return {"GET": "get", "POST": "create", "PATCH": "patch", "DELETE": "delete"}.get(method, method.lower())


def _unreachable(path: str, trouble: BaseException) -> ApiError:
    text = _first_line(trouble)
    return ApiError(
        f"the API server cannot be reached: {text}",
        0,
        advice="is the cluster up, and does kubectl reach it?",
    )
