"""An API server that keeps objects in memory, as far as policies and leases need one."""

from __future__ import annotations

import copy
import datetime
import itertools
import threading
from collections.abc import Callable, Mapping
from typing import Any

from harness.clusters.kube.api import Api, ApiError, Resource

Json = dict[str, Any]
_GROUPS = {"networking.k8s.io", "policy.networking.k8s.io", "coordination.k8s.io"}


class ObjectServer(Api):
    """Serves `Api` from a table; `before` may look at, or break, each request."""

    def __init__(self, before: Callable[[str, str], None] = lambda method, path: None) -> None:
        self.objects: dict[str, Json] = {}
        self.clock = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.UTC)
        self.before = before
        self.after = before
        self._numbers = itertools.count(1)
        self._whole = threading.Lock()

    def resource(self, api_version: str, kind: str) -> Resource:
        plural = kind.lower() + ("es" if kind.endswith("s") else "s")
        plural = plural.replace("policys", "policies")
        namespaced = kind in ("NetworkPolicy", "Lease")
        assert api_version.split("/")[0] in _GROUPS
        return Resource(f"/apis/{api_version}", plural, namespaced)

    def now(self) -> datetime.datetime:
        return self.clock

    def put(self, path: str, manifest: Mapping[str, Any]) -> Json:
        """Have an object that somebody else made."""
        found = copy.deepcopy(dict(manifest))
        number = next(self._numbers)
        metadata = {**found.get("metadata", {}), "name": path.rsplit("/", 1)[1]}
        found["metadata"] = {**metadata, "uid": f"uid-{number}", "resourceVersion": str(number)}
        self.objects[path] = found
        return found

    def _request(  # type: ignore[override]
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
        patience: float | None = None,
    ) -> Json:
        self.before(method, path)
        with self._whole:
            answer = getattr(self, f"_{method.lower()}")(path, copy.deepcopy(body), query or {})
            answer = copy.deepcopy(answer)
        self.after(method, path)
        return answer  # type: ignore[no-any-return]

    def _post(self, path: str, body: Json, query: Mapping[str, str]) -> Json:
        name = f"{path}/{body['metadata']['name']}"
        if name in self.objects:
            raise ApiError(f"{name} already exists", 409, "AlreadyExists")
        return self.put(name, body)

    def _get(self, path: str, body: object, query: Mapping[str, str]) -> Json:
        if path in self.objects:
            return self.objects[path]
        if path.rsplit("/", 1)[-1].endswith("s") and path.count("/") in (4, 6):
            label = query.get("labelSelector", "")
            items = [item for name, item in self.objects.items() if name.rsplit("/", 1)[0] == path]
            return {"items": [item for item in items if not label or label in _labels(item)]}
        raise ApiError(f"{path} not found", 404, "NotFound")

    def _put(self, path: str, body: Json, query: Mapping[str, str]) -> Json:
        there = self._there(path)
        if body["metadata"].get("resourceVersion") != there["metadata"]["resourceVersion"]:
            raise ApiError("the object has been modified", 409, "Conflict")
        body["metadata"]["resourceVersion"] = str(next(self._numbers))
        self.objects[path] = body
        return body

    def _patch(self, path: str, body: Json, query: Mapping[str, str]) -> Json:
        there = self._there(path)
        _merge(there, body)
        there["metadata"]["resourceVersion"] = str(next(self._numbers))
        return there

    def _delete(self, path: str, body: Json | None, query: Mapping[str, str]) -> Json:
        there = self._there(path)
        wanted = (body or {}).get("preconditions", {}).get("uid")
        if wanted is not None and wanted != there["metadata"]["uid"]:
            raise ApiError("Precondition failed: UID", 409, "Conflict")
        return self.objects.pop(path)

    def _there(self, path: str) -> Json:
        if path not in self.objects:
            raise ApiError(f"{path} not found", 404, "NotFound")
        return self.objects[path]


def _labels(item: Json) -> Mapping[str, str]:
    labels: Mapping[str, str] = item["metadata"].get("labels") or {}
    return labels


def _merge(there: Json, change: Mapping[str, Any]) -> None:
    for key, value in change.items():
        if value is None:
            there.pop(key, None)
        elif isinstance(value, Mapping):
            _merge(there.setdefault(key, {}), value)
        else:
            there[key] = value
