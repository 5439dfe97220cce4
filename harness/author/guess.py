"""A world for policies that come without one: a pod per label class, and some that no selector names.

Namespaces, pods and externals are the smallest that the policies can tell apart; beside them stands, in each
of the policies' namespaces and in one of which no policy speaks, a pod without labels. Listeners open the
ports that the policies name, and one more by which a denied port can be told from an allowed one.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness.dialects.material import BlockWish, Material, NamespaceWish, PortWish
from harness.dialects.registry import material
from harness.model.builtin import DNS_POD
from harness.model.policy import Policy
from harness.model.rules import Network
from harness.model.topology import (
    METADATA_NAME,
    External,
    Family,
    Listener,
    Namespace,
    Pod,
    Protocol,
    Topology,
)

ELSEWHERE = "elsewhere"
BYSTANDER = "bystander"
OUTSIDE = "203.0.113.10"
"""Inside 0.0.0.0/0 and none of its usual exceptions (RFC 5737)."""

_OTHER_PORTS = (8081, 9090, 7070)
_FIRST_NAMED = 8080
_NAMED = {"http": 80, "https": 443, "dns": 53, "dns-tcp": 53, "metrics": 9090, "grpc": 9000}
_SYSTEM = "kube-system"
_TELLING = (
    "app.kubernetes.io/name",
    "app",
    "k8s-app",
    "name",
    "app.kubernetes.io/component",
    "component",
    "role",
)


def guess(policies: Sequence[Policy], known: Topology | None = None) -> Topology:
    """The world that `policies` speak of.

    Args:
        policies: Of any dialect.
        known: Namespaces, pods, services that are given; what is missing is added.

    Returns:
        A topology whose pods listen on every port that the policies name for them.
    """
    return _World(known or Topology()).add(material(policies))


@dataclass(slots=True)
class _World:
    """The world while it grows."""

    known: Topology
    namespaces: dict[str, Namespace] = field(default_factory=dict)
    pods: dict[str, Pod] = field(default_factory=dict)
    externals: dict[str, External] = field(default_factory=dict)
    _numbers: dict[str, int] = field(default_factory=dict)

    def add(self, wanted: Material) -> Topology:
        self.namespaces.update(self.known.namespaces)
        self.pods.update(self.known.pods)
        self.externals.update(self.known.externals)
        own = [name for name in wanted.namespaces if name != _SYSTEM]
        for name in own:
            self._namespace(NamespaceWish(name))
        for wish in wanted.pods:
            self._pod(wish.namespace, wish.labels, wish.listen, wish.service_account)
        for name in (*own, ELSEWHERE):
            self._namespace(NamespaceWish(name))
            self._pod(NamespaceWish(name), {}, wanted.anywhere, "")
        for block in wanted.blocks:
            self._block(block, wanted.anywhere)
        if wanted.anywhere and not self.externals:
            self._external("outside", ipaddress.ip_address(OUTSIDE), wanted.anywhere)
        self._other_ports()
        return Topology(self.namespaces, self.pods, self.known.services, self.externals)

    # -- namespaces and pods ---------------------------------------------------------------------------

    def _namespace(self, wish: NamespaceWish) -> str:
        if wish.name:
            labels = {METADATA_NAME: wish.name}
            old = self.namespaces.get(wish.name)
            merged = {**labels, **(old.labels if old else {}), **wish.labels}
            self.namespaces[wish.name] = Namespace(wish.name, merged)
            return wish.name
        if not wish.labels:
            # Any namespace will do, and the one of which no policy speaks lacks whatever must be lacking.
            return self._namespace(NamespaceWish(ELSEWHERE))
        for name, item in self.namespaces.items():
            if name not in (ELSEWHERE, _SYSTEM) and _has(item.labels, wish.labels, wish.lacks):
                return name
        name = self._free(_name(wish.labels) or "other", self.namespaces)
        self.namespaces[name] = Namespace(name, {METADATA_NAME: name, **wish.labels})
        return name

    def _pod(
        self, where: NamespaceWish, labels: Mapping[str, str], listen: Sequence[PortWish], account: str
    ) -> None:
        namespace = self._namespace(where)
        if namespace == _SYSTEM:
            # The cluster's own DNS is there, and scenarios put nothing beside it.
            return
        listeners = tuple(each for port in listen for each in _listeners(port))
        for identity, pod in self.pods.items():
            same = pod.namespace == namespace and dict(pod.labels) == dict(labels)
            if same and (not account or pod.service_account == account):
                self.pods[identity] = replace(pod, listeners=_merged(pod.listeners, listeners))
                return
        taken = {pod.name for pod in self.pods.values() if pod.namespace == namespace}
        name = self._free(_name(labels) or BYSTANDER, taken)
        made = Pod(namespace, name, dict(labels), listeners=_merged((), listeners))
        self.pods[made.id] = replace(made, service_account=account) if account else made

    def _other_ports(self) -> None:
        """A port that no policy names, wherever pods listen, and on every pod that would have none."""
        used = {item.port for pod in self.pods.values() for item in pod.listeners}
        other = Listener(next((port for port in _OTHER_PORTS if port not in used), 8099))
        for identity, pod in self.pods.items():
            if identity not in self.known.pods and identity != DNS_POD:
                self.pods[identity] = replace(pod, listeners=_merged(pod.listeners, (other,)))

    # -- addresses -------------------------------------------------------------------------------------

    def _block(self, wish: BlockWish, anywhere: Sequence[PortWish]) -> None:
        ports = [*wish.listen, *anywhere]
        inside = _address(wish.network, wish.excepts)
        if inside is not None:
            self._external("inside", inside, ports)
        for hole in wish.excepts:
            edge = _address(hole, ())
            if edge is not None:
                self._external("except", edge, ports)
        for network in (wish.network, *wish.excepts):
            beside = _beside(network)
            if beside is not None:
                self._external("beside", beside, ports)

    def _external(self, kind: str, address: _Address, ports: Sequence[PortWish]) -> None:
        numbers = [port for port in ports if port.name is None]
        listeners = tuple(each for port in numbers for each in _listeners(port)) or (Listener(443),)
        family = Family.IPV4 if address.version == 4 else Family.IPV6
        for name, item in self.externals.items():
            if item.addresses.get(family) == str(address):
                self.externals[name] = replace(item, listeners=_merged(item.listeners, listeners))
                return
        name = self._free(f"{kind}-{re.sub(r'[^0-9a-f]+', '-', str(address)).strip('-')}", self.externals)
        self.externals[name] = External(name, {family: str(address)}, _merged((), listeners))

    def _free(self, name: str, taken: Iterable[str]) -> str:
        found, number, names = name, 1, set(taken)
        while found in names:
            number += 1
            found = f"{name[:58]}-{number}"
        return found


_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _has(labels: Mapping[str, str], wanted: Mapping[str, str], lacks: frozenset[str]) -> bool:
    return all(labels.get(key) == value for key, value in wanted.items()) and not lacks & set(labels)


def _name(labels: Mapping[str, str]) -> str:
    """A DNS-1123 name out of labels: the value that usually names a thing, then the others."""
    keys = sorted(labels, key=lambda key: (_TELLING.index(key) if key in _TELLING else len(_TELLING), key))
    words = [
        labels[key] if labels[key] not in ("any", "true", "yes", "") else key.split("/")[-1] for key in keys
    ]
    text = re.sub(r"[^a-z0-9]+", "-", "-".join(words).lower()).strip("-")
    return text[:58].strip("-")


def _listeners(port: PortWish) -> Iterator[Listener]:
    """What listens where a rule names ports: of a range, its first and its last."""
    if port.name is not None:
        number = _NAMED.get(port.name, _FIRST_NAMED + sum(port.name.encode()) % 900)
        yield Listener(number, port.protocol, port.name)
        return
    yield Listener(port.number or _FIRST_NAMED, port.protocol)
    if port.end and port.end != port.number:
        yield Listener(port.end, port.protocol)


def _merged(old: Sequence[Listener], new: Sequence[Listener]) -> tuple[Listener, ...]:
    """Listeners of both; a port has one name, and a name one port of a protocol."""
    found: dict[tuple[Protocol, int], Listener] = {(item.protocol, item.port): item for item in old}
    names = {item.name for item in old if item.name}
    for item in new:
        if item.protocol is Protocol.ICMP or item.name in names:
            continue
        key = (item.protocol, item.port)
        if key not in found or (item.name and not found[key].name):
            found[key] = item
        if item.name:
            names.add(item.name)
    return tuple(found.values())


def _address(network: Network, holes: Sequence[Network]) -> _Address | None:
    """An address inside a network and outside of its holes that can stand outside a cluster."""
    outside = ipaddress.ip_address(OUTSIDE)
    if outside in network and not any(outside in hole for hole in holes):
        return outside
    first = network.network_address
    span = network.num_addresses
    for step in (9, 1, 0, span // 2 + 9, span // 2, span - 2, span - 1, span // 4 + 9, 3 * span // 4 + 9):
        if not 0 <= step < span:
            continue
        found = first + step
        if _fit(found) and not any(found in hole for hole in holes):
            return found
    return None


def _beside(network: Network) -> _Address | None:
    """What is next to a network, and inside a prefix shorter by one bit; none if it cannot stand outside."""
    if not network.prefixlen:
        return None
    lower = network.supernet().network_address == network.network_address
    found = network.broadcast_address + 1 if lower else network.network_address - 1
    return found if _fit(found) else None


def _fit(address: _Address) -> bool:
    """Whether an address can be that of one machine outside a cluster."""
    return not (
        address.is_loopback
        or address.is_multicast
        or address.is_link_local
        or address.is_unspecified
        or (address.version == 4 and address.is_reserved)
    )
