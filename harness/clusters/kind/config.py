"""kind's configuration: what was asked for, laid over the user's own file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.clusters.kind.shape import DEFAULT_NODES, IpFamily, Wanted
from harness.clusters.kube.api import SpecError

MARK = "/etc/netcheck/made-by-netcheck"
"""Below this folder every node has a mount (of `/dev/null`), named after its owner, when netcheck made it.

The mount is there from the moment that the container is, whoever is killed meanwhile, and no other cluster
has it: so a cluster with it is netcheck's own, half-made or not, and one without it never is.
"""

API_VERSION = "kind.x-k8s.io/v1alpha4"

SUBNETS: Mapping[IpFamily, tuple[str, str]] = {
    IpFamily.IPV4: ("10.244.0.0/16", "10.96.0.0/16"),
    IpFamily.IPV6: ("fd00:10:244::/56", "fd00:10:96::/112"),
    IpFamily.DUAL: ("10.244.0.0/16,fd00:10:244::/56", "10.96.0.0/16,fd00:10:96::/112"),
}
"""Subnets of pods and services: kind's own defaults, written out because plugins are told them too."""

Json = dict[str, Any]


def cluster_config(wanted: Wanted, *, own_network: bool, owner: str) -> Json:
    """The configuration to make a cluster from.

    What the user's file says stays, except that nodes get netcheck's mark. What it says otherwise than the
    options is an error, for nobody could tell which one counts.

    Args:
        wanted: What was asked for.
        own_network: Whether the node image's own pod network (kindnet) is wanted.
        owner: Who makes it, see `store.owner`.

    Raises:
        SpecError: The file is no configuration of kind, or contradicts an option.
    """
    config = _read(wanted.config) if wanted.config else {}
    networking = _mapping(config, "networking", wanted.config)
    _agree(
        networking, "disableDefaultCNI", not own_network, wanted.config, f"--cni {wanted.cni or 'kindnet'}"
    )
    if wanted.ip_family is not None:
        _agree(networking, "ipFamily", wanted.ip_family.value, wanted.config, "--ip-family")
    networking.setdefault("ipFamily", IpFamily.IPV4.value)
    pods, services = SUBNETS[ip_family(networking, wanted.config)]
    networking.setdefault("podSubnet", pods)
    networking.setdefault("serviceSubnet", services)
    nodes = config.get("nodes")
    if nodes is None:
        count = wanted.nodes or DEFAULT_NODES
        nodes = [{"role": "control-plane"}] + [{"role": "worker"} for _ in range(count - 1)]
    if not isinstance(nodes, list) or not all(isinstance(node, dict) for node in nodes) or not nodes:
        raise _wrong(wanted.config, "nodes is no list of nodes")
    if wanted.nodes is not None and wanted.nodes != len(nodes):
        raise _wrong(wanted.config, f"it has {len(nodes)} nodes, and --nodes says {wanted.nodes}")
    return {
        **config,
        "kind": "Cluster",
        "apiVersion": API_VERSION,
        "networking": networking,
        "nodes": [_marked(node, owner, wanted.config) for node in nodes],
    }


def ip_family(networking: Json, file: Path | None) -> IpFamily:
    """The address family of a cluster's configuration.

    Raises:
        SpecError: It is none that kind knows.
    """
    try:
        return IpFamily(networking["ipFamily"])
    except ValueError as trouble:
        raise _wrong(file, f"ipFamily is {networking['ipFamily']!r}") from trouble


def _marked(node: Json, owner: str, file: Path | None) -> Json:
    mounts = node.get("extraMounts") or []
    if not isinstance(mounts, list):
        raise _wrong(file, "extraMounts is no list")
    mark = {"hostPath": "/dev/null", "containerPath": f"{MARK}/{owner}", "readOnly": True}
    return {**node, "extraMounts": [*mounts, mark]}


def _read(file: Path) -> Json:
    import yaml

    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as trouble:
        text = (str(trouble).splitlines() or [type(trouble).__name__])[0]
        raise _wrong(file, f"it cannot be read: {text}") from trouble
    if not isinstance(found, dict) or found.get("kind") != "Cluster":
        raise _wrong(file, "it has no `kind: Cluster`")
    if found.get("apiVersion") != API_VERSION:
        raise _wrong(file, f"its apiVersion is {found.get('apiVersion')!r}, not {API_VERSION!r}")
    # The name comes from the command line: a cluster's own name decides what may be deleted.
    return {key: value for key, value in found.items() if key != "name"}


def _mapping(config: Json, key: str, file: Path | None) -> Json:
    found = config.get(key) or {}
    if not isinstance(found, dict):
        raise _wrong(file, f"{key} is no mapping")
    return dict(found)


def _agree(networking: Json, key: str, value: object, file: Path | None, option: str) -> None:
    if networking.setdefault(key, value) != value:
        raise _wrong(file, f"{key} is {networking[key]!r}, and {option} asks for {value!r}")


def _wrong(file: Path | None, why: str) -> SpecError:
    return SpecError(f"{file}: {why}", "correct kind's configuration file, or leave one of the two out")
