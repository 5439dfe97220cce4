"""Other names for a scenario's namespaces, the same everywhere, so that a world fits on a shared cluster.

Only what Kubernetes itself derives from a namespace's name is renamed with it: objects' `metadata.namespace`,
the label `kubernetes.io/metadata.name`, DNS names of the cluster. Labels that an author wrote stay, on both
sides, even where their value is the name of a namespace; so do Host headers, which rules compare as they are
written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from harness.model.builtin import CLUSTER_DOMAIN
from harness.model.identity import in_namespace
from harness.model.probe import DnsQuery, HttpRequest, Probe, Source, SourceKind, TargetKind, TlsRequest
from harness.model.topology import METADATA_NAME, Topology

_DOMAIN = tuple(CLUSTER_DOMAIN.split("."))
_ZONES = ("svc", "pod")
_API_SERVER = "kubernetes"
"""Service of the namespace `default` on every cluster; it keeps its name."""


@dataclass(frozen=True, slots=True)
class Renaming:
    """How the namespaces of one scenario are called on the cluster.

    Attributes:
        prefix: What stands before the names of namespaces and of cluster-scoped objects.
        namespaces: Names on the cluster, by the author's names; others keep theirs.
        outside: DNS names of externals; they are never renamed.
    """

    prefix: str
    namespaces: Mapping[str, str]
    outside: frozenset[str] = frozenset()
    _back: Mapping[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_back", {real: name for name, real in self.namespaces.items()})

    def namespace(self, name: str) -> str:
        """The namespace's name on the cluster.

        A name that nobody has in the author's world must not become somebody's: it gets the prefix too.
        """
        if name in self.namespaces:
            return self.namespaces[name]
        return self.prefix + name if name in self._back else name

    def identity(self, name: str) -> str:
        """`namespace/name`, or the name of a namespace alone, on the cluster."""
        head, slash, rest = name.partition("/")
        return self.namespace(head) + slash + rest

    def authored(self, name: str) -> str:
        """The inverse of `identity`: `namespace/name` as the author wrote it; anything else stays."""
        head, slash, rest = name.partition("/")
        return self._back.get(head, head) + slash + rest if slash else name

    def cluster_scoped(self, name: str) -> str:
        """Name of an object without a namespace, so that worlds beside each other do not share it."""
        return self.prefix + name

    def host(self, name: str) -> str:
        """A DNS name or pattern (`*.shop.svc.cluster.local`); only the cluster's own names change."""
        bare = name.rstrip(".")
        labels = bare.split(".")
        at = len(labels) - len(_DOMAIN) - 2
        if at < 0 or bare.lower() in self.outside:
            return name
        if (
            tuple(item.lower() for item in labels[at + 2 :]) != _DOMAIN
            or labels[at + 1].lower() not in _ZONES
        ):
            return name
        if labels[max(0, at - 1) : at + 1] == [_API_SERVER, "default"]:
            return name
        labels[at] = self.namespace(labels[at].lower())
        return ".".join(labels) + name[len(bare) :]

    def spiffe_ids(self, topology: Topology) -> dict[str, str]:
        """SPIFFE IDs on the cluster of pods whose certificates others issue, by those of the author.

        They follow from the namespace's name there; what netcheck issues keeps the author's.
        """
        found = {}
        for pod in topology.pods.values():
            if pod.svid is not None and pod.identity is not None:
                real = in_namespace(pod.identity, pod.namespace, self.namespace(pod.namespace))
                if real != pod.identity:
                    found[pod.identity] = real
        return found

    def topology(self, topology: Topology) -> Topology:
        """The world under its names on the cluster; the order stays, externals stay."""
        ids = self.spiffe_ids(topology)
        namespaces = {}
        for item in topology.namespaces.values():
            real = self.namespace(item.name)
            labels = {**item.labels, METADATA_NAME: real}
            namespaces[real] = replace(item, name=real, labels=labels)
        pods = [
            replace(
                pod,
                namespace=self.namespace(pod.namespace),
                listeners=tuple(
                    replace(item, allow=tuple(ids.get(one, one) for one in item.allow))
                    for item in pod.listeners
                )
                if ids
                else pod.listeners,
                identity=pod.identity and ids.get(pod.identity, pod.identity),
            )
            for pod in topology.pods.values()
        ]
        services = [
            replace(one, namespace=self.namespace(one.namespace)) for one in topology.services.values()
        ]
        return Topology(
            namespaces,
            {pod.id: pod for pod in pods},
            {service.id: service for service in services},
            topology.externals,
        )

    def probe(self, probe: Probe, topology: Topology) -> Probe:
        """A probe under the names on the cluster.

        Args:
            probe: As the author wrote it.
            topology: The world as the author wrote it, for names that the search list completes.
        """
        source, target, request = probe.source, probe.target, probe.request
        if source.kind is SourceKind.POD:
            source = Source(source.kind, self.identity(source.name))
        if target.kind in (TargetKind.POD, TargetKind.SERVICE):
            target = replace(target, name=self.identity(target.name))
        elif target.kind is TargetKind.HOST:
            target = replace(target, name=self.host(target.name))
            if isinstance(request, HttpRequest) and target != probe.target:
                authority = f"{probe.target.name}:{probe.target.port}"
                after = tuple(replace(each, host=each.host or authority) for each in request.after)
                request = replace(request, host=request.host or authority, after=after)
        if isinstance(request, DnsQuery):
            name = self._searched(request.name, probe.source, topology) if request.search else request.name
            request = replace(request, name=self.host(name))
        if isinstance(request, TlsRequest) and request.mutual is not None:
            ids, mutual = self.spiffe_ids(topology), request.mutual
            server = mutual.server and ids.get(mutual.server, mutual.server)
            mutual = replace(mutual, shows=ids.get(mutual.shows, mutual.shows), server=server)
            request = replace(request, mutual=mutual)
        return Probe(source, target, probe.family, request)

    def _searched(self, name: str, source: Source, topology: Topology) -> str:
        """A name that a search list completes: `service`, `service.namespace`, `service.namespace.svc`."""
        if name.endswith(".") or name.lower() in self.outside:
            return name
        own = source.name.partition("/")[0] if source.kind is SourceKind.POD else "default"
        head, _, last = name.rpartition(".")
        if not head:
            # The API server stays in `default` when the pod's own namespace, `default`, has another name.
            return f"{name}.default" if (own, name) == ("default", _API_SERVER) else name
        if last == "svc":
            return self._searched(head, source, topology) + ".svc" if "." in head else name
        if (head, last) == (_API_SERVER, "default") or f"{own}/{last}" in topology.services:
            # A pod of a headless service of its own namespace comes first in the search list.
            return name
        return f"{head}.{self.namespace(last)}"
