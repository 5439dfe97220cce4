"""Rules that the CRD refuses as a whole, and manifests that it takes although nobody means them."""

from __future__ import annotations

from harness.dialects.admin.types import AdminRule, NameSet, PodSet, PortName
from harness.dialects.fields import Field
from harness.model.rules import Action


def names_of_ports(field: Field, rule: AdminRule) -> None:
    """Only pods have named ports (the CRD's rule for egress)."""
    named = any(isinstance(port, PortName) for port in rule.ports)
    if named and not all(isinstance(peer, PodSet) for peer in rule.peers):
        field.error(
            "invalid-port",
            "a named port cannot stand beside nodes, networks or domain names: only pods name their ports",
            help="make two rules of it, one for the pods",
        )


def names_of_hosts(field: Field, rule: AdminRule) -> None:
    """Domain names are specified for rules that accept only."""
    if rule.action is not Action.ALLOW and any(isinstance(peer, NameSet) for peer in rule.peers):
        field.warning(
            "domain-names-accept-only",
            "domain names are defined for rules that accept; what this rule does differs from CNI to CNI",
            help="accept the good names, and deny the rest in a later rule by `networks:`",
        )


def without_rules(field: Field) -> None:
    """Unlike a NetworkPolicy, an admin policy without rules denies nothing."""
    field.warning(
        "no-rules",
        "without rules this policy does nothing; selecting pods does not isolate them",
        help="to deny everything write a rule with `action: Deny`",
    )
