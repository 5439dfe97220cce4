"""Manifests of Calico's objects to typed ones (semantics.md 3.4): what its API server refuses is an error.

The same objects can be written as `crd.projectcalico.org/v1`, past the API server: nobody refuses anything
then, and Felix leaves out what it does not understand.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from harness.dialects.calico import parse_objects, parse_selectors
from harness.dialects.calico.needs import needs
from harness.dialects.calico.parse_objects import Head
from harness.dialects.calico.parse_rules import rules
from harness.dialects.calico.refusals import boolean, number, refuse
from harness.dialects.calico.selectors import (
    NAMESPACE,
    All,
    Comparison,
    Expression,
    Operator,
    Selector,
    of_accounts,
    of_namespaces,
    together,
)
from harness.dialects.calico.types import DEFAULT_TIER, CalicoPolicy
from harness.dialects.fields import Field
from harness.dialects.objects import metadata
from harness.model.policy import Policy
from harness.model.rules import Direction
from harness.source.diagnostics import Problems, did_you_mean
from harness.source.nodes import MappingNode
from harness.source.values import manifest_value

API, CRD = "projectcalico.org/v3", "crd.projectcalico.org/v1"

POLICIES = ("NetworkPolicy", "GlobalNetworkPolicy", "StagedNetworkPolicy", "StagedGlobalNetworkPolicy")
_OTHERS: dict[str, Callable[[Head], object]] = {
    "NetworkSet": parse_objects.network_set,
    "GlobalNetworkSet": parse_objects.network_set,
    "Tier": parse_objects.tier,
    "HostEndpoint": parse_objects.host_endpoint,
    "Profile": parse_objects.profile,
}
NAMESPACED = frozenset(
    {"NetworkPolicy", "StagedNetworkPolicy", "StagedKubernetesNetworkPolicy", "NetworkSet"}
)
_STAGED_KUBERNETES = "StagedKubernetesNetworkPolicy"
KINDS = frozenset(
    {(API, kind) for kind in (*POLICIES, _STAGED_KUBERNETES, *_OTHERS)}
    | {(CRD, kind) for kind in (*POLICIES, _STAGED_KUBERNETES, *_OTHERS) if kind != "Profile"}
)

_SPEC = (
    "tier",
    "order",
    "selector",
    "types",
    "ingress",
    "egress",
    "serviceAccountSelector",
    "performanceHints",
)
_GLOBAL = ("namespaceSelector", "doNotTrack", "preDNAT", "applyOnForward")
_TYPES = {"Ingress": Direction.INGRESS, "Egress": Direction.EGRESS}
_OF_KUBERNETES = "knp.default."
_HINTS_OF_PERFORMANCE = ("AssumeNeededOnEveryNode",)
_HINTS = {
    "podSelector": "write `selector:` with an expression such as app == 'web'",
    "endpointSelector": "write `selector:` with an expression such as app == 'web'",
    "policyTypes": "write `types:`",
    "priority": "write `order:`",
    "stagedAction": "it belongs to staged policies",
    "source": "it belongs to a rule",
    "destination": "it belongs to a rule",
} | dict.fromkeys(_GLOBAL, "it belongs to GlobalNetworkPolicies")


def parse(
    document: MappingNode, namespace: str, problems: Problems, networkpolicy: parse_objects.Reader
) -> Policy | None:
    """Read one object; None when it has errors.

    Args:
        document: The manifest.
        namespace: For a manifest that names none.
        problems: Receives what is wrong.
        networkpolicy: Reads what a staged NetworkPolicy would become.
    """
    before = problems.errors
    root = Field(document, "", problems)
    top = root.section(
        ("apiVersion", "kind", "metadata", "spec", "status"),
        dict.fromkeys((*_SPEC, *_GLOBAL, "nets"), "it belongs under `spec:`")
        | dict.fromkeys(("name", "namespace"), "it belongs under `metadata:`"),
    )
    api, kind = (top[key].text() or "" for key in ("apiVersion", "kind"))
    if api == CRD:
        top["apiVersion"].warning(
            "crd-form",
            "nobody checks objects in this form: Felix leaves out a policy that it does not understand, and "
            "the traffic stays allowed",
            help=f"write `apiVersion: {API}`, which Calico's API server or calicoctl takes",
        )
    name, named = metadata(root, top.get("metadata"))
    fields = top["metadata"].entries() if "metadata" in top else {}
    if kind not in NAMESPACED and named:
        fields["namespace"].warning("ignored-field", f"{kind} belongs to no namespace", help="leave it out")
    own = (named or namespace) if kind in NAMESPACED else ""
    head = Head(root, name, own, fields, top.get("spec"))
    parsed: object
    if kind in POLICIES:
        parsed = _policy(head, kind)
    elif kind == _STAGED_KUBERNETES:
        parsed = parse_objects.staged_kubernetes(head, networkpolicy)
    else:
        parsed = _OTHERS[kind](head)
    if problems.errors > before:
        return None
    return Policy(
        dialect="calico",
        api_version=api,
        kind=kind,
        namespace=own,
        name=name,
        manifest=manifest_value(document),
        parsed=parsed,
        place=document.place,
        needs=tuple(dict.fromkeys(needs(parsed))),
        document=document,
    )


def _policy(head: Head, kind: str) -> CalicoPolicy:
    wide, staged = kind.endswith("GlobalNetworkPolicy"), kind.startswith("Staged")
    known = (*_SPEC, *(_GLOBAL if wide else ()), *(("stagedAction",) if staged else ()))
    if head.spec is None:
        head.root.warning(
            "missing-spec",
            "without `spec` the policy selects every pod and denies all ingress",
            help="write the spec; for that very effect: `spec: {selector: all(), types: [Ingress]}`",
        )
    spec = head.spec.section(known, _HINTS) if head.spec is not None else {}
    action = parse_objects.staged_action(spec) if staged else ""
    if action == "Delete" and set(spec) - {"stagedAction", "tier"}:
        refuse(
            head.spec or head.root,
            "Spec fields, except Tier, should all be zero-value if stagedAction is Delete",
            "remove them",
        )
    flags = {name: name in spec and boolean(spec[name]) for name in _GLOBAL[1:]}
    tier = spec["tier"].text() if "tier" in spec else None
    _name(head, tier or DEFAULT_TIER)
    order = number(spec["order"]) if "order" in spec else None
    subject, place = _subject(head, spec)
    ingress = rules(spec.get("ingress"), Direction.INGRESS, head.namespace)
    egress = rules(spec.get("egress"), Direction.EGRESS, head.namespace)
    directions = _directions(spec)
    _flags(head, spec, flags)
    for item in spec["performanceHints"].items() if "performanceHints" in spec else ():
        if item.text() not in (None, *_HINTS_OF_PERFORMANCE):
            refuse(item, "there is no such performance hint", f"write {_HINTS_OF_PERFORMANCE[0]}, or nothing")
    return CalicoPolicy(
        head.namespace,
        tier or DEFAULT_TIER,
        spec["tier"].place if "tier" in spec else head.root.place,
        math.inf if order is None else order,
        subject,
        place.place if place is not None else head.root.place,
        directions,
        ingress,
        egress,
        head.root.place,
        action,
        flags["doNotTrack"] or flags["preDNAT"],
        flags["applyOnForward"],
    )


def _name(head: Head, tier: str) -> None:
    """The only dot in a policy's name is behind the name of its tier."""
    if head.name.startswith(_OF_KUBERNETES):
        refuse(
            head.metadata["name"],
            f"names that begin with {_OF_KUBERNETES} are Calico's own for NetworkPolicies",
        )
    elif "." in head.name.removeprefix(f"{tier}."):
        refuse(
            head.metadata["name"],
            f"names of policies have no dot but the one behind the name of their tier, here {tier}",
        )


def _subject(head: Head, spec: dict[str, Field]) -> tuple[Expression, Selector | None]:
    """Whom the policy selects, by all labels that pods have."""

    def read(name: str) -> Selector | None:
        if name not in spec:
            return None
        return parse_selectors.selector(spec[name], parse_selectors.no_global)

    pods, namespaces, accounts = (
        read(name) for name in ("selector", "namespaceSelector", "serviceAccountSelector")
    )
    found = together(
        Comparison(NAMESPACE, Operator.IS, (head.namespace,)) if head.namespace else None,
        of_namespaces(namespaces.expression) if namespaces is not None else None,
        of_accounts(accounts.expression) if accounts is not None else None,
        pods.expression if pods is not None else None,
    )
    return found or All(), pods or namespaces or accounts


def _directions(spec: dict[str, Field]) -> frozenset[Direction]:
    """`types`, or its default: egress only where there are egress rules and no ingress rules."""
    given = {name: bool(spec[name].items()) if name in spec else False for name in Direction}
    if "types" not in spec or not spec["types"].items():
        found = {direction for direction, present in given.items() if present}
        return frozenset(found or {Direction.INGRESS})
    before = spec["types"].problems.errors
    listed: list[str] = []
    for item in spec["types"].items():
        text = item.text()
        if text in listed:
            refuse(item, f"'{text}' type specified more than once", "remove it")
        elif text in _TYPES:
            listed.append(text)
        elif text is not None:
            near = text.capitalize() if text.capitalize() in _TYPES else None
            item.error(
                "invalid-policy-type",
                f'"{text[:80]}" is not a policy type',
                help=did_you_mean(text.capitalize(), _TYPES) or "Ingress or Egress",
                fix=near,
            )
    directions = frozenset(_TYPES[text] for text in listed)
    for direction, present in given.items():
        if present and direction not in directions and spec["types"].problems.errors == before:
            spec[direction].problems.warning(
                "ignored-rules",
                f"{spec[direction].path}: `types` leaves {direction} out, so none of these rules is enforced",
                spec[direction].key or spec[direction].place,
                help=f"add {direction.capitalize()} to `types`, or remove the rules",
            )
    return directions


def _flags(head: Head, spec: dict[str, Field], flags: dict[str, bool]) -> None:
    if flags["doNotTrack"] and flags["preDNAT"]:
        refuse(spec["preDNAT"], "PreDNAT and DoNotTrack cannot both be true", "make two policies of it")
    if flags["preDNAT"]:
        listed = spec["types"].items() if "types" in spec else ()
        egress = [item for item in listed if item.text() == "Egress"]
        if "egress" in spec and spec["egress"].items():
            refuse(spec["egress"], "PreDNAT PolicySpec cannot have any Egress rules", "remove them")
        elif egress:
            refuse(egress[0], "PreDNAT PolicySpec cannot have 'egress' Type", "remove it")
    for name in ("doNotTrack", "preDNAT"):
        if flags[name] and not flags["applyOnForward"]:
            refuse(
                spec[name],
                "ApplyOnForward must be true if either PreDNAT or DoNotTrack is true",
                "add `applyOnForward: true`",
            )
