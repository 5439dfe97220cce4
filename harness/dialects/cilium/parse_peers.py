"""The peers of Cilium's rules: one kind of them in each rule (semantics.md 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.dialects import validate
from harness.dialects.cilium import parse_l7, parse_selectors
from harness.dialects.cilium.refusals import refuse
from harness.dialects.cilium.selectors import EndpointSelector
from harness.dialects.cilium.types import (
    CidrPeer,
    CloudPeer,
    EndpointPeer,
    Entity,
    EntityPeer,
    FqdnPeer,
    GroupPeer,
    NodePeer,
    Peer,
    ServicePeer,
)
from harness.dialects.fields import Field
from harness.dialects.objects import selector
from harness.model.rules import Direction, Network
from harness.source.diagnostics import did_you_mean

INGRESS = ("fromEndpoints", "fromEntities", "fromCIDR", "fromCIDRSet", "fromNodes", "fromGroups")
EGRESS = (
    *("toEndpoints", "toEntities", "toCIDR", "toCIDRSet", "toNodes", "toGroups"),
    *("toServices", "toFQDNs"),
)

_CLOUD = ("aws",)


def fields(direction: Direction, *, deny: bool) -> tuple[str, ...]:
    """The fields of a rule that name peers; names of hosts can only be allowed."""
    if direction is Direction.INGRESS:
        return INGRESS
    return tuple(name for name in EGRESS if not (deny and name == "toFQDNs"))


def peers(
    section: Mapping[str, Field], names: tuple[str, ...], namespace: str, subject: EndpointSelector | None
) -> tuple[str, tuple[Peer, ...] | None]:
    """The field that names peers, and its items; None where no field does.

    Args:
        section: The fields of the rule.
        names: Those of them that name peers.
        namespace: Of the policy.
        subject: Whom it selects.
    """
    given = [name for name in names if name in section]
    listed = {name: section[name].items() for name in given}
    full = [name for name in given if listed[name]]
    if len(full) > 1:
        refuse(section[full[1]], f"{full[0]} and {full[1]} in one rule", "make two rules of it")
    if not given:
        return "", None
    side = next(
        (name for name in given if not listed[name] and name not in _NO_MEANING), full[0] if full else ""
    )
    if not side:
        return "", None
    found: list[Peer] = []
    if not full or full[0] == side:
        for item in listed[side]:
            found += _peer(item, side, namespace, subject)
    return side, tuple(found)


_NO_MEANING = frozenset({"toServices", "toFQDNs", "fromGroups", "toGroups"})
"""Lists that mean the same whether they are empty or absent; empty, the others mean nobody."""


def _peer(field: Field, side: str, namespace: str, subject: EndpointSelector | None) -> tuple[Peer, ...]:
    kind = side.removeprefix("from").removeprefix("to")
    if kind == "Endpoints":
        return (EndpointPeer(parse_selectors.peer(field, namespace, subject), field.place),)
    if kind == "Nodes":
        return (NodePeer(parse_selectors.plain(field), field.place),)
    read: Mapping[str, Callable[[Field], Peer | None]] = {
        "Entities": _entity,
        "CIDR": _cidr,
        "CIDRSet": _cidr_rule,
        "Services": _service,
        "FQDNs": _fqdn,
        "Groups": _cloud,
    }
    found = read[kind](field)
    return () if found is None else (found,)


def _entity(field: Field) -> Peer | None:
    text = field.text()
    if text is None:
        return None
    if text in tuple(Entity):
        return EntityPeer(Entity(text), field.place)
    field.error(
        "invalid-peer",
        f'"{text}" is not an entity',
        help=did_you_mean(text, Entity) or ", ".join(Entity),
        fix=text.lower() if text.lower() in tuple(Entity) else None,
    )
    return None


def _cidr(field: Field) -> Peer | None:
    network = _network(field)
    return CidrPeer(network, (), field.place) if network is not None else None


def _network(field: Field) -> Network | None:
    text = field.text()
    return validate.cidr(field, text, strict=True, host_bits=True) if text is not None else None


def _cidr_rule(field: Field) -> Peer | None:
    known = ("cidr", "cidrGroupRef", "cidrGroupSelector")
    section = field.section((*known, "except"))
    given = [name for name in known if name in section]
    if len(given) != 1:
        field.error(
            "invalid-peer",
            f"one of {', '.join(known[:-1])} and {known[-1]} must stand here, and only one",
            help="write `cidr: 203.0.113.0/24`",
        )
        return None
    holes = section["except"].items() if "except" in section else ()
    excepts = [(item, hole) for item in holes if (hole := _network(item)) is not None]
    values = tuple(hole for _, hole in excepts)
    if "cidrGroupRef" in section:
        name = section["cidrGroupRef"].text()
        if not name or not validate.object_name(section["cidrGroupRef"], name):
            return None
        return GroupPeer(name, None, values, field.place)
    if "cidrGroupSelector" in section:
        return GroupPeer("", selector(section["cidrGroupSelector"]), values, field.place)
    network = _network(section["cidr"])
    if network is None:
        return None
    for item, hole in excepts:
        if not (
            hole.version == network.version
            and hole.prefixlen >= network.prefixlen
            and hole.network_address in network
        ):
            refuse(item, f"{hole} lies outside of {network}")
    return CidrPeer(network, values, field.place)


def _service(field: Field) -> Peer | None:
    section = field.section(("k8sService", "k8sServiceSelector"))
    if not section:
        field.error("invalid-peer", "`k8sService` or `k8sServiceSelector` must stand here")
        return None
    if "k8sServiceSelector" in section:
        inner = section["k8sServiceSelector"].section(("selector", "namespace"))
        if "selector" not in inner:
            section["k8sServiceSelector"].error("missing-field", "`selector` is missing")
            return None
        return ServicePeer(_namespace(inner), "", selector(inner["selector"]), field.place)
    inner = section["k8sService"].section(("serviceName", "namespace"), {"name": "write `serviceName:`"})
    name = inner["serviceName"].text() if "serviceName" in inner else None
    if not name:
        section["k8sService"].error("missing-field", "`serviceName` is missing")
        return None
    return ServicePeer(_namespace(inner), name, None, field.place)


def _namespace(section: Mapping[str, Field]) -> str:
    return section["namespace"].text() or "" if "namespace" in section else ""


def _fqdn(field: Field) -> Peer | None:
    name = parse_l7.dns_name(field)
    return FqdnPeer(name, field.place) if name is not None else None


def _cloud(field: Field) -> Peer | None:
    for inner in field.section(_CLOUD).values():
        inner.section(("labels", "region", "securityGroupsIds", "securityGroupsNames"))
    return CloudPeer(field.place)
