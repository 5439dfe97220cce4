"""Who gets which certificates of a world: what probers lack, and what listeners guard their ports with."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from harness.clusters.authority import Authority
from harness.clusters.request_options import TOO_OLD
from harness.clusters.resolve import external_place
from harness.model.builtin import DNS_POD
from harness.model.identity import trust_domain
from harness.model.topology import Listener, Pod, Protocol, Topology

Source = Mapping[str, str]
"""Who issues a certificate that only its pod can ask for, as the agent wants it (probes/PROTOCOL.md)."""

NO_SOURCES: Mapping[str, Source] = MappingProxyType({})


class Wallet:
    """What one process that sends probes has been given so far."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._names: dict[str, tuple[str, str]] = {}
        self._domains: dict[str, str] = {}
        self._told = False

    def lacking(self, specs: Iterable[list[Any]], source: Source | None = None) -> dict[str, Any] | None:
        """A message with the certificates that these probes need and the process has not; None without any.

        Args:
            specs: Entries of a plan.
            source: Who issues the process its own certificate; it is asked again each time.
        """
        names: set[str] = set()
        domains: set[str] = set()
        asked = False
        for spec in specs:
            options = spec[5]
            if "tls" in (spec[2], options.get("kind")):
                asked = True
                names.add(options.get("certificate") or "")
                domains.update(options.get("trust") or ())
        own = source["identity"] if source is not None else ""
        pairs = {name: self._pair(name) for name in names - {"", own}}
        pairs = {name: pair for name, pair in pairs.items() if self._names.get(name) != pair}
        bundles = {name: self._authority.bundle(name) for name in domains}
        bundles = {name: text for name, text in bundles.items() if self._domains.get(name) != text}
        issued = {own: dict(source)} if source is not None and own in names else {}
        if not pairs and not bundles and not issued and (self._told or not asked):
            return None
        self._told = True
        self._names |= pairs
        self._domains |= bundles
        given = {name: list(pair) for name, pair in pairs.items()}
        return {
            "op": "keys",
            "certificates": dict(sorted((given | issued).items())),
            "bundles": dict(sorted(bundles.items())),
        }

    def _pair(self, name: str) -> tuple[str, str]:
        identity = name.removesuffix(TOO_OLD)
        return self._authority.svid(identity, expired=name.endswith(TOO_OLD))


def strict(pod: Pod) -> bool:
    """Whether a port of the pod speaks nothing but mutual TLS."""
    return any(item.allow for item in pod.listeners)


def guards_of(
    topology: Topology,
    authority: Authority,
    known: Collection[str],
    sources: Mapping[str, Source] = NO_SOURCES,
) -> dict[str, Any]:
    """What listeners on TCP guard their ports with, by identity of the listener (see `probes.tls_server`).

    Args:
        topology: The world.
        authority: Issues the certificates.
        known: Listeners that have theirs, or can have none.
        sources: Who issues certificates that only their pods can ask for, by pod.
    """
    guards: dict[str, Any] = {}
    for pod in topology.pods.values():
        if pod.id not in known and pod.id != DNS_POD and _on_tcp(pod.listeners):
            guards[pod.id] = guard(pod.identity, pod.listeners, authority, sources.get(pod.id))
    for external in topology.externals.values():
        place = external_place(external.name)
        if place not in known and _on_tcp(external.listeners):
            guards[place] = guard(None, external.listeners, authority)
    return guards


def guard(
    identity: str | None,
    listeners: Iterable[Listener],
    authority: Authority,
    source: Source | None = None,
) -> dict[str, Any]:
    """The certificate of a listener and whom its ports take.

    Clients are believed of the server's own trust domain and of those that it allows somebody of.
    """
    ports = {str(item.port): list(item.allow) for item in listeners if item.allow}
    domains = {trust_domain(one) for ids in ports.values() for one in ids}
    if identity is not None:
        domains.add(trust_domain(identity))
    given: list[str] | dict[str, str]
    if source is not None:
        given = dict(source)
    else:
        given = list(authority.anonymous() if identity is None else authority.svid(identity))
    return {
        "certificate": given,
        "bundle": "".join(authority.bundle(domain) for domain in sorted(domains)),
        "ports": ports,
    }


def _on_tcp(listeners: Iterable[Listener]) -> bool:
    return any(item.protocol is Protocol.TCP for item in listeners)
