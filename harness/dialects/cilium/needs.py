"""What a cluster must be able to do for a policy of Cilium's, in the words of `model.features`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from harness.dialects.cilium.types import CiliumRule, CiliumSpec, FqdnPeer, NodePeer
from harness.model.application import DnsRules
from harness.model.rules import Direction


def needs(specs: Iterable[CiliumSpec]) -> Iterator[str]:
    """Features beyond that of the dialect."""
    for spec in specs:
        for direction in Direction:
            for rule in spec.rules(direction):
                yield from _of_rule(rule)


def _of_rule(rule: CiliumRule) -> Iterator[str]:
    for item in rule.ports:
        if item.foreign:
            yield "envoy-listeners" if item.foreign == "listener" else "l7-secrets"
        if item.application is not None:
            yield "l7-dns" if isinstance(item.application, DnsRules) else "l7-http"
    if any(isinstance(peer, FqdnPeer) for peer in rule.peers or ()):
        yield "fqdn"
    if any(isinstance(peer, NodePeer) for peer in rule.peers or ()):
        yield "node-selectors"
    if rule.authentication not in ("", "disabled"):
        yield "mutual-auth"
