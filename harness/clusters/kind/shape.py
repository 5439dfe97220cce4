"""What a kind cluster is made of: what was asked for, what stands, and where the two differ."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path

from harness.clusters.kube.api import SpecError

DEFAULT_NAME = "netcheck"
DEFAULT_NODES = 3
"""One control plane and two workers: pods have a path within a node and one across (semantics.md 2.2)."""

NODE_IMAGES = "kindest/node"
"""Where kind's own node images live; their tags are versions of Kubernetes."""

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,48}[a-z0-9])?")
_KUBERNETES = re.compile(r"v?(\d+\.\d+\.\d+)")


class IpFamily(StrEnum):
    """Address families of pods and services."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"
    DUAL = "dual"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for; None or empty where nothing was said: then whatever stands will do.

    Attributes:
        cni: Name of the network plugin.
        cni_version: Its version.
        cni_source: Where it comes from when not from netcheck's table, see `digest`.
        nodes: All nodes, the control plane included.
        kubernetes: Version, such as `1.35.8`.
        node_image: Image of the nodes, instead of a version.
        ip_family: Address families.
        config: kind's configuration file.
    """

    cni: str = ""
    cni_version: str = ""
    cni_source: str = ""
    nodes: int | None = None
    kubernetes: str = ""
    node_image: str = ""
    ip_family: IpFamily | None = None
    config: Path | None = None

    def __post_init__(self) -> None:
        """Look whether it can be.

        Raises:
            SpecError: A value is none, or two contradict each other.
        """
        if self.kubernetes and self.node_image:
            raise SpecError(
                "a version of Kubernetes and a node image were both given", "the node image has its version"
            )
        if self.kubernetes and not _KUBERNETES.fullmatch(self.kubernetes):
            raise SpecError(
                f"{self.kubernetes!r} is no version of Kubernetes that has a node image",
                "write all three numbers, such as 1.35.8; kind's release notes list what there is",
            )
        if self.nodes is not None and not 1 <= self.nodes <= 50:
            raise SpecError(f"a cluster of {self.nodes} nodes", "1 to 50 nodes, the control plane included")
        if self.config is not None and not self.config.is_file():
            raise SpecError(f"{self.config}: there is no such file", "name a configuration file of kind")

    @property
    def image(self) -> str:
        """The node image; empty = the one that belongs to the installed kind."""
        match = _KUBERNETES.fullmatch(self.kubernetes)
        return f"{NODE_IMAGES}:v{match.group(1)}" if match else self.node_image

    def config_digest(self) -> str:
        """Digest of the configuration file; empty when there is none."""
        return digest(self.config.read_bytes()) if self.config else ""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a cluster that stands was made of; kept in the cluster itself.

    Attributes:
        cni: Name of the network plugin.
        cni_version: Its version as asked for; empty where the source alone decides.
        cni_source: `table`, or where else it came from with a digest.
        nodes: All nodes.
        kubernetes: Version of the API server.
        node_image: Image of the nodes; empty = kind's default.
        ip_family: Address families.
        config: Digest of kind's configuration file; empty without one.
    """

    cni: str
    cni_version: str
    cni_source: str
    nodes: int
    kubernetes: str
    node_image: str
    ip_family: str
    config: str

    def data(self) -> dict[str, str]:
        """As the data of a ConfigMap."""
        return {_key(item.name): str(getattr(self, item.name)) for item in fields(self)}

    @classmethod
    def read(cls, data: Mapping[str, object]) -> Shape | None:
        """From the data of a ConfigMap; None when it is not ours or damaged."""
        found = {item.name: data.get(_key(item.name)) for item in fields(cls)}
        text = {name: value for name, value in found.items() if isinstance(value, str)}
        nodes = text.pop("nodes", "")
        if len(text) != len(found) - 1 or not (nodes.isascii() and nodes.isdecimal()):
            return None
        return cls(nodes=int(nodes), **text)

    def differences(self, wanted: Wanted) -> Iterator[str]:
        """What was asked for and is otherwise here, in words."""
        asked = {
            "cni": wanted.cni,
            "cni_version": wanted.cni_version,
            "cni_source": wanted.cni_source,
            "nodes": wanted.nodes or "",
            "kubernetes": wanted.kubernetes.removeprefix("v"),
            "node_image": wanted.node_image,
            "ip_family": str(wanted.ip_family or ""),
            "config": wanted.config_digest(),
        }
        for name, value in asked.items():
            here = getattr(self, name)
            if value and value != here:
                yield f"{_WORDS[name]} is {here or 'none'}, not {value}"


_WORDS = {
    "cni": "the network plugin",
    "cni_version": "its version",
    "cni_source": "its source",
    "nodes": "the number of nodes",
    "kubernetes": "Kubernetes",
    "node_image": "the node image",
    "ip_family": "the address family",
    "config": "kind's configuration",
}


def cluster_name(value: str) -> str:
    """A name that kind accepts for a cluster, `netcheck` when empty.

    Raises:
        SpecError: It cannot be one.
    """
    name = value or DEFAULT_NAME
    if not _NAME.fullmatch(name):
        raise SpecError(
            f"{name!r} cannot be the name of a kind cluster",
            "at most 50 lower-case letters, digits, dots and hyphens, a letter or digit at both ends",
        )
    return name


def digest(content: bytes) -> str:
    """A short digest, to tell one content from another."""
    return hashlib.sha256(content).hexdigest()[:16]


def _key(name: str) -> str:
    return name.replace("_", "-")
