"""Kubeconfigs made for a test: one context, with something changed; accounts with few rights."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from harness.clusters.kube.api import Api

Json = dict[str, Any]


def kubeconfig_of(context: str) -> Json:
    """The part of the user's kubeconfig that belongs to a context."""
    paths = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    for path in paths.split(os.pathsep):
        whole = yaml.safe_load(Path(path).read_text()) if Path(path).is_file() else {}
        for item in whole.get("contexts") or ():
            if item["name"] == context:
                inner = item["context"]
                return {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": context,
                    "contexts": [item],
                    "clusters": [each for each in whole["clusters"] if each["name"] == inner["cluster"]],
                    "users": [each for each in whole["users"] if each["name"] == inner["user"]],
                }
    raise AssertionError(f"no kubeconfig has the context {context}")


def changed(
    config: Mapping[str, Any], *, user: Json | None = None, cluster: Mapping[str, Any] | None = None
) -> Json:
    """A kubeconfig with another user, or with parts of its cluster changed."""
    found: Json = copy.deepcopy(dict(config))
    if user is not None:
        found["users"][0]["user"] = user
    if cluster is not None:
        found["clusters"][0]["cluster"].update(cluster)
    return found


def written(config: Mapping[str, Any], folder: Path, name: str = "kubeconfig") -> Path:
    """The kubeconfig as a file."""
    file = folder / name
    file.write_text(yaml.safe_dump(dict(config)))
    return file


@contextmanager
def account(
    api: Api,
    name: str,
    rules: Sequence[Mapping[str, Any]],
    seconds: int = 3600,
    *,
    in_default: Sequence[Mapping[str, Any]] = (),
) -> Iterator[str]:
    """A service account in the namespace `default` with exactly these rights; gives its token.

    Args:
        api: The cluster.
        name: Of the account and its roles.
        rules: Of its ClusterRole.
        seconds: How long the token is good for.
        in_default: Of its Role in `default`.
    """
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": list(rules),
    }
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": "default"}],
    }
    user = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "namespace": "default"},
    }
    inner: list[Json] = [
        {
            **item,
            "kind": item["kind"].removeprefix("Cluster"),
            "metadata": {"name": name, "namespace": "default"},
            **({"rules": list(in_default)} if item is role else {}),
        }
        for item in (role, binding)
    ]
    inner[1]["roleRef"] = {**binding["roleRef"], "kind": "Role"}  # type: ignore[dict-item]
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    try:
        for manifest in (user, role, binding, *inner):
            api.apply(manifest)
        asked = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": seconds},
        }
        made = api._request("POST", f"{accounts}/{name}/token", {}, asked)
        yield made["status"]["token"]
    finally:
        rbac = "/apis/rbac.authorization.k8s.io/v1"
        api.delete(f"{rbac}/clusterrolebindings/{name}")
        api.delete(f"{rbac}/clusterroles/{name}")
        api.delete(f"{rbac}/namespaces/default/rolebindings/{name}")
        api.delete(f"{rbac}/namespaces/default/roles/{name}")
        api.delete(f"{accounts}/{name}")
