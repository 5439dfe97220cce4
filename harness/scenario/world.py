"""Namespaces, pods, services and externals: from their specs to the model's topology."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from harness.model.builtin import BUILTIN_NAMESPACES, DNS_POD, with_builtins
from harness.model.topology import (
    METADATA_NAME,
    External,
    Family,
    Listener,
    Namespace,
    Pod,
    Service,
    Topology,
)
from harness.scenario import names
from harness.scenario.addresses import outside_address
from harness.scenario.identities import identity, strict_ports
from harness.scenario.located import Text
from harness.scenario.ports import listeners, report, service_ports, service_type
from harness.scenario.world_schema import ExternalSpec, NamespaceSpec, PodSpec, ServiceSpec
from harness.source import Place
from harness.source.diagnostics import Problems, Related, did_you_mean
from harness.source.values import BadValueError

MAX_THINGS = 5000
"""Pods, services and externals of one scenario; more are a mistake in `replicas`."""


@dataclass(slots=True)
class World:
    """A topology under construction; steps change a copy of it.

    Attributes:
        default_namespace: Namespace of bare names; None when the scenario names none.
        declared: The file lists its namespaces, so an unlisted one is a mistake.
        groups: Ids of the pods that `replicas` made, by the id that the author wrote.
        places: Where each thing was declared, by (`pod`, `ns/name`) and the like.
        port_places: Where each port of a service stands, by the service's id.
        broken: Names that were left out because of errors; nobody calls them unknown.
        gone: Pods that a step removed, with the step's name.
    """

    problems: Problems
    place: Place
    default_namespace: str | None = None
    declared: bool = False
    namespaces: dict[str, Namespace] = field(default_factory=dict)
    pods: dict[str, Pod] = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)
    externals: dict[str, External] = field(default_factory=dict)
    groups: dict[str, list[str]] = field(default_factory=dict)
    places: dict[tuple[str, str], Place] = field(default_factory=dict)
    port_places: dict[str, dict[tuple[int, str], Place]] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    gone: dict[str, str] = field(default_factory=dict)

    def copy(self) -> World:
        """A world of its own with the same content and the same collector of problems."""
        twin = copy.copy(self)
        for name in ("namespaces", "pods", "services", "externals", "groups", "places", "gone"):
            setattr(twin, name, dict(getattr(self, name)))
        return twin

    def topology(self) -> Topology:
        """The world as it is now, with what every cluster brings along."""
        return with_builtins(
            Topology(dict(self.namespaces), dict(self.pods), dict(self.services), dict(self.externals))
        )

    def known_namespaces(self) -> list[str]:
        """All namespaces, those that every cluster has included."""
        return list(dict.fromkeys((*self.namespaces, *BUILTIN_NAMESPACES)))

    # Declarations

    def add_namespaces(self, specs: Mapping[Text, NamespaceSpec]) -> list[str]:
        """Declare namespaces; returns the names of the new ones."""
        added = []
        for name, spec in specs.items():
            if not self._good_name("namespace", name, names.dns_label(name)):
                continue
            if not self._new("namespace", name, name):
                continue
            labels = self.labels(spec.labels, "label")
            own = labels.setdefault(METADATA_NAME, str(name))
            if own != name:
                where = next(key for key in spec.labels if key == METADATA_NAME)
                self.problems.error(
                    "metadata-name",
                    f"the API server sets `{METADATA_NAME}` to {name}",
                    where.place,
                    help="leave this label out",
                )
            self.namespaces[str(name)] = Namespace(str(name), labels)
            added.append(str(name))
        return added

    def add_pods(self, specs: Mapping[Text, PodSpec]) -> list[str]:
        """Declare pods; returns the ids of the new ones, replicas one by one."""
        added: list[str] = []
        for key, spec in specs.items():
            if self._full(key):
                break
            split = self.split("pod", key)
            if split is None:
                continue
            namespace, name = split
            if not self._good_name("pod", key, names.dns_subdomain(name), name):
                continue
            ids = [f"{namespace}/{name}"]
            if spec.replicas is not None:
                ids = [f"{namespace}/{name}-{number}" for number in range(spec.replicas)]
            new = [self._new("pod", id, key) for id in dict.fromkeys((f"{namespace}/{name}", *ids))]
            if not all(new) or not self._namespace_for(key, namespace):
                self.broken.add(f"{namespace}/{name}")
                continue
            if spec.replicas is not None:
                self.groups[f"{namespace}/{name}"] = ids
            pod = self._pod(namespace, name, spec, key)
            for id in ids:
                self.pods[id] = replace(pod, name=id.partition("/")[2])
            added += ids
        return added

    def _pod(self, namespace: str, name: str, spec: PodSpec, key: Text) -> Pod:
        place = spec.place(key.place)
        account = spec.service_account
        if account is not None:
            self._good_name("service account", account, names.dns_subdomain(account))
        if spec.node is not None and not (len(spec.node) == 1 and "a" <= spec.node <= "z"):
            self.problems.error(
                "bad-node",
                f'"{spec.node}" is no node',
                spec.node.place,
                help="write one letter, a to z; pods with the same letter share a node",
            )
        owner = f"pod {namespace}/{name}"
        own, svid = identity(spec.identity, namespace, str(account or "default"), self.problems)
        ports = listeners(spec.listen, place, self.problems, owner)
        pod = Pod(
            namespace,
            name,
            self.labels(spec.labels, "label"),
            self.labels(spec.annotations, "annotation"),
            strict_ports(spec.mtls, ports, own, self.problems, owner),
            "default" if account is None else str(account),
            None if spec.node is None else str(spec.node),
            spec.host_network,
            own,
            svid,
        )
        if pod.host_network and pod.node is not None:
            self._host_ports(pod, key)
        return pod

    def _host_ports(self, pod: Pod, key: Text) -> None:
        """Two pods on one node's network cannot listen on the same port."""
        for other in self.pods.values():
            if not other.host_network or other.node != pod.node:
                continue
            for item in pod.listeners:
                if other.listens(item.port, item.protocol):
                    self.problems.error(
                        "host-port-taken",
                        f"{other.id} listens on {item.port}/{item.protocol} of node {pod.node} already",
                        key.place,
                        help="choose another port or another node",
                        related=(Related(self._place("pod", other.id), "the other pod"),),
                    )

    def add_services(self, specs: Mapping[Text, ServiceSpec]) -> list[str]:
        """Declare services; returns the ids of the new ones."""
        added = []
        for key, spec in specs.items():
            if self._full(key):
                break
            split = self.split("service", key)
            if split is None:
                continue
            namespace, name = split
            id = f"{namespace}/{name}"
            if not self._good_name("service", key, names.service_name(name), name):
                continue
            if not self._namespace_for(key, namespace) or not self._new("service", id, key):
                self.broken.add(id)
                continue
            kind = service_type(spec.type, self.problems)
            place = spec.place(key.place)
            ports = service_ports(spec.ports, kind, place, self.problems)
            if not spec.selector:
                self.problems.error(
                    "empty-selector",
                    "the selector has no labels, so the service has no pods",
                    spec.place_of("selector", key.place),
                    help="name the labels of the pods behind it: {app: api}",
                )
            self.services[id] = Service(
                namespace,
                name,
                self.labels(spec.selector, "label"),
                tuple(port for port, _ in ports),
                kind,
                self.labels(spec.labels, "label"),
            )
            self.port_places[id] = {(port.port, port.protocol.value): where for port, where in ports}
            self._node_ports(id)
            added.append(id)
        return added

    def _node_ports(self, id: str) -> None:
        for port in self.services[id].ports:
            if port.node_port is None:
                continue
            for other in self.services.values():
                for taken in other.ports:
                    if other.id != id and (taken.node_port, taken.protocol) == (
                        port.node_port,
                        port.protocol,
                    ):
                        self.problems.error(
                            "node-port-taken",
                            f"service {other.id} has the node port {port.node_port} already",
                            self.port_places[id][port.port, port.protocol.value],
                            help="choose another number",
                            related=(Related(self._place("service", other.id), "the other service"),),
                        )

    def add_externals(self, specs: Mapping[Text, ExternalSpec]) -> list[str]:
        """Declare externals; returns their names."""
        added = []
        for key, spec in specs.items():
            if self._full(key):
                break
            if not self._good_name("external", key, names.dns_label(key)):
                continue
            if not self._new("external", key, key):
                continue
            addresses: dict[Family, str] = {}
            for text in spec.address:
                self._address(key, text, addresses)
            hosts = []
            for host in spec.names:
                complaint = names.host_name(host)
                if complaint:
                    self.problems.error(
                        "bad-host",
                        f'"{host}" {complaint}',
                        host.place,
                        help="write a name such as api.example.com",
                    )
                    continue
                hosts.append(host.removesuffix(".").lower())
            self.externals[str(key)] = External(
                str(key), addresses, self._listeners(spec, key), tuple(dict.fromkeys(hosts))
            )
            if not addresses:
                self.broken.add(str(key))
            added.append(str(key))
        return added

    def _listeners(self, spec: ExternalSpec, key: Text) -> tuple[Listener, ...]:
        return listeners(spec.listen, spec.place(key.place), self.problems, f"external {key}")

    def _address(self, key: Text, text: Text, addresses: dict[Family, str]) -> None:
        try:
            family, address = outside_address(text)
        except BadValueError as error:
            report(self.problems, error, text.place)
            return
        if family in addresses:
            self.problems.error(
                "duplicate-address",
                f"external {key} has two {family} addresses",
                text.place,
                help="write at most one address per family; make a second external for another one",
            )
            return
        for other in self.externals.values():
            if other.addresses.get(family) == address:
                self.problems.error(
                    "duplicate-address",
                    f"external {other.name} has the address {address} already",
                    text.place,
                    help="choose another address",
                    related=(Related(self._place("external", other.name), "the other external"),),
                )
        addresses[family] = address

    def labels(self, given: Mapping[Text, Text], what: str) -> dict[str, str]:
        """Labels (or annotations) after their check; broken ones are reported and left out."""
        found = {}
        for key, value in given.items():
            complaint = names.label_key(key)
            if complaint:
                self.problems.error(
                    "bad-label",
                    f'the key "{key}" {complaint}',
                    key.place,
                    help="write a key such as app or example.com/app",
                )
                continue
            complaint = names.label_value(value) if what == "label" else ""
            if complaint:
                self.problems.error(
                    "bad-label",
                    f'the value "{value}" {complaint}',
                    value.place,
                    help="the API server refuses this value; choose another one",
                )
                continue
            found[str(key)] = str(value)
        return found

    # Names

    def _full(self, key: Text) -> bool:
        if len(self.pods) + len(self.services) + len(self.externals) < MAX_THINGS:
            return False
        self.problems.error(
            "world-too-large",
            f"the world has more than {MAX_THINGS} pods, services and externals",
            key.place,
            help="split the scenario",
        )
        return True

    def split(self, kind: str, key: Text) -> tuple[str, str] | None:
        """Namespace and name of a declaration; a bare name goes into the default namespace."""
        namespace, slash, name = key.partition("/")
        if slash:
            complaint = names.dns_label(namespace)
            if complaint:
                self.problems.error(
                    "bad-name",
                    f'the namespace "{namespace}" {complaint}',
                    key.span(0, len(namespace)),
                    help="write namespace/name",
                )
                return None
            return namespace, name
        if self.default_namespace is None:
            self.problems.error(
                "no-namespace",
                f'the {kind} "{key}" has no namespace',
                key.place,
                help=f"write default/{key}, or set `defaults: {{namespace: …}}`",
            )
            return None
        return self.default_namespace, str(key)

    def _good_name(self, kind: str, key: Text, complaint: str, name: str | None = None) -> bool:
        if complaint:
            shown = key if name is None else name
            self.problems.error(
                "bad-name",
                f'the {kind} name "{shown}" {complaint}',
                key.part(shown),
                help="choose another name",
            )
            self.broken.add(str(key))
        return not complaint

    def _namespace_for(self, key: Text, namespace: str) -> bool:
        if namespace in self.namespaces:
            return True
        if not self.declared or namespace in BUILTIN_NAMESPACES:
            self.namespaces[namespace] = Namespace(namespace, {METADATA_NAME: namespace})
            return True
        if namespace not in self.broken:
            self.unknown_namespace(namespace, key.part(namespace))
        return False

    def unknown_namespace(self, namespace: str, place: Place) -> None:
        """Report a namespace that the scenario does not have."""
        known = self.known_namespaces()
        self.problems.error(
            "unknown-namespace",
            f'this scenario has no namespace "{namespace}"',
            place,
            help=did_you_mean(namespace, known)
            or f"declare it under `namespaces:`; there are {', '.join(known)}",
        )

    def _place(self, kind: str, id: str) -> Place:
        return self.places.get((kind, id), self.place)

    def _new(self, kind: str, id: str, key: Text) -> bool:
        """Note where `id` is declared; a second declaration is an error."""
        id = str(id)
        if id == DNS_POD and kind in ("pod", "service"):
            self.problems.error(
                "builtin",
                f"the {kind} {id} is the cluster's own DNS",
                key.place,
                help="choose another name; cells may name it without a declaration",
            )
            return False
        first = self.places.get((kind, id))
        if first is None or (kind == "pod" and id in self.gone):
            self.places[kind, id] = key.place
            self.gone.pop(id, None)
            return True
        self.problems.error(
            "duplicate-name",
            f"the {kind} {id} is declared twice",
            key.place,
            help="remove or rename one of them",
            related=(Related(first, "first declared here"),),
        )
        return False
