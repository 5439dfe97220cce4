"""Certificates that others issue to the pods of a world: who has one, and which probes cannot do without."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from harness.clusters.authority import Authority
from harness.model.identity import trust_domain
from harness.model.outcome import Observation, Outcome, OutcomeKind
from harness.model.probe import DnsQuery, Probe, SourceKind, TlsRequest
from harness.model.serving import admits, behind
from harness.model.topology import Pod, Protocol, Topology

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)

Answer = tuple[str, str]
"""The bundle of a certificate's trust domain, and why there is none: one of them is empty."""


class Svids:
    """Of one world.

    Args:
        authority: Learns whom to believe.

    Attributes:
        missing: Why pods have no certificate although their identity is said to come with one, by id.
    """

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self.missing: dict[str, str] = {}

    def look(self, pods: Mapping[str, Pod], ask: Callable[[Sequence[Pod]], Mapping[str, Answer]]) -> None:
        """Find out who has a certificate now; those of some live for an hour.

        Args:
            pods: All of the world.
            ask: Asks each pod's source.
        """
        self.missing = {}
        found = ask(issued(pods))
        bundles: dict[str, dict[str, list[str]]] = {}
        for name, (bundle, why) in sorted(found.items()):
            if why:
                self.missing[name] = why
                continue
            identity = pods[name].identity
            assert identity is not None
            bundles.setdefault(trust_domain(identity), {}).setdefault(bundle, []).append(name)
        for domain, owners in bundles.items():
            self._authority.learn(domain, "".join(owners))
            self.missing |= _divided(domain, owners)

    def checked(
        self, probes: Sequence[Probe], seen: Sequence[Observation], topology: Topology
    ) -> tuple[Observation, ...]:
        """The observations; those that a missing certificate has a part in are errors."""
        if not self.missing:
            return tuple(seen)
        checked = []
        for probe, one in zip(probes, seen, strict=True):
            why = self._why(probe, one, topology)
            checked.append(replace(one, outcome=Outcome(OutcomeKind.ERROR, why)) if why else one)
        return tuple(checked)

    def _why(self, probe: Probe, seen: Observation, topology: Topology) -> str:
        secured = isinstance(probe.request, TlsRequest)
        source = topology.pods.get(probe.source.name) if probe.source.kind is SourceKind.POD else None
        if source is not None and seen.client_identity and seen.client_identity == source.identity:
            why = self.missing.get(source.id)
            if why:
                return f"{source.id} has no certificate to show: {why}"
        if isinstance(probe.request, DnsQuery) or probe.target.protocol is not Protocol.TCP:
            return ""
        for pod, port in behind(probe.target, topology):
            why = self.missing.get(pod.id)
            if why and (secured or admits(pod, port)):
                return f"{pod.id} has no certificate to show: {why}"
        return ""


def _divided(domain: str, owners: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Why certificates do not count: two pods of a trust domain have no authority that both believe.

    Ports believe what any pod of the domain does, so they would take clients that real ones turn away.

    Args:
        domain: The trust domain.
        owners: The pods with each bundle.
    """
    known = {bundle: _authorities(bundle) for bundle in owners}
    why = {}
    for bundle, names in owners.items():
        others = (more for more in owners if more != bundle and known[more].isdisjoint(known[bundle]))
        other = next((owners[more][0] for more in others), "")
        if other:
            text = f"its bundle for {domain} and that of {other} have no authority in common"
            why.update(dict.fromkeys(names, text))
    return why


def _authorities(bundle: str) -> set[str]:
    """The certificates in a bundle; lines may be broken anywhere."""
    return {"".join(body.split()) for body in _CERTIFICATE.findall(bundle)}


def issued(pods: Mapping[str, Pod]) -> list[Pod]:
    """The pods whose certificates netcheck does not issue."""
    return [pod for pod in pods.values() if pod.svid is not None and pod.identity is not None]
