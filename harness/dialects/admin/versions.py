"""In what the kinds and versions of `policy.networking.k8s.io` differ, as their CRDs say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from harness.model.rules import Action

GROUP = "policy.networking.k8s.io"


@dataclass(frozen=True, slots=True)
class Form:
    """The form of one kind in one version.

    Attributes:
        actions: What `action` may be, with its meaning.
        ports: Name of the field with the ports.
        most: How many rules, peers and ports may stand in a list.
        tiers: Whether `tier` says where the policy stands.
        priority: Whether it has a priority.
        masked: Whether `networks` must have no host bits.
        namespaces_optional: Whether `pods.namespaceSelector` may be left out, which means all namespaces.
        name: The only name that an object may have; empty = any.
    """

    actions: Mapping[str, Action]
    ports: str
    most: int
    tiers: bool = False
    priority: bool = True
    masked: bool = False
    namespaces_optional: bool = False
    name: str = ""


_ACCEPT = MappingProxyType({"Accept": Action.ALLOW, "Deny": Action.DENY, "Pass": Action.PASS})
_ALLOW = MappingProxyType({"Allow": Action.ALLOW, "Deny": Action.DENY, "Pass": Action.PASS})
_BASELINE = MappingProxyType({"Allow": Action.ALLOW, "Deny": Action.DENY})

FORMS: Mapping[tuple[str, str], Form] = MappingProxyType(
    {
        (f"{GROUP}/v1alpha2", "ClusterNetworkPolicy"): Form(
            _ACCEPT, "protocols", 25, tiers=True, namespaces_optional=True
        ),
        (f"{GROUP}/v1beta1", "ClusterNetworkPolicy"): Form(
            _ACCEPT, "protocols", 25, tiers=True, masked=True, namespaces_optional=True
        ),
        (f"{GROUP}/v1alpha1", "AdminNetworkPolicy"): Form(_ALLOW, "ports", 100),
        (f"{GROUP}/v1alpha1", "BaselineAdminNetworkPolicy"): Form(
            _BASELINE, "ports", 100, priority=False, name="default"
        ),
    }
)
"""Every kind that the dialect reads."""
