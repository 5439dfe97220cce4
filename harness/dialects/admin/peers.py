"""Subjects and peers of admin policies: exactly one field each (semantics.md 3.2)."""

from __future__ import annotations

import re

from harness.dialects import validate
from harness.dialects.admin.types import NameSet, NetworkSet, NodeSet, Peer, PodSet
from harness.dialects.admin.versions import Form
from harness.dialects.fields import Field
from harness.dialects.objects import selector
from harness.dialects.selectors import LabelSelector
from harness.model.rules import Direction, Network

_PODS = ("namespaces", "pods")
_OUTSIDE = ("nodes", "networks", "domainNames")
_MOST_NETWORKS = 25
_DOMAIN = re.compile(
    r"(\*\.)?([a-zA-Z0-9]([-a-zA-Z0-9_]*[a-zA-Z0-9])?\.)+[a-zA-Z0-9]([-a-zA-Z0-9_]*[a-zA-Z0-9])?\.?"
)
"""`pattern` of DomainName in the CRD."""


def pod_set(field: Field, form: Form, what: str) -> PodSet | None:
    """The pods that `namespaces` or `pods` selects; None after an error.

    Args:
        field: The mapping with one of the two fields.
        form: The form of the kind.
        what: What the mapping is, for complaints.
    """
    section = field.section(
        _PODS,
        {
            "namespaceSelector": "write `namespaces:`, or `pods: {namespaceSelector: …, podSelector: …}`",
            "podSelector": "write `pods: {namespaceSelector: …, podSelector: …}`",
            "matchLabels": "labels of namespaces stand under `namespaces:`",
        },
    )
    return _pods(field, section, form) if _one(field, section, what, _PODS) else None


def peer(field: Field, direction: Direction, form: Form) -> Peer | None:
    """One item of `from` or `to`; None after an error."""
    egress = direction is Direction.EGRESS
    known = (*_PODS, *_OUTSIDE) if egress else _PODS
    section = field.section(
        known,
        {
            **dict.fromkeys(_OUTSIDE, "ingress rules know pods only: traffic from elsewhere cannot be named"),
            "namespaceSelector": "write `namespaces:`, or `pods: {namespaceSelector: …, podSelector: …}`",
            "podSelector": "write `pods: {namespaceSelector: …, podSelector: …}`",
            "ipBlock": "write `networks: [192.0.2.0/24]`; exceptions are Pass rules before it",
            "matchLabels": "labels of namespaces stand under `namespaces:`",
        },
    )
    if not _one(field, section, "peer", known):
        return None
    if "nodes" in section:
        return NodeSet(selector(section["nodes"]), field.place)
    if "networks" in section:
        return NetworkSet(_networks(section["networks"], form), field.place)
    if "domainNames" in section:
        return NameSet(_names(section["domainNames"]), field.place)
    return _pods(field, section, form)


def _one(field: Field, section: dict[str, Field], what: str, known: tuple[str, ...]) -> bool:
    if len(section) == 1:
        return True
    names = ", ".join(known[:-1]) + " or " + known[-1]
    if section:
        field.error(
            "invalid-peer",
            f"a {what} has exactly one of {names}, not {len(section)}",
            help="labels of both go into `pods: {namespaceSelector: …, podSelector: …}`"
            if what == "subject"
            else "make several peers of it: begin each with `- `",
        )
    else:
        field.error("invalid-peer", f"a {what} needs {names}", help="for all pods write `namespaces: {}`")
    return False


def _pods(field: Field, section: dict[str, Field], form: Form) -> PodSet | None:
    if "namespaces" in section:
        return PodSet(selector(section["namespaces"], of_namespaces=True), LabelSelector(), field.place)
    pods = section["pods"].section(("namespaceSelector", "podSelector"))
    needed = ("podSelector",) if form.namespaces_optional else ("namespaceSelector", "podSelector")
    missing = [name for name in needed if name not in pods]
    for name in missing:
        section["pods"].error("missing-field", f"`{name}` is missing", help=f"for all write `{name}: {{}}`")
    if missing:
        return None
    namespaces = LabelSelector()
    if "namespaceSelector" in pods:
        namespaces = selector(pods["namespaceSelector"], of_namespaces=True)
    return PodSet(namespaces, selector(pods["podSelector"]), field.place)


def _networks(field: Field, form: Form) -> tuple[Network, ...]:
    found: dict[Network, None] = {}
    texts = set()
    for item in _items(field, "networks"):
        text = item.text()
        network = validate.cidr(item, text, strict=True, masked=form.masked) if text is not None else None
        if text in texts:
            item.error("named-twice", f"{text} stands here twice", help="remove one")
        elif text is not None and network is not None:
            texts.add(text)
            found[network] = None
    return tuple(found)


def _names(field: Field) -> tuple[str, ...]:
    found: dict[str, None] = {}
    texts = set()
    for item in _items(field, "domainNames"):
        text = item.text()
        if text is None:
            continue
        if text in texts:
            item.error("named-twice", f"{text} stands here twice", help="remove one")
        elif _DOMAIN.fullmatch(text) is None:
            item.error(
                "invalid-domain",
                f'"{text[:80]}" is not a domain name',
                help="write `example.com`, or `*.example.com` for all names below it",
            )
        texts.add(text)
        found[text.lower().rstrip(".")] = None
    return tuple(found)


def _items(field: Field, what: str) -> tuple[Field, ...]:
    items = field.items()
    if not items:
        field.error("missing-field", f"`{what}` needs at least one item")
    if len(items) > _MOST_NETWORKS:
        field.error(
            "too-many",
            f"{len(items)} {what}, but at most {_MOST_NETWORKS} may stand here",
            help="make several peers of it",
        )
    return items
