"""The policies of one world on its API server: never somebody else's, however they are called."""

from __future__ import annotations

import select
import time
from collections.abc import Mapping
from typing import Any

from harness.clusters.kube.api import Api, ApiError
from harness.clusters.kube.manifests import RUN_LABEL
from harness.clusters.kube.watching import PAUSE
from harness.engine.cluster import ClusterError
from harness.model.policy import Policy, PolicyRef

TRIES = 5
"""How often an update is written anew because a controller wrote in between."""

GOING_SECONDS = 60.0
"""How long a policy of the same name that is being deleted may take to go."""

Json = dict[str, Any]


class Standing:
    """Policies that a world has created and not deleted yet.

    Args:
        api: The API server.
        run: Id of the run, for the label.
    """

    def __init__(self, api: Api, run: str) -> None:
        self._api = api
        self._run = run
        self._policies: dict[PolicyRef, Policy] = {}
        self._uids: dict[PolicyRef, str] = {}
        self._gone: dict[PolicyRef, Policy] = {}

    @property
    def policies(self) -> tuple[Policy, ...]:
        """What stands, or may stand: a request may arrive although its answer does not."""
        return tuple(self._policies.values())

    @property
    def gone(self) -> tuple[Policy, ...]:
        """What was deleted since `forget_gone`, and was not created anew."""
        return tuple(self._gone.values())

    def forget_gone(self) -> None:
        """What was deleted is known to be in force no more."""
        self._gone.clear()

    @property
    def wide(self) -> bool:
        """Whether some of it belongs to no namespace, and so may reach the whole cluster."""
        return any(not policy.namespace for policy in self._policies.values())

    def apply(self, policy: Policy) -> None:
        """Create a policy, or update one that this world has created.

        Raises:
            ClusterError: An object of that name is there already and is not of this run, or the API server
                takes it not.
        """
        self._gone.pop(policy.ref, None)
        before = self._policies.get(policy.ref)
        if before is not None:
            self._update(policy, before)
            return
        self._policies[policy.ref] = policy
        try:
            made = self._create(policy)
        except ApiError as trouble:
            if trouble.reason != "AlreadyExists":
                raise
            del self._policies[policy.ref]
            raise ClusterError(
                f"{policy} exists on the cluster and is not of this run",
                "netcheck changes nothing that it did not make: choose another name, or another cluster; "
                "if a run was killed: netcheck cleanup",
            ) from trouble
        self._uids[policy.ref] = made["metadata"]["uid"]

    def _create(self, policy: Policy) -> Json:
        manifest = self._manifest(policy)
        try:
            return self._api.create(manifest)
        except ApiError as trouble:
            if trouble.reason != "AlreadyExists":
                raise
        # It may be going, such as one that an earlier step deleted: finalizers take their time.
        deadline = time.monotonic() + GOING_SECONDS
        while (there := self._get(policy)) is not None and "deletionTimestamp" in there["metadata"]:
            if time.monotonic() > deadline:
                raise ClusterError(f"{policy} is being deleted, and was not gone after {GOING_SECONDS:.0f} s")
            select.select([], [], [], PAUSE)
        return self._api.create(manifest)

    def _update(self, policy: Policy, before: Policy) -> None:
        """Replace what the files say; what controllers have added stays."""
        manifest, old = self._manifest(policy), self._manifest(before)
        for tries_left in reversed(range(TRIES)):
            there = self._get(policy)
            uid = self._uids.get(policy.ref, "")
            if there is None or not self._is_ours(there, uid):
                raise ClusterError(f"{policy} was removed or replaced by somebody else")
            self._policies[policy.ref] = policy
            try:
                self._api.replace(self._path(policy), _merged(there, old, manifest))
                return
            except ApiError as trouble:
                if trouble.status != 409 or not tries_left:
                    raise

    def delete(self, ref: PolicyRef) -> None:
        """Delete a policy, if it is this world's and still the one that it created.

        Raises:
            ClusterError: It cannot be deleted.
        """
        policy = self._policies.get(ref)
        if policy is None:
            return
        uid = self._uids.get(ref, "")
        if not uid:
            # Whether it was created at all is not known.
            there = self._get(policy)
            uid = there["metadata"]["uid"] if there is not None and self._is_ours(there) else ""
        if uid:
            self._api.delete(self._path(policy), uid=uid)
        self._gone[ref] = self._policies.pop(ref)
        self._uids.pop(ref, None)

    def delete_all(self) -> None:
        """Delete everything, the last first: a tier goes after what stands in it.

        Raises:
            ClusterError: Something cannot be deleted.
        """
        for ref in reversed(list(self._policies)):
            self.delete(ref)

    def _manifest(self, policy: Policy) -> Json:
        """As it goes to the server: in its namespace, with the run's label."""
        manifest = dict(policy.manifest)
        metadata = dict(manifest.get("metadata") or {})
        if policy.namespace:
            metadata["namespace"] = policy.namespace
        metadata["labels"] = {**(metadata.get("labels") or {}), RUN_LABEL: self._run}
        manifest["metadata"] = metadata
        return manifest

    def _path(self, policy: Policy) -> str:
        resource = self._api.resource(policy.api_version, policy.kind)
        return resource.path(policy.namespace, policy.name)

    def _get(self, policy: Policy) -> Json | None:
        try:
            return self._api.get(self._path(policy))
        except ApiError as trouble:
            if trouble.status != 404:
                raise
            return None

    def _is_ours(self, there: Json, uid: str = "") -> bool:
        labels = there["metadata"].get("labels") or {}
        return labels.get(RUN_LABEL) == self._run and uid in ("", there["metadata"]["uid"])


def _merged(there: Json, old: Mapping[str, Any], new: Mapping[str, Any]) -> Json:
    """`new` in place of `old`, with the metadata and the status that others wrote."""
    metadata = dict(there["metadata"])
    metadata.pop("managedFields", None)
    for part in ("labels", "annotations"):
        had, has = (item["metadata"].get(part) or {} for item in (old, new))
        kept = {key: value for key, value in (metadata.get(part) or {}).items() if key not in had}
        metadata[part] = {**kept, **has}
    status = {"status": there["status"]} if "status" in there else {}
    return {**new, **status, "metadata": metadata}
