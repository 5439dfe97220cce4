"""What making a kind cluster needs of a network plugin; the rooms under `cni/` implement it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from harness.clusters.kind.process import Stop
from harness.clusters.kind.shape import IpFamily
from harness.clusters.kube.api import Api

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Workload:
    """A daemon set or deployment.

    Attributes:
        plural: `daemonsets` or `deployments`.
        namespace: Its namespace.
        name: Its name.
    """

    plural: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.plural.removesuffix('s')} {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Site:
    """A fresh cluster, into which a plugin is installed.

    Attributes:
        cluster: Name of the kind cluster.
        kubeconfig: Its credentials.
        api: Its API server.
        ip_family: Address families of pods and services.
        pod_subnets: Subnets of pods, one per family.
        service_subnets: Subnets of services, one per family.
        load: Puts those of some images onto the nodes that this machine's container engine has; returns them.
        loaded: Whether images came from archives, which carry no digests of registries.
        say: Takes a line of progress.
        stop: Set when nobody waits any more.
    """

    cluster: str
    kubeconfig: Path
    api: Api
    ip_family: IpFamily
    pod_subnets: tuple[str, ...]
    service_subnets: tuple[str, ...]
    load: Callable[[Sequence[str]], tuple[str, ...]]
    loaded: bool = False
    say: Say = field(default=lambda line: None)
    stop: Stop | None = None


class Installer(Protocol):
    """Brings one network plugin to a fresh cluster.

    Attributes:
        name: Name of the plugin.
        version: Its version; empty where the source alone decides.
        source: Where it comes from, see `Shape.cni_source`.
        own_network: Whether it is what the node image brings, so that kind installs it.
        brings_network: Whether there is a pod network after `install`, so that nodes become ready.
        workloads: What must be rolled out afterwards, beside whatever else the cluster then has.
    """

    name: str
    version: str
    source: str
    own_network: bool
    brings_network: bool
    workloads: tuple[Workload, ...]

    def prepare(self, ip_family: IpFamily, say: Say) -> None:
        """Read and check all that it needs, downloads included, before a cluster is made for nothing.

        Raises:
            ClusterError: Something is missing or not what it should be.
        """
        ...

    def install(self, site: Site) -> None:
        """Install it; it need not be ready afterwards.

        Raises:
            ClusterError: It cannot be installed.
        """
        ...
