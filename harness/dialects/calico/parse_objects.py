"""Calico's objects beside policies: tiers, sets of networks, host endpoints, staged NetworkPolicies."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from harness.dialects.calico.parse_entities import set_net
from harness.dialects.calico.refusals import number, refuse, word
from harness.dialects.calico.selectors import NAMESPACE
from harness.dialects.calico.types import (
    DEFAULT_TIER,
    CalicoTier,
    HostEndpoint,
    NetworkSet,
    StagedKubernetes,
)
from harness.dialects.fields import Field
from harness.dialects.objects import labels
from harness.model.policy import Policy
from harness.model.rules import ADMIN_TIER, BASELINE_TIER, NETWORK_POLICY_TIER
from harness.source.diagnostics import Problems
from harness.source.nodes import MappingNode, Node, ScalarNode

Reader = Callable[[MappingNode, str, Problems], Policy | None]
"""Reads a manifest of another dialect; dialects do not know each other."""

STAGED_ACTIONS = ("Set", "Delete", "Learn", "Ignore")

RESERVED = {
    DEFAULT_TIER: (NETWORK_POLICY_TIER, "Deny"),
    "kube-admin": (ADMIN_TIER, "Pass"),
    "kube-baseline": (BASELINE_TIER, "Pass"),
}
"""Tiers that exist by themselves, with their default action."""


@dataclass(frozen=True, slots=True)
class Head:
    """What all objects have.

    Attributes:
        metadata: Its fields.
    """

    root: Field
    name: str
    namespace: str
    metadata: dict[str, Field]
    spec: Field | None

    def section(self, known: tuple[str, ...]) -> dict[str, Field]:
        """The fields of `spec`; none where there is no spec."""
        return self.spec.section(known) if self.spec is not None else {}


def tier(head: Head) -> CalicoTier:
    """A Tier; those that exist by themselves keep their place."""
    spec = head.section(("order", "defaultAction"))
    order = number(spec["order"]) if "order" in spec else None
    action = None
    if "defaultAction" in spec:
        action = word(spec["defaultAction"], "invalid-action", "a default action", ("Deny", "Pass"))
    if "." in head.name or len(head.name) > 63:
        refuse(
            head.metadata["name"], "names of tiers are at most 63 lower case letters, digits and `-`, no dots"
        )
    place = math.inf if order is None else order
    if head.name in RESERVED:
        known, wanted = RESERVED[head.name]
        if place != known.order:
            refuse(
                spec.get("order", head.root),
                f"{head.name} tier order must be {known.order:.0f}",
                "Calico makes this tier itself: leave the object out",
            )
        elif (action or "Deny") != wanted:
            refuse(
                spec.get("defaultAction", head.root),
                f"{head.name} tier default action must be {wanted}",
                "Calico makes this tier itself: leave the object out",
            )
    return CalicoTier(head.name, place, action == "Pass", head.root.place)


def network_set(head: Head) -> NetworkSet:
    """A NetworkSet or a GlobalNetworkSet."""
    spec = head.section(("nets",))
    found = [network for item in spec["nets"].items() if (network := set_net(item))] if "nets" in spec else []
    own: dict[str, str] = {}
    if "labels" in head.metadata:
        own = labels(head.metadata["labels"])
        if NAMESPACE in own:
            refuse(
                head.metadata["labels"],
                f"{NAMESPACE} is not a valid label name",
                "Calico sets it: leave it out",
            )
    return NetworkSet(head.namespace, tuple(own.items()), tuple(found), head.root.place)


def host_endpoint(head: Head) -> HostEndpoint:
    """A HostEndpoint; which node it means, only a cluster knows."""
    spec = head.section(("node", "interfaceName", "expectedIPs", "profiles", "ports"))
    if not ((spec["node"].text() or "") if "node" in spec else ""):
        refuse(head.spec or head.root, "no node has been specified", "write `node: NAME`")
    named = (spec["interfaceName"].text() or "") if "interfaceName" in spec else ""
    addresses = spec["expectedIPs"].items() if "expectedIPs" in spec else ()
    for item in addresses:
        item.text()
    if not named and not addresses:
        refuse(
            head.spec or head.root,
            "no interface or expected IPs have been specified",
            'write `interfaceName: "*"` for all of them',
        )
    own = labels(head.metadata["labels"]) if "labels" in head.metadata else {}
    return HostEndpoint(tuple(own.items()), head.root.place)


def staged_action(spec: dict[str, Field]) -> str:
    """`stagedAction`, `Set` where none is given."""
    if "stagedAction" not in spec:
        return "Set"
    return word(spec["stagedAction"], "invalid-action", "a staged action", STAGED_ACTIONS) or "Set"


def staged_kubernetes(head: Head, networkpolicy: Reader) -> StagedKubernetes:
    """A NetworkPolicy that is told of and not enforced.

    Args:
        head: The object.
        networkpolicy: Reads the NetworkPolicy that it would become.
    """
    spec = head.spec.node if head.spec is not None else None
    if head.spec is None or not isinstance(spec, MappingNode):
        head.root.error("missing-field", "`spec` is missing", help="write the spec of a NetworkPolicy")
        return StagedKubernetes("Set", None, head.root.place)
    action = staged_action({key: item for key, item in head.spec.entries().items() if not item.null})
    kept = MappingNode(tuple(pair for pair in spec.items if pair[0].text != "stagedAction"), spec.place)
    if action == "Delete":
        if kept.items:
            refuse(head.spec, "Spec fields should all be zero-value if stagedAction is Delete", "remove them")
        return StagedKubernetes(action, None, head.root.place)
    assert isinstance(head.root.node, MappingNode)
    instead: dict[str, Node] = {
        "apiVersion": ScalarNode("networking.k8s.io/v1", True, head.root.place),
        "kind": ScalarNode("NetworkPolicy", True, head.root.place),
        "spec": kept,
    }
    items = tuple((key, instead.get(key.text, value)) for key, value in head.root.node.items)
    document = MappingNode(tuple(pair for pair in items if pair[0].text != "status"), head.root.place)
    policy = networkpolicy(document, head.namespace, head.root.problems)
    return StagedKubernetes(action, policy, head.root.place)


def profile(head: Head) -> None:
    """Nobody can make one on Kubernetes: Calico has one for each namespace and service account."""
    refuse(
        head.root,
        "the operation create is not supported on profiles",
        "Calico makes kns.NAMESPACE and ksa.NAMESPACE.ACCOUNT itself, which allow everything that no policy "
        "is about; say it with a policy",
    )
